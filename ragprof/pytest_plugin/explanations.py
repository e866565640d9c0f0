"""The whole explanation of a bound that does not hold: the figure, what would help, and the queries behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragprof.pytest_plugin.words import documents, facts, number, ranked, span
from ragprof.statistics import more_queries_needed

if TYPE_CHECKING:
    from ragprof.pytest_plugin.figures import Figure

SHOWN_QUERIES = 5


def bound_text(figure: Figure, bound: float, sense: str) -> str:
    """Figure, interval, bound, n, how many more queries would tell, and the five queries that pull it down (or up)."""
    kind, end = figure.quantity.kind, "lower" if sense == "at least" else "upper"
    lines = facts(
        [
            ("figure", number(figure.value, kind)),
            ("interval", f"{span(figure.interval, kind)} (95 %)"),
            ("bound", f"{sense} {number(bound, kind)}, for the {end} end of the interval"),
            ("queries", f"{figure.n}"),
            ("more", more_text(figure, bound, sense)),
        ]
    )
    return "\n".join([*lines, "", *extremes(figure, sense)])


def more_text(figure: Figure, bound: float, sense: str) -> str:
    """Whether more queries of the kind could bring the interval to the other side of the bound, and how many."""
    beyond = figure.value < bound if sense == "at least" else figure.value > bound
    if beyond:
        return "the figure itself is beyond the bound: more queries of this kind would not mend it"
    if figure.quantity.kind == "latency":
        return "the figure itself is within the bound: more queries or rounds narrow the interval"
    needed = more_queries_needed(figure.by_query.to_numpy(dtype=float) - bound)
    if needed is None or figure.value == bound:
        return "the figure is just at the bound: no number of queries would tell"
    return f"about {max(needed, 1):,} more queries of this kind would tell, if the figure stays"


def extremes(figure: Figure, sense: str) -> list[str]:
    """The five lowest (or highest) queries with the documents that they got."""
    rising = sense == "at least"
    chosen = figure.by_query.sort_values(ascending=rising, kind="stable").head(SHOWN_QUERIES)
    which = f"{len(chosen)} {'lowest' if rising else 'highest'} of {len(figure.by_query)} queries"
    lines = [f"the {which}, and their rankings:"]
    for query_id, value in chosen.items():
        lines.append(f"  {query_id}  {number(float(value), figure.quantity.kind)}")
        lines += documents("got", ranked(figure.rankings, figure.pipeline, str(query_id)))
    return lines
