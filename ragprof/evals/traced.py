"""The files of a trace profile as the code needs them: columns and members with their types.

A trace stands where a query does in other recordings: `query_id` is its trace id.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Required

from typing_extensions import TypedDict

from ragprof.core import files
from ragprof.core.errors import BadInput
from ragprof.core.recorded import TRACED, RecordedJson, RecordedTable
from ragprof.evals.recorded import Config, Dated

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

KIND = "traces"
"""The member `kind` of the manifest of a trace profile."""
WHOLE, UNACCOUNTED = "query", "unaccounted"
"""Stages of the whole trace, and of the time that no stage accounts for."""
SPANS = RecordedTable(
    text="pipeline phase query_id stage", whole="round start_ns duration_ns path_ns", nullable="path_ns", remedy=TRACED
)
"""As of other recordings: a row a trace and stage. `duration_ns` is its spans' own time, `path_ns` on the critical
path."""
USAGE = RecordedTable(text="pipeline query_id stage unit", whole="count", remedy=TRACED, may_be_empty=True)
CALLS = RecordedTable(
    text="pipeline query_id stage provider model", whole="input_tokens output_tokens cached_tokens docs",
    number="reported_usd", nullable="input_tokens output_tokens docs", may_be_empty=True, remedy=TRACED,
)  # fmt: skip
"""A row a call of an embedder, a reranker or an LLM."""
TRACES = RecordedTable(
    text="pipeline query_id name question asked",
    whole="start_ns duration_ns first_token_ns spans errors retries reranked candidates injected deepest question_key "
    "session_key",
    flag="failed set_changed order_changed first_changed",
    nullable="duration_ns first_token_ns set_changed order_changed first_changed injected deepest question asked "
    "question_key session_key",
    later="asked question_key session_key",
    remedy=TRACED,
)
"""A row a trace. `candidates` are passages that its first reranking was offered, else those found; `deepest` is the
rank of the deepest of them in the prompt. `question` is the id of the judged question that it asked, where it did, and
`asked` that of the query of a recording of ragprof, which asks each in several rounds. The keys are numbers that are
the same for the same question and the same session, in this profile alone."""


KEYS = ("asked", "question_key", "session_key")
"""Columns by which traces belong together: the same query, the same words, the same session."""


def groups_of(traces: pd.DataFrame) -> NDArray[np.int64]:
    """Return the number of the group that each trace is of: those of one question or one session are no independent
    witnesses, nor are those that such traces join. Numbers are counted from 0."""
    import numpy as np
    import pandas as pd
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    places, owners, above = [], [], len(traces)
    for key in KEYS:
        codes = pd.factorize(traces[key])[0] if key in traces else np.full(len(traces), -1)
        known = np.flatnonzero(codes >= 0)
        places.append(known)
        owners.append(codes[known] + above)
        above += int(codes.max(initial=-1)) + 1
    ends = np.concatenate(places), np.concatenate(owners)
    joined = coo_array((np.ones(len(ends[0]), bool), ends), shape=(above, above))
    _, groups = connected_components(joined, directed=False)
    return np.asarray(pd.factorize(groups[: len(traces)])[0], np.int64)


class TraceSource(TypedDict):
    """One file that was read: its name without folders, its spans by format, and what was passed over."""

    name: str
    bytes: int
    spans: dict[str, int]
    unread: int
    first_unread: int | None
    foreign: int
    too_long: int
    cut_off: bool


class TraceCounts(TypedDict):
    """What was read, all files together."""

    spans: int
    traces: int
    without_stage: int
    rootless: int
    unfinished: int
    repeated: int
    skewed: int
    overlapping: int
    sampled: dict[str, int]
    kept_share: float | None


class TraceManifest(TypedDict, total=False):
    """manifest.json of a trace profile."""

    kind: Required[str]
    config: Required[Config]
    recording: Required[str]
    ragprof_version: Required[str]
    created: Required[Dated]
    sources: Required[list[TraceSource]]
    counts: Required[TraceCounts]


MANIFEST = RecordedJson(TraceManifest, TRACED)


def is_trace_profile(folder: Path) -> bool:
    """Whether the folder holds a trace profile: it has a table of traces, and no manifest of something else."""
    if not (folder / "traces.parquet").is_file():
        return False
    try:
        return files.read_json(folder / "manifest.json", remedy=TRACED).get("kind") == KIND
    except BadInput:  # whoever reads the manifest of this profile says what is wrong with it
        return True


def traced_manifest(folder: Path) -> dict[str, Any]:
    """manifest.json of a trace profile. Raises BadInput where it is missing or of another shape."""
    return MANIFEST.read(folder / "manifest.json")
