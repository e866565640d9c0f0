"""What tests draw: converting a dozen charts takes as long as the rest of a test that does not look at one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

from ragprof.report import stills
from ragprof.session import pages

PARTS_OF = pages.parts_of
REAL = {"pictures": stills.pictures, "soon": stills.soon}


@contextmanager
def blank() -> Iterator[None]:
    """Every picture is empty, and no process is started for them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stills, "pictures", lambda specs: ["<svg/>"] * len(specs))
        patched.setattr(stills, "soon", nullcontext)
        yield


@contextmanager
def without_parts() -> Iterator[None]:
    """Reports have their head alone, without tables and charts. For rooms whose studies tests/cli draws whole."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pages, "parts_of", lambda _analysis: [])
        yield


@contextmanager
def whole() -> Iterator[None]:
    """Reports are whole, for what reads one."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pages, "parts_of", PARTS_OF)
        yield


@contextmanager
def real() -> Iterator[None]:
    """They are drawn, for what looks at them."""
    with pytest.MonkeyPatch.context() as patched:
        for name, own in REAL.items():
            patched.setattr(stills, name, own)
        yield
