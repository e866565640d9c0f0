"""Environment: facts about the machine, and nothing that tells whose it is."""

from __future__ import annotations

import getpass
import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from ragprof.core.environment import PACKAGES, cpu_name, describe, installed, peak_rss_bytes, reset_peak, revision


@pytest.fixture(scope="module")
def facts() -> Mapping[str, object]:
    return describe()


def test_the_facts_are_plain_data_with_units_in_their_names(facts: Mapping[str, object]) -> None:
    assert list(facts) == ["cpu", "cores", "threads", "memory_bytes", "os", "python", "gpu", "packages"]
    assert json.loads(json.dumps(facts)) == facts


def test_nothing_names_the_user_the_host_or_a_folder(facts: Mapping[str, object]) -> None:
    told = json.dumps(facts)
    for secret in (platform.node(), str(Path.home()), str(Path.cwd())):
        assert secret not in told
    assert f'"{getpass.getuser()}"' not in told


def test_the_versions_are_those_of_the_installed_packages(facts: Mapping[str, object]) -> None:
    packages = facts["packages"]
    assert isinstance(packages, dict)
    assert packages["numpy"] == np.__version__
    assert set(packages) <= set(PACKAGES)


def test_a_package_that_is_not_installed_is_absent() -> None:
    assert installed("no-such-package-anywhere") is None


def test_the_cpu_is_named_with_its_number_formats() -> None:
    assert cpu_name().strip()


def test_the_peak_rises_with_memory_and_falls_back_when_it_is_reset() -> None:
    if not reset_peak():
        pytest.skip("this system has no high-water mark that can be reset")
    before = peak_rss_bytes()
    block = np.ones(60_000_000, np.uint8)
    during = peak_rss_bytes()
    assert during - before > 50_000_000
    del block
    reset_peak()
    assert peak_rss_bytes() < during - 50_000_000


def test_the_revision_is_the_commit_that_is_checked_out_and_runs_nothing(tmp_path: Path) -> None:
    assert revision(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert revision(tmp_path) is None  # nothing is committed yet
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    monitor = tmp_path / "monitor"
    monitor.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n", encoding="utf-8")
    monitor.chmod(0o755)
    subprocess.run([*git, "config", "core.fsmonitor", str(monitor)], check=True)
    (tmp_path / "evals").mkdir()
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert revision(tmp_path / "evals") == head
    assert not (tmp_path / "ran").exists()


def test_without_git_there_is_no_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert revision(tmp_path) is None
