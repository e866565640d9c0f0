"""Each size as a recording of its own, growth/sizes/<size>/: the tables that the price pass reads, from the live order.

Rankings and prompt tokens are those of the first order's sub-corpus, the one whose index was built and timed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ragprof import files
from ragprof.record.growth.live import live_table
from ragprof.record.growth.plan import Growing
from ragprof.record.growth.tables import cells_path, prompts_path
from ragprof.record.pipeline import Parts
from ragprof.record.rankings import RANKING_COLUMNS
from ragprof.record.redaction import redacted
from ragprof.tokens import counter

LIVE_ORDER, LIVE_CURVE = 0, "all_judged"
USAGE_COLUMNS = ("pipeline", "query_id", "stage", "unit", "count")


def size_folder(folder: Path, size: int) -> Path:
    return folder / "sizes" / str(size)


def write_sizes(growing: Growing, folder: Path) -> None:
    """One folder a size."""
    names = [parts.name for parts in growing.subject.pipelines]
    live = {name: live_table(folder, growing, name) for name in ("spans", "usage", "builds")}
    cells = {parts.name: _candidates(folder, parts) for parts in growing.subject.pipelines}
    prompts = {name: _live(files.read_table(prompts_path(folder, name, LIVE_CURVE))) for name in names}
    tokens = _tokens(growing, cells)
    config = redacted(growing.subject.config.model_dump(mode="json"))
    for size in growing.ground.sizes:
        place = size_folder(folder, size)
        (place / "rankings").mkdir(parents=True, exist_ok=True)
        for name in names:
            files.write_table(place / "rankings" / f"{name}.parquet", _searched(growing, _of(cells[name], size)))
        usage = pd.concat([_inject_usage(growing, prompts, size), _stage_usage(_of(live["usage"], size))])
        files.write_table(place / "usage.parquet", usage)
        files.write_table(place / "spans.parquet", _of(live["spans"], size).drop(columns="size"))
        files.write_table(place / "builds.parquet", _of(live["builds"], size).drop(columns="size"))
        files.write_table(place / "tokens.parquet", tokens)
        files.write_json(place / "manifest.json", _manifest(config, size))


def _manifest(config: Mapping[str, Any], size: int) -> dict[str, Any]:
    return {"config": config, "size": size, "curve": LIVE_CURVE, "order": LIVE_ORDER}


def _candidates(folder: Path, parts: Parts) -> pd.DataFrame:
    """The live order's rankings as deep as the pipeline itself asks."""
    cells = _live(files.read_table(cells_path(folder, parts.name, LIVE_CURVE)))
    return cells[cells["rank"] <= parts.depth]


def _live(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["order"] == LIVE_ORDER]


def _of(table: pd.DataFrame, size: int) -> pd.DataFrame:
    return table[table["size"] == size]


def _searched(growing: Growing, cells: pd.DataFrame) -> pd.DataFrame:
    """What the search gave, in the columns of rankings/<pipeline>.parquet."""
    docs, ids = growing.pool.docs, growing.query_ids
    table = pd.DataFrame(
        {
            "query_id": [ids[number] for number in cells["query"]],
            "stage": "search",
            "rank": cells["rank"].to_numpy(),
            "doc_id": [docs[place].doc_id for place in cells["place"]],
            "document_id": [docs[place].document_id for place in cells["place"]],
            "score": cells["score"].to_numpy(),
        }
    )
    return table[list(RANKING_COLUMNS)]


def _inject_usage(growing: Growing, prompts: Mapping[str, pd.DataFrame], size: int) -> pd.DataFrame:
    """Prompt, question and context tokens of every query."""
    ids = growing.query_ids
    tables = [
        _of(table, size)
        .melt(["query"], ["prompt_tokens", "query_tokens", "context_tokens"], "unit", "count")
        .assign(pipeline=name, stage="inject", query_id=lambda rows: [ids[number] for number in rows["query"]])
        for name, table in prompts.items()
    ]
    return pd.concat(tables)[list(USAGE_COLUMNS)]


def _stage_usage(live: pd.DataFrame) -> pd.DataFrame:
    """What the stages reported in live calls; a query reports the same in every round."""
    return live[live["stage"] != "inject"].drop_duplicates(list(USAGE_COLUMNS[:4]))[list(USAGE_COLUMNS)]


def _tokens(growing: Growing, cells: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tokens of every query and of every passage that some pipeline found in the live order."""
    count, docs = counter(growing.subject.config.tokenizer), growing.pool.docs
    found = sorted({int(place) for table in cells.values() for place in table["place"].unique()})
    rows = [("query", query.query_id, count(query.text)) for query in growing.subject.queries]
    rows += [("doc", docs[place].doc_id, count(docs[place].content)) for place in found]
    return pd.DataFrame(rows, columns=["kind", "id", "tokens"])
