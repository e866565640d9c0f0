"""The page on which people judge, on this machine alone; saved at each key.

It shows question and passage as text, and does not know which pipeline found what. Who may ask: `report/door.py`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.resources import files as resources
from typing import Any, Protocol

from ragprof.core.errors import BadInput, RagprofError
from ragprof.labels.judging import PairTexts
from ragprof.labels.records import HIGHEST
from ragprof.report.door import LocalPage, LocalServer, open_door

LONGEST_NAME = 40


@dataclass(frozen=True)
class Desk:
    """What a person sees next; `pair` None: nothing is waiting. `said` is what the last key did."""

    pair: PairTexts | None
    done: int
    left: int
    said: str = ""


class Judging(Protocol):
    """Hands out passages and takes judgements; what it returns is on disk."""

    def next(self, person: str) -> Desk: ...

    def grade(self, person: str, query_id: str, doc_id: str, grade: int | None) -> Desk:
        """Save a grade, or None for a skip. Raises BadInput for a pair that is not in the pool."""

    def undo(self, person: str) -> Desk:
        """Take back the last judgement of this person; it is shown again."""


def person_named(given: str) -> str:
    """The name of a person who judges. Raises BadInput for one that a model or an import could have."""
    name = " ".join(given.split())[:LONGEST_NAME]
    if not name or not name.isprintable() or ":" in name:
        raise BadInput("give a name without a colon")
    return name


class _Page(LocalPage):
    server: PageServer

    def got(self, place: str) -> None:
        if place.partition("?")[0]:
            self.nothing_here()
        else:
            self.scripted(resources("ragprof.labels").joinpath("page.html").read_text(encoding="utf-8"))

    def posted(self, place: str, content: Any) -> tuple[int, dict[str, Any]]:
        if place not in ("next", "grade", "undo"):
            return 404, {"error": "nothing here"}
        try:
            person, grade = person_named(str(content["person"])), content.get("grade")
            if grade is not None and (type(grade) is not int or not 0 <= grade <= HIGHEST):
                return 400, {"error": "a grade is 0, 1, 2 or 3"}
            judging = self.server.judging
            if place == "grade":
                desk = judging.grade(person, str(content["query_id"]), str(content["doc_id"]), grade)
            else:
                desk = judging.undo(person) if place == "undo" else judging.next(person)
        except RagprofError as problem:
            return 400, {"error": str(problem)}
        except (ValueError, KeyError, TypeError, AttributeError):
            return 400, {"error": "not understood"}
        pair = desk.pair
        texts = None if pair is None else {
            "query_id": pair.query_id, "doc_id": pair.doc_id, "question": pair.question, "passage": pair.passage,
            "where": pair.where,
        }  # fmt: skip
        return 200, {"pair": texts, "done": desk.done, "left": desk.left, "said": desk.said}


class PageServer(LocalServer):
    """Serves the page until it is shut down."""

    def __init__(self, judging: Judging, port: int = 0) -> None:
        super().__init__(_Page, port)
        self.judging = judging


def served(judging: Judging, port: int = 0) -> AbstractContextManager[PageServer]:
    """A server that runs until the end of the `with`. Raises BadInput for a port that is not free."""
    return open_door(PageServer(judging, port))
