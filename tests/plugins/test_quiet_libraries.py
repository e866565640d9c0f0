"""What libraries log of themselves is not put into the log of whoever uses ragprof."""

from __future__ import annotations

import logging

import pytest

from ragprof.core import Doc
from ragprof.core.registry import PartSpec, create


def test_bm25s_logs_nothing_while_it_indexes(caplog: pytest.LogCaptureFixture) -> None:
    store = create("stores", PartSpec(name="bm25s"))
    with caplog.at_level(logging.DEBUG):
        store.load()
        store.add([Doc("d", "leave", "thirty days of leave", "d")], None)
    assert caplog.records == []
