"""Numbers as people read them: durations, money, shares, scores and their intervals. Formats, never computes.

An absent value is `n/a` and a missing price is `UNPRICED`; neither is ever printed as 0. Figures that were measured
carry three significant digits, because their intervals rarely allow more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from math import inf
from typing import Any, TypeAlias

from ragprof.core import counting

counted = counting.counted
ABSENT = "n/a"
UNPRICED = "UNPRICED"
MINUS = "\u2212"
DASH = "\u2013"
JUDGED = "Judged@"

Interval: TypeAlias = Sequence[Any] | None
_DURATIONS = ((1_000, 1, "ns"), (1_000_000, 1_000, "µs"), (1_000_000_000, 1_000_000, "ms"))
_SIZES = ((1_000_000, 1_000, "kB"), (1_000_000_000, 1_000_000, "MB"))
_COUNTS = ((1_000_000_000, 1_000_000, "million"), (1_000_000_000_000, 1_000_000_000, "billion"))
_UNREADABLE_SECONDS = 120


def three_digits(value: float) -> str:
    """Three significant digits, thousands separated, no exponent: 0.00123, 1.23, 12.3, 123, 12,345."""
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 99.95:
        return f"{value:,.0f}"
    if size >= 1:
        return f"{value:.1f}" if size >= 9.995 else f"{value:.2f}"
    return f"{Decimal(f'{value:.2e}'):f}"


def duration(value: float | None) -> str:
    """Nanoseconds in the unit that reads best; from two minutes on in minutes and seconds."""
    if value is None:
        return ABSENT
    for below, factor, unit in _DURATIONS:
        if abs(value) < below:
            return f"{three_digits(value / factor)} {unit}".replace("-", MINUS)
    seconds = value / 1e9
    if seconds < _UNREADABLE_SECONDS:
        return f"{three_digits(seconds)} s"
    return f"{int(seconds // 60):,} min {int(seconds % 60)} s"


def rough_duration(seconds: float) -> str:
    """An estimate in the unit that reads best: `40 s`, `3.5 min`, `2.1 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(value: float | None) -> str:
    """Bytes in decimal units, kB and up."""
    if value is None:
        return ABSENT
    factor, unit = next(((factor, unit) for below, factor, unit in _SIZES if value < below), (1e9, "GB"))
    return f"{three_digits(value / factor)} {unit}"


def count(value: float | None) -> str:
    """Whole numbers, in full."""
    return ABSENT if value is None else f"{value:,.0f}"


def between(counts: Iterable[int], one: str, many: str = "") -> str:
    """The smallest and the largest of some counts: `8 to 12 timings`, or `1 timing` where all are the same."""
    found = sorted(counts)
    if not found:
        return f"{ABSENT} {many or f'{one}s'}"
    least = "" if found[0] == found[-1] else f"{found[0]:,} to "
    return f"{least}{counted(found[-1], one, many)}"


def differing(what: str, base: str, candidate: str) -> str:
    """What has to be equal and is not: both by name, or that they have one name and other contents."""
    if base == candidate:
        return f"{what}: {base} on both sides, with other contents" if base else f"other {what}"
    return f"{what}: {base} and {candidate}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def per_words(per: int | None, unit: str | None) -> str:
    """What a price is for: 1,000 searches, or one hour."""
    one = str(unit or "unit").replace("_", " ").removesuffix("s")
    if per in (None, 1):
        return one
    many = "queries" if one == "query" else f"{one}es" if one.endswith("ch") else f"{one}s"
    return f"{count(per)} {many}"


def corpus_size(passages: int, documents: int | None, whole: int | None = None) -> str:
    """Both counts of a corpus, named: `382 passages of 150 documents`; old recordings know passages alone.

    Of a part `150 passages of 60 documents, a part of 382 passages`.
    """
    counts = [(passages, "passage"), (documents, "document")]
    size = " of ".join(counted(number, what) for number, what in counts if number is not None)
    return size if whole is None else f"{size}, a part of {counted(whole, 'passage')}"


def corpus_words(name: str, passages: int, documents: int | None) -> str:
    """A corpus by name and size: `'handbook' (24 passages)`."""
    return f"'{name}' ({corpus_size(passages, documents)})"


def mean_count(value: float | None) -> str:
    """A mean of counts, one decimal."""
    return ABSENT if value is None else f"{value:,.1f}"


def rough_count(value: float | None) -> str:
    """As `count`, but from a million on in words: 4.12 million."""
    if value is None or value < 1_000_000:
        return count(value)
    for below, factor, unit in _COUNTS:
        if value < below:
            return f"{float(f'{value / factor:.3g}'):g} {unit}"
    return count(value)


def score(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.3f}"


def difference(value: float | None) -> str:
    """With its sign, so that the direction cannot be missed."""
    return ABSENT if value is None else f"{value:+.3f}".replace("-", MINUS)


def share(value: float | None) -> str:
    """A fraction in per cent, one decimal."""
    return ABSENT if value is None else f"{100 * value:.1f}%".replace("-", MINUS)


def p_value(value: float | None) -> str:
    if value is None:
        return ABSENT
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


NOT_SIGNIFICANT = "not significant"


def not_significant(interval: Interval, p: float | None, family: int) -> str:
    """Say that a difference is not significant, and why where its own interval excludes 0.

    `p` is corrected over `family` comparisons; the interval is that of the one difference and is not.
    """
    if interval is None or p is None or interval[0] <= 0 <= interval[1]:
        return NOT_SIGNIFICANT
    equals = "" if p < 0.001 else "= "
    told = f"p {equals}{p_value(p)}"
    if family < 2:
        return f"{NOT_SIGNIFICANT} ({told})"
    return f"{NOT_SIGNIFICANT} after correction for {family:,} comparisons (Holm, {told})"


def disagreement(interval: tuple[float | None, float | None] | None, p: float | None) -> str:
    """Say that an interval of resamples excludes 0 and the sign-flip test does not; empty where they agree.

    With few queries, or many ties, either may be the stricter one. A difference is significant where both say so.
    """
    if interval is None or p is None:
        return ""
    low, high = (
        -inf if end is None and place == 0 else inf if end is None else end for place, end in enumerate(interval)
    )
    if (low <= 0 <= high) == (p >= 0.05):
        return ""
    first, second = ("excludes", "p is not below") if p >= 0.05 else ("holds", "p is below")
    return f"; {NOT_SIGNIFICANT}: the interval {first} 0 and {second} 0.05, and both must tell"


def usd(value: Any) -> str:
    """A decimal string as dollars: cents from one dollar on, three significant digits below."""
    if value is None:
        return ABSENT
    amount = Decimal(str(value))
    sign, amount = (MINUS, -amount) if amount < 0 else ("", amount)
    if amount == 0:
        return "$0"
    if amount >= 1000:
        return f"{sign}${amount:,.0f}"
    return f"{sign}${amount:.2f}" if amount >= 1 else f"{sign}${Decimal(f'{amount:.2e}'):f}"


def plain_usd(value: Any) -> str:
    """A published price to its last digit: 0.02 stays 0.02."""
    return ABSENT if value is None else f"${Decimal(str(value)):,f}"


def span(interval: Interval, write: Callable[[Any], str]) -> str:
    """Both ends of an interval; a unit that they share is written once. `n/a` where either end is missing."""
    if interval is None or any(end is None for end in interval):
        return ABSENT
    low, high = (write(end) for end in interval)
    if MINUS in low + high or "+" in low + high:
        return f"{low} to {high}"
    number, _, unit = low.partition(" ")
    shared = unit and high.endswith(f" {unit}")
    return f"{number if shared else low}{DASH}{high}"


def with_interval(value: Any, interval: Interval, write: Callable[[Any], str]) -> str:
    """A figure in a sentence: `0.340 (95% CI 0.284\u20130.394)`; without an interval the value alone."""
    ends = span(interval, write)
    return write(value) if ends == ABSENT else f"{write(value)} (95% CI {ends})"


def from_least_to_most(estimates: Mapping[str, Any], write: Callable[[Any], str]) -> str:
    """Estimates by name, the outermost two: `0.1 (95% CI 0.0\u20130.2) with a to 0.3 (95% CI 0.2\u20130.4) with b`."""
    order = sorted(
        (name for name, each in estimates.items() if each.mean is not None), key=lambda name: estimates[name].mean
    )
    ends = [
        f"{with_interval(estimates[name].mean, estimates[name].interval, write)} with {name}"
        for name in dict.fromkeys([*order[:1], *order[-1:]])
    ]
    return " to ".join(ends)


def judged_beside(metric: str) -> str:
    """The Judged@k that qualifies a metric: the same cutoff. `Judged` where the metric has none."""
    _, at_sign, cutoff = metric.partition("@")
    return f"{JUDGED}{cutoff}" if at_sign else JUDGED.rstrip("@")


def day(value: str | None) -> str:
    """The date of an ISO time stamp: 22 November 2026. What is no time stamp is given back as it is."""
    if value is None:
        return ABSENT
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    return f"{moment.day} {moment:%B %Y}"


def text(value: Any) -> str:
    """Anything that needs no unit."""
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def signed(value: Any, write: Callable[[Any], str]) -> str:
    """With its sign, whatever the unit. Values may be decimal strings."""
    if value is None:
        return ABSENT
    number = Decimal(str(value))
    size = write(str(abs(number)) if isinstance(value, str) else abs(value))
    return size if number == 0 else f"{MINUS if number < 0 else '+'}{size}"
