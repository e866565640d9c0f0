"""What the options say, for the whole session. Refuses to update baselines where CI runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

NO = ("", "0", "false", "no")


@dataclass(frozen=True)
class Settings:
    """`session` is one name for all workers of a run; `crowded` is whether there are several of them.

    `out` holds recordings; `kept` is whether the user asked to keep them. Relative paths are looked up in `roots`.
    """

    update: bool
    strict: bool
    out: Path
    kept: bool
    baselines: str
    session: str
    crowded: bool
    roots: tuple[Path, ...]


def settings_of(config: pytest.Config, *, temporary: Path) -> Settings:
    """`temporary` is this process's temporary folder; the workers of xdist share the one above it."""
    worker = getattr(config, "workerinput", {})
    shared, out = temporary.parent if worker else temporary, config.getoption("ragprof_out")
    root = config.invocation_params.dir
    return Settings(
        update=config.getoption("ragprof_update") is not None,
        strict=bool(config.getoption("ragprof_strict")),
        out=root / out if out else shared / "ragprof",
        kept=bool(out),
        baselines=str(config.getini("ragprof_baselines")),
        session=str(worker.get("testrunuid") or f"{os.getpid()}-{temporary.name}"),
        crowded=worker.get("workercount", 1) > 1,
        roots=(config.rootpath, root),
    )


def refuse_update(config: pytest.Config) -> None:
    """Raises UsageError for --ragprof-update in CI: a gate that rewrites its baseline gates nothing."""
    if config.getoption("ragprof_update") == "yes" and os.environ.get("CI", "").lower() not in NO:
        raise pytest.UsageError(
            "--ragprof-update is refused where CI=true, because a build that writes its own baseline can never fail; "
            "update on your machine and commit the folder, or say --ragprof-update=force"
        )
