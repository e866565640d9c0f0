"""Jupyter notebooks: Markdown cells and code cells in their order; what the cells put out is counted and left out."""

from __future__ import annotations

import json

from ragprof.core.documents import ReadDocument, ReadFile, SkippedPart
from ragprof.core.errors import BadInput
from ragprof.core.stages import Reader
from ragprof.corpus.markup import markdown
from ragprof.corpus.texts import decoded


class NotebookReader:
    """Makes one Markdown page of a notebook, its code fenced in."""

    identity = "ipynb 1"
    isolated = False

    def load(self) -> None:
        """Nothing to load."""

    def read(self, content: bytes) -> ReadFile:
        try:
            notebook = json.loads(decoded(content))
            language = notebook.get("metadata", {}).get("kernelspec", {}).get("language", "")
            found, outputs = list[str](), 0
            for cell in notebook["cells"]:
                source = "".join(cell.get("source", ())).strip()
                outputs += len(cell.get("outputs", ()))
                if source and cell["cell_type"] == "code":
                    found.append(f"```{language}\n{source}\n```")
                elif source:
                    found.append(source)
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as failure:
            told = (
                f"not valid JSON: {failure}" if isinstance(failure, json.JSONDecodeError) else "no notebook with cells"
            )
            raise BadInput(told) from None
        page = markdown("\n\n".join(found))
        skipped = (SkippedPart("cell output", "only Markdown and code are read", outputs),) if outputs else ()
        return ReadFile((ReadDocument(page.title, page.segments, is_markdown=True),), skipped=skipped)


plugin: type[Reader] = NotebookReader
