"""What was read of a corpus and what was left out, by kind and reason: one account for check, terminal and report.

Nothing that was in the user's folder or file goes missing without a line here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

EXAMPLES = 5


class LeftOut(BaseModel):
    """Things of one kind that were left out for one reason."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: str
    """A file's suffix (`.pdf`), `folder`, `document`, `data URI`."""
    reason: str
    count: int
    examples: tuple[str, ...]
    """The first of them: paths below the folder, or ids."""

    def __str__(self) -> str:
        return f"{self.count:,} {self.kind} ({self.reason}): {shown(self.examples, of=self.count)}"


class ReadingAccount(BaseModel):
    """What was read: kind -> how many, and what was left out, the most frequent first."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    read: dict[str, int] = {}
    """Kind -> count, such as `.md` or `document`."""
    left_out: tuple[LeftOut, ...] = ()

    def __str__(self) -> str:
        """In one line: `140 .md, 10 .txt`."""
        kinds = {kind: kind if kind.startswith(".") or count == 1 else f"{kind}s" for kind, count in self.read.items()}
        return ", ".join(f"{count:,} {kinds[kind]}" for kind, count in self.read.items()) or "nothing"

    def lines(self, most: int) -> list[str]:
        """A line for each of the first kinds that were left out, and one for all others where they are several."""
        others = self.left_out[most:] if len(self.left_out) > most + 1 else ()
        rest = f"{sum(each.count for each in others):,} more of {len(others):,} kinds: see the report"
        return [*map(str, self.left_out[: len(self.left_out) - len(others)]), *([rest] if others else [])]


class Tally:
    """Counts what is read and what is left out, while it happens."""

    def __init__(self) -> None:
        self._read: Counter[str] = Counter()
        self._left: dict[tuple[str, str], list[str]] = {}
        self.without_text: set[str] = set()

    def read(self, kind: str) -> None:
        self._read[kind] += 1

    def leave_out(self, kind: str, reason: str, name: str) -> None:
        self._left.setdefault((kind, reason), []).append(name)

    def leave_out_empty(self, kind: str, reason: str, doc_id: str) -> None:
        """As `leave_out`, for a document that there is, but that has nothing to read."""
        self.without_text.add(doc_id)
        self.leave_out(kind, reason, doc_id)

    def account(self) -> ReadingAccount:
        left = sorted(self._left.items(), key=lambda item: (-len(item[1]), item[0]))
        return ReadingAccount(
            read=dict(self._read.most_common()),
            left_out=tuple(
                LeftOut(kind=kind, reason=reason, count=len(names), examples=tuple(names[:EXAMPLES]))
                for (kind, reason), names in left
            ),
        )


def shown(names: Sequence[str], *, of: int | None = None) -> str:
    """Join the first few names, with an ellipsis if there are more."""
    more = (len(names) if of is None else of) > len(names[:EXAMPLES])
    return ", ".join(names[:EXAMPLES]) + (", ..." if more else "")
