"""Tables of answers: pipelines at a glance, where answers are lost, abstention, comparisons, the model that judges.

Tables of the frame: token budgets kept or not, where the energy figures come from, how answers were made.

Tables of what goes into the prompt: by k, by token budget, in which order, and what one more chunk brings.

Tables of the time to the first token: the fitted curve, and the measured prompt lengths beside it.

Tables of what an answer is worth: unit economics with their formulas, utility at the presets, who wins where.

Every table of the answers and of the audit, in the order in which a reader meets them.

Answers and the audit on a terminal: a line a pipeline, then what was found in words, no wider than 80 columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from ragprof.report import figures
from ragprof.report.figures import signed
from ragprof.report.lookup import Summary, at, entries, pipelines
from ragprof.report.palette import LOST, PROMPT
from ragprof.report.tables import (
    PIPELINE,
    Cell,
    Column,
    Row,
    Table,
    cost_cell,
    estimate_cell,
    facts,
    figure,
    gain_cell,
    group,
    is_unpriced,
    money_cell,
    open_span,
    plain,
    points,
    points_cell,
    points_span,
    price_cell,
    quantile_cell,
    share_cell,
    verdict_cells,
)
from ragprof.report.terminal import INDENT, absent, bullets, empty_table, styled
from ragprof.studies.injection import lookup as study

_METRICS = {"correct": "correct", "f1": "F1", "exact_match": "exact match"}
_ANSWERED = ("correct", "f1", "exact_match", "answer_in_context", "answer_in_answer")
_GAP = "The gap between in context and correct is what the model leaves unused."


def seconds(value: float | None) -> str:
    """Seconds in the unit that reads best."""
    return figures.ABSENT if value is None else figures.duration(value * 1e9)


def glance(summary: Summary) -> Table:
    """One row a pipeline: what its answers are worth, how long they take to begin, what they cost."""
    streamed = any(_first_token(summary, name) for name in study.names(summary))
    columns = (
        *(PIPELINE, Column("Correct", "of the answers"), Column("F1", "of tokens"), Column("Exact match")),
        *(Column("In context", "a gold answer"), Column("In answer", "a gold answer")),
        Column("First token", "mean, end to end"),
        *((Column("First token", "p50, generate"),) if streamed else ()),
        *(Column("Cost", "per 1,000 queries"), Column("Cost", "per correct answer")),
    )
    rows = tuple(Row(_glance_cells(summary, name, streamed=streamed)) for name in study.names(summary))
    notes = (
        *("Small figures are 95% intervals;", f"{study.basis(summary)}.", study.correct_words(summary)),
        *(_GAP, "First token, end to end: retrieval and the time to the first token."),
    )
    note = " ".join(words for words in notes if words)
    return Table("injection-glance", "Answers at a glance", columns, rows, note)


def _glance_cells(summary: Summary, name: str, *, streamed: bool) -> tuple[Cell, ...]:
    found, economics = study.answers(summary, name), study.economics(summary, name)
    correct, f1, *others = (at(found, key) for key in _ANSWERED)
    own = (quantile_cell(_first_token(summary, name), "p50"),) if streamed else ()
    return (
        *(named(found, name), share_cell(correct), estimate_cell(f1, figures.score), *map(share_cell, others)),
        *(estimate_cell(at(economics, "time_to_first_token_s"), seconds), *own),
        price_cell(economics),
        cost_cell(economics, "usd_per_correct_answer"),
    )


def named(found: Mapping[str, Any], name: str) -> Cell:
    """The pipeline; how its chunks were put into the prompt is told where it is not its own way."""
    setting = at(found, "setting")
    return Cell(name, "" if setting in (None, "own") else str(setting), pipeline=name)


def _first_token(summary: Summary, name: str) -> Any:
    return at(pipelines(summary), name, "stages", "generate", "first_token")


def attribution(summary: Summary) -> Table:
    """How many answers each part lost; every wrong answer is counted once. No rows where nothing was attributed."""
    parts = [part for part in LOST if part != "correct"]
    columns = (
        *(PIPELINE, Column("Asked", "questions"), Column("Correct")),
        *(Column(part.capitalize(), _LOST_BY.get(part, "")) for part in parts),
    )
    found = {name: study.answers(summary, name) for name in study.names(summary)}
    known = {name: one for name, one in found.items() if at(one, "attribution") or at(one, "attribution_counts")}
    rows = tuple(Row(_attribution_cells(one, name, parts)) for name, one in known.items())
    note = (
        "Each wrong answer is put down to the first part that lost it; small figures are shares of all questions asked "
        "(of correct: its 95% interval). Search: no gold answer among the candidates. Rerank: ranked too low. Packing: "
        "left out of the prompt. Model: the gold answer stood in the prompt and the answer is wrong all the same."
    )
    return Table("injection-attribution", "Where answers are lost", columns, rows, note)


_LOST_BY = {"model": "had it in the prompt", "packing": "left it out", "rerank": "ranked it too low"}
_LOST_BY["search"] = "did not find it"


def _attribution_cells(found: Mapping[str, Any], name: str, parts: list[str]) -> tuple[Cell, ...]:
    counts, shares = at(found, "attribution_counts"), at(found, "attribution")
    lost = (_lost_cell(at(counts, part), at(shares, part)) for part in parts)
    asked = at(found, "n")
    return (
        *(named(found, name), figure(figures.count(at(found, "correct", "n") if asked is None else asked))),
        *(share_cell(at(found, "correct")), *lost),
    )


def _lost_cell(count: Any, share: Any) -> Cell:
    if count is None:
        return figure(figures.share(share))
    return figure(figures.count(count), "" if share is None else figures.share(share))


def abstention(summary: Summary) -> Table:
    """Whether the model keeps silent where it should, and only there. No rows where that was not looked at."""
    columns = (
        *(PIPELINE, Column("Abstained rightly", "unanswerable questions"), Column("n", "unanswerable")),
        *(Column("Abstained wrongly", "answerable questions"), Column("n", "answerable")),
    )
    found = {name: at(study.answers(summary, name), "abstention") for name in study.names(summary)}
    rows = tuple(Row((Cell(name, pipeline=name), *_abstention_cells(one))) for name, one in found.items() if one)
    note = "Shares with 95% intervals. Rightly: higher is better; wrongly: lower is better."
    return Table("injection-abstention", "Questions that nothing answers", columns, rows, note)


def _abstention_cells(found: Mapping[str, Any]) -> tuple[Cell, ...]:
    kinds = (at(found, "unanswerable"), at(found, "answerable"))
    return tuple(cell for kind in kinds for cell in (share_cell(kind), figure(figures.count(at(kind, "n")))))


def comparisons(summary: Summary) -> Table:
    """Every pair of pipelines, each at its own way of putting chunks into the prompt."""
    columns = (
        *(Column("Candidate", numeric=False), Column("Against", numeric=False), Column("Metric", numeric=False)),
        *(Column("Difference", "95% interval"), Column("p"), Column("n", "questions")),
        Column("Verdict", numeric=False),
    )
    rows = tuple(Row(_comparison_cells(one)) for one in entries(summary, "injection", "comparisons"))
    note = (
        "Paired by question; candidate minus baseline; pp are percentage points. Undecided means not distinguishable "
        "with these questions, which is not the same as equal."
    )
    return Table("injection-comparisons", "Which pipelines answer better", columns, rows, note)


def _comparison_cells(comparison: Mapping[str, Any]) -> tuple[Cell, ...]:
    candidate, baseline = at(comparison, "candidate"), at(comparison, "baseline")
    metric = figures.text(at(comparison, "metric"))
    p, verdict = verdict_cells(comparison)
    return (
        Cell(figures.text(candidate), pipeline=candidate or ""),
        Cell(figures.text(baseline), pipeline=baseline or ""),
        *(figure(_METRICS.get(metric, metric)), _difference_cell(comparison, metric), p),
        *(figure(figures.count(at(comparison, "n"))), verdict),
    )


def _difference_cell(comparison: Mapping[str, Any], metric: str) -> Cell:
    difference, interval = at(comparison, "difference"), at(comparison, "interval")
    if metric == "f1":
        return figure(figures.difference(difference), figures.span(interval, figures.difference))
    return figure(points(difference), points_span(interval))


def agreement(summary: Summary) -> Table:
    """A model as judge beside the gold answers. No rows where no model judged."""
    columns = (
        *(PIPELINE, Column("Judge", "model", numeric=False), Column("Agreement", "with gold answers")),
        *(Column("Cohen's kappa", "95% interval"), Column("n", "answers")),
    )
    found = {name: at(study.answers(summary, name), "judge") for name in study.names(summary)}
    rows = tuple(Row((Cell(name, pipeline=name), *_judge_cells(one))) for name, one in found.items() if one)
    note = (
        "Kappa is agreement beyond chance: 0 is chance, 1 is full agreement. No other figure here rests on this judge."
    )
    return Table("injection-judge", "A model as judge against the gold answers", columns, rows, note)


def _judge_cells(judge: Mapping[str, Any]) -> tuple[Cell, ...]:
    agreed, kappa = at(judge, "agreement"), at(judge, "kappa")
    interval = figures.span(at(judge, "kappa_interval"), figures.score)
    return (
        figure(figures.text(at(judge, "model"))),
        estimate_cell(agreed, figures.share) if isinstance(agreed, Mapping) else figure(figures.share(agreed)),
        *(figure(figures.score(kappa).replace("-", figures.MINUS), interval), figure(figures.count(at(judge, "n")))),
    )


_SOURCES = {"nvml": "the GPU's own counter (NVML)", "rapl": "the processor's own counter (RAPL)"}


def budget(summary: Summary) -> Table:
    """Each pipeline against the limits of the eval file. No rows where it sets none."""
    found = at(summary, "injection", "budget")
    tokens, usd = at(found, "tokens_per_query"), at(found, "usd_per_1000_queries")
    columns = (
        *(PIPELINE, Column("Tokens per query", _limit(tokens, figures.count))),
        *(Column("Cost of 1,000 queries", _limit(usd, figures.usd)), Column("Budget", numeric=False)),
    )
    known = at(found, "pipelines") or {}
    ordered = [name for name in study.names(summary) if name in known]
    rows = tuple(Row(_budget_cells(name, known[name])) for name in ordered)
    return Table("injection-budget", "Against the budget", columns, rows, "Limits are those of the eval file.")


def _limit(value: Any, write: Any) -> str:
    return "no limit" if value is None else f"limit {write(value)}"


def _budget_cells(name: str, found: Mapping[str, Any]) -> tuple[Cell, ...]:
    return (
        *(Cell(name, pipeline=name), figure(figures.mean_count(at(found, "tokens_per_query")))),
        *(money_cell(found, "usd_per_1000_queries"), _within(at(found, "within"))),
    )


def _within(within: bool | None) -> Cell:
    if within is None:
        return figure(figures.ABSENT)
    return Cell("within", tone="better") if within else Cell("over", tone="worse")


def energy(summary: Summary) -> Table:
    """Where joules, their price and their CO\u2082 come from. No rows where no energy was told."""
    found = at(summary, "injection", "energy")
    source = at(found, "source")
    usd = at(found, "usd_per_kwh")
    pairs = {
        "Source": "estimate, from a stated wattage" if source == "estimate" else _counters(source),
        "Power": None if at(found, "watts") is None else f"{plain(at(found, 'watts'))} W",
        "Region": at(found, "region"),
        "Price": None if usd is None else f"{figures.plain_usd(usd)} per kWh",
        "Carbon": None if at(found, "kg_co2_per_kwh") is None else f"{found['kg_co2_per_kwh']} kg CO\u2082 per kWh",
        "As of": at(found, "date"),
    }
    columns = (Column("What", numeric=False), Column("Value", numeric=False))
    return Table(
        "injection-energy",
        "Where the energy figures come from",
        columns,
        facts(pairs),
        str(at(found, "statement") or ""),
    )


def _counters(source: Any) -> str | None:
    """`nvml+rapl` in words."""
    return None if source is None else " and ".join(_SOURCES.get(part, part) for part in str(source).split("+"))


def setup(summary: Summary) -> Table:
    """Who answered, what was asked and how much of it was computed."""
    found = at(summary, "injection")
    generator = at(found, "generator")
    work = {key.replace("_", " ").capitalize(): value for key, value in (at(found, "work") or {}).items()}
    seed = at(found, "seed")
    pairs = {
        "Model": at(generator, "model") or at(found, "time_to_first_token", "model"),
        "Generator": at(generator, "name"),
        **{key.capitalize(): at(generator, key) for key in ("precision", "device")},
        **{"Priced as": at(found, "priced_as"), "Questions": at(found, "questions")},
        **{"Unanswerable": at(found, "unanswerable"), "Correct is": at(found, "correct")},
        **{"Seed": None if seed is None else str(seed), **work},
    }
    columns = (Column("What", numeric=False), Column("Value", numeric=False))
    return Table("injection-setup", "How answers were made", columns, facts(pairs))


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


_TERMS = {
    "a_ns": ("a", "fixed, whatever the length"),
    "b_ns_per_token": ("b", "per token of the prompt"),
    "c_ns_per_token2": ("c", "per token squared"),
}


def first_token(summary: Summary) -> Any:
    return at(summary, "injection", "time_to_first_token")


def fit(summary: Summary) -> Table:
    """a, b and c of t = a + b n + c n^2, and how far the measured points lie off. No rows without a fit."""
    told = at(first_token(summary), "fit")
    found = told if any(at(told, key) is not None for key in _TERMS) else None
    columns = (Column("Term", numeric=False), Column("Value"), Column("What", numeric=False))
    rows = [Row(_term_cells(found, key)) for key in _TERMS] if found else []
    rows += [_off(found), _bend(found)] if found else []
    rows += _decoding(summary)
    note = (
        "Time to first token = a + b n + c n\u00b2, with n the tokens of the prompt. Small figures are 95% intervals."
    )
    return Table("injection-fit", "The fitted curve, term by term", columns, tuple(rows), note)


def _term_cells(found: Mapping[str, Any], key: str) -> tuple[Cell, ...]:
    letter, words = _TERMS[key]
    value = signed(at(found, key), figures.duration).removeprefix("+")
    return (
        Cell(letter),
        figure(value, figures.span(at(found, "intervals", key), _either_side)),
        Cell(words, tone="quiet"),
    )


def _either_side(value: float) -> str:
    return signed(value, figures.duration).removeprefix("+")


def _off(found: Mapping[str, Any]) -> Row:
    relative = at(found, "relative_residual")
    note = "" if relative is None else figures.share(relative)
    words = Cell("root mean square of measured minus fitted", tone="quiet")
    return Row((Cell("residual"), figure(figures.duration(at(found, "residual_ns")), note), words))


def _bend(found: Mapping[str, Any]) -> Row:
    start = at(found, "quadratic_from_tokens")
    value = Cell("not told", tone="undecided") if start is None else figure(f"{figures.count(start)} tokens")
    told = "c is not told apart from 0" if start is None else "from here c n\u00b2 is a tenth of the time or more"
    return Row((Cell("bend"), value, Cell(told, tone="quiet")))


def _decoding(summary: Summary) -> list[Row]:
    found = at(first_token(summary), "decode_ns_per_token")
    if at(found, "mean") is None:
        return []
    words = Cell("per token of the answer, after the first", tone="quiet")
    return [Row((Cell("decoding"), estimate_cell(found, figures.duration), words))]


def lengths(summary: Summary) -> Table:
    """A row a measured prompt length. No rows without timings."""
    columns = (
        *(
            Column("Prompt", "tokens", numeric=False),
            Column("First token", "p50"),
            Column("Residual", "measured minus fitted"),
        ),
        Column("n", "timings"),
    )
    found = [one for one in entries(first_token(summary), "points") if at(one, "prompt_tokens") is not None]
    residuals = {
        at(one, "prompt_tokens"): at(one, "residual_ns") for one in entries(first_token(summary), "fit", "residuals")
    }
    rows = tuple(Row(_length_cells(one, residuals)) for one in found)
    model = at(first_token(summary), "model") or at(summary, "injection", "generator", "model")
    by = "" if model is None else f" {model}."
    note = f"Live prompts of set lengths, small figures are 95% intervals.{by}"
    return Table("injection-lengths", "Time to first token by prompt length", columns, rows, note)


def _length_cells(point: Mapping[str, Any], residuals: Mapping[Any, Any]) -> tuple[Cell, ...]:
    interval = figures.span(at(point, "interval_ns"), figures.duration)
    return (
        *(Cell(figures.count(point["prompt_tokens"])), figure(figures.duration(at(point, "p50_ns")), interval)),
        figure(signed(residuals.get(point["prompt_tokens"]), figures.duration)),
        figure(figures.count(at(point, "n"))),
    )


def timings_words(summary: Summary) -> str:
    """What a point of the chart rests on."""
    counts = sorted({at(one, "n") for one in entries(first_token(summary), "points")} - {None})
    if not counts:
        return f"n {figures.ABSENT}"
    ends = dict.fromkeys(figures.count(count) for count in (counts[0], counts[-1]))
    return f"n = {' to '.join(ends)} timings per length"


def fit_statement(summary: Summary) -> str:
    return str(at(first_token(summary), "fit", "statement") or "")


_QUANTITIES = {
    "usd_per_query": "Cost per query",
    "usd_per_correct_answer": "Cost per correct answer",
    "usd_per_token_of_correctness": "Cost per token of correctness",
    "correct_answers_per_million_tokens": "Correct answers per million tokens",
    "tokens_per_query": "Tokens per query",
    "joules_per_query": "Energy per query",
    "energy_usd_per_1000_queries": "Energy cost of 1,000 queries",
    "joules_per_correct_answer": "Energy per correct answer",
    "kg_co2_per_1000_queries": "CO\u2082 of 1,000 queries",
    "accuracy": "Accuracy (A)",
    "relevance": "Relevance (R)",
    "time_to_first_token_s": "Time to first token (L)",
    "utility": "Utility (U)",
}
_ENERGY: dict[str, Callable[[Any], str]] = {
    **{"joules_per_query": plain, "joules_per_correct_answer": plain},
    **{"energy_usd_per_1000_queries": figures.usd, "kg_co2_per_1000_queries": plain},
}


def economics(summary: Summary) -> Table:
    """Money and tokens of an answer. No rows where no pipeline has any."""
    columns = (
        *(PIPELINE, Column("Cost", "per query"), Column("Cost", "per correct answer")),
        *(Column("Cost", "per token of correctness"), Column("Correct answers", "per million tokens")),
        Column("Tokens", "per query"),
    )
    rows = tuple(Row(_economics_cells(summary, name)) for name in _earners(summary))
    note = f"Small figures are 95% intervals, resampled by question; {study.basis(summary)}. {_why_unpriced(summary)}"
    return Table("injection-economics", "Unit economics", columns, rows, note.strip())


def worth_tables_energy(summary: Summary) -> Table:
    """Joules and CO\u2082 of an answer, marked where they are an estimate. No rows where no pipeline has any."""
    columns = (
        *(PIPELINE, Column("Energy", "J per query"), Column("Energy", "J per correct answer")),
        *(Column("Energy cost", "USD per 1,000 queries"), Column("CO\u2082", "kg per 1,000 queries")),
    )
    found = {name: study.economics(summary, name) for name in _earners(summary)}
    known = {name: one for name, one in found.items() if any(at(one, key) for key in _ENERGY)}
    rows = tuple(
        Row((Cell(name, pipeline=name), *(estimate_cell(at(one, key), write) for key, write in _ENERGY.items())))
        for name, one in known.items()
    )
    marked = " (estimate)" if study.is_estimated(summary) else ""
    told = "From a stated wattage, not metered. " if marked else ""
    note = f"{told}Small figures are 95% intervals; {study.basis(summary)}."
    return Table("injection-energy-used", f"Energy and CO\u2082 of an answer{marked}", columns, rows, note)


def _earners(summary: Summary) -> list[str]:
    return [name for name in study.names(summary) if study.economics(summary, name)]


def _why_unpriced(summary: Summary) -> str:
    found = {name: study.unpriced(summary, name) for name in _earners(summary)}
    told = [f"{name} ({'; '.join(reasons)})" for name, reasons in found.items() if reasons]
    return f"{figures.UNPRICED}: {', '.join(told)}." if told else ""


def _economics_cells(summary: Summary, name: str) -> tuple[Cell, ...]:
    found = study.economics(summary, name)
    costs = (cost_cell(found, key) for key in list(_QUANTITIES)[:3])
    return (
        *(Cell(name, pipeline=name), *costs),
        estimate_cell(at(found, "correct_answers_per_million_tokens"), plain),
        estimate_cell(at(found, "tokens_per_query"), figures.mean_count),
    )


def formulas(summary: Summary) -> Table:
    """How each figure of the economics is worked out, in words. No rows where the summary does not say."""
    told: dict[str, str] = {}
    for name in _earners(summary):
        told = {**(at(study.economics(summary, name), "formulas") or {}), **told}
    places = list(_QUANTITIES)
    keys = sorted(told, key=lambda key: places.index(key) if key in places else len(places))
    rows = tuple(Row((Cell(quantity(key)), Cell(figures.text(told[key])))) for key in keys)
    columns = (Column("Figure", numeric=False), Column("How it is worked out", numeric=False))
    return Table("injection-formulas", "How these figures are worked out", columns, rows)


def quantity(key: str) -> str:
    return _QUANTITIES.get(key) or key.replace("_", " ").capitalize()


def utility(summary: Summary) -> Table:
    """U at each named time-sensitivity beside the A, R and L that it is made of. No rows without any."""
    found = study.presets(summary)
    columns = (
        *(PIPELINE, Column("Accuracy", "A"), Column("Relevance", "R, nDCG of the prompt")),
        Column("First token", "L, end to end"),
        *(Column(*_field(one)) for one in found),
    )
    known = [name for name in _earners(summary) if at(study.economics(summary, name), "utility")]
    rows = tuple(Row(_utility_cells(summary, name, found)) for name in known)
    reasons = [f"{figures.text(at(one, 'name'))} ({one['reason']})" for one in found if at(one, "reason")]
    told = f" {'; '.join(reasons)}." if reasons else ""
    note = f"{study.formula(summary)}, L in seconds; small figures are 95% intervals.{told}"
    return Table("injection-utility", "Utility by how much time matters", columns, rows, note)


def _field(preset: Mapping[str, Any]) -> tuple[str, str]:
    """Title and unit of a field's column; one that is named by its k is not told it twice."""
    name, k = figures.text(at(preset, "name")), f"k = {preset['k']:g}"
    return ("U", k) if name == k else (f"U, {name}", k)


def _utility_cells(summary: Summary, name: str, presets: list[Mapping[str, Any]]) -> tuple[Cell, ...]:
    found = study.economics(summary, name)
    parts = (estimate_cell(at(found, key), figures.score) for key in ("accuracy", "relevance"))
    at_presets = (estimate_cell(study.utility_at(summary, name, float(one["k"])), plain) for one in presets)
    return (
        *(Cell(name, pipeline=name), *parts, estimate_cell(at(found, "time_to_first_token_s"), seconds)),
        *at_presets,
    )


def winners(summary: Summary) -> Table:
    """Which pipeline has the highest U over which stretch of k."""
    columns = (Column("k", numeric=False), Column("Highest U", numeric=False), Column("Agreement", "of resamples"))
    rows = tuple(Row(_winner_cells(one)) for one in entries(summary, "injection", "utility", "winners"))
    note = "Agreement: share of the resamples of the questions in which the same pipeline is ahead."
    return Table("injection-winners", "Which pipeline wins for which time-sensitivity", columns, rows, note)


def _winner_cells(found: Mapping[str, Any]) -> tuple[Cell, ...]:
    ends = [figures.text(None) if end is None else f"{end:.2g}" for end in (at(found, "from_k"), at(found, "to_k"))]
    name = at(found, "pipeline")
    winner = Cell(name, pipeline=name) if name else Cell("undecided", tone="undecided")
    return (Cell(" to ".join(ends)), winner, figure(figures.share(at(found, "share"))))


GLANCE = glance
FOLDED = (
    attribution,
    comparisons,
    abstention,
    agreement,
    marginal,
    by_k,
    k_tokens,
    by_budget,
    budget_tokens,
    orders,
    fit,
    lengths,
    economics,
    worth_tables_energy,
    formulas,
    utility,
    winners,
    budget,
    energy,
    setup,
)
EVERY = (GLANCE, *FOLDED)


def injection_table(summary: Summary) -> RenderableType:
    """A line a pipeline, then the main findings; notes are in the report. One line where there are no answers.

    Nothing is cut; long names go on below.
    """
    if not study.is_present(summary):
        return absent("no answers in this summary")
    found = entries(summary, "injection", "statements")
    basis = " ".join(part for part in (study.model_words(summary), study.correct_words(summary)) if part)
    lines = [*bullets(found), *([Text(basis, style="dim")] if basis else [])]
    table = [_terminal_answers(summary)] if study.names(summary) else []
    return Group(*table, *(Padding(line, INDENT) for line in lines))


def _terminal_answers(summary: Summary) -> RichTable:
    table = empty_table()
    titles = ("correct\n95% interval", "F1", "in\ncontext", "first\ntoken", "USD per\ncorrect answer")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for name in study.names(summary):
        table.add_row(Text(name), *(styled(cell) for cell in _terminal_answer_cells(summary, name)))
    return table


def _terminal_answer_cells(summary: Summary, name: str) -> list[Cell]:
    found, economics = study.answers(summary, name), study.economics(summary, name)
    mean, ends = at(found, "correct", "mean"), at(found, "correct", "interval")
    interval = "" if mean is None or ends is None else f" {_whole_span(ends)}"
    return [
        Cell(f"{_whole(mean)}{interval}"),
        Cell(figures.score(at(found, "f1", "mean"))),
        Cell(_whole(at(found, "answer_in_context", "mean"))),
        Cell(seconds(at(economics, "time_to_first_token_s", "mean"))),
        cost_cell(economics, "usd_per_correct_answer"),
    ]


def _whole(share: float | None) -> str:
    return figures.ABSENT if share is None else f"{100 * share:.0f}%"


def _whole_span(ends: tuple[float, float]) -> str:
    return figures.span(ends, _whole)
