"""Every figure of a recording, query by query, in one long table for other tools. Ids and figures, no text.

Quality is a metric at a stage that ranks, latency the median of a query's live rounds in ns (stage `query` is end to
end), usage what a stage counted, cost USD of one such query by item of the bill (stage `query`, name `total`: all of
them). What was not measured has no row; what is UNPRICED has one without a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ragprof.core import files
from ragprof.core.errors import BadInput
from ragprof.core.quantities import KINDS
from ragprof.core.recorded import of_recording
from ragprof.evals.recorded import COSTS, JUDGEMENT, SPANS, USAGE, read_manifest, read_scores
from ragprof.studies.gate.evidence import JUDGED, refuse_broken

COLUMNS = ("pipeline", "query_id", "kind", "stage", "name", "unit", "value")
TEXT_COLUMNS = COLUMNS[:-1]
WHOLE, TOTAL = "query", "total"
FORMULA_STARTS = tuple("=+-@\t\r\n'\uff1d\uff0b\uff0d\uff20")
"""What a spreadsheet may take for the start of a formula, full-width forms too; and the apostrophe put before it."""


@of_recording
def per_query_table(folder: Path, pipelines: Sequence[str]) -> pd.DataFrame:
    """The table, pipelines in the order given, kinds in that of KINDS. `value` is null where it is unpriced.

    Raises BadInput for an incomplete recording, NonFiniteScore for a metric that is not a number.
    """
    recorded = read_manifest(folder).get("recording")
    if JUDGEMENT.read(folder / "judgement.json").get("recording") != recorded:
        raise BadInput("it judges another recording; run 'ragprof run' to the end", file=folder / "judgement.json")
    scores = read_scores(folder).rename(columns={"metric": "name"})
    refuse_broken(folder, scores[~np.isfinite(scores["value"]) & ~scores["name"].str.startswith(JUDGED)])
    # Latency is the median over the live rounds of the queries that were timed.
    spans = SPANS.read(folder / "spans.parquet")
    timed = spans[spans["phase"] == "timed"].groupby(["pipeline", "stage", "query_id"], sort=False)["duration_ns"]
    medians = timed.median().rename("value").reset_index()
    usage = USAGE.read(folder / "usage.parquet").rename(columns={"count": "value"})
    # The items of each query's bill, and their totals for the queries that have all the items of their pipeline.
    costs = COSTS.read(folder / "costs.parquet").rename(columns={"item": "name"})
    items = costs.assign(kind="cost", unit="USD", value=costs["usd"].astype(float))
    number = items.drop_duplicates(["pipeline", "stage", "name"]).groupby("pipeline").size()
    bills = items.groupby(["pipeline", "query_id"], sort=False)["value"].agg(["sum", "size", "count"]).reset_index()
    complete = bills[bills["size"] == bills["pipeline"].map(number).astype(int)]
    totals = complete.assign(value=complete["sum"].where(complete["count"] == complete["size"]))
    tables = [
        scores.assign(kind="quality", unit=""),
        medians.assign(kind="latency", name="median", unit="ns"),
        usage.assign(kind="usage", name=usage["unit"]),
        items,
        totals.assign(kind="cost", stage=WHOLE, name=TOTAL, unit="USD"),
    ]
    whole = pd.concat([table[list(COLUMNS)] for table in tables if len(table)], ignore_index=True)
    places = whole.assign(
        pipeline=pd.Categorical(whole["pipeline"], list(pipelines)), kind=pd.Categorical(whole["kind"], list(KINDS))
    ).dropna(subset=["pipeline"])
    order = places.sort_values(["pipeline", "kind"], kind="stable").index
    return whole.loc[order].reset_index(drop=True).astype({**dict.fromkeys(TEXT_COLUMNS, "string"), "value": float})


def write_per_query(table: pd.DataFrame, into: Path) -> list[Path]:
    """per_query.parquet as it is, and per_query.csv, whose texts cannot be taken for formulas."""
    parquet, csv = into / "per_query.parquet", into / "per_query.csv"
    files.write_table(parquet, table)
    files.write_text(csv, csv_text(table))
    return [parquet, csv]


def csv_text(table: pd.DataFrame) -> str:
    """UTF-8 CSV with a header; numbers in full precision, null as an empty cell.

    A text that begins with one of FORMULA_STARTS gets an apostrophe in front; taking it away gives the text back.
    """
    guarded = {name: table[name].map(guarded_cell) for name in TEXT_COLUMNS}
    return str(table.assign(**guarded).to_csv(index=False, lineterminator="\n"))


def guarded_cell(text: str) -> str:
    """The text as a cell that a spreadsheet shows and never computes."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
