"""Still pictures in tests: converting a dozen charts takes as long as the rest of a test that does not look at one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

from ragprof.report import stills

REAL = {"pictures": stills.pictures, "soon": stills.soon}


@contextmanager
def blank() -> Iterator[None]:
    """Every picture is empty, and no process is started for them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stills, "pictures", lambda specs: ["<svg/>"] * len(specs))
        patched.setattr(stills, "soon", nullcontext)
        yield


@contextmanager
def real() -> Iterator[None]:
    """They are drawn, for what looks at them."""
    with pytest.MonkeyPatch.context() as patched:
        for name, own in REAL.items():
            patched.setattr(stills, name, own)
        yield
