"""Tables of what goes into the prompt: by k, by token budget, in which order, and what one more chunk brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ragprof.report import figures
from ragprof.report.growth.forecast_tables import signed
from ragprof.report.injection import study
from ragprof.report.injection.cells import (
    PIPELINE,
    estimate_cell,
    gain_cell,
    is_unpriced,
    money_cell,
    open_span,
    points_cell,
    price_cell,
    share_cell,
    verdict_cells,
)
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.palette import PROMPT
from ragprof.report.tables import Cell, Column, Row, Table, figure, group

_SIZE = {study.BY_K: Column("k", "chunks"), study.BY_BUDGET: Column("Budget", "tokens")}
_ORDERS = {"best_first": "best first", "best_last": "best last", "edges": "best at both ends"}


def by_k(summary: Summary) -> Table:
    """Answers at each k."""
    return _answers(summary, study.BY_K, "injection-k", "Answers by the number of chunks")


def by_budget(summary: Summary) -> Table:
    """Answers within each token budget."""
    return _answers(summary, study.BY_BUDGET, "injection-budgets", "Answers by token budget")


def k_tokens(summary: Summary) -> Table:
    return _tokens(summary, study.BY_K, "injection-k-tokens", "Tokens and time by the number of chunks")


def budget_tokens(summary: Summary) -> Table:
    return _tokens(summary, study.BY_BUDGET, "injection-budget-tokens", "Tokens and time by token budget")


def _answers(summary: Summary, part: str, key: str, title: str) -> Table:
    columns = (
        *(PIPELINE, _SIZE[part], Column("Correct"), Column("F1", "of tokens"), Column("Exact match")),
        *(Column("In context", "a gold answer"), Column("In answer", "a gold answer"), Column("nDCG", "of the prompt")),
        Column("Cost", "per 1,000 queries"),
    )
    rows = _rows(summary, part, _answer_cells)
    note = f"Small figures are 95% intervals; {study.basis(summary)}. {study.correct_words(summary)}".strip()
    return Table(key, title, columns, rows, note)


def _rows(summary: Summary, part: str, cells: Callable[[study.Step], tuple[Cell, ...]]) -> tuple[Row, ...]:
    """A group a pipeline, a row a step."""
    rows = []
    for name in study.names(summary):
        found = [
            (figure(figures.count(study.size_of(one, part))), *cells(one)) for one in study.steps(summary, part, name)
        ]
        rows += group(Cell(name, pipeline=name), found)
    return tuple(rows)


def _answer_cells(step: study.Step) -> tuple[Cell, ...]:
    shares = (share_cell(at(step, key)) for key in ("exact_match", "answer_in_context", "answer_in_answer"))
    return (
        *(share_cell(at(step, "correct")), estimate_cell(at(step, "answer_f1"), figures.score), *shares),
        *(estimate_cell(at(step, "ndcg"), figures.score), price_cell(step)),
    )


def _tokens(summary: Summary, part: str, key: str, title: str) -> Table:
    columns = (
        *(PIPELINE, _SIZE[part], Column("Prompt", "as the model counts")),
        *(Column(kind.capitalize()) for kind in PROMPT),
        *(Column("Cost", "per relevant token"), Column("First token", "generate stage")),
    )
    rows = _rows(summary, part, _token_cells)
    note = (
        f"Mean tokens per prompt, {study.basis(summary)}; small figures are 95% intervals. Parts are counted by the "
        "eval's tokenizer, the whole by the model's. Truncated: within reach and not in the prompt. Unjudged is not "
        "irrelevant."
    )
    return Table(key, title, columns, rows, note)


def _token_cells(step: study.Step) -> tuple[Cell, ...]:
    parts = (figure(figures.mean_count(at(step, "tokens", kind))) for kind in PROMPT)
    return (
        *(estimate_cell(at(step, "prompt_tokens"), figures.mean_count), *parts),
        *(_per_relevant(step), estimate_cell(at(step, "time_to_first_token_ns"), figures.duration)),
    )


def _per_relevant(step: study.Step) -> Cell:
    """UNPRICED where the prompt has no price; n/a where it has one and no relevant token."""
    cell = money_cell(step, "usd_per_relevant_token")
    priced = not is_unpriced(at(step, "usd_per_1000_queries"))
    return figure(figures.ABSENT) if cell.text == figures.UNPRICED and priced else cell


def orders(summary: Summary) -> Table:
    """The same chunks in other orders. No rows where none was tried."""
    columns = (
        *(
            PIPELINE,
            Column("Order", numeric=False),
            Column("k", "chunks"),
            Column("Correct"),
            Column("F1", "of tokens"),
        ),
        *(Column("Difference", "in correct"), Column("p"), Column("Verdict", numeric=False)),
        Column("Evidence", "0 first, 1 last"),
    )
    rows: list[Row] = []
    for name in study.names(summary):
        found = [_order_cells(one) for one in entries(summary, "injection", "orders", name)]
        rows += group(Cell(name, pipeline=name), found)
    note = (
        f"The same chunks in another order, against best first; paired, small figures are 95% intervals, "
        f"{study.basis(summary)}. Evidence: mean place in the prompt of the first chunk that holds a gold answer."
    )
    return Table("injection-orders", "Where the evidence stands in the prompt", columns, tuple(rows), note)


def _order_cells(found: Mapping[str, Any]) -> tuple[Cell, ...]:
    order = figures.text(at(found, "order"))
    told = at(found, "difference") is not None
    p, verdict = verdict_cells(found) if told else (Cell(figures.DASH, tone="quiet"),) * 2
    difference = points_cell(at(found, "difference")) if told else Cell(figures.DASH, tone="quiet")
    return (
        *(Cell(_ORDERS.get(order, order)), figure(figures.count(at(found, "k"))), share_cell(at(found, "correct"))),
        *(estimate_cell(at(found, "answer_f1"), figures.score), difference, p, verdict),
        estimate_cell(at(found, "evidence_position"), figures.score),
    )


def marginal(summary: Summary) -> Table:
    """What each step in k brings and costs. No rows where k was not varied."""
    columns = (
        *(PIPELINE, Column("Chunks", numeric=False), Column("Correct", "gain"), Column("F1", "gain")),
        *(Column("Cost", "per 1,000 queries"), Column("First token", "generate stage")),
        Column("Price", "of one more correct answer"),
    )
    rows: list[Row] = []
    for name in study.names(summary):
        found = at(summary, "injection", "marginal", name)
        rows += group(_marginal_name(found, name), [_marginal_cells(step) for step in entries(found, "steps")])
    note = (
        f"What the added chunks bring (paired) and what they add; small figures are 95% intervals, "
        f"{study.basis(summary)}. The price of one more correct answer is n/a where a step brings none."
    )
    return Table("injection-marginal", "What one more chunk brings and costs", columns, tuple(rows), note)


def _marginal_name(found: Any, name: str) -> Cell:
    last, undecided = at(found, "last_worthwhile_k"), at(found, "status") == "undecided"
    note = "undecided" if undecided else "" if last is None else f"worth it up to k = {figures.count(last)}"
    return Cell(name, note, pipeline=name)


def _marginal_cells(step: Mapping[str, Any]) -> tuple[Cell, ...]:
    start, end = figures.text(at(step, "from_k")), figures.text(at(step, "to_k"))
    return (
        *(Cell(f"{start} \u2192 {end}"), points_cell(at(step, "correct_gain"))),
        estimate_cell(at(step, "f1_gain"), figures.difference),
        money_cell(step, "added_usd_per_1000", write=lambda value: signed(value, figures.usd)),
        *(gain_cell(at(step, "added_first_token_ns"), figures.duration), _extra_cell(step)),
    )


def _extra_cell(step: Mapping[str, Any]) -> Cell:
    """UNPRICED where the added tokens are; n/a where they have a price and bring nothing."""
    if is_unpriced(at(step, "usd_per_extra_correct")):
        unpriced = "added_usd_per_1000" in step and is_unpriced(step["added_usd_per_1000"])
        return figure(figures.UNPRICED if unpriced else figures.ABSENT)
    interval = at(step, "usd_per_extra_correct_interval")
    return figure(
        figures.usd(step["usd_per_extra_correct"]), "" if interval is None else open_span(interval, figures.usd)
    )


def marginal_statements(summary: Summary) -> list[str]:
    """One sentence a pipeline on where more chunks stop paying; it names the pipeline."""
    found = {name: at(summary, "injection", "marginal", name, "statement") for name in study.names(summary)}
    return [
        sentence if sentence.startswith(name) else f"{name}: {sentence}" for name, sentence in found.items() if sentence
    ]
