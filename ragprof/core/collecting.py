"""Python's search for circles of objects, left out where it takes long and finds nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collecting() -> Iterator[None]:
    """Let nobody look for circles meanwhile: each search goes through all that the libraries hold.

    For work that makes very many objects and hardly a circle. Reading traces it saves a third of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
