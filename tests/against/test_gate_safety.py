"""What a gate leaves behind when it is ended, what it writes into, and what of others' texts reaches a machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from ragprof.core import files
from ragprof.core.clock import Silent
from ragprof.core.errors import BadInput
from ragprof.evals import GateSettings
from ragprof.evals.recorded import read_manifest
from ragprof.report.theme import static_svgs
from ragprof.studies.gate.comparison import refused, unrecorded
from ragprof.studies.gate.processes import Process, RunnableSide
from ragprof.studies.gate.tables import comparison_table

ENDED = """
import sys, time
from pathlib import Path
from ragprof.cli.ending import unwind_when_ended
unwind_when_ended()
try:
    Path("started").touch()
    time.sleep(60)
finally:
    Path("tidied").touch()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_ended_tidies_up(tmp_path: Path, number: signal.Signals) -> None:
    heard = f"import signal\nsignal.signal({int(number)}, signal.SIG_DFL)\n"  # whatever ran these tests ignores it
    command = [sys.executable, "-c", heard + ENDED]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "started").exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        try:
            _, said = process.communicate(timeout=10)
        finally:
            process.kill()
    assert (process.returncode, said) == (128 + number, f"ragprof: ended by {number.name}\n")
    assert (tmp_path / "tidied").exists()


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    script = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + ENDED.replace("sleep(60)", "sleep(0.3)")
    process = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path)
    while not (tmp_path / "started").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGHUP)
    assert process.wait(10) == 0


def test_who_stops_a_job_does_not_wait_for_a_busy_worker(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)")
    python.chmod(0o755)
    start = time.monotonic()
    with (
        pytest.raises(KeyboardInterrupt),
        Process(RunnableSide("base", tmp_path / "none.toml", python=python), Silent()),
    ):
        raise KeyboardInterrupt
    assert time.monotonic() - start < 10


def test_a_device_is_written_into_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    files.write_text(pipe, "whole")
    assert (os.read(reader, 100), pipe.is_fifo()) == (b"whole", True)
    os.close(reader)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "real" / "file.json")
    files.write_json(tmp_path / "link.json", [1])
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real" / "file.json").read_text()) == [1]


@pytest.mark.parametrize("name", ["../../outside", "/outside", "a/b"])
def test_a_recording_cannot_name_a_file_outside_of_itself(tmp_path: Path, name: str) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"config": {"pipelines": [{"name": name}]}}))
    with pytest.raises(
        BadInput, match=r"pipelines\.0\.name: '.*outside' cannot be a name|pipelines\.0\.name: 'a/b' cannot be a name"
    ):
        read_manifest(tmp_path)


def test_no_text_steers_the_terminal_or_the_log_of_a_build() -> None:
    sides = unrecorded("before", queries=1), unrecorded("after", queries=1)
    title, why = "a\x1b]0;owned\x07\n::stop-commands::x\n b", "\n::error::y"
    found = refused(sides, GateSettings(), why, eval_name="small", title=title, pipelines=[], strict=False)
    console = Console(width=80, record=True, file=StringIO())
    console.print(comparison_table(found))
    shown = console.export_text()
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "stop-commands" in shown
    assert not [line for line in shown.splitlines() if line.lstrip(" !").startswith("::")]


@pytest.mark.usefixtures("real_pictures")
def test_a_picture_leaves_out_what_xml_forbids() -> None:
    """The converter would end the whole process by it."""
    spec = {
        "data": {"values": [{"a": "x\x1by"}]},
        "mark": "text",
        "encoding": {"text": {"field": "a", "type": "nominal"}},
    }
    assert "xy" in static_svgs([(spec, 600)])[0]
