"""summary["injection"] and each pipeline's economics: what answers are worth, what they cost, how long they take.

How well each pipeline answers, where wrong answers are lost, and which pipelines and orders can be told apart.

A figure rests on the answerable questions that have a gold answer; a question without one has no verdict (NaN) and
takes no part. Every mean resamples questions with the same seed. Reads no file.

What k chunks, or chunks within a budget, bring and take: one row a setting. Reads no file.

The injection study in sentences: its findings for whoever pays, and what limits them. Computes nothing new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import combinations
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd

from ragprof.core.quantities import money
from ragprof.statistics.draws import Draws
from ragprof.statistics.estimates import estimated, gained, rounded
from ragprof.statistics.paired import compared, holm, paired_p
from ragprof.studies.injection.data import (
    OWN,
    Bill,
    InjectionData,
    belongs,
    is_recorded,
    read_injection,
    usd_for_each,
    usd_interval,
    usd_per_1000,
)
from ragprof.studies.injection.economics import PRESETS, Facts, Setting, economics_of, facts_of, marginal, utility_of
from ragprof.studies.injection.first_token import decode_per_token, first_token

ATTRIBUTED = ("search", "rerank", "packing", "model")
COMPARED = ("correct", "f1")
MEASURES = {
    "exact_match": "exact_match",
    "f1": "f1",
    "answer_in_context": "in_context",
    "answer_in_answer": "in_answer",
    "correct": "correct",
}
"""Key of the summary -> column of judged.parquet."""
FIRST_ORDER = "best_first"


def answers_of(
    asked: pd.DataFrame, unanswerable: pd.DataFrame, *, judge: Mapping[str, Any] | None, seed: int
) -> dict[str, Any]:
    """The `answers` of one pipeline at its own setting; tables are rows of cells by query_id."""
    counts = attribution(asked)
    n = int(asked["correct"].notna().sum())
    return {
        "setting": "own",
        "n": n,
        **{key: estimated(asked[column], seed=seed) for key, column in MEASURES.items()},
        "attribution": {stage: count / n if n else None for stage, count in counts.items()},
        "attribution_counts": counts,
        "abstention": {
            "unanswerable": estimated(unanswerable["abstained"], seed=seed) if len(unanswerable) else None,
            "answerable": estimated(asked["abstained"], seed=seed),
        },
        "judge": None if judge is None else dict(judge),
    }


def attribution(asked: pd.DataFrame) -> dict[str, int]:
    """How many of the questions with a verdict were lost where; together with the correct ones they are all."""
    lost = asked[asked["correct"].notna()]["lost_at"]
    return {stage: int((lost == stage).sum()) for stage in ATTRIBUTED}


def comparisons(answers: Mapping[str, pd.DataFrame], *, seed: int) -> list[dict[str, Any]]:
    """Every two pipelines on `correct` and on `f1`: paired difference, sign-flip p, Holm over the pairs of a metric."""
    return [row for metric in COMPARED for row in _compared_on(metric, answers, seed)]


def _compared_on(metric: str, answers: Mapping[str, pd.DataFrame], seed: int) -> list[dict[str, Any]]:
    columns = {(a, b): _common(answers[a][metric], answers[b][metric]) for a, b in combinations(answers, 2)}
    raw = {f"{a}|{b}": paired_p(theirs, ours, seed=seed) for (a, b), (ours, theirs) in columns.items()}
    adjusted = holm(raw)
    rows = [
        compared(
            ours, theirs, a, b, metric=metric, p=raw[f"{a}|{b}"], p_holm=adjusted[f"{a}|{b}"], pairs=len(raw), seed=seed
        )
        for (a, b), (ours, theirs) in columns.items()
    ]
    return [{**row, "stage": "generate"} for row in rows]


def orders(by_order: Mapping[str, pd.DataFrame], *, k: int, seed: int) -> list[dict[str, Any]]:
    """One row an order of the same chunks; all others are compared with FIRST_ORDER, Holm-corrected over them."""
    if FIRST_ORDER not in by_order:
        return []
    first = by_order[FIRST_ORDER]["correct"]
    pairs = {order: _common(first, rows["correct"]) for order, rows in by_order.items() if order != FIRST_ORDER}
    raw = {order: paired_p(theirs, ours, seed=seed) for order, (ours, theirs) in pairs.items()}
    adjusted = holm(raw)
    found = []
    for order, rows in by_order.items():
        line = {
            "order": order,
            "k": k,
            "answer_f1": estimated(rows["f1"], seed=seed),
            "correct": estimated(rows["correct"], seed=seed),
            "evidence_position": estimated(rows["evidence_position"], seed=seed),
        }
        if order == FIRST_ORDER:
            found.append({**line, "difference": None, "p": None, "p_holm": None, "verdict": None})
            continue
        verdict = compared(
            *pairs[order], FIRST_ORDER, order,
            metric="correct", p=raw[order], p_holm=adjusted[order], pairs=len(raw), seed=seed,
        )  # fmt: skip
        difference = estimated(gained(rows["correct"], first), seed=seed)
        found.append({**line, "difference": difference, **{key: verdict[key] for key in ("p", "p_holm", "verdict")}})
    return found


def order_settings(present: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The orders that were recorded, FIRST_ORDER in front."""
    return sorted((order for order in wanted if order in set(present)), key=lambda order: order != FIRST_ORDER)


def _common(first: pd.Series, second: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Both columns, over the questions that have a value in both."""
    both = pd.concat([first, second], axis=1, join="inner").dropna().sort_index()
    return both.iloc[:, 0], both.iloc[:, 1]


CHUNK_SWEEP_MEASURES = {
    "prompt_tokens": "model_tokens",
    "answer_f1": "f1",
    "exact_match": "exact_match",
    "correct": "correct",
    "answer_in_context": "in_context",
    "answer_in_answer": "in_answer",
    "ndcg": "ndcg",
}
"""Key of the summary -> column of the cells."""
TOKENS = {
    "template": "template_tokens",
    "question": "query_tokens",
    "relevant": "relevant_tokens",
    "irrelevant": "irrelevant_tokens",
    "unjudged": "unjudged_tokens",
    "duplicate": "duplicate_tokens",
    "truncated": "truncated_tokens",
}


def row(asked: pd.DataFrame, timed: pd.DataFrame, bill: Bill | None, *, draws: Draws, seed: int) -> dict[str, Any]:
    """A setting's row of `by_k` or `by_budget`, without its k or budget.

    `asked` are the answerable questions by query_id, `timed` the means over rounds of those that were timed.
    `usd_per_relevant_token` is the whole bill of a question over its relevant tokens.
    """
    tokens = {key: _mean(asked[column]) for key, column in TOKENS.items()}
    return {
        **{key: estimated(asked[column], seed=seed) for key, column in CHUNK_SWEEP_MEASURES.items()},
        "time_to_first_token_ns": estimated(timed["first_token_ns"], seed=seed),
        "usd_per_1000_queries": usd_per_1000(bill),
        "usd_interval": usd_interval(bill, draws),
        "tokens": tokens,
        "usd_per_relevant_token": usd_for_each(bill, tokens["relevant"]),
    }


def _mean(values: pd.Series) -> float | None:
    known = values.dropna()
    return float(known.mean()) if len(known) else None


CORRECT = {
    "contains": "a gold answer stands in it",
    "exact": "it equals a gold answer",
    "f1": "its token F1 with a gold answer is 0.5 or more",
}
FEW = 10


def statements(section: Mapping[str, Any], economics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Main findings, every one with its interval or its n."""
    leader = _leader(section)
    found = [
        _chunks(section, leader),
        _losses(section, leader),
        _price(economics, leader),
        section["time_to_first_token"]["fit"]["statement"],
        section["utility"]["statement"],
        _over_budget(section),
    ]
    return [sentence for sentence in found if sentence]


def notes(data: InjectionData, section: Mapping[str, Any]) -> list[str]:
    """What a reader must know before believing a figure."""
    generator = section["generator"]
    model = generator.get("model") or generator.get("name")
    candidates = [
        f"An answer counts as correct where {CORRECT[section['correct']]}. That is a proxy: right answers in other "
        "words are missed, and a gold answer may stand in a wrong sentence.",
        f"All figures of answers are those of {model}; a larger model loses fewer answers in the model, and may make "
        "more of long contexts.",
        _priced(section, model),
        _without_gold(data),
        _unjudged(data),
        _timed(data),
        "A and R of U are resampled together, L apart from them unless all questions were timed; the presets of k are "
        "conventions.",
        f"A wrong answer is put down to the first place ({', '.join(ATTRIBUTED)}) after which no gold answer is left.",
        _energy(section),
    ]
    return [note for note in candidates if note]


def _leader(section: Mapping[str, Any]) -> str | None:
    """The pipeline with the highest share of correct answers; the first of equals."""
    shares = {name: each["correct"]["mean"] for name, each in section["answers"].items()}
    known = {name: share for name, share in shares.items() if share is not None}
    return max(known, key=lambda name: known[name]) if known else None


def _chunks(section: Mapping[str, Any], leader: str | None) -> str:
    """What one more chunk brings, of the leader where it was swept."""
    marginal = section["marginal"]
    chosen = leader if leader in marginal else next(iter(marginal), None)
    return "" if chosen is None else str(marginal[chosen]["statement"])


def _losses(section: Mapping[str, Any], leader: str | None) -> str:
    if leader is None:
        return "No question has a gold answer, so no answer could be judged."
    answers = section["answers"][leader]
    counts = answers["attribution_counts"]
    lead = (
        f"{leader} answers {_percent(answers['correct'])} of {answers['n']} questions correctly{_tied(section, leader)}"
    )
    if not any(counts.values()):
        return f"{lead}."
    parts = ", ".join(f"{counts[stage]} in {_where(stage)}" for stage in ATTRIBUTED if counts[stage])
    return f"{lead}; where the {sum(counts.values())} wrong answers were lost: {parts}."


def _where(stage: str) -> str:
    return "the model, which had the evidence" if stage == "model" else stage


def _tied(section: Mapping[str, Any], leader: str) -> str:
    """Who cannot be told apart from the leader."""
    rows = [row for row in section["comparisons"] if row["metric"] == "correct" and row["verdict"] == "undecided"]
    pairs = [(row["baseline"], row["candidate"]) for row in rows if leader in (row["baseline"], row["candidate"])]
    others = [second if first == leader else first for first, second in pairs]
    return f" (not told apart from {', '.join(others)})" if others else ""


def _price(economics: Mapping[str, Mapping[str, Any]], leader: str | None) -> str:
    if leader is None:
        return ""
    each, correct = (economics[leader][key] for key in ("usd_per_query", "usd_per_correct_answer"))
    if correct is None:
        return f"What a correct answer of {leader} costs is UNPRICED."
    if correct["mean"] is None:
        return f"{leader} gave no correct answer, so none has a price (n = {correct['n']})."
    low, high = correct["interval"] or (None, None)
    above = "no bound above" if high is None else _usd(high)
    interval = "" if low is None else f" (95 % interval {_usd(low)} to {above}, n = {correct['n']})"
    return (
        f"A correct answer of {leader} costs {_usd(correct['mean'])}{interval}; a question costs {_usd(each['mean'])}."
    )


def _over_budget(section: Mapping[str, Any]) -> str:
    if section["budget"] is None:
        return ""
    pipelines = section["budget"]["pipelines"]
    over = [name for name, spent in pipelines.items() if spent["within"] is False]
    unknown = [name for name, spent in pipelines.items() if spent["within"] is None]
    found = [
        f"Over the budget: {', '.join(over)}." if over else "",
        f"Unknown: {', '.join(unknown)}." if unknown else "",
    ]
    return " ".join(part for part in found if part) or f"All {len(pipelines)} pipelines keep within the budget."


def _priced(section: Mapping[str, Any], model: str) -> str:
    if section["priced_as"] is None:
        return "Answers are UNPRICED: name a rate under prices.llm or prices.machine."
    return (
        f"Answers are priced as {section['priced_as']}, whatever {model} costs where it runs: another model would "
        "write answers of another length and quality."
    )


def _without_gold(data: InjectionData) -> str:
    missing = int(data.asked(data.names[0])["correct"].isna().sum()) if data.names else 0
    return (
        f"{missing} questions have no gold answer and take no part in the shares of correct answers." if missing else ""
    )


def _unjudged(data: InjectionData) -> str:
    own = data.cells[(data.cells["setting"] == OWN) & data.cells["answerable"].astype(bool)]
    kinds = own[["relevant_tokens", "irrelevant_tokens", "unjudged_tokens", "duplicate_tokens"]].sum()
    share = kinds["unjudged_tokens"] / kinds.sum() if kinds.sum() else 0.0
    if share < 0.005:
        return ""
    return f"{100 * share:.0f} % of the injected tokens are unjudged: unjudged is not irrelevant, but R counts it so."


def _timed(data: InjectionData) -> str:
    counts = [int(data.timed(name)["until_token_ns"].notna().sum()) for name in data.names]
    if not any(counts):
        return "No time to first token was measured with a question, so there is no L and no U."
    few = f" Fewer than {FEW} are little to rest an interval on." if min(counts) < FEW else ""
    least, most = min(counts), max(counts)
    span = f"{least}" if least == most else f"{least} to {most}"
    return f"Times to first token rest on {span} timed questions a pipeline, one at a time.{few}"


def _energy(section: Mapping[str, Any]) -> str:
    energy = section["energy"] or {}
    if not energy:
        return ""
    return str(energy.get("statement") or "")


def _percent(estimate: Mapping[str, Any]) -> str:
    ends = estimate["interval"]
    interval = "" if ends is None else f" (95 % interval {100 * ends[0]:.0f} to {100 * ends[1]:.0f} %)"
    return f"{100 * estimate['mean']:.0f} %{interval}"


def _usd(value: float) -> str:
    return money(f"{value:.15f}")


__all__ = ["belongs", "injection_of", "is_recorded"]

IDENTITY = ("name", "model", "precision", "device")


def injection_of(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The injection section of a recording's summary, and the economics of each pipeline that answered.

    Raises BadInput where the recording of answers is incomplete.
    """
    data = read_injection(folder)
    facts = {name: _facts(data, name) for name in data.names}
    economics = {name: _economics(data, name, each) for name, each in facts.items()}
    section = _section(data, facts)
    section["statements"] = statements(section, economics)
    section["notes"] = notes(data, section)
    return dict(rounded(section)), dict(rounded(economics))


def _section(data: InjectionData, facts: Mapping[str, Facts]) -> dict[str, Any]:
    generator = data.manifest["generator"]
    answers = {name: _answers(data, name) for name in data.names}
    swept = [name for name in data.names if data.steps(name, "k")]
    return {
        "generator": {key: generator.get(key) for key in IDENTITY},
        "priced_as": data.priced_as,
        "questions": len(data.manifest["questions"]),
        "unanswerable": len(data.manifest["unanswerable"]),
        "correct": data.settings["correct"],
        "seed": data.seed,
        "time_to_first_token": _first_token(data),
        "by_k": {name: _rows(data, name, "k", "k") for name in swept},
        "by_budget": {name: rows for name in data.names if (rows := _rows(data, name, "tokens", "budget_tokens"))},
        "orders": {name: rows for name in data.names if (rows := _orders(data, name))},
        "marginal": {name: _marginal(data, name) for name in swept},
        "answers": answers,
        "comparisons": comparisons({name: data.asked(name) for name in data.names}, seed=data.seed),
        "utility": utility_of(facts, sensitivities=data.settings["sensitivities"]),
        "budget": _budget(data, facts),
        "energy": data.manifest.get("energy"),
        "work": data.manifest["work"],
    }


def _first_token(data: InjectionData) -> dict[str, Any]:
    """The study's generator: pipelines with a generator of their own do not tell how fast it decodes."""
    generator = data.manifest["generator"]
    model = " ".join(str(generator[key]) for key in ("model", "precision") if generator.get(key)) or generator["name"]
    own = [pipeline["name"] for pipeline in data.config["pipelines"] if pipeline.get("generator")]
    live = data.live[~data.live["pipeline"].isin(own)]
    found = first_token(data.prefill, model=model, seed=data.seed)
    return {**found, "decode_ns_per_token": decode_per_token(live, seed=data.seed)}


def _rows(data: InjectionData, name: str, kind: str, key: str) -> list[dict[str, Any]]:
    """One row for each value of "k=3" or "tokens=1000"; `key` names the value in the row."""
    rows = []
    for step in data.steps(name, kind):
        setting = f"{kind}={step}"
        found = row(
            data.asked(name, setting),
            data.timed(name, setting),
            data.bill(name, setting),
            draws=data.draws,
            seed=data.seed,
        )
        rows.append({key: step, "setting": setting, **found})
    return rows


def _orders(data: InjectionData, name: str) -> list[dict[str, Any]]:
    present = data.cells[data.cells["pipeline"] == name]["setting"].unique().tolist()
    chosen = order_settings(present, data.settings["orders"])
    return orders({order: data.asked(name, order) for order in chosen}, k=int(data.settings["order_k"]), seed=data.seed)


def _marginal(data: InjectionData, name: str) -> dict[str, Any]:
    value = data.config["budget"].get("usd_per_correct_answer")
    settings = [_setting(data, name, k) for k in data.steps(name, "k")]
    return marginal(name, settings, value_usd=None if value is None else float(value), seed=data.seed)


def _setting(data: InjectionData, name: str, k: int) -> Setting:
    asked, timed = data.asked(name, f"k={k}"), data.timed(name, f"k={k}")
    return Setting(k, asked["correct"], asked["f1"], timed["first_token_ns"], data.bill(name, f"k={k}"))


def _answers(data: InjectionData, name: str) -> dict[str, Any]:
    judge = (data.judgement.get("judges") or {}).get(name)
    return answers_of(data.asked(name), data.unanswerable(name), judge=judge, seed=data.seed)


def _facts(data: InjectionData, name: str) -> Facts:
    energy = data.manifest.get("energy") or {}
    return facts_of(
        data.asked(name),
        data.timed(name),
        data.bill(name),
        draws=data.draws,
        timed_draws=data.timed_draws,
        watts=energy.get("watts"),
    )


def _economics(data: InjectionData, name: str, facts: Facts) -> dict[str, Any]:
    sensitivities = sorted({*(k for _, k, _ in PRESETS), *data.settings["sensitivities"]})
    found = economics_of(
        facts,
        data.asked(name),
        data.timed(name),
        energy=data.manifest.get("energy"),
        sensitivities=sensitivities,
        seed=data.seed,
    )
    bill = data.bill(name)
    money = {"usd_per_1000_queries": usd_per_1000(bill), "usd_interval": usd_interval(bill, data.draws)}
    return {**found, **money, "unpriced": data.unpriced(name)}


def _budget(data: InjectionData, facts: Mapping[str, Facts]) -> dict[str, Any] | None:
    """What a question may take, against what it takes; None where the eval sets no limit."""
    limits = {key: data.config["budget"].get(key) for key in ("tokens_per_query", "usd_per_1000_queries")}
    if all(limit is None for limit in limits.values()):
        return None
    return {**limits, "pipelines": {name: _spent(data, name, facts[name], limits) for name in data.names}}


def _spent(data: InjectionData, name: str, facts: Facts, limits: Mapping[str, Any]) -> dict[str, Any]:
    tokens, usd = float(facts.tokens[0]), usd_per_1000(data.bill(name))
    spent = {"tokens_per_query": None if isnan(tokens) else tokens, "usd_per_1000_queries": usd}
    return {**spent, "within": _within(spent, limits)}


def _within(spent: Mapping[str, Any], limits: Mapping[str, Any]) -> bool | None:
    """False where a limit is passed, None where one cannot be told."""
    known = {key: limit for key, limit in limits.items() if limit is not None}
    if any(spent[key] is not None and Decimal(str(spent[key])) > Decimal(str(known[key])) for key in known):
        return False
    return None if any(spent[key] is None for key in known) else True
