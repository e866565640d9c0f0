"""Load recordings gated from eval file to verdict, at a service and in pipelines of this process."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from known_server import running
from test_load_study import written

import ragprof
from ragprof.studies.gate.document import Comparison

LOAD = """
[load]
slo = { p95_ms = 100, error_rate = 0.01 }
seconds = 8
rates = [150]
search = true
repeats = 1
"""
GATE = """
[gate]
across_jobs = true
[gate.quantities]
capacity = { relative = 0.3 }
goodput = { relative = 0.3 }
"load.p95" = { relative = 0.3 }
"""


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def judged(found: Comparison, *names: str) -> set[str]:
    """Verdicts of these gates, but for those that are not judged: on a busy machine the generator itself is late."""
    return {row.gate for row in found.gates if row.quantity in names and not row.reason.startswith("not judged")}


@pytest.mark.slow
def test_both_versions_are_loaded_by_turns_in_one_job(tmp_path: Path) -> None:
    load = LOAD.replace("rates = [150]", "rates = [100]").replace("seconds = 8", "seconds = 10")
    with running(mean_ms=20, servers=6, spans=True) as fast, running(mean_ms=60, servers=8, spans=True) as slow:
        paths = {}
        for name, url in (("base", fast), ("candidate", slow)):
            service = f'[[pipelines]]\nname = "service"\napp = "{url}"\n'
            paths[name] = written(tmp_path, load, GATE, service).rename(tmp_path / f"{name}.toml")
        found = ragprof.gate(paths["candidate"], against=str(paths["base"]), out=tmp_path / "out")
    gates = {row["quantity"]: row for row in found.rows}
    # On a busy machine the two processes of the base differ by as much, and nothing is told; it never holds.
    assert judged(found, "capacity", "load.p95") <= {"regression", "undecided"}
    assert gates["capacity"]["candidate"] < 0.7 * gates["capacity"]["base"]
    assert judged(found, "goodput") <= {"holds"}  # both answer 100 a second in time
    assert gates["capacity"]["base"] == pytest.approx(300, rel=0.25)
    assert gates["capacity"]["noise"] is not None
    assert found.against is not None
    for side in ("base", "candidate"):
        steps = {each.stem for each in (tmp_path / "out" / "against" / side / "load" / "0").glob("*.parquet")}
        assert {"alone", "calibrate", "capacity-0", "curve-0-0"} <= steps


@pytest.mark.slow
def test_a_service_that_got_slower_fails_a_gate_under_load(tmp_path: Path) -> None:
    port = free_port()
    service = f'[[pipelines]]\nname = "service"\napp = "http://127.0.0.1:{port}/answer"\n'
    path = written(tmp_path, LOAD, GATE, service)
    found = {}
    for name, mean_ms, servers in (("base", 20, 4), ("same", 20, 4), ("slow", 110, 32)):
        with running(mean_ms=mean_ms, servers=servers, spans=True, port=port):
            ragprof.run(path, out=tmp_path / name)
            found[name] = ragprof.load(path, out=tmp_path / name).folder
    kept = ragprof.save_baseline(found["base"], into=tmp_path / "kept")
    same, slow = (ragprof.gate(path, baseline=kept, recording=found[name]) for name in ("same", "slow"))
    assert {row["quantity"]: row["gate"] for row in same.rows}["load.p95"] in ("holds", "undecided")
    assert judged(slow, "capacity", "goodput", "load.p95") == {"regression"}
    assert slow.exit_code == 1
    assert [row["kind"] for row in json.loads(json.dumps(slow.document))["gate"]["gates"]] == ["load"] * 3
