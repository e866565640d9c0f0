"""The page of `ragprof view` and what it asks: rows, comparisons, reports, rankings of one question, what runs now.

It writes nothing. A report is another file's content and perhaps another person's: the browser keeps it in a box of its
own (CSP sandbox), from which it can ask nothing of this server and change nothing.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict
from importlib.resources import files as resources
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from ragprof.core import running
from ragprof.core.errors import BadInput, RagprofError
from ragprof.report.door import LocalPage, LocalServer, open_door
from ragprof.web.questions import question_of, questions_of
from ragprof.web.shelf import Shelf

BOXED = (
    "sandbox allow-scripts allow-popups; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class ViewPage(LocalPage):
    """What the browser is told."""

    server: ViewServer

    def got(self, place: str) -> None:
        path, _, query = place.partition("?")
        what, *rest = path.split("/")
        try:
            if what == "" and not rest:
                self.scripted(resources("ragprof.web").joinpath("view.html").read_text(encoding="utf-8"))
            elif what == "recordings" and not rest:
                shelf = self.server.shelf
                self.answer(
                    200,
                    {
                        "root": str(shelf.root),
                        "rows": shelf.rows(),
                        "running": [asdict(each) for each in running.running()],
                    },
                )
            elif what == "report" and len(rest) == 1:
                report = self._folder(rest[0]) / "report.html"
                if not report.is_file():
                    raise BadInput("it has no report; write it with 'ragprof report'", file=report)
                self.send(200, report.read_bytes(), "text/html; charset=utf-8", BOXED)
            elif what == "compare" and len(rest) == 2:
                self.send(200, self._compared(*rest).encode(), "text/html; charset=utf-8", BOXED)
            elif what == "questions" and len(rest) == 1:
                self.answer(200, questions_of(self._folder(rest[0])))
            elif what == "question" and len(rest) == 1:
                self.answer(200, question_of(self._folder(rest[0]), "".join(parse_qs(query).get("id", []))))
            else:
                self.nothing_here()
        except RagprofError as problem:
            self._say(what, str(problem))
        except OSError as failure:
            self._say(what, f"cannot read it: {failure.strerror or failure}")

    def posted(self, place: str, content: Any) -> tuple[int, dict[str, Any]]:
        pid = content.get("pid") if isinstance(content, dict) else None
        if place != "stop" or not isinstance(pid, int) or isinstance(pid, bool):
            return 404, {"error": "nothing here"}
        if not running.stop(pid):
            return 400, {"error": "it does not run any more"}
        return 200, {"said": "it was asked to end; what it has measured is kept"}

    def _say(self, what: str, problem: str) -> None:
        if what in ("report", "compare"):
            self.send(400, problem.encode(), "text/plain; charset=utf-8")
        else:
            self.answer(400, {"error": problem})

    def _folder(self, key: str) -> Path:
        folder = self.server.shelf.folder(key)
        if folder is None:
            raise BadInput("this recording is gone; load the page again")
        return folder

    def _compared(self, base: str, candidate: str) -> str:
        from ragprof.studies.gate.pages import comparison_page
        from ragprof.studies.gate.sides import compare

        return comparison_page(compare(self._folder(base), self._folder(candidate)))


class ViewServer(LocalServer):
    """Serves one shelf."""

    def __init__(self, shelf: Shelf, port: int = 0) -> None:
        super().__init__(ViewPage, port)
        self.shelf = shelf


def served(root: Path, port: int = 0) -> AbstractContextManager[ViewServer]:
    """A server that runs until the end of the `with`. Raises BadInput for a port or a folder that it cannot have."""
    return open_door(ViewServer(Shelf(root), port))
