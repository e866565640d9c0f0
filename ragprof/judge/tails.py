"""Scores told apart by the judgements: growth/distributions/<pipeline>.parquet, for fitting score distributions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ragprof import files
from ragprof.judge.growth_cells import Collection

DISTRIBUTION_COLUMNS = ("order", "size", "query", "grade", "score")


def judge_tails(folder: Path, name: str, collection: Collection, qrels: Mapping[str, Mapping[str, int]]) -> None:
    """Write one pipeline's file, where its tails were recorded.

    `grade` above 0: a relevant document with the score of its best passage, null where the corpus lacks it (`order`
    and `size` are 0). Grade 0: another document with the score of its best passage, among the best passages of all in
    that order and size, best first.
    """
    path = folder / "tails" / f"{name}.parquet"
    if not path.exists():
        return
    tails = files.read_table(path)
    graded = _graded(collection, qrels)
    tails = tails.assign(code=collection.codes[tails["place"].to_numpy()]).merge(graded, "left", ["query", "code"])
    own = tails[tails["size"] == 0].groupby(["query", "code"], as_index=False)["score"].max()
    relevant = graded.merge(own, "left", ["query", "code"]).assign(order=0, size=0)
    passages = tails[(tails["size"] > 0) & tails["grade"].isna()]
    others = passages.drop_duplicates(["order", "size", "query", "code"]).assign(grade=0)
    (folder / "distributions").mkdir(exist_ok=True)
    table = pd.concat([relevant, others], ignore_index=True)[list(DISTRIBUTION_COLUMNS)]
    files.write_table(folder / "distributions" / f"{name}.parquet", table)


def _graded(collection: Collection, qrels: Mapping[str, Mapping[str, int]]) -> pd.DataFrame:
    """query number, document number (below -1 for one that is nowhere, a different one each), grade above 0."""
    rows = [
        (number, collection.numbers.get(document, -2 - place), grade)
        for number, query_id in enumerate(collection.query_ids)
        for place, (document, grade) in enumerate(qrels.get(query_id, {}).items())
        if grade > 0
    ]
    return pd.DataFrame(rows, columns=["query", "code", "grade"]).astype(
        {"query": np.int64, "code": np.int64, "grade": np.int64}
    )
