"""Load recordings gated from eval file to verdict, at a service and in pipelines of this process."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from known_server import running
from test_load_study import written

import ragprof

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
    verdicts = {row["quantity"]: row["gate"] for row in slow.rows}
    assert (slow.exit_code, verdicts) == (1, dict.fromkeys(("capacity", "goodput", "load.p95"), "regression")), [
        row["message"] for row in slow.rows
    ]
    assert [row["kind"] for row in json.loads(json.dumps(slow.document))["gate"]["gates"]] == ["load"] * 3
