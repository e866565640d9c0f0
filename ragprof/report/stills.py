"""Charts as still pictures, where it is worth it in a process of its own that starts while figures are computed.

Vega's converter takes about a second for its first picture, in which no thread of the same process gets on. A command
line draws once and ends, so it lets another process begin early; who draws more than once keeps one converter.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import subprocess

Spec: TypeAlias = dict[str, Any]
_apart: ContextVar[bool] = ContextVar("apart", default=False)
_painter: ContextVar[subprocess.Popen[str] | None] = ContextVar("painter", default=None)
FIRST: Spec = {
    "data": {"values": [{"x": 1}]},
    "mark": "point",
    "encoding": {"x": {"field": "x", "type": "quantitative"}},
}
"""A picture that nobody looks at, for the converter to be ready."""


@contextmanager
def in_a_process() -> Iterator[None]:
    """Say that what draws within draws once."""
    token = _apart.set(True)
    try:
        yield
    finally:
        _apart.reset(token)


@contextmanager
def soon() -> Iterator[None]:
    """Say that pictures will be wanted within: the process is started now, and ended with the block."""
    if not _apart.get():
        yield
        return
    import subprocess

    with subprocess.Popen(
        [sys.executable, "-m", "ragprof.report.stills"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8",
    ) as process:  # fmt: skip
        token = _painter.set(process)
        try:
            yield
        finally:
            _painter.reset(token)
            process.kill()


def pictures(specs: Sequence[Spec]) -> list[str]:
    """The specifications as SVG, in order. Where the process fails they are drawn here."""
    process = _painter.get()
    if process is None or not specs:
        return [_picture(spec) for spec in specs]
    _painter.set(None)  # it is told all at once, and then ends
    answer, _ = process.communicate("".join(f"{json.dumps(spec)}\n" for spec in specs))
    drawn = answer.splitlines()
    if process.returncode or len(drawn) != len(specs):
        return [_picture(spec) for spec in specs]
    return [str(json.loads(line)) for line in drawn]


def _picture(spec: Spec) -> str:
    import vl_convert

    return str(vl_convert.vegalite_to_svg(spec))


def main() -> None:
    """Draw each line of the input as a line of the output, once the converter is ready."""
    _picture(FIRST)
    for line in sys.stdin:
        sys.stdout.write(f"{json.dumps(_picture(json.loads(line)))}\n")


if __name__ == "__main__":
    main()
