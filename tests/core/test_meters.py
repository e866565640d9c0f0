"""Meters: counters that wrap, domains that are parts of others, and an estimate that says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ragprof.studies.injection.meters import NvmlMeter, RaplMeter, StatedWatts, Together, find_meter, joules

Machine = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the GPU of the machine that runs the tests, as CUDA hides it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A /sys/class/powercap: zone -> name, microjoules."""

    def build(zones: dict[str, tuple[str, int]], maximum: int = 1_000_000) -> Path:
        for zone, (name, energy) in zones.items():
            folder = tmp_path / zone
            folder.mkdir(exist_ok=True)
            (folder / "name").write_text(f"{name}\n")
            (folder / "energy_uj").write_text(f"{energy}\n")
            (folder / "max_energy_range_uj").write_text(f"{maximum}\n")
        return tmp_path

    return build


def rapl(folder: Path) -> RaplMeter:
    meter = RaplMeter.found(folder)
    assert meter is not None
    return meter


def test_packages_and_their_memory_are_added_and_parts_of_them_are_not(machine: Machine) -> None:
    zones = ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0", "intel-rapl:0:1", "intel-rapl:2", "intel-rapl-mmio:0")
    names = ("package-0", "package-1", "core", "dram", "psys", "package-0")
    folder = machine({zone: (name, 0) for zone, name in zip(zones, names, strict=True)})
    meter = rapl(folder)
    start = meter.read_nj()
    machine({zone: (name, 10**place) for place, (zone, name) in enumerate(zip(zones, names, strict=True))})
    assert meter.read_nj() - start == 1_011_000
    assert meter.source == "rapl"


def test_a_counter_that_begins_again_goes_on(machine: Machine) -> None:
    meter = rapl(machine({"intel-rapl:0": ("package-0", 999_000)}, maximum=1_000_000))
    start = meter.read_nj()
    machine({"intel-rapl:0": ("package-0", 500)}, maximum=1_000_000)
    assert joules(meter, since_nj=start) == 0.0015
    machine({"intel-rapl:0": ("package-0", 2_500)}, maximum=1_000_000)
    assert joules(meter, since_nj=start) == 0.0035


def test_two_who_read_the_same_meter_do_not_disturb_each_other(machine: Machine) -> None:
    meter = rapl(machine({"intel-rapl:0": ("package-0", 0)}))
    whole = meter.read_nj()
    machine({"intel-rapl:0": ("package-0", 1_000)})
    part = meter.read_nj()
    machine({"intel-rapl:0": ("package-0", 3_000)})
    assert (joules(meter, since_nj=whole), joules(meter, since_nj=part)) == (0.003, 0.002)


def test_counters_that_may_not_be_read_are_no_meter(machine: Machine) -> None:
    folder = machine({"intel-rapl:0": ("package-0", 0)})
    (folder / "intel-rapl:0" / "energy_uj").unlink()
    (folder / "intel-rapl:0" / "energy_uj").mkdir()
    assert RaplMeter.found(folder) is None


def test_a_machine_without_counters_has_no_meter(tmp_path: Path) -> None:
    assert RaplMeter.found(tmp_path / "none") is None
    assert find_meter(None, powercap=tmp_path) is None


def test_stated_watts_are_multiplied_by_the_time_that_passed(tmp_path: Path) -> None:
    times = iter([5 * 10**9, 9 * 10**9])
    meter = find_meter(65.0, clock=lambda: next(times), powercap=tmp_path)
    assert isinstance(meter, StatedWatts)
    assert meter.source == "estimate"
    assert joules(meter, since_nj=meter.read_nj()) == 260.0


def test_what_the_machine_counts_goes_before_stated_watts(machine: Machine) -> None:
    found = find_meter(65.0, powercap=machine({"intel-rapl:0": ("package-0", 0)}))
    assert isinstance(found, RaplMeter)


def test_gpus_are_added_and_count_in_millijoules() -> None:
    assert NvmlMeter([lambda: 2, lambda: 3]).read_nj() == 5_000_000


def test_gpu_and_processor_are_added(machine: Machine) -> None:
    meter = Together((NvmlMeter([lambda: 7]), rapl(machine({"intel-rapl:0": ("package-0", 0)}))))
    assert meter.source == "nvml+rapl"
    machine({"intel-rapl:0": ("package-0", 4)})
    assert meter.read_nj() == 7_004_000


def test_a_gpu_that_cuda_hides_is_not_measured() -> None:
    assert NvmlMeter.found() is None
