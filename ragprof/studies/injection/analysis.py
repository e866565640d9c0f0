"""Analyses a judged and priced recording of answers: what they are worth, what they cost, how long they take.

A figure rests on the answerable questions that have a gold answer; a question without one has no verdict (NaN) and
takes no part. Every mean resamples questions with the same seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import combinations
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd

from ragprof.evals import InjectionTiming
from ragprof.evals.recorded import FIRST_TOKENS, read_manifest
from ragprof.record.budget import FewTimed, few_timed
from ragprof.record.disturbance import disturbances
from ragprof.report import figures
from ragprof.report.tables import open_span
from ragprof.statistics.estimates import estimated, gained, latency_quantiles, rounded
from ragprof.statistics.paired import compared, holm, paired_p
from ragprof.statistics.unseen import SIGNED, UNIT, Bounds
from ragprof.studies.contract import ComparedPair, EstimateValue
from ragprof.studies.injection.data import (
    OWN,
    AnswerBill,
    InjectionData,
    endings,
    read_injection,
    usd_for_each,
    usd_interval,
    usd_per_1000,
    withheld,
)
from ragprof.studies.injection.economics import (
    PRESETS,
    AnswerFacts,
    SweptAnswers,
    economics_of,
    facts_of,
    marginal,
    utility_of,
)
from ragprof.studies.injection.first_token import decode_per_token, first_token
from ragprof.studies.injection.price import REASONING
from ragprof.studies.injection.section import (
    Abstention,
    AnswerEndings,
    AnsweringModel,
    AnswerReasoning,
    BudgetSection,
    BudgetSpent,
    ChunkMargin,
    ChunkOrder,
    Economics,
    EnergyBasis,
    FirstTokenMedian,
    FirstTokenSection,
    InjectionSection,
    JudgeAgreement,
    PipelineAnswers,
    PromptParts,
    SweptSetting,
)
from ragprof.studies.labelled import correction_notes_of, labelled_quality

ATTRIBUTED = ("search", "rerank", "packing", "model")
COMPARED = ("correct", "f1")
FIRST_ORDER = "best_first"
CORRECT = {
    "contains": "a gold answer stands in it",
    "exact": "it equals a gold answer",
    "f1": "its token F1 with a gold answer is 0.5 or more",
}
ANSWER_MEANS = {
    "exact_match": "exact_match", "f1": "f1", "answer_in_context": "in_context", "answer_in_answer": "in_answer",
    "correct": "correct",
}  # fmt: skip
"""Field of a pipeline's answers -> column of the cells whose mean it is."""
SWEPT_MEANS = {
    "prompt_tokens": "model_tokens", "answer_f1": "f1", "exact_match": "exact_match", "correct": "correct",
    "answer_in_context": "in_context", "answer_in_answer": "in_answer", "ndcg": "ndcg",
}  # fmt: skip
"""The same for a swept setting."""
FEW = 10
"""Timed questions below which a note warns of their intervals."""
NEGLIGIBLE = 0.005
"""Share of unjudged tokens that is not worth a note."""


UNCORRECTED = (
    "Which evidence is in a prompt is counted by the judgements as they are, and so is what is said of answers with it "
    "and without: none of that is corrected."
)


def analyse(folder: Path) -> InjectionSection:
    """The section of a recording's summary. Raises BadInput where the recording of answers is incomplete."""
    data = read_injection(folder)
    generator, energy = data.manifest["generator"], data.manifest.get("energy")
    watts = (energy or {}).get("watts")
    asked = {name: data.asked(name) for name in data.names}
    timed = {name: data.timed(name) for name in data.names}
    bills = {name: data.bill(name) for name in data.names}
    facts = {
        name: facts_of(
            asked[name], timed[name], bills[name], draws=data.draws, timed_draws=data.timed_draws, watts=watts
        )
        for name in data.names
    }
    swept = [name for name in data.names if data.steps(name, "k")]
    budgets = {name: swept_settings(data, name, "tokens", "budget_tokens") for name in data.names}
    # Pipelines with a generator of their own do not tell how fast the study's generator decodes.
    own = [pipeline["name"] for pipeline in data.config["pipelines"] if pipeline.get("generator")]
    decoding = decode_per_token(data.live[~data.live["pipeline"].isin(own)], seed=data.seed)
    model = " ".join(str(generator[key]) for key in ("model", "precision") if generator.get(key)) or generator["name"]
    points, fit = first_token(data.prefill, model=model, seed=data.seed)
    if data.prefill_busy:
        said = f"How the time to the first token grows with the prompt is withheld: {data.prefill_busy}."
        fit = fit.model_copy(update={"statement": said})
    judges = data.judgement.get("judges") or {}
    busy = {name: data.busy(name) for name in data.names}
    disturbed = next(filter(None, busy.values()), "")
    section = InjectionSection(
        generator=AnsweringModel(**{key: generator.get(key) for key in AnsweringModel.model_fields}),
        priced_as=data.priced_as,
        questions=len(data.manifest["questions"]),
        unanswerable=len(data.manifest["unanswerable"]),
        correct=data.settings["correct"],
        seed=data.seed,
        time_to_first_token=FirstTokenSection(
            model=model,
            points=points,
            fit=fit,
            decode_ns_per_token=EstimateValue(**decoding),
            withheld=data.prefill_busy,
        ),
        by_k={name: swept_settings(data, name, "k", "k") for name in swept},
        by_budget={name: rows for name, rows in budgets.items() if rows},
        orders={name: found for name in data.names if (found := _orders(data, name))},
        marginal={name: _marginal(data, name) for name in swept},
        answers={
            name: answers_of(
                rows,
                data.asked(name, answerable=False),
                judge=judges.get(name),
                reasoning=_reasoning(data, name),
                seed=data.seed,
            )
            for name, rows in asked.items()
        },
        comparisons=comparisons({name: rows for name, rows in asked.items() if withheld(rows) is None}, seed=data.seed),
        utility=utility_of(facts, sensitivities=data.settings["sensitivities"], busy=disturbed),
        budget=_budget(data, facts),
        energy=None if energy is None else EnergyBasis(**energy),
        work=data.manifest["work"],
    )
    sensitivities = sorted({*(k for _, k, _ in PRESETS), *data.settings["sensitivities"]})
    economics = {
        name: economics_of(
            each, asked[name], timed[name], energy=energy, sensitivities=sensitivities, seed=data.seed
        ).model_copy(
            update={
                "usd_per_1000_queries": usd_per_1000(bills[name]),
                "usd_interval": usd_interval(bills[name], data.draws),
                "unpriced": data.unpriced(name),
                "latency_withheld": busy[name],
                "cost_withheld": data.dear(name),
            }
        )
        for name, each in facts.items()
    }
    section = section.model_copy(update={"economics": economics})
    corrected = correction_notes_of(labelled_quality(folder), UNCORRECTED)
    sentences = {"statements": statements(section), "notes": [*notes(data, section), *corrected]}
    beside = {
        "economics": {name: rounded(found.as_json()) for name, found in economics.items()},
        "first_tokens": _medians(folder),
    }
    return InjectionSection.model_validate({**rounded(section.as_json()), **sentences, **beside})


def _estimate(values: pd.Series, seed: int, bounds: Bounds | None = None) -> EstimateValue:
    return EstimateValue(**estimated(values, bounds=bounds, seed=seed))


def _medians(folder: Path) -> dict[str, FirstTokenMedian]:
    """Time from the generator's call to its first token in the main recording, where it was measured."""
    path = folder / "first_tokens.parquet"
    if not path.exists():
        return {}
    seed, flags = read_manifest(folder)["config"]["seed"], disturbances(folder)
    table = FIRST_TOKENS.read(path).rename(columns={"first_token_ns": "duration_ns"})
    found = {str(name): latency_quantiles(rows, seed=seed) for name, rows in table.groupby("pipeline", sort=False)}
    return {
        name: FirstTokenMedian(
            p50_ns=one["p50_ns"],
            p50_interval_ns=one["p50_interval_ns"],
            withheld=flags[name].reason if flags[name].busy else "",
        )
        for name, one in found.items()
    }


def swept_settings(data: InjectionData, name: str, kind: str, key: str) -> list[SweptSetting]:
    """One row for each value of "k=3" or "tokens=1000"; `key` names the value in the row.

    `usd_per_relevant_token` is the whole bill of a question over its relevant tokens.
    """
    rows = []
    for step in data.steps(name, kind):
        setting = f"{kind}={step}"
        asked, bill = data.asked(name, setting), data.bill(name, setting)
        means = {
            part: asked["query_tokens" if part == "question" else f"{part}_tokens"].mean()
            for part in PromptParts.model_fields
        }
        tokens = PromptParts(**{part: None if isnan(mean) else float(mean) for part, mean in means.items()})
        estimates = {
            key: _estimate(asked[column], data.seed, None if key == "prompt_tokens" else UNIT)
            for key, column in SWEPT_MEANS.items()
        }
        rows.append(
            SweptSetting(
                **{key: step},
                setting=setting,
                **estimates,
                time_to_first_token_ns=_estimate(data.timed(name, setting)["first_token_ns"], data.seed),
                usd_per_1000_queries=usd_per_1000(bill),
                usd_interval=usd_interval(bill, data.draws),
                tokens=tokens,
                usd_per_relevant_token=usd_for_each(bill, tokens.relevant),
                withheld=withheld(asked),
            )
        )
    return rows


def _orders(data: InjectionData, name: str) -> list[ChunkOrder]:
    """The orders that were recorded, FIRST_ORDER in front."""
    present = set(data.cells[data.cells["pipeline"] == name]["setting"])
    wanted = (order for order in data.settings["orders"] if order in present)
    chosen = sorted(wanted, key=lambda order: order != FIRST_ORDER)
    return orders({order: data.asked(name, order) for order in chosen}, k=int(data.settings["order_k"]), seed=data.seed)


def _marginal(data: InjectionData, name: str) -> ChunkMargin:
    value = data.config["budget"].get("usd_per_correct_answer")
    settings, reasons = [], [data.withheld(name, f"k={k}") for k in data.steps(name, "k")]
    dear = "" if value is None else data.dear(name)
    for k in data.steps(name, "k"):
        asked, timed = data.asked(name, f"k={k}"), data.timed(name, f"k={k}")
        settings.append(
            SweptAnswers(k, asked["correct"], asked["f1"], timed["first_token_ns"], data.bill(name, f"k={k}"))
        )
    found = marginal(name, settings, value_usd=None if value is None else float(value), seed=data.seed)
    if dear:
        said = f"{name}: what one more chunk is worth is withheld, for it is billed by time: {dear}."
        return found.model_copy(update={"last_worthwhile_k": None, "status": "undecided", "statement": said})
    if not any(reasons):
        return found
    k, why = next((k, reason) for k, reason in zip(data.steps(name, "k"), reasons, strict=True) if reason)
    said = f"{name}: what one more chunk brings is withheld: of those with k = {k}, {why}."
    return found.model_copy(update={"last_worthwhile_k": None, "status": "undecided", "statement": said})


def _budget(data: InjectionData, facts: Mapping[str, AnswerFacts]) -> BudgetSection | None:
    """What a question may take, against what it takes; None where the eval sets no limit."""
    limits = {key: data.config["budget"].get(key) for key in ("tokens_per_query", "usd_per_1000_queries")}
    known = {key: Decimal(str(limit)) for key, limit in limits.items() if limit is not None}
    if not known:
        return None
    pipelines = {}
    for name in data.names:
        tokens, usd = float(facts[name].tokens[0]), usd_per_1000(data.bill(name))
        spent = {"tokens_per_query": None if isnan(tokens) else tokens, "usd_per_1000_queries": usd}
        told = {key: None if key == "usd_per_1000_queries" and data.dear(name) else spent[key] for key in known}
        within: bool | None = None if None in told.values() else True
        if any(value is not None and Decimal(str(value)) > known[key] for key, value in told.items()):
            within = False
        pipelines[name] = BudgetSpent(**spent, within=within)
    return BudgetSection(**limits, pipelines=pipelines)


def answers_of(
    asked: pd.DataFrame,
    unanswerable: pd.DataFrame,
    *,
    judge: Mapping[str, Any] | None,
    reasoning: AnswerReasoning | None = None,
    seed: int,
) -> PipelineAnswers:
    """How well one pipeline answers at its own setting; tables are rows of cells by query_id."""
    known = asked[asked["correct"].notna()]
    n, lost = len(known), known["lost_at"]
    # Together with the correct answers these are all questions with a verdict.
    counts = {stage: int((lost == stage).sum()) for stage in ATTRIBUTED}
    return PipelineAnswers(
        setting=OWN,
        n=n,
        **{key: _estimate(asked[column], seed, UNIT) for key, column in ANSWER_MEANS.items()},
        attribution={stage: count / n if n else None for stage, count in counts.items()},
        attribution_counts=counts,
        abstention=Abstention(
            unanswerable=_estimate(unanswerable["abstained"], seed, UNIT) if len(unanswerable) else None,
            answerable=_estimate(asked["abstained"], seed, UNIT),
        ),
        judge=None if judge is None else JudgeAgreement(**judge),
        endings=AnswerEndings(
            asked=len(asked),
            **endings(asked),
            filtered_queries=[
                str(query) for rows in (asked, unanswerable) for query in rows.index[rows["ending"] == "filtered"]
            ],
            withheld=withheld(asked),
        ),
        reasoning=reasoning,
    )


def _reasoning(data: InjectionData, name: str) -> AnswerReasoning | None:
    """Tokens, time and money of what the model said to itself in a pipeline's own setting; None where it said nothing.

    Where the server's count of output holds the reasoning, the answer is what is left of it.
    """
    asked, timed = data.asked(name), data.timed(name)
    thought = asked["reasoning_tokens"].fillna(0)
    if not thought.sum():
        return None
    answered = (asked["output_tokens"] - thought).clip(lower=0).fillna(asked["answer_tokens"])
    bill = data.bill(name)
    items = {} if bill is None else {item: usd for item, usd in bill.items.items() if item == REASONING}
    return AnswerReasoning(
        tokens=_estimate(thought, data.seed),
        answer_tokens=_estimate(answered, data.seed),
        share=float(thought.sum() / (thought + answered).sum()),
        time_ns=_estimate(timed["reasoning_ns"], data.seed),
        first_token_ns=_estimate(timed["first_reasoning_ns"], data.seed),
        usd_per_1000_queries=usd_per_1000(AnswerBill(items)) if items else None,
    )


def comparisons(answers: Mapping[str, pd.DataFrame], *, seed: int) -> list[ComparedPair]:
    """Every two pipelines on `correct` and on `f1`: paired difference, sign-flip p, Holm over the pairs of a metric."""
    rows = []
    for metric in COMPARED:
        columns = {(a, b): _common(answers[a][metric], answers[b][metric]) for a, b in combinations(answers, 2)}
        raw = {f"{a}|{b}": paired_p(theirs, ours, seed=seed) for (a, b), (ours, theirs) in columns.items()}
        adjusted = holm(raw)
        for (a, b), (ours, theirs) in columns.items():
            p, p_holm = raw[f"{a}|{b}"], adjusted[f"{a}|{b}"]
            row = compared(ours, theirs, a, b, metric=metric, p=p, p_holm=p_holm, pairs=len(raw), seed=seed)
            rows.append(ComparedPair(**{**row, "stage": "generate"}))
    return rows


def orders(by_order: Mapping[str, pd.DataFrame], *, k: int, seed: int) -> list[ChunkOrder]:
    """One row per order of the same chunks; all others are compared with FIRST_ORDER, Holm-corrected over them."""
    if FIRST_ORDER not in by_order:
        return []
    first = by_order[FIRST_ORDER]["correct"]
    pairs = {order: _common(first, rows["correct"]) for order, rows in by_order.items() if order != FIRST_ORDER}
    raw = {order: paired_p(theirs, ours, seed=seed) for order, (ours, theirs) in pairs.items()}
    adjusted = holm(raw)
    found = []
    for order, rows in by_order.items():
        against: dict[str, Any] = dict.fromkeys(("difference", "p", "p_holm", "verdict"))
        if order in pairs:
            told = compared(
                *pairs[order], FIRST_ORDER, order,
                metric="correct", p=raw[order], p_holm=adjusted[order], pairs=len(raw), seed=seed,
            )  # fmt: skip
            against = {key: told[key] for key in ("p", "p_holm", "verdict")}
            against["difference"] = _estimate(gained(rows["correct"], first), seed, SIGNED)
        means = {
            key: _estimate(rows[column], seed, bounds)
            for key, column, bounds in (
                ("answer_f1", "f1", UNIT),
                ("correct", "correct", UNIT),
                ("evidence_position", "evidence_position", None),
            )
        }
        found.append(ChunkOrder(order=order, k=k, withheld=withheld(rows), **means, **against))
    return found


def _common(first: pd.Series, second: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Both columns, over the questions that have a value in both."""
    both = pd.concat([first, second], axis=1, join="inner").dropna().sort_index()
    return both.iloc[:, 0], both.iloc[:, 1]


def statements(section: InjectionSection) -> list[str]:
    """Main findings, every one with its interval or its n."""
    shares = {name: each.correct.mean for name, each in section.answers.items() if not each.endings.withheld}
    known = {name: share for name, share in shares.items() if share is not None}
    leader = max(known, key=lambda name: known[name], default=None)  # the first of equals
    # What one more chunk brings, of the leader where it was swept.
    swept = leader if leader in section.marginal else next(iter(section.marginal), None)
    found = [
        "" if swept is None else section.marginal[swept].statement,
        *_withheld(section),
        _losses(section, leader),
        "" if leader is None else _price(section.economics[leader], leader),
        section.time_to_first_token.fit.statement,
        section.utility.statement,
    ]
    if (budget := section.budget) is not None:
        verdicts = {name: spent.within for name, spent in budget.pipelines.items()}
        over, unknown = (", ".join(name for name, within in verdicts.items() if within is one) for one in (False, None))
        parts = [f"Over the budget: {over}." if over else "", f"Unknown: {unknown}." if unknown else ""]
        words = " ".join(part for part in parts if part)
        many = "The pipeline keeps" if len(verdicts) == 1 else f"All {len(verdicts)} pipelines keep"
        found.append(words or f"{many} within the budget.")
    return [sentence for sentence in found if sentence]


def _withheld(section: InjectionSection) -> list[str]:
    """One sentence per reason why a pipeline's share of correct answers is not told, and what was held back."""
    reasons: dict[str, list[str]] = {}
    for name, each in section.answers.items():
        if each.endings.withheld:
            reasons.setdefault(each.endings.withheld, []).append(name)
    found = [f"Shares of correct answers of {', '.join(names)} are withheld: {why}." for why, names in reasons.items()]
    queries = sorted({query for each in section.answers.values() for query in each.endings.filtered_queries})
    if queries:
        word = "question" if len(queries) == 1 else "questions"
        found.append(f"A content filter held answers back, of the {word} {', '.join(queries)}.")
    return found


def _losses(section: InjectionSection, leader: str | None) -> str:
    """How much the leader answers correctly, who cannot be told apart from it, and where it lost the others."""
    if leader is None:
        told = any(each.endings.withheld for each in section.answers.values())
        return "" if told else "No question has a gold answer, so no answer could be judged."
    answers = section.answers[leader]
    rows = [row for row in section.comparisons if row.metric == "correct" and row.verdict == "undecided"]
    pairs = [(row.baseline, row.candidate) for row in rows if leader in (row.baseline, row.candidate)]
    others = [second if first == leader else first for first, second in pairs]
    tied = f" (not told apart from {', '.join(others)})" if others else ""
    share = figures.with_interval(answers.correct.mean, answers.correct.interval, figures.share)
    lead = f"{leader} answers {share} of {figures.counted(answers.n, 'question')} correctly{tied}"
    lost = {stage: count for stage, count in answers.attribution_counts.items() if count}
    if not lost:
        return f"{lead}."
    where = {"model": "the model, which had the evidence"}
    parts = ", ".join(f"{count} in {where.get(stage, stage)}" for stage, count in lost.items())
    wrong = sum(lost.values())
    many = "wrong answer was" if wrong == 1 else f"{wrong} wrong answers were"
    return f"{lead}; where the {many} lost: {parts}."


def _price(economics: Economics, leader: str) -> str:
    if economics.cost_withheld:
        return f"What a correct answer of {leader} costs is billed by time and withheld: {economics.cost_withheld}."
    each, correct = economics.usd_per_query, economics.usd_per_correct_answer
    if correct is None or each is None:
        return f"What a correct answer of {leader} costs is UNPRICED."
    if correct.mean is None or each.mean is None:
        return f"{leader} gave no correct answer, so none has a price (n = {correct.n})."
    interval = f" (95% CI {open_span(correct.interval, figures.usd)})" if correct.interval else ""
    return (
        f"A correct answer of {leader} costs {figures.usd(correct.mean)}{interval}, n = {correct.n}; "
        f"a question costs {figures.usd(each.mean)}."
    )


def _few_timed(data: InjectionData) -> FewTimed | None:
    """Return the pipelines and settings that were timed on fewer questions than wished for; None where none was."""
    timing = InjectionTiming.model_validate(data.settings["timing"])
    live = data.live.groupby(data.live["pipeline"] + " " + data.live["setting"])
    durations = {str(name): round(ns) for name, ns in live["end_to_end_ns"].mean().items()}
    timed = {str(name): int(count) for name, count in live["query_id"].nunique().items()}
    asked = len(data.manifest["questions"])
    return few_timed(durations, timed, asked, timing, asked=timing.rounds, table="injection.timing")


def notes(data: InjectionData, section: InjectionSection) -> list[str]:
    """What a reader must know before believing a figure."""
    model = section.generator.model or section.generator.name
    priced = "Answers are UNPRICED: name a rate under prices.llm or prices.machine."
    if section.priced_as is not None:
        priced = (
            f"Answers are priced as {section.priced_as}, whatever {model} costs where it runs: another model would "
            "write answers of another length and quality."
        )
    first = data.asked(data.names[0]) if data.names else pd.DataFrame({"f1": [], "ending": []})
    missing = int((first["f1"].isna() & first["ending"].isin(["whole", "cut"])).sum())
    own = data.cells[(data.cells["setting"] == OWN) & data.cells["answerable"].astype(bool)]
    kinds = own[["relevant_tokens", "irrelevant_tokens", "unjudged_tokens", "duplicate_tokens"]].sum()
    unjudged = kinds["unjudged_tokens"] / kinds.sum() if kinds.sum() else 0.0
    counts = [int(data.timed(name)["until_token_ns"].notna().sum()) for name in data.names]
    timed = "No time to first token was measured with a question, so there is no L and no U."
    if any(counts):
        few = f" Fewer than {FEW} are little to rest an interval on." if min(counts) < FEW else ""
        if wished := _few_timed(data):
            few += f" {wished.remedy}."
        span = " to ".join(dict.fromkeys(str(end) for end in (min(counts), max(counts))))
        many = "question" if span == "1" else "questions"
        timed = f"Times to first token rest on {span} timed {many} a pipeline, one at a time.{few}"
    candidates = [
        f"An answer counts as correct where {CORRECT[section.correct]}. That is a proxy: right answers in other "
        "words are missed, and a gold answer may stand in a wrong sentence.",
        f"All figures of answers are those of {model}; a larger model loses fewer answers in the model, and may make "
        "more of long contexts.",
        priced,
        f"{figures.counted(missing, 'question')} without a gold answer "
        f"{'takes' if missing == 1 else 'take'} no part in the shares of correct answers."
        if missing
        else "",
        f"{figures.share(unjudged)} of the injected tokens are unjudged: that is not irrelevant, but R counts it so."
        if unjudged >= NEGLIGIBLE
        else "",
        timed,
        "A and R of U are resampled together, L apart from them unless all questions were timed; the presets of k are "
        "conventions.",
        f"A wrong answer is put down to the first place ({', '.join(ATTRIBUTED)}) after which no gold answer is left.",
        section.energy.statement if section.energy else "",
        *(
            f"{name}: {one.latency_withheld}. Its live times, and what rests on them, are marked and decide nothing; "
            "inject again when the machine does nothing else."
            for name, one in section.economics.items()
            if one.latency_withheld
        ),
    ]
    return [note for note in candidates if note]
