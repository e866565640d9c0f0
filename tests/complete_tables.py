"""Tables made by hand with the columns that a test is about; the others that are needed hold nothing of interest."""

from __future__ import annotations

import pandas as pd

from ragprof.core.recorded import RecordedTable


def complete(table: pd.DataFrame, recorded: RecordedTable) -> pd.DataFrame:
    """The table with every column that is needed of it."""
    nothing = {"text": "", "whole": 0, "number": 0.0, "flag": False}
    missing = {
        name: value for kind, value in nothing.items() for name in getattr(recorded, kind).split() if name not in table
    }
    filled = table.assign(**missing)
    return filled.astype({name: "Int64" for name in recorded.whole.split() if filled[name].dtype == float})
