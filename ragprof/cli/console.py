"""What all commands print with: one console for results, one for messages, progress with remaining time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from ragprof.cli.bars import Bars
    from ragprof.session.run import Result

out = Console()
err = Console(stderr=True)


def line(text: object) -> None:
    """One line as it is: not folded, no markup read, nothing coloured."""
    out.print(str(text), highlight=False, soft_wrap=True, markup=False)


@contextmanager
def progress() -> Iterator[Bars]:
    """Bars on the error stream while the block runs; a line a task where there is no terminal."""
    from ragprof.cli.bars import Bars

    with Bars(err) as bars:
        yield bars


def result(found: Result, study: str = "profile") -> None:
    """A study's table, then where its pages and the report are."""
    out.print(found.table(study))
    for kind, page in found.pages(study):
        line(f"{kind}: {page}")


def numbers(listed: str | None, *, option: str) -> tuple[int, ...] | None:
    """`1000,2000` as numbers; None where the option was not given. Raises BadInput for anything else."""
    from ragprof.core.errors import BadInput

    if listed is None:
        return None
    try:
        return tuple(int(number.strip().replace("_", "")) for number in listed.split(","))
    except ValueError:
        raise BadInput(f"{option} '{listed}' is no list of numbers; write it like 1000,2000,4000") from None


def given(**options: object) -> dict[str, object]:
    """The options that were given: they go before the study's table of the eval file."""
    return {name: value for name, value in options.items() if value is not None}
