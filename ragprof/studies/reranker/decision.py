"""The reranker's verdicts as whoever pays would say them: for the first screen of the report, and decision.md."""

from __future__ import annotations

from collections.abc import Iterator

from ragprof.report import figures
from ragprof.report.decision import (
    PaidDecision,
    PaidEffect,
    Tone,
    decision_markdown,
    spoken,
    spoken_seconds,
    spoken_usd,
)
from ragprof.report.figures import counted
from ragprof.studies.contract import Context
from ragprof.studies.reranker.section import QualityGain, RerankerSection, RerankerVerdict, Statement

TONES: dict[str, Tone] = {"KEEP": "better", "SHRINK": "better", "DROP": "worse", "UNDECIDED": "undecided"}
FIRST = ("Success@1", "Success@3", "Success@5", "Success@10")
OTHERWISE = {
    "KEEP": "keep it", "DROP": "go without it", "SHRINK": "let it read fewer passages", "UNDECIDED": "measure more",
}  # fmt: skip
FEW_QUESTIONS = 50
MOST_CHANGES = 3


def decisions(section: RerankerSection, _context: Context) -> list[PaidDecision]:
    """One for each reranked pipeline."""
    return [decided(name, one) for name, one in section.verdicts.items()]


def decision_page(section: RerankerSection, context: Context) -> str:
    """These, and what other studies decided beside them."""
    mine = decisions(section, context)
    others = [one for one in context.decisions if one not in mine]
    return decision_markdown(context.title, [*mine, *others], f"{context.origin}.")


def decided(name: str, one: RerankerVerdict) -> PaidDecision:
    verdict = {
        "KEEP": "Keep the reranker.",
        "DROP": "Go without the reranker.",
        "SHRINK": f"Keep the reranker, but let it read {counted(one.depth, 'passage')} instead of {one.own_depth:,}.",
        "UNDECIDED": "Not decided yet.",
    }[one.verdict]
    return PaidDecision(
        question=f"Is the reranker of {name} worth it?",
        verdict=verdict,
        tone=TONES[one.verdict],
        because=because(one),
        effects=tuple(effects(one)),
        changes=tuple(changes(one))[:MOST_CHANGES],
        sure=sure(one),
        following=following(one),
        evidence="reranker",
    )


def found_of(one: RerankerVerdict) -> tuple[str, QualityGain] | None:
    """The gain that people understand: questions whose first passages hold a right one, else what prompts hold."""
    gains = one.statement.quality_gain
    near = sorted((abs(int(name.partition("@")[2]) - one.k), name) for name in FIRST if name in gains)
    if near and gains[near[0][1]].difference is not None:
        return f"questions with a right passage in the first {near[0][1].partition('@')[2]}", gains[near[0][1]]
    held = gains.get(f"evidence@{one.k}")
    return None if held is None or held.difference is None else ("right passages that reach the prompt", held)


def because(one: RerankerVerdict) -> str:
    """What it finds, how long it makes people wait, what it costs: one sentence."""
    told = [*_finds(one), *_waits(one), *_costs(one.statement)]
    whole = f"{', '.join(told[:-1])}, and {told[-1]}" if len(told) > 1 else told[0]
    return f"It {whole}.{_as_good(one)}"


def _as_good(one: RerankerVerdict) -> str:
    """Which search does as well without it, where that is why it goes."""
    names = [
        other.name
        for other in one.statement.alternatives
        if other.what == "another search" and other.relation in ("as good", "better") and f"{other.name} " in one.reason
    ]
    return f" {names[0]} does as well without it." if one.verdict == "DROP" and names else ""


def _finds(one: RerankerVerdict) -> Iterator[str]:
    found = found_of(one)
    if found is None:
        yield "changes what is found by nothing that could be measured"
        return
    gain = found[1]
    points, significant = round(100 * (gain.difference or 0.0)), excludes_zero(gain.interval)
    many = counted(abs(points), "more", "more") if points > 0 else counted(abs(points), "fewer", "fewer")
    what = "finds a right passage for" if "questions" in found[0] else "brings into the prompt"
    of = "of 100 questions" if "questions" in found[0] else "of 100 right passages"
    if significant and points:
        yield f"{what} {many} {of}"
    elif points:
        yield f"{what} {many} {of}, which may be chance"
    else:
        yield "finds right passages as often as the search alone"


def excludes_zero(interval: tuple[str | float | None, str | float | None] | None) -> bool:
    """Whether both ends are known and lie on one side of 0."""
    low, high = interval or (None, None)
    return low is not None and high is not None and not float(low) <= 0 <= float(high)


def _waits(one: RerankerVerdict) -> Iterator[str]:
    added = one.statement.added_p50_ns
    if one.latency_withheld:
        yield "takes time that could not be measured, as the machine was busy"
    elif added is not None and abs(added) >= 1e6:
        chance = "" if excludes_zero(one.statement.added_p50_interval_ns) else ", which may be chance"
        yield f"makes people wait {spoken_seconds(added)} {'longer' if added > 0 else 'less'}{chance}"
    elif added is not None:
        yield "takes no time that anybody notices"


def _costs(found: Statement) -> Iterator[str]:
    month = found.per_month
    if found.reranker_usd_per_1000_queries is None:
        yield "costs an amount that nobody knows, as no price is named"
        return
    monthly = month.queries is not None
    when = "a month at your traffic" if monthly else "for every 1,000 questions"
    cost = float((month.reranker_usd if monthly else found.reranker_usd_per_1000_queries) or 0)
    net = month.net_usd if monthly else found.net_usd_per_1000_queries
    if net is None:
        yield f"costs {spoken_usd(cost)} {when}"
        return
    saved = cost - float(net)
    shorter = f", with what {'shorter prompts save' if saved > 0 else 'longer prompts cost'} counted in"
    verb = "costs" if float(net) >= 0 else "saves"
    chance = "" if excludes_zero(month.net_interval if monthly else found.net_interval) else ", which may be chance"
    yield f"{verb} {spoken_usd(float(net))} {when}{shorter if abs(saved) >= 0.005 else ''}{chance}"


def effects(one: RerankerVerdict) -> Iterator[PaidEffect]:
    """What it changes, each with its interval: found, waiting, money."""
    found = found_of(one)
    if found is not None:
        gain = found[1]
        low, high = gain.interval or (None, None)
        value = 100 * (gain.difference or 0.0)
        label = f"{found[0][0].upper()}{found[0][1:]}, of 100"
        yield PaidEffect(
            label, f"{spoken(abs(value))} {'more' if value >= 0 else 'fewer'}", value,
            None if low is None else 100 * low, None if high is None else 100 * high, more_is_better=True,
        )  # fmt: skip
    statement = one.statement
    added, ends = statement.added_p50_ns, statement.added_p50_interval_ns or (None, None)
    if added is not None and not one.latency_withheld:
        text = f"{spoken_seconds(added)} {'longer' if added >= 0 else 'less'}"
        low, high = (None if end is None else end / 1e9 for end in ends)
        yield PaidEffect("Waiting, of an ordinary question", text, added / 1e9, low, high, more_is_better=False)
    month = statement.per_month
    monthly = month.net_usd is not None
    net = month.net_usd if monthly else statement.net_usd_per_1000_queries
    interval = (month.net_interval if monthly else statement.net_interval) or (None, None)
    if net is None:
        net = month.reranker_usd if month.queries else statement.reranker_usd_per_1000_queries
        interval = (month.reranker_usd_interval if month.queries else statement.reranker_usd_interval) or (None, None)
        monthly = month.queries is not None
    if net is not None:
        low, high = (None if end is None else float(end) for end in interval)
        text = f"{spoken_usd(float(net))} {'more' if float(net) >= 0 else 'saved'}"
        label = "Money, a month" if monthly else "Money, for 1,000 questions"
        yield PaidEffect(label, text, float(net), low, high, more_is_better=False)


def changes(one: RerankerVerdict) -> Iterator[str]:
    """What would turn the answer, nearest first."""
    flips, hangs = one.statement.break_even, one.sensitive_to
    if hangs.factor is not None and hangs.becomes is not None:
        becomes = next(words for word, words in OTHERWISE.items() if hangs.becomes.startswith(word))
        yield f"If {hangs.what} were {spoken(hangs.factor)} times what it is, the answer would be to {becomes}."
    elif one.more_queries is not None:
        yield f"About {spoken(one.more_queries)} more judged questions would decide it."
    price = flips.reranker_usd
    if price.value is not None:
        per = figures.per_words(price.per, price.unit)
        pays = float(one.statement.net_usd_per_1000_queries or 0) < 0
        at = f"${spoken(float(price.value))} per {per}"
        yield f"Above {at} the reranker would cost more than it saves." if pays else f"At {at} it would pay for itself."
    volume = flips.queries_per_month.value
    if volume is not None:
        yield f"Its fixed bill pays for itself from {spoken(volume)} questions a month on, and not below."


def sure(one: RerankerVerdict) -> str:
    """How far to trust it, in a line."""
    asked = f"Measured with {counted(one.gain.n, 'question')}"
    few = ", which is few: a hint, no proof" if one.gain.n < FEW_QUESTIONS else ""
    busy = "; the machine was busy, so that times do not count" if one.latency_withheld else ""
    return f"{asked}{few}{busy}."


def following(one: RerankerVerdict) -> str:
    """What to do next, where nothing is decided."""
    if one.verdict != "UNDECIDED":
        return ""
    if one.latency_withheld:
        return "Next: run it again while the machine does nothing else."
    if one.more_queries is not None:
        return f"Next: judge about {spoken(one.more_queries)} more questions (ragprof label) and run it again."
    return f"Next: {one.sensitive_to.sentence[0].lower()}{one.sensitive_to.sentence[1:]}"
