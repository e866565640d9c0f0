"""Every word of a folder's files, whatever they are: what a recording keeps of somebody's texts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def words_kept(folder: Path) -> str:
    """The content of every file below the folder; of Parquet the rows, which compression would hide."""
    return "\n".join(_content(path) for path in sorted(folder.rglob("*")) if path.is_file())


def _content(path: Path) -> str:
    if path.suffix == ".parquet":
        return pd.read_parquet(path).to_csv()
    return path.read_text(encoding="utf-8", errors="replace")
