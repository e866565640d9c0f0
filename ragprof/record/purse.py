"""What a run may spend on parts that are paid by what they are given. Knows no rate: it is told what a call costs.

Nothing is asked for that could cost more than is left. What was paid for is in the cache, so that a run with more goes
on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import partial
from threading import Lock
from typing import TypeAlias

from ragprof.core import Doc, Generated, Query, Scored, Usage
from ragprof.core.errors import BadInput
from ragprof.core.stages import Embedder, Generator, PairReranker, Reranker
from ragprof.report import figures

Bill: TypeAlias = Callable[[int], Decimal]
"""Tokens -> USD."""
RerankBill: TypeAlias = Callable[[Query, Sequence[Doc], Usage], Decimal]
"""A query, its documents and what the server counted (nothing before the call) -> USD."""
AnswerBill: TypeAlias = Callable[[int, int], Decimal]
"""Tokens of a prompt, tokens of its answer -> USD."""


@dataclass
class Purse:
    """A budget in USD for one run. `bills` are by id() of the embedder; what is not in it costs nothing."""

    usd: Decimal
    bills: Mapping[int, Bill]
    spent: Decimal = field(default=Decimal(0))
    _promised: Decimal = field(default=Decimal(0))
    _held: dict[int, object] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def opened(self, embedder: Embedder, tokens: int) -> Callable[[int], None] | None:
        """What is to be told of every token that was paid for, None where they cost nothing.

        `tokens` are those expected. Raises BadInput where they would cost more than is left.
        """
        bill = self.bills.get(id(embedder))
        if bill is None:
            return None
        expected, left = bill(tokens), self.usd - self.spent
        if expected > left:
            raise BadInput(
                f"about {tokens:,} tokens are still to be embedded, for about {figures.usd(expected)}: more than the "
                f"{figures.usd(left)} that the budget leaves; raise --budget-usd, or embed less with --passages"
            )
        return partial(self._paid, bill)

    def _paid(self, bill: Bill, tokens: int) -> None:
        self.spent += bill(tokens)
        if self.spent > self.usd:
            raise BadInput(
                f"the budget of {figures.usd(self.usd)} is spent ({figures.usd(self.spent)}); what was embedded is "
                "kept, so that a run with a larger --budget-usd goes on from there"
            )

    def hold_reranker(self, reranker: Reranker, bill: RerankBill) -> None:
        """Have every call of this reranker paid from here; it raises BadInput in place of one that may cost too much.

        Pairs that are scored together are refused together: scores are kept once all of them are there.
        """
        if not self._takes(reranker):
            return
        score = reranker.score

        def paid(query: Query, docs: Sequence[Doc]) -> Scored:
            with self._paying(bill(query, docs, {})) as pay:
                scored = score(query, docs)
                pay(bill(query, docs, scored.usage))
            return scored

        # The part itself is held: whoever has it asks it as before, and it stays of its kind.
        setattr(reranker, "score", paid)  # noqa: B010  # mypy takes a method for fixed
        if isinstance(reranker, PairReranker):
            score_pairs = reranker.score_pairs

            def paid_pairs(pairs: Sequence[tuple[Query, Doc]]) -> list[float]:
                docs: dict[tuple[str, str], list[Doc]] = {}
                queries = {(query.query_id, query.text): query for query, _ in pairs}
                for query, doc in pairs:
                    docs.setdefault((query.query_id, query.text), []).append(doc)
                self._check(sum((bill(queries[key], mine, {}) for key, mine in docs.items()), Decimal(0)))
                return score_pairs(pairs)

            setattr(reranker, "score_pairs", paid_pairs)  # noqa: B010

    def hold_generator(self, generator: Generator, bill: AnswerBill) -> None:
        """The same of a generator; before a call its longest answer is expected."""
        if not self._takes(generator):
            return
        generate = generator.generate

        def paid(prompt: str) -> Generated:
            expected = generator.count_tokens(prompt)
            with self._paying(bill(expected, generator.max_new_tokens)) as pay:
                generated = generate(prompt)
                used = generated.usage
                pay(bill(used.get("input_tokens", expected), used.get("output_tokens", 0)))
            return generated

        setattr(generator, "generate", paid)  # noqa: B010

    def _takes(self, part: object) -> bool:
        """Whether it is not held yet; several pipelines may share it."""
        is_new = id(part) not in self._held
        self._held[id(part)] = part
        return is_new

    @contextmanager
    def _paying(self, expected: Decimal) -> Iterator[Callable[[Decimal], None]]:
        """Promise what a call may cost while it is under way; several may be at once."""
        with self._lock:
            self._check(expected)
            self._promised += expected
        try:
            yield self._pay
        finally:
            with self._lock:
                self._promised -= expected

    def _pay(self, usd: Decimal) -> None:
        with self._lock:
            self.spent += usd

    def _check(self, expected: Decimal) -> None:
        left = self.usd - self.spent - self._promised
        if expected > left:
            raise BadInput(
                f"{figures.usd(self.spent)} of the budget of {figures.usd(self.usd)} are spent, and what is asked next "
                f"may cost {figures.usd(expected)}; what was answered is kept, so that a run with a larger "
                "--budget-usd goes on from there"
            )


def budget_of(written: Decimal | str) -> Decimal:
    """USD as written. Raises BadInput for what is no amount."""
    try:
        usd = Decimal(written)
    except InvalidOperation:
        usd = Decimal(-1)
    if not usd.is_finite() or usd < 0:
        raise BadInput(f"a budget of '{written}' is no amount of USD; write it like 2.50")
    return usd
