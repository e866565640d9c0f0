"""What was read of a corpus and what was left out, by kind and reason: one account for check, terminal and report.

Nothing that was in the user's folder or file goes missing without a line here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from ragprof.core.counting import counted

EXAMPLES = 5


class LeftOut(BaseModel):
    """Things of one kind that were left out for one reason."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: str
    """A file's suffix (`.pdf`), `folder`, `document`, `data URI`."""
    reason: str
    count: int
    examples: tuple[str, ...]
    """The first of them, or of the files that they are in: paths below the folder, or ids."""
    files: int | None = None
    """How many files they are in, where they are parts of files, such as pages or attachments."""

    @property
    def named(self) -> str:
        """The examples, with an ellipsis if there are more."""
        return shown(self.examples, of=self.count if self.files is None else self.files)

    def __str__(self) -> str:
        kind = counted(self.count, self.kind) if self.files is not None else f"{self.count:,} {self.kind}"
        return f"{kind} ({self.reason}): {self.named}"


class ParsedFiles(BaseModel):
    """Files of one kind and what making text of them took."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: str
    """A suffix, such as `.pdf`."""
    files: int
    pages: int
    """Pages, slides or sheets; 0 where this kind has none."""
    empty_pages: int
    """Those of them that have no text, such as scans."""
    parsing_ns: int
    """Time of their reader, summed over files; what several processes did at once counts for each."""
    cached: int
    """Files that had been parsed before; their time is that of then."""

    @property
    def pages_per_second(self) -> float | None:
        """Of one process; None for a kind without pages."""
        return self.pages / (self.parsing_ns / 1e9) if self.pages and self.parsing_ns else None

    def __str__(self) -> str:
        pages = f", {counted(self.pages, 'page')}" if self.pages else ""
        empty = f" ({self.empty_pages:,} without text)" if self.empty_pages else ""
        speed = "" if self.pages_per_second is None else f", {self.pages_per_second:,.0f} pages per second on one core"
        cached = f"; {self.cached:,} were parsed before" if self.cached else ""
        return f"{self.files:,} {self.kind}{pages}{empty}: {self.parsing_ns / 1e9:,.1f} s{speed}{cached}"


class ReadingAccount(BaseModel):
    """What was read: kind -> how many, and what was left out: whole files first, the most frequent first."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    read: dict[str, int] = {}
    """Kind -> count, such as `.md` or `document`."""
    left_out: tuple[LeftOut, ...] = ()
    parsed: tuple[ParsedFiles, ...] = ()
    """Kinds of files that a parser was run on in a process of its own, the most pages first."""

    def __str__(self) -> str:
        """In one line: `140 .md, 10 .txt`."""
        kinds = {kind: kind if kind.startswith(".") or count == 1 else f"{kind}s" for kind, count in self.read.items()}
        return ", ".join(f"{count:,} {kinds[kind]}" for kind, count in self.read.items()) or "nothing"

    def lines(self, most: int) -> list[str]:
        """A line for each of the first kinds that were left out, and one for all others where they are several."""
        others = self.left_out[most:] if len(self.left_out) > most + 1 else ()
        rest = f"{sum(each.count for each in others):,} more of {len(others):,} kinds: see the report"
        return [*map(str, self.left_out[: len(self.left_out) - len(others)]), *([rest] if others else [])]


def _files_first(left: LeftOut) -> tuple[bool, int, str, str]:
    """Whole files before parts of files, the most frequent first."""
    return left.files is not None, -left.count, left.kind, left.reason


class Tally:
    """Counts what is read and what is left out, while it happens."""

    def __init__(self) -> None:
        self._read: Counter[str] = Counter()
        self._left: dict[tuple[str, str], list[str]] = {}
        self._parts: Counter[tuple[str, str]] = Counter()
        self._parsed: dict[str, ParsedFiles] = {}
        self.without_text: set[str] = set()

    def read(self, kind: str) -> None:
        self._read[kind] += 1

    def leave_out(self, kind: str, reason: str, name: str, parts: int = 0) -> None:
        """`parts` is how many there are of this kind within the one file that is named; 0 for the file itself."""
        self._left.setdefault((kind, reason), []).append(name)
        self._parts[kind, reason] += parts

    def parsed(self, kind: str, *, pages: int, empty_pages: int, parsing_ns: int, cached: bool) -> None:
        """Count one file that a parser was run on, now or before."""
        before = self._parsed.get(kind) or ParsedFiles(
            kind=kind, files=0, pages=0, empty_pages=0, parsing_ns=0, cached=0
        )
        self._parsed[kind] = ParsedFiles(
            kind=kind,
            files=before.files + 1,
            pages=before.pages + pages,
            empty_pages=before.empty_pages + empty_pages,
            parsing_ns=before.parsing_ns + parsing_ns,
            cached=before.cached + cached,
        )

    def leave_out_empty(self, kind: str, reason: str, doc_id: str) -> None:
        """As `leave_out`, for a document that there is, but that has nothing to read."""
        self.without_text.add(doc_id)
        self.leave_out(kind, reason, doc_id)

    def account(self) -> ReadingAccount:
        left = [
            LeftOut(
                kind=kind,
                reason=reason,
                count=parts or len(names),
                examples=tuple(names[:EXAMPLES]),
                files=len(names) if parts else None,
            )
            for (kind, reason), names in self._left.items()
            for parts in [self._parts[kind, reason]]
        ]
        return ReadingAccount(
            read=dict(self._read.most_common()),
            left_out=tuple(sorted(left, key=_files_first)),
            parsed=tuple(sorted(self._parsed.values(), key=lambda each: (-each.pages, each.kind))),
        )


def shown(names: Sequence[str], *, of: int | None = None) -> str:
    """Join the first few names, with an ellipsis if there are more."""
    more = (len(names) if of is None else of) > len(names[:EXAMPLES])
    return ", ".join(names[:EXAMPLES]) + (", ..." if more else "")
