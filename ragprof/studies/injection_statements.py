"""The injection study in sentences: its findings for whoever pays, and what limits them. Computes nothing new."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragprof.studies.answers import ATTRIBUTED
from ragprof.studies.headline import money
from ragprof.studies.injection_data import OWN, InjectionData

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
        "A and R of U are resampled together, timed questions apart from them; the presets of k are conventions.",
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
