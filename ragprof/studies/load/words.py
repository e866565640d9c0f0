"""A load section in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ragprof.report import figures
from ragprof.report.figures import counted
from ragprof.studies.load.batches import batching_words
from ragprof.studies.load.own_or_api import api_words
from ragprof.studies.load.prefix_costs import prefix_words
from ragprof.studies.load.providers import provider_words
from ragprof.studies.load.section import LoadSection, LoadTarget

DAY = {"flat": "spread evenly over all hours", "office": "asked in office hours", "trace": "spread as in the trace"}


SHOWN = 3
"""Kinds of failures that are quoted."""


def worker_words(many: int, kind: str) -> str:
    """2 worker threads, 1 worker process."""
    if kind == "processes":
        return f"{many:,} worker process{'' if many == 1 else 'es'}"
    return counted(many, "worker thread")


def promise_words(section: LoadSection) -> str:
    """p95 within 500 ms, at most 0.1% failed."""
    promise = section.promise
    first = " of the first token" if promise.of_first_token else ""
    return f"{promise.level}{first} within {promise.ms:g} ms and at most {100 * promise.error_rate:.3g}% failed"


def capacity_words(target: LoadTarget) -> str:
    """39.2 a second (95% CI 37-41), or what is known instead."""
    found = target.capacity
    if found.status == "never":
        return "none: one request at a time breaks the promise"
    if found.per_second is None:
        return "not known"
    if found.status == "at most":
        return f"below {figures.three_digits(found.per_second)} a second"
    rate = figures.with_interval(found.per_second, found.interval, figures.three_digits)
    return f"at least {rate} a second" if found.status == "at least" else f"{rate} a second"


def statements_of(section: LoadSection) -> list[str]:
    """The answer first, then what it rests on and what went wrong."""
    return list(_statements(section))


def _statements(section: LoadSection) -> Iterator[str]:
    shown = [each for each in section.targets if each.only is None]
    yield from (_answer(section, target, is_first=target is shown[0]) for target in shown)
    yield from (verdict.sentence for verdict in section.verdicts)
    yield from batching_words(section.targets)
    yield from api_words(section)
    yield from provider_words(section.providers)
    yield from prefix_words(section.prefixes)
    for target in shown:
        if target.name == target.pipeline:  # what it could be cut down to is in the tables
            yield from _at_a_time(target)
            yield from _saturated(target)
            yield from _beyond(target)
    yield from _faults(section)
    yield from _models(section)


def _answer(section: LoadSection, target: LoadTarget, *, is_first: bool) -> str:
    """The promise and the traffic, which are the same for all, are said of the first."""
    money = target.money
    where = (
        "the service" if target.kind == "http" else f"one machine ({worker_words(target.workers or 1, target.kind)})"
    )
    promise, kept = promise_words(section), f" with {promise_words(section)}" if is_first else ""
    if target.capacity.status == "never":
        return f"{target.name} keeps the promise ({promise}) for nobody: {target.ended}."
    if target.capacity.per_second is None:
        return f"{target.name}: at which rate it keeps the promise ({promise}) is not known{_because(target)}."
    said = f"{target.name}: {where} answers {capacity_words(target)}{kept}"
    if money.usd_per_1000 is None:
        return f"{said}; what that costs is {figures.UNPRICED} ({money.reason})."
    machines = counted(money.machines or 0, "machine")
    traffic = (
        f"{section.queries_per_month:,} questions a month, {DAY[section.profile]}, take {machines} of {money.rate}"
    )
    said += f"; {traffic if is_first else machines}: {figures.usd(money.usd_per_1000)} per 1,000 questions"
    if money.usd_per_1000_full is not None:
        said += f" ({figures.usd(money.usd_per_1000_full)} if a machine were always full)"
    if money.margin_per_question is not None:
        whole = f"of {figures.usd(section.usd_per_question)} a question " if is_first else ""
        said += (
            f"; {whole}{figures.usd(money.margin_per_question)} {'are left' if is_first else 'of a question are left'}"
        )
        volume = money.break_even_per_month
        said += "" if volume is None else f", from {volume:,} questions a month on it earns"
    return f"{said}."


def _at_a_time(target: LoadTarget) -> Iterator[str]:
    """What closed loops of rising width answered, each request waiting for the one before it."""
    closed = sorted((each for each in target.steps if each.purpose == "closed"), key=lambda each: each.concurrency or 0)
    if len(closed) > 1:
        told = figures.listed([f"{each.concurrency} ({figures.three_digits(each.answered)})" for each in closed])
        most = max(closed, key=lambda each: each.answered)
        yield (
            f"{target.name} answered so many a second with so many requests at a time: {told}; most with "
            f"{most.concurrency}, at a p95 of {figures.duration(most.p95.ns)}."
        )


def _because(target: LoadTarget) -> str:
    return f", since {target.ended}" if target.ended else ""


def _saturated(target: LoadTarget) -> Iterator[str]:
    found = target.saturation
    if found is None or found.stage is None or found.stage_share is None:
        return
    share = f"{found.stage} takes {100 * found.stage_share:.0f}% of the time"
    if found.what == "service":
        yield f"{target.name}: of the time that load adds inside the stages that the service tells of, {share}."
    elif found.from_rate is None:
        yield f"{target.name}: neither workers nor cores were full at any rate that was tried; {share}."
    else:
        what = "all workers are"
        if found.what == "cores":
            others = max((each.others_share or 0 for each in target.steps), default=0)
            what = "the machine's cores are" + (", for other processes too," if others > OTHERS else "")
        yield f"{target.name}: {what} busy from {figures.three_digits(found.from_rate)} a second on, and {share}."


def _beyond(target: LoadTarget) -> Iterator[str]:
    beyond, recovery = target.beyond, target.recovery
    if beyond is not None:
        behaviour = {
            "plateau": "it goes on answering as many", "sags": "it answers fewer", "collapse": "answers collapse",
        }[beyond.behaviour]  # fmt: skip
        yield (
            f"{target.name} at {figures.three_digits(beyond.rate)} a second, beyond its capacity: {behaviour} "
            f"({figures.three_digits(beyond.answered)} a second), {figures.three_digits(beyond.goodput)} of them "
            "within the promise."
        )
    if recovery is not None:
        after = (
            "the promise was not kept again while it was watched"
            if recovery.after_seconds is None
            else f"the promise was kept again after {figures.duration(recovery.after_seconds * 1e9)}"
            if recovery.after_seconds > 0
            else "the promise was kept at once"
        )
        burst = figures.duration(recovery.burst_seconds * 1e9)
        yield f"{target.name} after a burst of {burst} at twice its capacity: {after}."


OTHERS = 0.2
"""Share of the cores that other processes took, from which times are not to be trusted."""


def _faults(section: LoadSection) -> Iterator[str]:
    taken = [each.others_share for target in section.targets for each in target.steps if each.others_share is not None]
    if taken and max(taken) > OTHERS:
        steps = sum(each > OTHERS for each in taken)
        yield (
            f"Other processes took up to {100 * max(taken):.0f}% of the machine's cores in {counted(steps, 'step')} of "
            f"{len(taken):,}: capacities are those of a machine that is shared; measure again on one that is not."
        )
    if section.interrupted:
        yield "The run was interrupted: these are the steps that were finished; the same command goes on from there."
    yield from _late(section)
    for target in section.targets:
        refused = sum(each.outcomes.get("busy", 0) for each in target.steps)
        if refused:
            waits = sum(each.retry_after for each in target.steps)
            yield (
                f"{target.name} refused {counted(refused, 'request')} as too many (429 or 503), {waits:,} of them with "
                "a time to wait; they count as failed and were not sent again."
            )
        tokens = {
            unit: sum(each.used.get(unit, 0) for each in target.steps) for unit in ("input_tokens", "output_tokens")
        }
        if any(tokens.values()):
            answers = sum(each.outcomes.get("ok", 0) for each in target.steps)
            yield (
                f"{target.name} counted {tokens['input_tokens']:,} tokens read and {tokens['output_tokens']:,} written "
                f"for {counted(answers, 'answer')} of these steps, warm-up included in the tokens."
            )
        told = []
        for word, name in (("ran into the time limit", "timeout"), ("found no connection", "unreached"),
                           ("failed", "error")):  # fmt: skip
            many = sum(each.outcomes.get(name, 0) for each in target.steps)
            told += [f"{counted(many, 'request')} {word}"] if many else []
        if told:
            yield f"{target.name}: {figures.listed(told)}{_complaints(target)}."
        if target.ended and target.capacity.status != "never":
            yield f"{target.name} was not measured to its end: {target.ended}."


def _complaints(target: LoadTarget) -> str:
    """What failures said most often."""
    said: Counter[str] = sum((Counter(each.said) for each in target.steps), Counter())
    kinds = [f"'{words}'" for words, _ in said.most_common(SHOWN)]
    return f"; what they said: {figures.listed(kinds)}" if kinds else ""


def _late(section: LoadSection) -> Iterator[str]:
    """Where the generator was the bottleneck, in one sentence."""
    late = {each.name: sum(step.generator_bound for step in each.steps) for each in section.targets}
    steps, names = sum(late.values()), [name for name, many in late.items() if many]
    if steps:
        whose = figures.listed(names) if len(names) <= SHOWN else counted(len(names), "target")
        yield (
            f"The generator itself was late in {counted(steps, 'step')} of {whose}, marked in the table of all steps: "
            "their latency says little of what was asked. Give it a machine with nothing else to do, or lower rates."
        )


def _models(section: LoadSection) -> Iterator[str]:
    """What a model foretold of the step that it was not given; those that missed it in one sentence."""
    missed: dict[str, list[str]] = {}
    for target in section.targets:
        for fit in target.fits:
            if not fit.holds:
                what = "A queue with its service times" if fit.model == "queue" else "The scalability law"
                missed.setdefault(what, []).append(target.name)
            elif fit.model == "queue":
                yield (
                    f"{target.name} waits as a queue before {counted(fit.servers or 1, 'server')} with its service "
                    f"times: at {figures.three_digits(fit.held_out)} a second, which the model was not given, "
                    f"{section.promise.level} is {figures.duration(fit.predicted)} by the model and "
                    f"{figures.duration(fit.measured)} as measured."
                )
            else:
                peak = "" if fit.peak is None else f", most answers at about {fit.peak:.0f} under way"
                yield (
                    f"{target.name} scales with a contention of {100 * (fit.contention or 0):.1f}%{peak}: "
                    f"{figures.three_digits(fit.predicted or 0)} answers a second at {fit.held_out:.0f} under way by "
                    f"the law, {figures.three_digits(fit.measured)} as measured."
                )
    for what, names in missed.items():
        yield f"{what} does not explain {figures.listed(names)}: nothing is concluded from it."
