"""The object that a test gets as `ragprof`: record pipelines, or read what was recorded, and look at it.

The recordings of a session are each made once, by this process or by another worker of the same run. What one rests on
is told by text: equal text, equal recording; sizes and dates of files are read, not the files.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from ragprof.core import DEFAULT_K, files
from ragprof.core.errors import BadInput
from ragprof.core.registry import PartSpec
from ragprof.pytest_plugin.checks import PluginSettings, RunningTest
from ragprof.pytest_plugin.outcomes import TEST
from ragprof.record.pipeline import Pipeline
from ragprof.studies.gate.baselines import locked
from ragprof.studies.gate.evidence import SideEvidence, of_recording

if TYPE_CHECKING:
    from ragprof.evals import Prices, Timing
    from ragprof.pytest_plugin.results import Baseline, ProfiledResult
    from ragprof.studies.preparation import Prepared


MARK = ".session"
OUTDATED = "bpe_openai"
"""It reads its tables in an outdated way; a project in which warnings are errors is not to fail by that."""


@dataclass(frozen=True)
class SessionRecording:
    """A recording and the figures in it. `kept` keeps objects alive that the recording is known by."""

    folder: Path
    evidence: SideEvidence
    kept: tuple[object, ...] = ()


@dataclass
class SessionRecordings:
    """All of a session, in one folder. A recording that an earlier session left there is made anew."""

    folder: Path
    session: str
    known: dict[str, SessionRecording] = field(default_factory=dict)

    def once(
        self, name: str, rests_on: Sequence[str], make: Callable[[Path], None], *, keep: Iterable[object] = ()
    ) -> SessionRecording:
        """The recording that rests on just this; `make` is given the folder to record into."""
        digest = hashlib.sha256("\n\n".join(rests_on).encode()).hexdigest()[:12]
        if digest not in self.known:
            files.ready_folder(self.folder, remedy="give another one with --ragprof-out")
            folder, lock = self.folder / f"{name}-{digest}", self.folder / f".{name}-{digest}.lock"
            lock.touch()
            mark = folder / MARK
            with locked(lock, fcntl.LOCK_EX), warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=DeprecationWarning, module=OUTDATED)
                if not mark.exists() or mark.read_text(encoding="utf-8") != self.session:
                    mark.unlink(missing_ok=True)
                    make(folder)
                    files.write_text(mark, self.session)
            self.known[digest] = SessionRecording(folder, of_recording(folder, label=name), tuple(keep))
        return self.known[digest]


if TYPE_CHECKING:
    Profiled: TypeAlias = Pipeline | Sequence[Pipeline] | Callable[[str, int], Any]

RECORDINGS = pytest.StashKey["SessionRecordings"]()
SECONDS = 10.0
"""How long live rounds may take together in a test that says nothing else."""
DEPTH = 20


class Profiler:
    """Every path may be relative to the test's file, to pytest's root or to where pytest was started."""

    def __init__(self, test: RunningTest, recordings: Callable[[], SessionRecordings]) -> None:
        self._test, self._recordings = test, recordings

    def __repr__(self) -> str:
        return "<ragprof>"

    def profile(
        self,
        pipelines: Profiled,
        *,
        corpus: str | Path,
        queries: str | Path,
        qrels: str | Path,
        metrics: Sequence[str] | None = None,
        prices: Prices | None = None,
        timing: Timing | None = None,
        depth: int = DEPTH,
        name: str = "profile",
    ) -> ProfiledResult:
        """Record pipelines, or one retriever `(question, depth) -> [(doc_id, score), ...]`, and judge what they found.

        What another test of the session has recorded from the same pipelines, objects and files is taken as it is;
        an object that has changed since then needs another `name`. `depth` is for a bare retriever.
        """
        from ragprof.evals import DEFAULT_METRICS, Timing
        from ragprof.session.run import prepare_pipelines

        chosen = as_pipelines(pipelines, depth=depth)
        places = {
            what: self._test.located(path, what=what)
            for what, path in (("corpus", corpus), ("queries", queries), ("qrels", qrels))
        }
        settings = {
            "metrics": tuple(metrics or DEFAULT_METRICS),
            "timing": timing or Timing(seconds=SECONDS),
            "prices": prices,
            "name": name,
        }
        recorded = self._recordings().once(
            name,
            [*map(declared, chosen), *map(stamp, places.values()), repr(settings)],
            lambda folder: self._keep(prepare_pipelines(chosen, **places, **settings), folder),  # type: ignore[arg-type]
            keep=[getattr(pipeline, stage) for pipeline in chosen for stage in STAGES],
        )
        return self._result(name, recorded)

    def run(self, eval_file: str | Path) -> ProfiledResult:
        """Record what an eval file declares."""
        from ragprof.evals import read_eval
        from ragprof.studies.preparation import corpus_path, evaluation_paths, prepare

        path = self._test.located(eval_file, what="eval file")
        # The eval file as it reads, with its corpus, questions and judgements.
        config = read_eval(path)
        corpus = corpus_path(config, path)
        paths = corpus, *evaluation_paths(config, path, corpus)
        rests_on = [str(path), config.model_dump_json(), *(stamp(place) for place in paths if place is not None)]
        recorded = self._recordings().once(path.stem, rests_on, lambda folder: self._keep(prepare(path), folder))
        return self._result(path.stem, recorded)

    def recording(self, folder: str | Path) -> ProfiledResult:
        """A recording that is there already, such as what `ragprof run` wrote; nothing is profiled."""
        from ragprof.pytest_plugin.results import side_at

        return side_at(folder, self._test)

    def baseline(self, name: str) -> Baseline:
        """What was kept under a name by `pytest --ragprof-update`; read when it is first needed."""
        from ragprof.pytest_plugin.results import baseline_named

        return baseline_named(name, self._test)

    def _keep(self, prepared: Prepared, folder: Path) -> None:
        """Record; pages are drawn where recordings are kept, elsewhere only for who asks a result for its report."""
        from ragprof.session.again import redraw
        from ragprof.session.run import keep

        keep(prepared, out=folder)
        if self._test.settings.kept:
            redraw(folder)

    def _result(self, name: str, recorded: SessionRecording) -> ProfiledResult:
        from ragprof.pytest_plugin.results import ProfiledResult

        return ProfiledResult(name, recorded.folder, lambda: recorded.evidence, self._test)


def profiler_of(request: pytest.FixtureRequest, temporary: Path) -> Profiler:
    """The profiler of the test that asks for it; the session's recordings are made when the first test needs them."""
    item, settings = request.node, PluginSettings.of(request.config, temporary=temporary)
    test = item.stash[TEST] = RunningTest(item.nodeid, item.path, settings)
    stash = request.config.stash

    def recordings() -> SessionRecordings:
        if RECORDINGS not in stash:
            stash[RECORDINGS] = SessionRecordings(test.settings.out, test.settings.session)
        return stash[RECORDINGS]

    return Profiler(test, recordings)


STAGES = ("embedder", "store", "reranker", "injector", "generator", "app")
UNNAMEABLE = re.compile(r"[^A-Za-z0-9+._ -]+")


def as_pipelines(given: Pipeline | Sequence[Pipeline] | Callable[[str, int], Any], *, depth: int) -> list[Pipeline]:
    """Pipelines from whatever a test may give: one, several, or a bare retriever. Raises BadInput for anything else."""
    if isinstance(given, Pipeline):
        return [given]
    if callable(given):
        own = str(getattr(given, "__name__", type(given).__name__))
        name = UNNAMEABLE.sub("", own).lstrip("+._ -") or "retriever"
        return [Pipeline(name, store=given, depth=depth, injector={"name": "top_k", "k": min(DEFAULT_K, depth)})]
    if isinstance(given, Sequence) and given and all(isinstance(each, Pipeline) for each in given):
        return list(given)
    raise BadInput(
        f"cannot profile {given!r:.80}: give a Pipeline, a list of them, or a retriever (question, depth) -> list"
    )


def declared(pipeline: Pipeline) -> str:
    """A pipeline as text. An object or a callable stands for itself: another one is another pipeline."""
    stages = {stage: _given(getattr(pipeline, stage)) for stage in STAGES}
    asked = {} if pipeline.app is None else pipeline.app_settings().model_dump()
    return json.dumps({"name": pipeline.name, "depth": pipeline.depth, **asked, **stages}, sort_keys=True)


def stamp(path: Path) -> str:
    """A file, or a folder with all that is in it, by names, sizes and times of change."""
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    lines = [f"{each} {each.stat().st_size} {each.stat().st_mtime_ns}" for each in files if each.exists()]
    return "\n".join([str(path), *lines])


def _given(value: Any) -> str:
    if value is None or isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, dict | PartSpec):
        return PartSpec.model_validate(value).key
    if isinstance(value, MethodType):
        return f"{os.getpid()} {id(value.__self__)} {id(value.__func__)}"
    return f"{os.getpid()} {id(value)}"
