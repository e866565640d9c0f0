"""Answers asked for by several threads: what was paid for comes out, and an error ends the wait."""

from __future__ import annotations

import threading
import time

from ragprof.core import Generated
from ragprof.core.errors import BadInput
from ragprof.studies.injection.record import as_they_come


class OneOfManyFails:
    """Two threads: the second prompt fails while the first is still being answered and forty wait."""

    concurrency = 2
    context_tokens = None
    model_name = "one_of_many_fails"

    def generate(self, prompt: str) -> Generated:
        if prompt == "1":
            raise BadInput("no more")
        time.sleep(0.2)
        return Generated(f"answer of {prompt}", {"requests": 1}, None, "stop")


def test_an_error_ends_the_wait_and_what_was_answered_comes_out_first() -> None:
    came: list[str] = []
    failed: list[Exception] = []

    def ask() -> None:
        try:
            for pieces in as_they_come(OneOfManyFails(), {str(number): str(number) for number in range(42)}):
                came.extend(pieces)
        except BadInput as error:
            failed.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(timeout=30)
    assert not asking.is_alive()
    assert [str(error) for error in failed] == ["no more"]
    assert "0" in came
    assert len(came) < 10
