"""Environment: facts about the machine, and nothing that tells whose it is."""

from __future__ import annotations

import getpass
import json
import platform
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from ragprof.core.environment import PACKAGES, cpu_name, describe, installed, peak_rss_bytes, reset_peak


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
