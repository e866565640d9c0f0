"""People judge: which passages wait for whom, and what they say, saved as they say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock

from ragprof.core import files
from ragprof.core.errors import BadInput
from ragprof.labels.judging import PairTexts
from ragprof.labels.page import Desk
from ragprof.labels.records import Pair, PassageLabel, State, standing
from ragprof.labels.rubric import RUBRIC_NAME
from ragprof.session.label_work import Labelling, now, opened
from ragprof.session.next_draw import FIRST_DRAW, draw_next


class PeopleJudging:
    """Hands passages of drawn queries to people, and saves what they say. Safe to use from several threads."""

    def __init__(self, work: Labelling) -> None:
        self._work, self._lock = work, Lock()
        self._pairs = {each.pair: each for each in work.pairs}
        self._before: dict[str, Pair] = {}
        """What lies before each person, so that two do not judge one passage at once."""

    def next(self, person: str, said: str = "") -> Desk:
        waiting = self._work.waiting_for(person)
        mine = self._said_by(person)
        others = {pair for name, pair in self._before.items() if name != person}
        chosen = next((each for each in waiting if each.pair not in others), waiting[0] if waiting else None)
        if chosen is not None:
            self._before[person] = chosen.pair
        return Desk(chosen, len(mine), len(waiting), said)

    def grade(self, person: str, query_id: str, doc_id: str, grade: int | None) -> Desk:
        with self._lock:
            pair = self._pairs.get((query_id, doc_id))
            if pair is None:
                raise BadInput(f"the passage '{doc_id}' is not in the pool of '{query_id}'; reload the page")
            self._save(person, pair, grade, "skipped" if grade is None else "graded")
            return self.next(person, "skipped" if grade is None else f"saved: {grade}")

    def undo(self, person: str) -> Desk:
        with self._lock:
            known = [pair for pair in self._said_by(person) if pair in self._pairs]
            if not known:
                return self.next(person, "nothing to take back")
            last = self._pairs[known[-1]]
            self._save(person, last, None, "undone")
            desk = self.next(person, "taken back")
            return replace(desk, pair=last)

    def _said_by(self, person: str) -> Mapping[Pair, PassageLabel]:
        return standing(label for label in self._work.labels() if label.source == "person").get(person, {})

    def _save(self, person: str, pair: PairTexts, grade: int | None, state: State) -> None:
        label = PassageLabel(
            pair.query_id, pair.doc_id, pair.document_id, grade, person, "person", now(), state, RUBRIC_NAME,
            question_digest=pair.question_digest, passage_digest=pair.passage_digest,
        )  # fmt: skip
        self._work.store.append([label])


def judging_by_people(eval_file: str | Path, *, corpus: str | Path | None = None) -> tuple[Labelling, PeopleJudging]:
    """What people judge, drawn first where nothing is. Raises BadInput where nothing is pooled."""
    work = opened(Path(eval_file), corpus=None if corpus is None else Path(corpus))
    work.check_pool()
    if not work.draws():
        with files.claimed(work.folder, remedy="wait for it to end"):
            draw_next(work, FIRST_DRAW, None, evenly=False)
    return work, PeopleJudging(work)
