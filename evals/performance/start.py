"""How long `ragprof --help` and `ragprof list` take as whole processes, against a Python that does nothing.

    python evals/performance/start.py [--rounds 7]

Standard output of the processes is thrown away; what they take to be drawn on a terminal is not in the figures.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from paired import Durations, each, interleaved, ratio
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ragprof.core.environment import describe
from ragprof.core.errors import BadInput, RagprofError

RIVAL = "python -c pass"
MS = 1e6


def main() -> None:
    rounds = arguments().rounds
    sides = commands()
    for start in sides.values():
        start()
    console = Console()
    console.print(table(interleaved(sides, rounds=rounds), rounds))
    facts = describe()
    console.print(f"{facts['cpu']}, {facts['cores']} cores, Python {facts['python']}", style="dim", highlight=False)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="times each is started; default 7")
    return parser.parse_args()


def commands() -> Mapping[str, Callable[[], object]]:
    """What is started, by how it is written; the console script is the one beside this interpreter."""
    script = Path(sys.executable).with_name("ragprof")
    if not script.is_file():
        raise BadInput("no console script beside this Python; install ragprof into it (pip install -e .)", file=script)
    return {
        RIVAL: partial(run, [sys.executable, "-c", "pass"]),
        "ragprof --help": partial(run, [str(script), "--help"]),
        "ragprof list": partial(run, [str(script), "list"]),
    }


def run(command: Sequence[str]) -> None:
    """Start it and wait for its end. Raises BadInput where it fails: such a time would say nothing."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True)
    if done.returncode != 0:
        raise BadInput(f"'{' '.join(command)}' ended with {done.returncode} and said: {done.stderr.strip()[-400:]}")


def table(taken: Mapping[str, Durations], rounds: int) -> Table:
    shown = Table(
        title=f"wall time of a process: median of {rounds} (fastest-slowest)", box=SIMPLE_HEAD, title_justify="left"
    )
    shown.add_column("process")
    for heading in ("ms", f"times {RIVAL}"):
        shown.add_column(heading, justify="right")
    for name, durations in taken.items():
        against = "1" if name == RIVAL else ratio(durations, taken[RIVAL]).shown(".1f")
        shown.add_row(name, each(durations, unit_ns=MS).shown(".0f"), against)
    return shown


if __name__ == "__main__":
    try:
        main()
    except RagprofError as error:
        sys.exit(f"start.py: {error}")
