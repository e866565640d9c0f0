"""A process that parses files, so that a broken one can neither crash nor hang the run, nor take its memory.

It is told one file a line and answers one line, both JSON. A file that takes too long, or kills its parser, is told of
as unreadable; the next file gets a process of its own.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Timer
from typing import IO, Any, cast

from ragprof.core.clock import now_ns
from ragprof.core.documents import ReadDocument, ReadFile, Segment, SkippedPart
from ragprof.core.errors import BadInput
from ragprof.core.registry import PartSpec, create
from ragprof.corpus.texts import gunzipped

MEMORY_BYTES = 4 << 30
"""Address space of the process; a parser that asks for more is told there is none."""
SECONDS = 300.0
ENDING_SECONDS = 5.0
LONGEST_REASON = 160


@dataclass(frozen=True)
class TimedReading:
    """What a reader made of a file, and how long that took."""

    found: ReadFile
    parsing_ns: int


class ParsingProcess:
    """One process at a time, started when it is first needed. Not for several threads at once."""

    def __init__(self, *, seconds: float = SECONDS, memory_bytes: int = MEMORY_BYTES) -> None:
        self._seconds, self._memory_bytes = seconds, memory_bytes
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, path: Path, reader: PartSpec, *, packed: bool) -> TimedReading:
        """Raises BadInput with the reason for a file that cannot be read."""
        process = self._ready()
        question = {"path": os.fspath(path), "reader": reader.model_dump(), "packed": packed}
        timer = Timer(self._seconds, process.kill)
        timer.start()
        try:
            told, heard = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
            told.write(json.dumps(question).encode() + b"\n")
            told.flush()
            answer = heard.readline()
        except BrokenPipeError:
            answer = b""
        finally:
            in_time = timer.is_alive()
            timer.cancel()
        if not answer.endswith(b"\n"):
            with suppress(subprocess.TimeoutExpired):
                process.wait(ENDING_SECONDS)  # it has closed its pipe, and is about to say how it ended
            self.end()
            code = process.returncode
            raise BadInput(_ended(code) if in_time else f"not parsed within {self._seconds:,.0f} s")
        return _timed(json.loads(answer))

    def end(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what it was not yet told is of no use to anyone
                    pipe.close()
        process.wait()

    def _ready(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            # Readers of other packages are found where this process finds them.
            paths = os.pathsep.join(filter(None, sys.path))
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "ragprof.corpus.apart", str(self._memory_bytes)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": paths},
            )  # fmt: skip
            if not cast(IO[bytes], self._process.stdout).readline():
                self.end()
                raise BadInput("the process that parses files does not start")
        return self._process


def _ended(code: int) -> str:
    try:
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    except ValueError:
        how = f"signal {-code}"
    return f"its parser crashed ({how})"


def _timed(answer: dict[str, Any]) -> TimedReading:
    if "reason" in answer:
        raise BadInput(answer["reason"])
    return TimedReading(restored(answer["found"]), answer["parsing_ns"])


def restored(kept: dict[str, Any]) -> ReadFile:
    """A ReadFile from what `asdict` made of one and JSON kept. Raises KeyError or TypeError for anything else."""
    documents = tuple(
        ReadDocument(**{**each, "segments": tuple(Segment(**segment) for segment in each["segments"])})
        for each in kept["documents"]
    )
    skipped = tuple(SkippedPart(**each) for each in kept["skipped"])
    return ReadFile(documents, kept["pages"], tuple(kept["empty_pages"]), skipped)


def answer_to(question: dict[str, Any]) -> dict[str, Any]:
    """What is answered to one question: `found` and `parsing_ns`, or the `reason` why the file cannot be read."""
    try:
        reader = create("readers", PartSpec.model_validate(question["reader"]))
        reader.load()
        content = Path(question["path"]).read_bytes()
        started = now_ns()
        found = reader.read(gunzipped(content) if question["packed"] else content)
        return {"found": asdict(found), "parsing_ns": now_ns() - started}
    except BadInput as problem:
        return {"reason": problem.message}
    except MemoryError:
        return {"reason": "its parser needs more memory than it may have"}
    except OSError as failure:
        return {"reason": f"cannot be read: {failure.strerror or failure}"}
    except Exception as failure:  # a parser may raise anything over a broken file
        return {"reason": unparsed(failure)}


def unparsed(failure: Exception) -> str:
    """A reason in one line for what a parser raised."""
    said = " ".join(str(failure).split())[:LONGEST_REASON]
    return f"broken: {type(failure).__name__}{': ' if said else ''}{said}"


def main() -> None:
    """Answer each line of the input. What a parser prints goes nowhere."""
    limit = int(sys.argv[1])
    with suppress(ValueError, OSError):  # some systems do not bound address space
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    answers.write(b"ready\n")  # a start that takes long is no file's fault
    answers.flush()
    for line in sys.stdin.buffer:
        answers.write(json.dumps(answer_to(json.loads(line))).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
