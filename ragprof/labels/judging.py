"""A model judges pairs by the rubric: in a random order, a part of them twice, within a budget, saved as it goes.

What was judged before is not asked again, so a run that was stopped, by a kill or by its budget, goes on where it was.
An answer that is no grade is asked for once more, with a reminder; if that is none either, the pair stays unjudged. It
is never taken for a 0.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from ragprof.core import Generated
from ragprof.core.clock import Progress, step
from ragprof.labels.records import LabelFile, Pair, PassageLabel, standing, words_digest
from ragprof.labels.rubric import REMINDER, RUBRIC_NAME, grade_of, judge_prompt

AT_ONCE = 32
"""Pairs that are asked about, saved and paid before the budget is looked at again."""
KEPT_CHARACTERS = 200
Answer: TypeAlias = Callable[[Sequence[str]], Sequence[Generated]]
"""Answers to prompts, in order."""
Bill: TypeAlias = Callable[[int, int], Decimal]
"""USD of (input tokens, output tokens)."""
DEARER = Decimal("1.5")
"""How much more than expected a server may bill, before it is known."""
MARGIN = 2
"""What answers prose is asked again."""
ANSWER_TOKENS = 12
"""What an answer is taken to have, before any is known."""


@dataclass(frozen=True)
class PairTexts:
    """One pair with its texts."""

    query_id: str
    doc_id: str
    document_id: str
    question: str
    passage: str
    where: str = ""
    """File, page and heading, where the passage knows more than its id."""

    @property
    def question_digest(self) -> str:
        return words_digest(self.question)

    @property
    def passage_digest(self) -> str:
        return words_digest(self.passage)

    @property
    def pair(self) -> Pair:
        return self.query_id, self.doc_id


@dataclass(frozen=True)
class ModelJudge:
    """A model with all that asking it takes. `bill` None: nobody knows its price."""

    name: str
    answer: Answer
    count_tokens: Callable[[str], int]
    bill: Bill | None = None
    twice: float = 0.2
    seed: int = 0
    asks_again: bool = False
    """Whether it is asked anew about what it gave no grade."""
    is_kept: Callable[[str], bool] = lambda _prompt: False
    """Whether the answer to a prompt is kept, so that it costs nothing."""

    @property
    def judge(self) -> str:
        return f"model:{self.name}"


@dataclass
class Allowance:
    """Tells before each batch whether a budget covers it. Servers count tokens otherwise than we do: it learns how."""

    budget: Decimal | None
    foreseen: Decimal = Decimal(0)

    def covers(self, expected: Decimal | None, *, spent: Decimal) -> bool:
        """Whether a batch may be asked for that is expected to cost so much."""
        if self.budget is None or expected is None:
            return True
        dearer = max(DEARER, spent / self.foreseen if self.foreseen else DEARER)
        self.foreseen += expected
        return spent + MARGIN * dearer * expected <= self.budget


@dataclass
class JudgedCounts:
    """What became of the pairs. `usd` is None where nobody knows the price; `left` were not asked about."""

    graded: int = 0
    unjudged: int = 0
    asked_again: int = 0
    twice: int = 0
    left: int = 0
    usd: Decimal | None = None
    examples: list[str] = field(default_factory=list)
    """Answers that were no grades; the first few."""


def to_judge(pairs: Sequence[PairTexts], labels: Sequence[PassageLabel], model: ModelJudge) -> list[PairTexts]:
    """Pairs on which the model has not been asked, or gave no grade if it asks again; in a seeded random order."""
    said = standing(labels).get(model.judge, {})
    known = {pair for pair, label in said.items() if label.grade is not None or not model.asks_again}
    todo = [each for each in pairs if each.pair not in known]
    random.Random(f"{model.seed} order").shuffle(todo)
    return todo


def is_twice(model: ModelJudge, pair: Pair) -> bool:
    """Whether the pair is among those that are asked about twice: the same ones whenever it is asked."""
    return random.Random(f"{model.seed} twice {pair}").random() < model.twice


def expected_usd(todo: Sequence[PairTexts], model: ModelJudge) -> Decimal | None:
    """What judging these is expected to cost; None where nobody knows the price."""
    if model.bill is None:
        return None
    tokens = [model.count_tokens(_prompts(model, each)[0]) * (1 + is_twice(model, each.pair)) for each in todo]
    calls = sum(1 + is_twice(model, each.pair) for each in todo)
    return model.bill(sum(tokens), ANSWER_TOKENS * calls)


def judge_pairs(
    todo: Sequence[PairTexts],
    model: ModelJudge,
    store: LabelFile,
    *,
    budget: Decimal | None,
    now: Callable[[], str],
    progress: Progress,
) -> JudgedCounts:
    """Judge pairs and save each batch; stop before the batch that could exceed the budget."""
    counts = JudgedCounts(usd=None if model.bill is None else Decimal(0))
    with step(progress, f"judge by {model.name}", len(todo)):
        size, allowance = AT_ONCE if budget is None else AT_ONCE // 4, Allowance(budget)
        for start in range(0, len(todo), size):
            some = todo[start : start + size]
            if counts.usd is not None and not allowance.covers(expected_usd(some, model), spent=counts.usd):
                counts.left = len(todo) - start
                break
            store.append(_judged(some, model, counts, now()))
            progress.advance(len(some))
    return counts


def _judged(some: Sequence[PairTexts], model: ModelJudge, counts: JudgedCounts, at: str) -> list[PassageLabel]:
    first = _graded([_prompts(model, each)[0] for each in some], model, counts)
    repeated = [place for place, each in enumerate(some) if is_twice(model, each.pair)]
    others = _graded([_prompts(model, some[place])[1] for place in repeated], model, counts)
    second = dict(zip(repeated, others, strict=True))
    counts.twice += len(second)
    labels = []
    for place, (each, (grade, words)) in enumerate(zip(some, first, strict=True)):
        counts.graded += grade is not None
        counts.unjudged += grade is None
        if grade is None and words not in counts.examples and len(counts.examples) < 3:
            counts.examples.append(words)
        again, other_words = second.get(place, (None, ""))
        labels.append(
            PassageLabel(
                each.query_id, each.doc_id, each.document_id, grade, model.judge, "model", at,
                state="unjudged" if grade is None else "graded", rubric=RUBRIC_NAME, model=model.name, second=again,
                answer=words, second_answer=other_words, question_digest=each.question_digest,
                passage_digest=each.passage_digest,
            )
        )  # fmt: skip
    return labels


def _prompts(model: ModelJudge, each: PairTexts) -> tuple[str, str]:
    """The first way of asking, and the other one: question and passage change places."""
    passage_first = random.Random(f"{model.seed} place {each.pair}").random() < 0.5
    first, second = (
        judge_prompt(each.question, each.passage, passage_first=place) for place in (passage_first, not passage_first)
    )
    return first, second


def _graded(prompts: Sequence[str], model: ModelJudge, counts: JudgedCounts) -> list[tuple[int | None, str]]:
    answers = _paid(prompts, model, counts)
    prose = [place for place, answer in enumerate(answers) if grade_of(answer) is None]
    counts.asked_again += len(prose)
    from_again = _paid([prompts[place] + REMINDER for place in prose], model, counts)
    for place, answer in zip(prose, from_again, strict=True):
        answers[place] = answer
    return [(grade_of(answer), " ".join(answer.split())[:KEPT_CHARACTERS]) for answer in answers]


def _paid(prompts: Sequence[str], model: ModelJudge, counts: JudgedCounts) -> list[str]:
    if not prompts:
        return []
    answers = model.answer(prompts)
    if model.bill is not None and counts.usd is not None:
        for prompt, answer in zip(prompts, answers, strict=True):
            tokens = answer.usage.get("input_tokens") or model.count_tokens(prompt)
            counts.usd += model.bill(tokens, answer.usage.get("output_tokens") or model.count_tokens(answer.text))
    return [answer.text for answer in answers]
