"""The k best chunks, whole, best first, however long they are."""

from __future__ import annotations

from pydantic import PositiveInt

from ragprof import prompt
from ragprof.core import Injected, Query, Ranking


class TopKInjector:
    """Fewer than k chunks where the ranking is shorter."""

    def __init__(self, k: PositiveInt = 5, template: str = prompt.TEMPLATE) -> None:
        self.k = k
        self._template = prompt.check_template(template)

    @property
    def identity(self) -> str:
        return f"top_k k={self.k} template={self._template}"

    def load(self) -> None:
        """Nothing to load."""

    def inject(self, query: Query, ranking: Ranking) -> Injected:
        chosen = ranking[: self.k]
        text = prompt.build(self._template, query.text, [item.doc for item in chosen])
        return Injected(text, chosen, {"docs_injected": len(chosen)})


plugin = TopKInjector
