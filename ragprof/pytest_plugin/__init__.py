"""The pytest plugin: a `ragprof` fixture, its options, and what its checks say in reports and in the summary.

Hooks only. pytest imports this module in every project that has ragprof installed, so nothing heavy is imported here:
what profiles and compares is loaded when a test first asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ragprof.pytest_plugin.fixture import Profiler


BASELINES = "ragprof_baselines"
CHECKS = "ragprof_checks"
"""The attribute of a report that holds the figures that its test checked."""
NOT_CI = ("", "0", "false", "no")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ragprof", "profiling of retrieval pipelines")
    group.addoption(
        "--ragprof-update",
        action="store_const",
        const="yes",
        dest="ragprof_update",
        help="write the baselines that tests name, instead of comparing with them; refused where CI=true",
    )
    group.addoption(
        "--ragprof-update=force",
        action="store_const",
        const="force",
        dest="ragprof_update",
        help="the same, also where CI=true",
    )
    group.addoption(
        "--ragprof-strict", action="store_true", help="a comparison that too few queries leave undecided fails"
    )
    group.addoption(
        "--ragprof-out",
        metavar="DIR",
        help="keep recordings, reports and comparisons here (default: a temporary folder)",
    )
    parser.addini(BASELINES, f"folder of baselines, beside each test file (default: {BASELINES})", default=BASELINES)


def pytest_configure(config: pytest.Config) -> None:
    """Raises UsageError for --ragprof-update in CI: a gate that rewrites its baseline gates nothing."""
    if config.getoption("ragprof_update") == "yes" and os.environ.get("CI", "").lower() not in NOT_CI:
        raise pytest.UsageError(
            "--ragprof-update is refused where CI=true, because a build that writes its own baseline can never fail; "
            "update on your machine and commit the folder, or say --ragprof-update=force"
        )


@pytest.fixture
def ragprof(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Profiler:
    """Profile retrieval pipelines and check what was found: figures, and differences from a baseline.

    Recordings are shared by the tests of a session: what ten tests profile is recorded once.
    """
    from ragprof.pytest_plugin.fixture import profiler_of

    return profiler_of(request, tmp_path_factory.getbasetemp())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if "ragprof" in getattr(item, "fixturenames", ()):
        from ragprof.pytest_plugin.outcomes import tell

        tell(item, call, report, under=CHECKS)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if any(hasattr(report, CHECKS) for reports in terminalreporter.stats.values() for report in reports):
        from ragprof.pytest_plugin.outcomes import write_summary

        write_summary(terminalreporter, under=CHECKS)
