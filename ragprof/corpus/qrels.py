"""Relevance judgements: BEIR's three columns or TREC's four, told apart by the first line. Knows no corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ragprof.corpus.lines import filled_lines
from ragprof.errors import BadInput


@dataclass(frozen=True)
class Layout:
    """Columns of a qrels file; `separator` None is any run of blanks."""

    columns: tuple[str, ...]
    separator: str | None
    shown: str

    def split(self, row: str) -> list[str]:
        return row.split(self.separator)

    def fits(self, row: str) -> bool:
        return len(self.split(row)) == len(self.columns)


BEIR = Layout(("query", "document", "relevance"), "\t", "BEIR's query-id<TAB>corpus-id<TAB>score")
TREC = Layout(("query", "iteration", "document", "relevance"), None, "TREC's 'query_id 0 doc_id relevance'")


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """query_id -> document_id -> relevance, in the order of the file. Negative relevance is kept: not relevant.

    The same judgement twice is one. Raises BadInput with the line of whatever cannot be read or contradicts itself.
    """
    qrels: dict[str, dict[str, int]] = {}
    first_lines: dict[tuple[str, str], int] = {}
    for line, query_id, document_id, relevance in _rows(path):
        first = first_lines.setdefault((query_id, document_id), line)
        judged = qrels.setdefault(query_id, {})
        if judged.setdefault(document_id, relevance) != relevance:
            pair = f"query '{query_id}', document '{document_id}' has relevance {relevance}"
            message = f"{pair} here and {judged[document_id]} in line {first}; keep one of the two"
            raise BadInput(message, file=path, line=line)
    if not qrels:
        raise BadInput(f"there is no judgement in it; each line should be {BEIR.shown} or {TREC.shown}", file=path)
    return qrels


def _rows(path: Path) -> Iterator[tuple[int, str, str, int]]:
    layout = None
    for line, row in filled_lines(path):
        if layout is None:
            layout = _detected(row, file=path, line=line)
            if _is_header(layout, row):
                continue
        yield line, *_judgement(layout, row, file=path, line=line)


def _detected(row: str, *, file: Path, line: int) -> Layout:
    layout = next((layout for layout in (BEIR, TREC) if layout.fits(row)), None)
    if layout is None:
        found = f"{_columns(row.split())} in this line"
        raise BadInput(f"{found}; judgements are {BEIR.shown} or {TREC.shown}", file=file, line=line)
    return layout


def _is_header(layout: Layout, row: str) -> bool:
    """BEIR's `query-id  corpus-id  score`, whatever its columns are called; TREC files have no header."""
    name = row.split("\t", maxsplit=1)[0].strip().lower()
    return layout is BEIR and name.replace("-", "").replace("_", "") in ("queryid", "query", "qid")


def _judgement(layout: Layout, row: str, *, file: Path, line: int) -> tuple[str, str, int]:
    cells = layout.split(row)
    if len(cells) != len(layout.columns):
        found = f"{_columns(cells)} in this line"
        raise BadInput(f"{found}; it should have {len(layout.columns)}: {layout.shown}", file=file, line=line)
    if not all(cell.strip() for cell in cells):
        raise BadInput(f"one of its columns is blank; write {layout.shown}", file=file, line=line)
    named = dict(zip(layout.columns, cells, strict=True))
    try:
        return named["query"], named["document"], int(named["relevance"])
    except ValueError:
        message = f"relevance '{named['relevance']}' is not an integer; write 0, 1, 2, ..."
        raise BadInput(message, file=file, line=line) from None


def _columns(cells: list[str]) -> str:
    return f"{len(cells)} column{'' if len(cells) == 1 else 's'}"
