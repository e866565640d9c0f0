"""The recipe of python-docs, on a small package that prints, fails, exits and carries one docstring under two names."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RECIPE = Path(__file__).parents[2] / "corpora" / "python-docs"
SHOUT = "Shout a text, so that everybody in the whole building hears it at once."
WHISPER = "Whisper a text <object at 0x7f00dead>, so quietly that nobody in the building hears it."

MODULES = {
    "__init__.py": f'"""A package about voices, loud and quiet, made for nothing but this test."""\n'
    f'from noisy.loud import shout\n\n\ndef whisper():\n    """{WHISPER}"""\n\n\ndef hum():\n    """Too short."""\n',
    "loud.py": f'print("hello from an import")\n\n\ndef shout():\n    """{SHOUT}"""\n',
    "broken.py": 'raise RuntimeError("this module cannot be imported")\n',
    "leaving.py": "import sys\n\nsys.exit(3)\n",
    "_private.py": f'def hidden():\n    """Nobody outside should read this, {SHOUT}"""\n',
}


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    folder = tmp_path / "packages"
    for name, source in MODULES.items():
        path = folder / "noisy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    (folder / "unloadable").mkdir()
    (folder / "unloadable" / "__init__.py").write_text('raise ImportError("no such library")\n', encoding="utf-8")
    return folder


def harvest(tmp_path: Path, packages: Path, into: str) -> tuple[list[dict[str, Any]], dict[str, Any], str]:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "voices"\nmin_characters = 60\nprefer = []\n[packages]\n'
        'noisy = { licence = "none" }\nunloadable = { licence = "none" }\n'
        'absent = { distribution = "no-such-distribution-at-all", licence = "none" }\n',
        encoding="utf-8",
    )
    output = tmp_path / into
    done = subprocess.run(
        [sys.executable, str(RECIPE / "harvest.py"), str(recipe), str(output)],
        env={**os.environ, "PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = (output / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    manifest = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    return [json.loads(line) for line in lines], manifest, done.stdout


def test_an_import_that_prints_fails_or_exits_does_no_harm(tmp_path: Path, packages: Path) -> None:
    docs, manifest, printed = harvest(tmp_path, packages, "out")
    assert [doc["_id"] for doc in docs] == ["noisy", "noisy.shout", "noisy.whisper"]
    assert printed == ""
    assert manifest["failures"]["noisy"] == [
        "noisy.broken: RuntimeError: this module cannot be imported",
        "noisy.leaving: SystemExit: 3",
    ]


def test_equal_texts_are_one_passage_that_keeps_its_other_names(tmp_path: Path, packages: Path) -> None:
    docs, manifest, _ = harvest(tmp_path, packages, "out")
    shout = next(doc for doc in docs if doc["_id"] == "noisy.shout")
    assert shout["text"] == SHOUT
    assert shout["metadata"]["aliases"] == ["noisy.loud.shout"]
    assert (manifest["docs"], manifest["aliases"]) == (3, 1)


def test_addresses_of_one_process_are_not_in_the_text(tmp_path: Path, packages: Path) -> None:
    docs, _, _ = harvest(tmp_path, packages, "out")
    assert docs[2]["text"] == "Whisper a text <object>, so quietly that nobody in the building hears it."


def test_a_package_that_cannot_be_loaded_is_left_out_as_a_whole(tmp_path: Path, packages: Path) -> None:
    _, manifest, _ = harvest(tmp_path, packages, "out")
    assert manifest["left_out"] == {"unloadable": "ImportError: no such library"}
    assert manifest["versions"]["absent"] is None


def test_the_same_versions_give_the_same_bytes(tmp_path: Path, packages: Path) -> None:
    harvest(tmp_path, packages, "first")
    harvest(tmp_path, packages, "second")
    first, second = ((tmp_path / name / "corpus.jsonl").read_bytes() for name in ("first", "second"))
    assert first == second


def test_an_import_that_hangs_is_written_down_and_passed(
    tmp_path: Path, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (packages / "noisy" / "stuck.py").write_text("import time\n\ntime.sleep(60)\n", encoding="utf-8")
    script = (
        f"import runpy, signal\nwalk = runpy.run_path({str(RECIPE / 'walk_package.py')!r})\n"
        "signal.signal(signal.SIGALRM, walk['on_alarm'])\n"
        "walk['visit'].__globals__['IMPORT_SECONDS'] = 1\n"
        f"with open({str(tmp_path / 'rows')!r}, 'w') as out:\n    walk['visit']('noisy.stuck', 'noisy', out)\n"
    )
    subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(packages)}, check=True, timeout=30
    )
    row = json.loads((tmp_path / "rows").read_text(encoding="utf-8"))
    assert row == ["noisy.stuck", "failure", "TimeoutError: no answer in time", 0]


def test_only_public_names_are_walked() -> None:
    is_public = runpy.run_path(str(RECIPE / "walk_package.py"))["is_public"]
    assert [is_public(name) for name in ("numpy.linalg", "numpy._core", "scipy.tests.x")] == [True, False, False]
