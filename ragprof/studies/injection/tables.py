"""The answers in the report and on a terminal: their tables, and what the figures rest on in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ragprof.report import figures
from ragprof.report.figures import ABSENT, DASH, UNPRICED, count, signed
from ragprof.report.palette import LOST, PROMPT
from ragprof.report.tables import (
    PIPELINE,
    WITHHELD,
    Cell,
    Column,
    Row,
    Table,
    estimate_cell,
    facts,
    figure,
    group,
    interval_cell,
    mark_note,
    marked,
    open_span,
    plain,
    points,
    points_span,
    quantile_cell,
    share_cell,
    verdict_cells,
)
from ragprof.studies.contract import ComparedPair, Context, EstimateValue
from ragprof.studies.injection.section import (
    ChunkOrder,
    ChunkStep,
    Economics,
    EnergyBasis,
    FirstTokenMedian,
    InjectionSection,
    SweptSetting,
    TimedLength,
    TimeSensitivity,
    UtilityWinner,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

_METRICS = {"correct": "correct", "f1": "F1", "exact_match": "exact match"}
_CORRECT = {
    "contains": "a gold answer stands in the answer",
    "exact": "the answer is a gold answer, word for word",
    "f1": "the answer shares at least half of its tokens with a gold answer (F1)",
}
_LOST_BY = {
    "model": "had it in the prompt",
    "packing": "left it out",
    "rerank": "ranked it too low",
    "search": "did not find it",
}
_SOURCES = {"nvml": "the GPU's own counter (NVML)", "rapl": "the processor's own counter (RAPL)"}
_ORDERS = {"best_first": "best first", "best_last": "best last", "edges": "best at both ends"}
_TERMS = {
    "a_ns": ("a", "fixed, whatever the length"),
    "b_ns_per_token": ("b", "per token of the prompt"),
    "c_ns_per_token2": ("c", "per token squared"),
}
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
WHAT_AND_VALUE = (Column("What", numeric=False), Column("Value", numeric=False))


def basis(section: InjectionSection) -> str:
    """What a figure of the answers rests on."""
    return f"n = {figures.counted(section.questions, 'question')}"


def correct_words(section: InjectionSection) -> str:
    """When an answer counts as correct."""
    return f"Correct: {_CORRECT.get(section.correct, section.correct)}."


def model_words(section: InjectionSection) -> str:
    """Who answered, priced as whom, how many questions: one sentence."""
    generator = section.generator
    traits = [trait for trait in (generator.name, generator.precision, generator.device) if trait]
    told = f" ({', '.join(traits)})" if traits else ""
    besides = f" and {figures.counted(section.unanswerable, 'unanswerable one')}" if section.unanswerable else ""
    priced = f"; tokens priced as {section.priced_as}" if section.priced_as else ""
    who = generator.model or section.time_to_first_token.model
    return f"Answered by {who}{told}; {basis(section)}{besides}{priced}."


def marginal_statements(section: InjectionSection) -> list[str]:
    """One sentence per pipeline on where more chunks stop paying; it names the pipeline."""
    return [one.statement for one in section.marginal.values()]


def seconds(value: float | None) -> str:
    """Seconds in the unit that reads best."""
    return ABSENT if value is None else figures.duration(value * 1e9)


def usd_cell(
    value: str | None, interval: Sequence[str | None] | None = (), *, write: Callable[[Any], str] = figures.usd
) -> Cell:
    """Money with its interval, or UNPRICED. An interval of None says that there is none; () that none is promised."""
    if value is None:
        return figure(UNPRICED)
    return figure(write(value), "" if interval == () else open_span(interval, write))


def cost_cell(economics: Economics, cost: EstimateValue | None) -> Cell:
    """An estimate in USD: UNPRICED where the query has no price either; else there was nothing to divide by."""
    if cost is not None and cost.mean is not None:
        return marked(estimate_cell(cost, figures.usd), economics.cost_withheld)
    return figure(UNPRICED if economics.is_unpriced else ABSENT)


def price_cell(found: Economics | SweptSetting, withheld: str) -> Cell:
    """The cost of 1,000 queries with its interval, marked where it is withheld."""
    priced = found.usd_per_1000_queries is not None
    return marked(usd_cell(found.usd_per_1000_queries, found.usd_interval), withheld if priced else "")


def busy_note(section: InjectionSection) -> str:
    """What the mark means, for the note of a table. Empty where the machine was quiet."""
    return mark_note({name: one.latency_withheld or one.cost_withheld for name, one in section.economics.items()})


def points_cell(estimate: EstimateValue) -> Cell:
    return figure(points(estimate.mean), points_span(estimate.interval))


def told(cell: Cell, withheld: str | None) -> Cell:
    """A rate of answers; where it is withheld, the rate of the answers as they stand is marked as no result."""
    return cell if withheld is None else Cell(WITHHELD, f"{cell.text} as they stand", "undecided")


def by_pipeline(found: dict[str, Any], cells: Callable[[Any], Iterable[Cell]]) -> tuple[Row, ...]:
    """One row per pipeline."""
    return tuple(Row((Cell(name, pipeline=name), *cells(one))) for name, one in found.items())


def glance(section: InjectionSection) -> Table:
    """What answers are worth, how long they take to begin, what they cost."""
    streamed = bool(section.first_tokens)
    columns = (
        *(PIPELINE, Column("Correct", "of the answers"), Column("F1", "of tokens"), Column("Exact match")),
        *(Column("In context", "a gold answer"), Column("In answer", "a gold answer")),
        Column("First token", "mean, end to end"),
        *((Column("First token", "p50, generate"),) if streamed else ()),
        *(Column("Cost", "per 1,000 queries"), Column("Cost", "per correct answer")),
    )

    def cells(name: str) -> Iterable[Cell]:
        found, economics = section.answers[name], section.economics[name]
        why = found.endings.withheld
        return (
            *(told(share_cell(found.correct), why), told(estimate_cell(found.f1, figures.score), why)),
            *(told(share_cell(found.exact_match), why), share_cell(found.answer_in_context)),
            *(told(share_cell(found.answer_in_answer), why),),
            marked(estimate_cell(economics.time_to_first_token_s, seconds), economics.latency_withheld),
            *((streaming_cell(section.first_tokens.get(name)),) if streamed else ()),
            price_cell(economics, economics.cost_withheld),
            cost_cell(economics, economics.usd_per_correct_answer),
        )

    def streaming_cell(median: FirstTokenMedian | None) -> Cell:
        return marked(quantile_cell(median, "p50"), "" if median is None else median.withheld)

    note = (
        f"Small figures are 95% intervals; {basis(section)}. {correct_words(section)} The gap between in context and "
        "correct is what the model leaves unused. First token, end to end: retrieval and the time to the first token."
        f"{busy_note(section)}"
    )
    rows = by_pipeline({name: name for name in section.answers}, cells)
    return Table("injection-glance", "Answers at a glance", columns, rows, note)


def attribution(section: InjectionSection) -> Table:
    """How many answers each part lost; every wrong answer is counted once."""
    parts = [part for part in LOST if part != "correct"]
    columns = (
        *(PIPELINE, Column("Asked", "questions"), Column("Correct")),
        *(Column(part.capitalize(), _LOST_BY[part]) for part in parts),
    )

    def cells(found: Any) -> Iterable[Cell]:
        counts, shares = found.attribution_counts, found.attribution
        lost = (figure(count(counts[part]), figures.share(shares[part]) if found.n else "") for part in parts)
        return figure(count(found.n)), told(share_cell(found.correct), found.endings.withheld), *lost

    note = (
        "Each wrong answer is put down to the first part that lost it; small figures are shares of all questions asked "
        "(of correct: its 95% interval). Search: no gold answer among the candidates. Rerank: ranked too low. Packing: "
        "left out of the prompt. Model: the gold answer stood in the prompt and the answer is wrong all the same."
    )
    rows = by_pipeline(section.answers, cells)
    return Table("injection-attribution", "Where answers are lost", columns, rows, note)


def endings(section: InjectionSection) -> Table:
    """How answers ended. No rows where all came to their own end."""
    columns = (
        *(PIPELINE, Column("Asked", "questions"), Column("Empty", "no word of an answer")),
        *(Column("Cut", "at max_new_tokens"), Column("Cut", "and not right"), Column("Filtered", "held back")),
        Column("Rates", numeric=False),
    )
    rows = by_pipeline(
        {
            name: one.endings
            for name, one in section.answers.items()
            if one.endings.empty or one.endings.cut or one.endings.filtered
        },
        lambda one: (
            *(figure(count(one.asked)), figure(count(one.empty)), figure(count(one.cut))),
            *(figure(count(one.cut_wrong)), figure(count(one.filtered))),
            Cell("told", tone="quiet") if one.withheld is None else Cell(WITHHELD, tone="undecided"),
        ),
    )
    note = (
        "An answer that is empty because reasoning took all tokens, or that a content filter held back, is no wrong "
        "answer: it has no verdict. Rates are withheld where more than 5 % of the answers are empty, filtered, or cut "
        "before they were right; what stands in their place is said of the answers as they are."
    )
    return Table("injection-endings", "How the answers ended", columns, rows, note)


def reasoning(section: InjectionSection) -> Table:
    """What the model said to itself before it answered. No rows where it said nothing."""
    columns = (
        *(PIPELINE, Column("Reasoning", "tokens"), Column("Answer", "tokens"), Column("Share", "of all tokens")),
        *(Column("First token", "of the reasoning"), Column("Reasoning", "until the answer's first token")),
        Column("Cost", "of reasoning, per 1,000 queries"),
    )

    def cells(name: str) -> Iterable[Cell]:
        one, why = section.answers[name].reasoning, section.economics[name].latency_withheld
        if one is None:
            return ()
        return (
            *(estimate_cell(one.tokens, figures.mean_count), estimate_cell(one.answer_tokens, figures.mean_count)),
            figure(figures.share(one.share)),
            *(marked(estimate_cell(time, figures.duration), why) for time in (one.first_token_ns, one.time_ns)),
            usd_cell(one.usd_per_1000_queries),
        )

    rows = by_pipeline({name: name for name, one in section.answers.items() if one.reasoning}, cells)
    note = (
        f"Means per question, small figures are 95% intervals; {basis(section)}. Reasoning is billed as output and is "
        "part of every cost here. Times are of the timed questions; where the server sends no reasoning, only its "
        f"tokens are known.{busy_note(section)}"
    )
    return Table("injection-reasoning", "Reasoning and answer", columns, rows, note)


def abstention(section: InjectionSection) -> Table:
    """Whether the model keeps silent where it should, and only there."""
    columns = (
        *(PIPELINE, Column("Abstained rightly", "unanswerable questions"), Column("n", "unanswerable")),
        *(Column("Abstained wrongly", "answerable questions"), Column("n", "answerable")),
    )

    def cells(found: Any) -> Iterable[Cell]:
        for kind in (found.abstention.unanswerable, found.abstention.answerable):
            yield from (share_cell(kind), figure(count(None if kind is None else kind.n)))

    note = "Shares with 95% intervals. Rightly: higher is better; wrongly: lower is better."
    rows = by_pipeline(section.answers, cells)
    return Table("injection-abstention", "Questions that nothing answers", columns, rows, note)


def comparisons(section: InjectionSection) -> Table:
    """Every pair of pipelines, each at its own way of putting chunks into the prompt."""
    columns = (
        *(Column("Candidate", numeric=False), Column("Against", numeric=False), Column("Metric", numeric=False)),
        *(Column("Difference", "95% interval"), Column("p"), Column("n", "questions")),
        Column("Verdict", numeric=False),
    )

    def cells(one: ComparedPair) -> tuple[Cell, ...]:
        difference = figure(points(one.difference), points_span(one.interval))
        if one.metric == "f1":
            span = figures.span(one.interval, figures.difference)
            difference = figure(figures.difference(one.difference), span)
        p, verdict = verdict_cells(one, sizes[one.metric])
        sides = (Cell(name, pipeline=name) for name in (one.candidate, one.baseline))
        metric = figure(_METRICS.get(one.metric, one.metric))
        return (*sides, metric, difference, p, figure(count(one.n)), verdict)

    sizes = Counter(one.metric for one in section.comparisons)
    note = (
        "Paired by question; candidate minus baseline; pp are percentage points. Undecided means not distinguishable "
        "with these questions, which is not the same as equal."
    )
    rows = tuple(Row(cells(one)) for one in section.comparisons)
    return Table("injection-comparisons", "Which pipelines answer better", columns, rows, note)


def agreement(section: InjectionSection) -> Table:
    """A model as judge beside the gold answers. No rows where no model judged."""
    columns = (
        *(PIPELINE, Column("Judge", "model", numeric=False), Column("Agreement", "with gold answers")),
        *(Column("Cohen's kappa", "95% interval"), Column("n", "answers")),
    )
    rows = by_pipeline(
        {name: one.judge for name, one in section.answers.items() if one.judge},
        lambda judge: (
            *(figure(judge.model), figure(figures.share(judge.agreement))),
            figure(
                figures.score(judge.kappa).replace("-", figures.MINUS),
                figures.span(judge.kappa_interval, figures.score),
            ),
            figure(count(judge.n)),
        ),
    )
    note = (
        "Kappa is agreement beyond chance: 0 is chance, 1 is full agreement. No other figure here rests on this judge."
    )
    return Table("injection-judge", "A model as judge against the gold answers", columns, rows, note)


def budget(section: InjectionSection) -> Table:
    """Each pipeline against the limits of the eval file. No rows where it sets none."""
    found = section.budget
    limits = {
        "Tokens per query": found and found.tokens_per_query and count(found.tokens_per_query),
        "Cost of 1,000 queries": found and found.usd_per_1000_queries and figures.usd(found.usd_per_1000_queries),
    }
    columns = (
        PIPELINE,
        *(Column(title, f"limit {limit}" if limit else "no limit") for title, limit in limits.items()),
        Column("Budget", numeric=False),
    )
    verdicts = {True: Cell("within", tone="better"), False: Cell("over", tone="worse"), None: figure(ABSENT)}
    rows = by_pipeline(
        {} if found is None else {name: (name, spent) for name, spent in found.pipelines.items()},
        lambda spent: (
            figure(figures.mean_count(spent[1].tokens_per_query)),
            marked(usd_cell(spent[1].usd_per_1000_queries), section.economics[spent[0]].cost_withheld),
            verdicts[spent[1].within],
        ),
    )
    note = f"Limits are those of the eval file.{busy_note(section)}"
    return Table("injection-budget", "Against the budget", columns, rows, note)


def energy(section: InjectionSection) -> Table:
    """Where joules, their price and their CO\u2082 come from. No rows where no energy was measured or estimated."""
    title, found = "Where the energy figures come from", section.energy
    if found is None:
        return Table("injection-energy", title, WHAT_AND_VALUE, ())
    counters = " and ".join(_SOURCES.get(part, part) for part in found.source.split("+"))
    usd, kg = found.usd_per_kwh, found.kg_co2_per_kwh
    pairs = {
        "Source": "estimate, from a stated wattage" if is_estimated(found) else counters,
        "Power": None if found.watts is None else f"{plain(found.watts)} W",
        "Region": found.region or None,
        "Price": None if usd is None else f"{figures.plain_usd(usd)} per kWh",
        "Carbon": None if kg is None else f"{kg} kg CO\u2082 per kWh",
        "As of": found.date or None,
    }
    return Table("injection-energy", title, WHAT_AND_VALUE, facts(pairs), found.statement)


def is_estimated(found: EnergyBasis | None) -> bool:
    """Whether energy was worked out from a stated wattage rather than read from the machine."""
    return found is not None and found.source == "estimate"


def setup(section: InjectionSection) -> Table:
    """Who answered, what was asked and how much of it was computed."""
    generator = section.generator
    pairs = {
        "Model": generator.model or section.time_to_first_token.model,
        "Generator": generator.name,
        **{"Precision": generator.precision, "Device": generator.device},
        **{"Priced as": section.priced_as, "Questions": section.questions},
        **{"Unanswerable": section.unanswerable, "Correct is": section.correct, "Seed": str(section.seed)},
        **{key.replace("_", " ").capitalize(): value for key, value in section.work.items()},
    }
    return Table("injection-setup", "How answers were made", WHAT_AND_VALUE, facts(pairs))


def swept(section: InjectionSection) -> list[Table]:
    """Answers by the number of chunks and by token budget, then the tokens and times of both."""
    ways = (
        (section.by_k, Column("k", "chunks"), "injection-k", "by the number of chunks"),
        (section.by_budget, Column("Budget", "tokens"), "injection-budget", "by token budget"),
    )

    def answers(name: str, step: SweptSetting) -> tuple[Cell, ...]:
        return (
            *(told(share_cell(step.correct), step.withheld),),
            *(told(estimate_cell(step.answer_f1, figures.score), step.withheld),),
            *(told(share_cell(step.exact_match), step.withheld), share_cell(step.answer_in_context)),
            *(told(share_cell(step.answer_in_answer), step.withheld),),
            *(estimate_cell(step.ndcg, figures.score), price_cell(step, section.economics[name].cost_withheld)),
        )

    def tokens(name: str, step: SweptSetting) -> tuple[Cell, ...]:
        """The cost of a relevant token is n/a where the prompt has a price and no relevant token."""
        nothing = step.usd_per_relevant_token is None and step.usd_per_1000_queries is not None
        price = marked(usd_cell(step.usd_per_relevant_token), section.economics[name].cost_withheld)
        first = estimate_cell(step.time_to_first_token_ns, figures.duration)
        return (
            estimate_cell(step.prompt_tokens, figures.mean_count),
            *(figure(figures.mean_count(getattr(step.tokens, kind))) for kind in PROMPT),
            figure(ABSENT) if nothing else price,
            marked(first, section.economics[name].latency_withheld),
        )

    found = []
    for settings, size, key, by in ways:
        columns: tuple[Column, ...] = (
            *(PIPELINE, size, Column("Correct"), Column("F1", "of tokens"), Column("Exact match")),
            *(Column("In context", "a gold answer"), Column("In answer", "a gold answer")),
            *(Column("nDCG", "of the prompt"), Column("Cost", "per 1,000 queries")),
        )
        note = f"Small figures are 95% intervals; {basis(section)}. {correct_words(section)}{busy_note(section)}"
        # "injection-k" and "injection-budgets": "injection-budget" is the table of limits kept.
        name = key if key.endswith("-k") else f"{key}s"
        found.append(Table(name, f"Answers {by}", columns, swept_rows(settings, answers), note))
        columns = (
            *(PIPELINE, size, Column("Prompt", "as the model counts")),
            *(Column(kind.capitalize()) for kind in PROMPT),
            *(Column("Cost", "per relevant token"), Column("First token", "generate stage")),
        )
        note = (
            f"Mean tokens per prompt, {basis(section)}; small figures are 95% intervals. Parts are counted by the "
            "eval's tokenizer, the whole by the model's. Truncated: within reach and not in the prompt. Unjudged is "
            f"not irrelevant.{busy_note(section)}"
        )
        rows = swept_rows(settings, tokens)
        found.append(Table(f"{key}-tokens", f"Tokens and time {by}", columns, rows, note))
    return found


def swept_rows(
    settings: dict[str, list[SweptSetting]], cells: Callable[[str, SweptSetting], tuple[Cell, ...]]
) -> tuple[Row, ...]:
    """A group of rows per pipeline, one per k or budget, rising."""
    rows = []
    for name, found in settings.items():
        rows += group(Cell(name, pipeline=name), [(figure(count(one.size)), *cells(name, one)) for one in found])
    return tuple(rows)


def orders(section: InjectionSection) -> Table:
    """The same chunks in other orders. No rows where none was tried."""
    columns = (
        *(PIPELINE, Column("Order", numeric=False), Column("k", "chunks"), Column("Correct")),
        *(Column("F1", "of tokens"), Column("Difference", "in correct"), Column("p"), Column("Verdict", numeric=False)),
        Column("Evidence", "0 first, 1 last"),
    )

    def cells(found: ChunkOrder, family: int) -> tuple[Cell, ...]:
        compared = [Cell(DASH, tone="quiet")] * 3
        if found.difference is not None:
            compared = [points_cell(found.difference), *verdict_cells(found, family)]
        return (
            *(Cell(_ORDERS.get(found.order, found.order)), figure(count(found.k))),
            *(told(share_cell(found.correct), found.withheld),),
            *(told(estimate_cell(found.answer_f1, figures.score), found.withheld), *compared),
            estimate_cell(found.evidence_position, figures.score),
        )

    rows: list[Row] = []
    for name, several in section.orders.items():
        rows += group(Cell(name, pipeline=name), [cells(one, len(several) - 1) for one in several])
    note = (
        f"The same chunks in another order, against best first; paired, small figures are 95% intervals, "
        f"{basis(section)}. Evidence: mean place in the prompt of the first chunk that holds a gold answer."
    )
    return Table("injection-orders", "Where the evidence stands in the prompt", columns, tuple(rows), note)


def marginal(section: InjectionSection) -> Table:
    """What each step in k brings and costs. No rows where k was not varied."""
    columns = (
        *(PIPELINE, Column("Chunks", numeric=False), Column("Correct", "gain"), Column("F1", "gain")),
        *(Column("Cost", "per 1,000 queries"), Column("First token", "generate stage")),
        Column("Price", "of one more correct answer"),
    )

    def cells(name: str, step: ChunkStep) -> tuple[Cell, ...]:
        """The price is n/a where the added tokens have a price and bring nothing."""
        added, economics = step.added_first_token_ns, section.economics[name]
        later = figures.span(added.interval, lambda end: signed(end, figures.duration))
        price = usd_cell(step.usd_per_extra_correct, step.usd_per_extra_correct_interval or ())
        price = marked(price, economics.cost_withheld)
        if step.usd_per_extra_correct is None and step.added_usd_per_1000 is not None:
            price = figure(ABSENT)
        return (
            *(Cell(f"{step.from_k} \u2192 {step.to_k}"), points_cell(step.correct_gain)),
            estimate_cell(step.f1_gain, figures.difference),
            marked(
                usd_cell(step.added_usd_per_1000, write=lambda value: signed(value, figures.usd)),
                economics.cost_withheld,
            ),
            marked(figure(signed(added.mean, figures.duration), later), economics.latency_withheld),
            price,
        )

    rows: list[Row] = []
    for name, found in section.marginal.items():
        last = found.last_worthwhile_k
        worth = "undecided" if found.status == "undecided" else f"worth it up to k = {count(last)}"
        rows += group(Cell(name, worth, pipeline=name), [cells(name, step) for step in found.steps])
    note = (
        f"What the added chunks bring (paired) and what they add; small figures are 95% intervals, "
        f"{basis(section)}. The price of one more correct answer is n/a where a step brings none.{busy_note(section)}"
    )
    return Table("injection-marginal", "What one more chunk brings and costs", columns, tuple(rows), note)


def fit(section: InjectionSection) -> Table:
    """a, b and c of t = a + b n + c n^2, and how far the measured points lie off. No rows without a fit."""
    columns = (Column("Term", numeric=False), Column("Value"), Column("What", numeric=False))
    found, decoding = section.time_to_first_token.fit, section.time_to_first_token.decode_ns_per_token
    terms: list[tuple[str, Cell, str]] = []

    def write(value: float | None) -> str:
        return signed(value, figures.duration).removeprefix("+")

    if found.a_ns is not None:
        for key, (letter, words) in _TERMS.items():
            interval = figures.span(getattr(found.intervals, key), write)
            terms.append((letter, figure(write(getattr(found, key)), interval), words))
        relative = "" if found.relative_residual is None else figures.share(found.relative_residual)
        off = figure(figures.duration(found.residual_ns), relative)
        start = found.quadratic_from_tokens
        bend = Cell("not told", tone="undecided") if start is None else figure(f"{count(start)} tokens")
        told = "c is not told apart from 0" if start is None else "from here c n\u00b2 is a tenth of the time or more"
        terms += [("residual", off, "root mean square of measured minus fitted"), ("bend", bend, told)]
    if decoding.mean is not None:
        spent = estimate_cell(decoding, figures.duration)
        terms.append(("decoding", spent, "per token of the answer, after the first"))
    why = section.time_to_first_token.withheld
    rows = tuple(Row((Cell(term), marked(value, why), Cell(words, tone="quiet"))) for term, value, words in terms)
    note = (
        "Time to first token = a + b n + c n\u00b2, with n the tokens of the prompt. Small figures are 95% intervals."
        f"{mark_note({'prompts of set lengths': why})}"
    )
    return Table("injection-fit", "The fitted curve, term by term", columns, rows, note)


def lengths(section: InjectionSection) -> Table:
    """One row per measured prompt length. No rows without timings."""
    found = section.time_to_first_token
    residuals = {one.prompt_tokens: one.residual_ns for one in found.fit.residuals}
    columns: dict[Column, Callable[[TimedLength], Cell]] = {
        Column("Prompt", "tokens", numeric=False): lambda one: Cell(count(one.prompt_tokens)),
        Column("First token", "p50"): lambda one: marked(
            interval_cell(one.p50_ns, one.interval_ns, figures.duration), found.withheld
        ),
        Column("Residual", "measured minus fitted"): lambda one: figure(
            signed(residuals.get(one.prompt_tokens), figures.duration)
        ),
        Column("n", "timings"): lambda one: figure(count(one.n)),
    }
    note = (
        f"Live prompts of set lengths, small figures are 95% intervals. {found.model}."
        f"{mark_note({'prompts of set lengths': found.withheld})}"
    )
    return Table.of("injection-lengths", "Time to first token by prompt length", columns, found.points, note)


def economics(section: InjectionSection) -> Table:
    """Money and tokens of an answer."""
    columns = (
        *(PIPELINE, Column("Cost", "per query"), Column("Cost", "per correct answer")),
        *(Column("Cost", "per token of correctness"), Column("Correct answers", "per million tokens")),
        Column("Tokens", "per query"),
    )
    rows = by_pipeline(
        section.economics,
        lambda found: (
            *(cost_cell(found, getattr(found, key)) for key in list(_QUANTITIES)[:3]),
            estimate_cell(found.correct_answers_per_million_tokens, plain),
            estimate_cell(found.tokens_per_query, figures.mean_count),
        ),
    )
    reasons = {name: "; ".join(dict.fromkeys(found.unpriced)) for name, found in section.economics.items()}
    told = ", ".join(f"{name} ({reason})" for name, reason in reasons.items() if reason)
    note = f"Small figures are 95% intervals, resampled by question; {basis(section)}."
    note = f"{note} {UNPRICED}: {told}." if told else note
    note += busy_note(section)
    return Table("injection-economics", "Unit economics", columns, rows, note)


def energy_used(section: InjectionSection) -> Table:
    """Joules and CO\u2082 of an answer, marked where they are an estimate. No rows where no pipeline has any."""
    columns = (
        *(PIPELINE, Column("Energy", "J per query"), Column("Energy", "J per correct answer")),
        *(Column("Energy cost", "USD per 1,000 queries"), Column("CO\u2082", "kg per 1,000 queries")),
    )
    rows = by_pipeline(
        {name: one for name, one in section.economics.items() if one.joules_per_query},
        lambda one: (
            marked(cell, one.latency_withheld)
            for cell in (
                *(estimate_cell(one.joules_per_query, plain), estimate_cell(one.joules_per_correct_answer, plain)),
                estimate_cell(one.energy_usd_per_1000_queries, figures.usd),
                estimate_cell(one.kg_co2_per_1000_queries, plain),
            )
        ),
    )
    estimated = is_estimated(section.energy)
    told = "From a stated wattage, not metered. " if estimated else ""
    note = f"{told}Small figures are 95% intervals; {basis(section)}.{busy_note(section)}"
    title = f"Energy and CO\u2082 of an answer{' (estimate)' if estimated else ''}"
    return Table("injection-energy-used", title, columns, rows, note)


def formulas(section: InjectionSection) -> Table:
    """How each figure of the economics is worked out, in words."""
    told = next((one.formulas for one in section.economics.values()), {})
    rows = tuple(Row((Cell(words), Cell(told[key]))) for key, words in _QUANTITIES.items() if key in told)
    columns = (Column("Figure", numeric=False), Column("How it is worked out", numeric=False))
    return Table("injection-formulas", "How these figures are worked out", columns, rows)


def fields(section: InjectionSection) -> list[TimeSensitivity]:
    """Fields of use in rising time-sensitivity."""
    return sorted(section.utility.presets, key=lambda one: one.k)


def utility_at(found: Economics, k: float) -> EstimateValue | None:
    """U at that time-sensitivity, where it was worked out."""
    return next((estimate for key, estimate in found.utility.items() if float(key) == k), None)


def utility(section: InjectionSection) -> Table:
    """U at each named time-sensitivity beside the A, R and L that it is made of."""
    presets = fields(section)
    columns = (
        *(PIPELINE, Column("Accuracy", "A"), Column("Relevance", "R, nDCG of the prompt")),
        Column("First token", "L, end to end"),
        # A field that is named by its k is not told it twice.
        *(Column("U" if one.name == f"k = {one.k:g}" else f"U, {one.name}", f"k = {one.k:g}") for one in presets),
    )
    rows = by_pipeline(
        section.economics,
        lambda found: (
            *(estimate_cell(found.accuracy, figures.score), estimate_cell(found.relevance, figures.score)),
            marked(estimate_cell(found.time_to_first_token_s, seconds), found.latency_withheld),
            *(marked(estimate_cell(utility_at(found, one.k), plain), found.latency_withheld) for one in presets),
        ),
    )
    reasons = "; ".join(f"{one.name} ({one.reason})" for one in presets if one.reason)
    note = f"{section.utility.formula}, L in seconds; small figures are 95% intervals. {reasons}.{busy_note(section)}"
    return Table("injection-utility", "Utility by how much time matters", columns, rows, note)


def winners(section: InjectionSection) -> Table:
    """Which pipeline has the highest U over which stretch of k."""
    columns: dict[Column, Callable[[UtilityWinner], Cell]] = {
        Column("k", numeric=False): lambda one: Cell(f"{one.from_k:.2g} to {one.to_k:.2g}"),
        Column("Highest U", numeric=False): lambda one: Cell(one.pipeline, pipeline=one.pipeline),
        Column("Agreement", "of resamples"): lambda one: figure(figures.share(one.share)),
    }
    note = "Agreement: share of the resamples of the questions in which the same pipeline is ahead."
    title = "Which pipeline wins for which time-sensitivity"
    return Table.of("injection-winners", title, columns, section.utility.winners, note)


def injection_table(section: InjectionSection, _context: Context) -> RenderableType:
    """For a terminal: one line per pipeline, then the main findings; notes are in the report. Nothing is cut."""
    from rich.console import Group
    from rich.padding import Padding

    from ragprof.report.terminal import INDENT, bullets, empty_table, said, styled

    def whole(share: float | None) -> str:
        return ABSENT if share is None else f"{100 * share:.0f}%"

    table = empty_table()
    for title in ("correct\n95% interval", "F1", "in\ncontext", "first\ntoken", "USD per\ncorrect answer"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, found in section.answers.items():
        correct, economics = found.correct, section.economics[name]
        interval = "" if correct.interval is None else f" {figures.span(correct.interval, whole)}"
        cost = cost_cell(economics, economics.usd_per_correct_answer)
        rates = (f"{whole(correct.mean)}{interval}", figures.score(found.f1.mean))
        table.add_row(
            *(said(name), *(rates if found.endings.withheld is None else (WITHHELD, WITHHELD))),
            whole(found.answer_in_context.mean),
            styled(marked(Cell(seconds(economics.time_to_first_token_s.mean)), economics.latency_withheld)),
            styled(cost),
        )
    basis_words = said(f"{model_words(section)} {correct_words(section)}", style="dim")
    busy = busy_note(section).strip()
    lines = [*bullets(section.statements), *([said(busy, style="yellow")] if busy else []), basis_words]
    return Group(table, *(Padding(line, INDENT) for line in lines))
