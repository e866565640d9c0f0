"""The object that a test gets as `ragprof`: record pipelines, or read what was recorded, and look at it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from ragprof.pytest_plugin.cases import Case
from ragprof.pytest_plugin.outcomes import case_of
from ragprof.pytest_plugin.settings import settings_of

if TYPE_CHECKING:
    from ragprof.evals import Prices, Timing
    from ragprof.pytest_plugin.recordings import Recorded, Recordings
    from ragprof.pytest_plugin.results import Baseline, Result
    from ragprof.record.pipeline import Pipeline

    Profiled: TypeAlias = Pipeline | Sequence[Pipeline] | Callable[[str, int], Any]

RECORDINGS = pytest.StashKey["Recordings"]()
SECONDS = 10.0
"""How long live rounds may take together in a test that says nothing else."""
DEPTH = 20


class Profiler:
    """Every path may be relative to the test's file, to pytest's root or to where pytest was started."""

    def __init__(self, case: Case, recordings: Callable[[], Recordings]) -> None:
        self._case, self._recordings = case, recordings

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
    ) -> Result:
        """Record pipelines, or one retriever `(question, depth) -> [(doc_id, score), ...]`, and judge what they found.

        What another test of the session has recorded from the same pipelines, objects and files is taken as it is;
        an object that has changed since then needs another `name`. `depth` is for a bare retriever.
        """
        from ragprof.evals import DEFAULT_METRICS, Timing
        from ragprof.pytest_plugin.sources import as_pipelines, declared, objects, stamp
        from ragprof.session import profile

        chosen = as_pipelines(pipelines, depth=depth)
        places = {
            what: self._case.located(path, what=what)
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
            lambda folder: profile(chosen, **places, **settings, out=folder),  # type: ignore[arg-type]
            keep=objects(chosen),
        )
        return self._result(name, recorded)

    def run(self, eval_file: str | Path) -> Result:
        """Record what an eval file declares."""
        from ragprof.pytest_plugin.sources import stamps_of_eval
        from ragprof.session import run

        path = self._case.located(eval_file, what="eval file")
        recorded = self._recordings().once(path.stem, stamps_of_eval(path), lambda folder: run(path, out=folder))
        return self._result(path.stem, recorded)

    def recording(self, folder: str | Path) -> Result:
        """A recording that is there already, such as what `ragprof run` wrote; nothing is profiled."""
        from ragprof.pytest_plugin.snapshots import side_at

        return side_at(folder, self._case)

    def baseline(self, name: str) -> Baseline:
        """What was kept under a name by `pytest --ragprof-update`; read when it is first needed."""
        from ragprof.pytest_plugin.snapshots import baseline_named

        return baseline_named(name, self._case)

    def _result(self, name: str, recorded: Recorded) -> Result:
        from ragprof.pytest_plugin.results import Result

        return Result(name, recorded.folder, lambda: recorded.evidence, self._case)


def profiler_of(request: pytest.FixtureRequest, temporary: Path) -> Profiler:
    """The profiler of the test that asks for it."""
    case = case_of(request.node, settings_of(request.config, temporary=temporary))
    return Profiler(case, partial(_recordings, request.config, case))


def _recordings(config: pytest.Config, case: Case) -> Recordings:
    """Those of this session, made when the first test needs them."""
    from ragprof.pytest_plugin.recordings import Recordings

    if RECORDINGS not in config.stash:
        config.stash[RECORDINGS] = Recordings(case.settings.out, case.settings.session)
    return config.stash[RECORDINGS]
