"""A folder of pages (.md .txt .rst .html .htm) as documents. Skips hidden files, follows no linked folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ragprof.core import Doc
from ragprof.corpus.jsonl import encodable
from ragprof.corpus.lines import whole_text
from ragprof.corpus.markup import PAGES
from ragprof.errors import BadInput


def read_folder(folder: Path) -> tuple[list[Doc], list[str]]:
    """Documents sorted by id (the path below the folder, with slashes), and the ids of pages without any text.

    Pages without text are left out. Raises BadInput where no page is left.
    """
    docs = [_doc(path, folder) for path in pages(folder)]
    filled = [doc for doc in docs if doc.text.strip()]
    if not filled:
        found = "only empty pages" if docs else "no page"
        raise BadInput(f"{found} below this folder; a corpus needs text in {', '.join(PAGES)} files", file=folder)
    return filled, [doc.doc_id for doc in docs if not doc.text.strip()]


def pages(folder: Path) -> list[Path]:
    """All files below the folder that can be read as pages, sorted by their path."""
    return sorted(_walk(folder), key=lambda path: path.relative_to(folder).as_posix())


def _walk(folder: Path) -> Iterator[Path]:
    for parent, children, names in os.walk(folder):
        children[:] = [name for name in children if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in PAGES:
                yield Path(parent, name)


def _doc(path: Path, folder: Path) -> Doc:
    doc_id = encodable(path.relative_to(folder).as_posix(), "file name", file=folder)
    page = PAGES[path.suffix.lower()](whole_text(path))
    return Doc(doc_id, page.title or path.stem, page.text, document_id=doc_id)
