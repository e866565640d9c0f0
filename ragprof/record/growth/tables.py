"""Cells as files: growth/cells/<pipeline>/<curve>.parquet and growth/prompts/<pipeline>/<curve>.parquet, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ragprof import files
from ragprof.record.growth.cells import Cells
from ragprof.record.growth.injection import InjectedCells

CELL_COLUMNS = ("order", "size", "query", "rank", "place", "score", "rerank_score", "injected")
PROMPT_COLUMNS = ("order", "size", "query", "prompt_tokens", "query_tokens", "context_tokens")


def cells_path(folder: Path, pipeline: str, curve: str) -> Path:
    return folder / "cells" / pipeline / f"{curve}.parquet"


def prompts_path(folder: Path, pipeline: str, curve: str) -> Path:
    return folder / "prompts" / pipeline / f"{curve}.parquet"


def is_recorded(folder: Path, pipeline: str, curve: str) -> bool:
    return cells_path(folder, pipeline, curve).exists() and prompts_path(folder, pipeline, curve).exists()


def write_cells(folder: Path, pipeline: str, curve: str, *, cells: Cells, inside: InjectedCells) -> None:
    """Prompts first: a curve counts as recorded when both of its files are there."""
    for path in (cells_path(folder, pipeline, curve), prompts_path(folder, pipeline, curve)):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.write_table(prompts_path(folder, pipeline, curve), prompt_table(cells.sizes, inside))
    files.write_table(cells_path(folder, pipeline, curve), cell_table(cells, inside))


def write_candidates(folder: Path, pipeline: str, curve: str, *, cells: Cells) -> None:
    """Cells of which nothing is injected: those of another depth than the pipeline's own."""
    path = cells_path(folder, pipeline, curve)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_table(path, cell_table(cells))


def cell_table(cells: Cells, inside: InjectedCells | None = None) -> pd.DataFrame:
    """One row a candidate; `place` is a position in docs.parquet, `injected` its position in the prompt or 0."""
    order, size, query, rank = np.nonzero(cells.places >= 0)
    at = (order, size, query, rank)
    nothing = np.full(cells.places.shape, np.nan)
    return pd.DataFrame(
        {
            "order": order.astype(np.int16),
            "size": np.array(cells.sizes, np.int64)[size],
            "query": query.astype(np.int32),
            "rank": (rank + 1).astype(np.int16),
            "place": cells.places[at],
            "score": cells.scores[at],
            "rerank_score": (nothing if cells.rerank_scores is None else cells.rerank_scores)[at],
            "injected": (np.zeros(len(order), np.int16) if inside is None else _positions(cells, inside)[at]),
        }
    )


def _positions(cells: Cells, inside: InjectedCells) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """The injected positions at the cells' full depth; candidates below the pipeline's own depth are in no prompt."""
    positions = np.zeros(cells.places.shape, np.int16)
    positions[..., : inside.positions.shape[-1]] = inside.positions
    return positions


def prompt_table(sizes: tuple[int, ...], inside: InjectedCells) -> pd.DataFrame:
    orders, _, queries, _ = inside.prompts.shape
    order, size, query = np.indices((orders, len(sizes), queries)).reshape(3, -1)
    counted = inside.prompts.reshape(-1, 3)
    columns = (order.astype(np.int16), np.array(sizes, np.int64)[size], query.astype(np.int32), *counted.T)
    return pd.DataFrame(dict(zip(PROMPT_COLUMNS, columns, strict=True)))
