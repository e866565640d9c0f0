"""Whole chunks within a token budget: best first, one that does not fit is passed over, never cut.

The budget holds for the finished prompt: template, separators, question and chunks, as the tokenizer counts them.
"""

from __future__ import annotations

from pydantic import PositiveInt

from ragprof.core import DEFAULT_K, Injected, Query, Ranking, ScoredDoc, prompt
from ragprof.core.stages import Injector
from ragprof.core.tokens import DEFAULT_TOKENIZER, counter


class TokenBudgetInjector:
    """At most k chunks and at most `tokens` tokens; an empty context where not one chunk fits."""

    def __init__(
        self,
        tokens: PositiveInt,
        k: PositiveInt = DEFAULT_K,
        tokenizer: str = DEFAULT_TOKENIZER,
        template: str = prompt.TEMPLATE,
        order: prompt.Order = "best_first",
    ) -> None:
        self.tokens, self.k, self.order = tokens, k, order
        self._tokenizer = tokenizer
        self.template = prompt.check_template(template)

    @property
    def identity(self) -> str:
        return (
            f"token_budget k={self.k} tokens={self.tokens} {self._tokenizer} order={self.order} "
            f"template={self.template}"
        )

    def load(self) -> None:
        counter(self._tokenizer)

    def inject(self, query: Query, ranking: Ranking) -> Injected:
        count = counter(self._tokenizer)
        chosen: list[ScoredDoc] = []
        used = count(prompt.build(self.template, query.text, []))
        passed_over = 0
        for item in ranking:
            if len(chosen) == self.k:
                break
            size = count(prompt.passage(len(chosen) + 1, item.doc) + prompt.SEPARATOR)
            if used + size > self.tokens:
                passed_over += 1
                continue
            chosen.append(item)
            used += size
        while True:  # tokens may merge over the borders of chunks, so the whole is counted before it is believed
            injected = prompt.arranged(chosen, self.order)
            text = prompt.build(self.template, query.text, [item.doc for item in injected])
            if not chosen or count(text) <= self.tokens:
                break
            chosen.pop()
            passed_over += 1
        return Injected(text, injected, {"docs_injected": len(chosen), "docs_passed_over": passed_over})


plugin: type[Injector] = TokenBudgetInjector
