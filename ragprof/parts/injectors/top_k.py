"""The k best chunks, whole, however long they are; best first unless another order is asked for."""

from __future__ import annotations

from pydantic import PositiveInt

from ragprof.core import DEFAULT_K, Injected, Query, Ranking, prompt
from ragprof.core.stages import Injector


class TopKInjector:
    """Fewer than k chunks where the ranking is shorter."""

    def __init__(
        self, k: PositiveInt = DEFAULT_K, template: str = prompt.TEMPLATE, order: prompt.Order = "best_first"
    ) -> None:
        self.k, self.order = k, order
        self.template = prompt.check_template(template)

    @property
    def identity(self) -> str:
        return f"top_k k={self.k} order={self.order} template={self.template}"

    def load(self) -> None:
        """Nothing to load."""

    def inject(self, query: Query, ranking: Ranking) -> Injected:
        chosen = prompt.arranged(ranking[: self.k], self.order)
        text = prompt.build(self.template, query.text, [item.doc for item in chosen])
        return Injected(text, chosen, {"docs_injected": len(chosen)})


plugin: type[Injector] = TopKInjector
