"""What every kind of app owes; a new file in `ragprof/apps/` is tested by being there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ragprof.core import registry
from ragprof.core.stages import App

KINDS = registry.names("apps")


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_says_in_a_line_what_it_is(kind: str) -> None:
    assert registry.summary("apps", kind).endswith(".")


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_fits_nothing_that_is_no_app(kind: str) -> None:
    plugin: type[App] = registry.find("apps", kind)
    assert [target for target in (None, 7, "text", [], {}) if plugin.fits(target)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_telling_whether_a_kind_fits_imports_no_framework(kind: str, tmp_path: Path) -> None:
    code = (
        f"import sys; from ragprof.core import registry; registry.find('apps', '{kind}').fits(len); "
        "print([name for name in ('langchain_core', 'llama_index', 'haystack') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_every_member_of_an_app(kind: str) -> None:
    plugin = registry.find("apps", kind)
    assert [name for name in registry.members("apps") if not hasattr(plugin, name)] == ["identity"] * (
        not hasattr(plugin, "identity")
    )
