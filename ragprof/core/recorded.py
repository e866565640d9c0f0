"""How files of a recording are read: each table and each JSON file says what the code needs, and is held to it.

A file that was cut short, edited or made by something else is told by name, with the command that makes it anew. Which
files there are stands with whoever they belong to: `evals/recorded.py` and the `recorded.py` of each study.

The JSON file that a pass writes last is sealed: it has the sha256 of each table that was written before it, and one of
its own content. A table that is not the one that was written is refused. Recordings of older versions have no seals;
where their files do not fit together, that is told in place of a crash.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache, wraps
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from ragprof.core import files, plain
from ragprof.core.errors import BadInput, RagprofError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

RUN = "ragprof run"
STUDIES = {
    "growth": "ragprof grow --fresh", "injection": "ragprof inject", "reranker": "ragprof reranker",
    "audit": "ragprof audit", "curate": "ragprof curate",
    "screen": "ragprof screen",
    "chunking": "ragprof chunking",
    "stores": "ragprof stores",
    "load": "ragprof load",
}  # fmt: skip
"""Folder of a study inside a recording -> the command that makes all of it anew."""
VARIANTS = "variants"
"""Folder of a study that holds a small recording of each of its variants."""
MISSING = "this file is missing; is this the folder of a ragprof recording?"
PRICED = "price it again with 'ragprof price'"
TRACED = "make the profile again with 'ragprof trace'"


SEALS = ("manifest.json", "judgement.json", "rates.json", "settings.json", "costs.json")
"""JSON files that are written last of what a pass writes, with the sums of its tables under SUMS."""
MISFITS = (LookupError, ValueError, TypeError, ArithmeticError, AttributeError, NotImplementedError, StopIteration)
"""What code raises over files that do not fit together; errors of Arrow, pandas and pydantic are among them."""
SUMS, SEAL = "tables", "seal"
DEEPEST, TOLD_CHARACTERS = 3, 200
"""Folders between a table and what seals it, its own included: growth/live/<cell>/ is the deepest."""


def write_sealed(path: Path, content: Mapping[str, Any], *tables: str) -> None:
    """Write the JSON file that is the last of its pass, with the sums of the tables that these patterns find beside it.

    Whoever writes such a table anew takes the JSON file away first, or writes it again afterwards.
    """
    found = sorted({table for pattern in tables for table in path.parent.glob(pattern)})
    sums = {table.relative_to(path.parent).as_posix(): files.sha256_of(table) for table in found}
    _write(path, {**content, SUMS: sums})


def _write(path: Path, content: Mapping[str, Any]) -> None:
    # As it is read back: with texts for all keys.
    plain = json.loads(json.dumps(content))
    files.write_json(path, {**plain, SEAL: seal(plain)})


def seal(document: Mapping[str, Any]) -> str:
    """Of the canonical JSON: sorted keys, no spaces, ASCII. Line ends and indentation may change on the way."""
    unsealed = {key: value for key, value in document.items() if key != SEAL}
    text = json.dumps(unsealed, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def seal_again(path: Path, table: Path) -> None:
    """Write down that a table of a finished recording was replaced on purpose."""
    content = files.read_json(path, remedy=remedy_of(path))
    name = table.relative_to(path.parent).as_posix()
    _write(path, {**content, SUMS: {**content.get(SUMS, {}), name: files.sha256_of(table)}})


def sealed_otherwise(table: Path) -> str:
    """Name of the JSON file that was written with another table in this place; empty where there is none."""
    for folder in table.absolute().parents[:DEEPEST]:
        for name in SEALS:
            document = folder / name
            if document.exists():
                about = document.stat()
                expected = _sums(document, about.st_mtime_ns, about.st_size, about.st_ino)
                found = expected.get(table.absolute().relative_to(folder).as_posix())
                if found is not None and found != files.sha256_of(table):
                    return name
    return ""


def refuse_replaced(table: Path, remedy: str) -> None:
    """Raises BadInput where a table is not the one that its seal was written with."""
    if seal := sealed_otherwise(table):
        raise BadInput(
            f"it is not the table that {seal} was written with (its sha256 differs), so it was edited or replaced; "
            f"{remedy}",
            file=table,
        )


@lru_cache(256)
def _sums(document: Path, *_changed: int) -> Mapping[str, str]:
    """What the file says of its tables; nothing where it is damaged, which whoever reads it for itself will tell."""
    try:
        sums = files.read_json(document, remedy="").get(SUMS)
    except BadInput:
        return {}
    return sums if isinstance(sums, dict) else {}


@contextmanager
def reading(folder: Path, study: str = "") -> Iterator[None]:
    """Turn a crash of the block over a recording whose files may be damaged into BadInput that names the damaged file.

    With a `study`, its own recording inside the folder is read beside the main one. Where all files are as they were
    written, the fault is in the code, and the crash stays one.
    """
    try:
        yield
    except RagprofError:
        raise
    except MISFITS as crash:
        from pydantic import ValidationError

        told = f"{type(crash).__name__}: {' '.join(str(crash).split())[:TOLD_CHARACTERS]}"
        told = _complaint(crash) if isinstance(crash, ValidationError) else told
        found = doubtful(folder, study)
        if found is None:
            raise
        logging.getLogger("ragprof").debug("files that do not fit together", exc_info=crash)
        if found.is_dir():
            raise BadInput(
                f"the files of this recording do not fit together ({told}), as where one was edited or cut short; "
                f"{remedy_of(found / 'manifest.json')}",
                file=found,
            ) from crash
        raise BadInput(
            f"it was edited (its seal differs) and does not fit the other files ({told}); {remedy_of(found)}",
            file=found,
        ) from crash


def doubtful(folder: Path, study: str = "") -> Path | None:
    """A JSON file of a main recording, or of a study in it, that was edited; else the folder of one without a seal."""
    own = [path for name in SEALS for path in sorted((folder / study).rglob(name))] if study else []
    unsealed = None
    for path in [*own, *(path for name in SEALS if (path := folder / name).exists())]:
        try:
            content = files.read_json(path, remedy="")
            if SEAL not in content:
                unsealed = unsealed or (folder / study if path in own else folder)
            elif content[SEAL] != seal(content):
                return path
        except (BadInput, ValueError):
            return path
    return unsealed


OfFolder = ParamSpec("OfFolder")
Found = TypeVar("Found")


def of_recording(step: Callable[Concatenate[Path, OfFolder], Found]) -> Callable[Concatenate[Path, OfFolder], Found]:
    """Let a step whose first argument is a recording's folder take place inside `reading`."""

    @wraps(step)
    def inside(folder: Path, /, *args: OfFolder.args, **named: OfFolder.kwargs) -> Found:
        with reading(folder):
            return step(folder, *args, **named)

    return inside


OURS = ("spans.parquet", "usage.parquet", "tokens.parquet", "traces.parquet", "rankings")
"""What is in the folder of every main recording, of a run that was killed as well."""
WRITTEN = ("manifest.json", "judgement.json", "rates.json", "settings.json", "summary.json", "report.html", "report.md")
"""What a run writes over and takes away."""


def check_ours(folder: Path) -> None:
    """Raises BadInput where a run would write over files of others: names that we use, and nothing that we made."""
    foreign = [name for name in WRITTEN if (folder / name).exists()]
    if foreign and not any((folder / name).exists() for name in OURS) and not _is_ours(folder / foreign[0]):
        raise BadInput(
            f"this file would be replaced, and nothing beside it shows that ragprof wrote it; {ELSEWHERE}",
            file=folder / foreign[0],
        )


ELSEWHERE = "give another folder with --out (in Python out=), or move it away"


def _is_ours(path: Path) -> bool:
    try:
        found = files.read_json(path, remedy="")
    except BadInput:
        return False
    return "ragprof_version" in found or SEAL in found


def remove_study(folder: Path) -> None:
    """Delete a study's recording. Raises BadInput where the folder holds files and no plan or manifest of ours."""
    if not folder.exists():
        return
    made = [path for name in ("plan.json", "manifest.json", "work.json") if (path := folder / name).exists()]
    if folder.is_symlink() or (not made and any(path.suffix != ".partial" for path in folder.iterdir())):
        raise BadInput(f"it would be deleted, and nothing in it shows that ragprof made it; {ELSEWHERE}", file=folder)
    shutil.rmtree(folder, ignore_errors=True)


def recorded_by(command: str) -> str:
    """What to do about a file that this command records."""
    return f"record it again with '{command}'"


def remedy_of(path: Path) -> str:
    """What to do about a file of a main recording, or about what a study's manifest has in common with that.

    Growth makes a main recording for every size of the corpus.
    """
    if (path.parent / "traces.parquet").exists() and not (path.parent / "rankings").exists():
        return TRACED
    if ("growth", "sizes") in pairwise(path.parts[:-1]):
        return recorded_by(STUDIES["growth"])
    for folder, inside in pairwise(path.parts[:-1]):
        if inside == VARIANTS and folder in STUDIES:
            return recorded_by(STUDIES[folder])
    beside = (path.absolute().parents[1] / "manifest.json").exists()
    return recorded_by(STUDIES.get(path.parent.name, RUN) if beside else RUN)


@dataclass(frozen=True, kw_only=True)
class RecordedTable:
    """A table of a recording: names of the columns that the code needs, by kind, with blanks between them.

    A number may be missing in any row; a text, whole number or flag only where it is `nullable`. `later` are columns
    that recordings of older versions lack. `metrics` is for tables with a column for each metric, such as `nDCG@10`.
    """

    text: str = ""
    whole: str = ""
    number: str = ""
    flag: str = ""
    money: str = ""
    nullable: str = ""
    later: str = ""
    metrics: bool = False
    may_be_empty: bool = False
    remedy: str = ""
    """Empty: that of a main recording."""

    def read(self, path: Path, *, also: tuple[str, ...] = (), pipelines: Iterable[str] = ()) -> pd.DataFrame:
        """The whole table, with the columns of these metrics `also`, and rows of each of these `pipelines`.

        Raises BadInput where it is missing or truncated, and where a column or rows are missing or of another kind.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not path.exists():
            raise BadInput(MISSING, file=path)
        remedy = self.remedy or remedy_of(path)
        try:
            with pq.ParquetFile(path) as file:
                kept = file.read()
            table: pd.DataFrame = kept.to_pandas()
        except (OSError, ValueError, pa.ArrowException) as failure:
            raise BadInput(f"not a readable Parquet file ({failure}); {remedy}", file=path) from None
        wanted = {name: kind for kind in KINDS for name in getattr(self, kind).split()}
        if self.metrics:
            wanted |= dict.fromkeys([*also, *(name for name in table.columns if "@" in str(name))], "number")
        for name, kind in wanted.items():
            if fault := self._fault(name, kind, kept):
                raise BadInput(f"{fault}; {remedy}", file=path)
        if not len(table) and not self.may_be_empty:
            raise BadInput(f"it has no rows; {remedy}", file=path)
        for name in pipelines:
            if name not in table["pipeline"].array:
                raise BadInput(f"it has no rows of the pipeline '{name}'; {remedy}", file=path)
        refuse_replaced(path, remedy)
        return table

    def _fault(self, name: str, kind: str, table: pa.Table) -> str:
        """What is wrong with one column; empty where nothing is."""
        import pyarrow as pa

        if name not in table.column_names:
            return "" if name in self.later.split() else f"it lacks the column '{name}'"
        found, nullable = table.field(name).type, kind in ("number", "money") or name in self.nullable.split()
        # A table without rows, and a column without values, has no kind.
        if not len(table) or (nullable and pa.types.is_null(found)):
            return ""
        if not nullable and table.column(name).null_count:
            return f"its column '{name}' has cells without a value"
        return "" if _is(kind, found) else f"its column '{name}' is of {found} instead of {KINDS[kind]}"


KINDS: Mapping[str, str] = {
    "text": "text", "whole": "whole numbers", "number": "numbers", "flag": "true and false", "money": "decimals",
}  # fmt: skip


def _is(kind: str, found: pa.DataType) -> bool:
    """Whether a column of Parquet is of a kind."""
    import pyarrow as pa

    if pa.types.is_dictionary(found):
        found = found.value_type
    tests = {
        "text": (pa.types.is_string, pa.types.is_large_string),
        "whole": (pa.types.is_integer,),
        "number": (pa.types.is_integer, pa.types.is_floating),
        "flag": (pa.types.is_boolean,),
        "money": (pa.types.is_decimal,),
    }
    return any(test(found) for test in tests[kind])


@dataclass(frozen=True)
class RecordedJson:
    """A JSON file of a recording: the type that its content has. Members beside those of the type may be there."""

    shape: Any
    remedy: str = ""
    """Empty: that of a main recording."""

    def read(self, path: Path) -> dict[str, Any]:
        """The content. It, and every object in it, raises BadInput for a member that it lacks.

        Raises BadInput where the file is missing or no JSON, and where a member is of another type.
        """
        from pydantic import ValidationError

        remedy = self.remedy or remedy_of(path)
        found = files.read_json(path, remedy=remedy)
        try:
            # As JSON: there a list is a tuple, and a text no number.
            _adapter(self.shape).validate_json(json.dumps(found), strict=True)
        except ValidationError as failure:
            raise BadInput(f"{_complaint(failure)}; {remedy}", file=path) from None
        return found


@cache
def _adapter(shape: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(shape)


def _complaint(failure: Any) -> str:
    problem = failure.errors(include_url=False, include_input=False)[0]
    *above, last = (str(part) for part in problem["loc"]) if problem["loc"] else ("",)
    if problem["type"] == "missing":
        return f"it has no '{'.'.join([*above, last])}'"
    return f"its '{'.'.join([*above, last])}' is not as ragprof writes it ({plain.refused(problem)})"
