"""The answer under load as whoever pays would say it: how many questions, in how much time, for how much a month."""

from __future__ import annotations

from collections.abc import Iterator

from ragprof.report.decision import PaidDecision, Tone, decision_markdown, spoken, spoken_seconds, spoken_usd
from ragprof.report.figures import counted
from ragprof.studies.contract import Context
from ragprof.studies.load.batches import UNKNOWN
from ragprof.studies.load.section import LoadSection, LoadTarget

TONES: dict[str, Tone] = {"KEEP": "better", "SHRINK": "better", "DROP": "worse", "UNDECIDED": "undecided"}
OF_100 = {"p50": "half of them", "p95": "95 of 100", "p99": "99 of 100"}
BUSY = 0.2


def decisions(section: LoadSection, _context: Context) -> list[PaidDecision]:
    """One of each pipeline that load was put on as it is declared."""
    return [_decided(section, each) for each in section.targets if each.name == each.pipeline]


def decision_page(section: LoadSection, context: Context) -> str:
    mine = decisions(section, context)
    others = [one for one in context.decisions if one not in mine]
    return decision_markdown(context.title, [*others, *mine], f"{context.origin}.")


def _decided(section: LoadSection, one: LoadTarget) -> PaidDecision:
    verdict = next((each for each in section.verdicts if each.pipeline == one.pipeline), None)
    tone: Tone = TONES["UNDECIDED" if verdict is None else verdict.verdict]
    if one.capacity.status == "never":
        tone = "worse"
    return PaidDecision(
        question=f"How many questions can {one.name} answer?",
        verdict=_verdict(section, one),
        tone=tone,
        because=" ".join(_because(section, one)),
        effects=(),
        changes=tuple(_changes(section, one)),
        sure=_sure(one),
        following="",
        evidence="load",
    )


def _verdict(section: LoadSection, one: LoadTarget) -> str:
    promise = f"{OF_100[section.promise.level]} within {spoken_seconds(section.promise.ms * 1e6)}"
    if one.capacity.status == "never":
        return f"None in time: even one at a time is not answered as promised ({promise})."
    if one.capacity.per_second is None or one.capacity.status in UNKNOWN:
        return "Not known yet."
    least = "At least" if one.capacity.status == "at least" else "About"
    where = "the service" if one.kind == "http" else "one machine"
    return f"{least} {spoken(one.capacity.per_second)} a second on {where}, {promise}."


def _because(section: LoadSection, one: LoadTarget) -> Iterator[str]:
    money = one.money
    if money.usd_per_month is not None:
        left = (
            ""
            if money.margin_per_question is None
            else f", and {_cents(float(money.margin_per_question))} of what a question earns"
            f" {'is left' if float(money.margin_per_question) >= 0 else 'is lost'}"
        )
        yield (
            f"Your traffic takes {counted(money.machines or 0, 'machine')}, {spoken_usd(float(money.usd_per_month))} a "
            f"month{left}."
        )
    elif one.capacity.per_second is not None:
        yield "What that costs nobody knows, as no price of a machine is named."
    without = next((each for each in section.targets if each.pipeline == one.pipeline and each.reranked is False), None)
    verdict = next((each for each in section.verdicts if each.pipeline == one.pipeline), None)
    if one.reranked and without is not None and without.capacity.per_second and one.capacity.per_second:
        yield f"Without its reranker it would be {spoken(without.capacity.per_second)} a second."
    if verdict is not None and verdict.verdict != "UNDECIDED":
        yield {
            "KEEP": "Under load, too, the reranker is worth it.",
            "DROP": "Under load the reranker is not worth it.",
            "SHRINK": f"Under load the reranker is worth it with {counted(verdict.depth or 0, 'passage')}.",
        }[verdict.verdict]


def _cents(usd: float) -> str:
    """What a question earns may be far less than a cent."""
    return f"${spoken(abs(usd))}" if abs(usd) < 0.995 else spoken_usd(usd)


def _changes(section: LoadSection, one: LoadTarget) -> Iterator[str]:
    if one.money.break_even_per_month is not None:
        yield f"From {spoken(one.money.break_even_per_month)} questions a month on it earns its machines."
    if one.capacity.per_second and (one.money.machines or 0) >= 1:
        most = (one.money.machines or 1) * one.capacity.per_second / section.peak * 730 * 3600
        yield f"Above {spoken(most)} questions a month it takes one machine more."
    for each in section.targets:
        found = each.batching if each.pipeline == one.pipeline else None
        if found is not None and found.ratio and found.ratio_interval and found.ratio_interval[0] > 1:
            yield (
                f"With questions in batches of up to {found.max_batch} it would answer {spoken(found.ratio)} times as "
                "many."
            )


def _sure(one: LoadTarget) -> str:
    asked = sum(step.requests for step in one.steps)
    busy = any((step.others_share or 0) > BUSY for step in one.steps)
    told = "; the machine was busy with other things, so measure again when it is not" if busy else ""
    return f"Measured with {counted(asked, 'request')}{told}."
