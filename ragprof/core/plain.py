"""Text of others (titles, ids, names, messages) without what steers a terminal or a CI log, for all output."""

from __future__ import annotations

import re

NO_WIDTH = "\u200b"
# XML forbids most of these, a terminal obeys the others (ESC, its 8-bit forms, what turns the direction of writing
# around), and halves of surrogate pairs, which stand for bytes of file names, cannot be written at all.
STEERING = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u007f-\u009f\u202d\u202e]")
# GitHub reads `::error` at the start of a line, GitHub and Azure `##[error]` and `##vso[...]` anywhere.
COMMAND = re.compile(r"(?<!\S):(?=:)|#(?=#\w*\[)")


def text(value: object) -> str:
    """Without control characters other than tab and line ends."""
    return STEERING.sub("", str(value))


def line(value: object) -> str:
    """As `text`, on one line."""
    return " ".join(text(value).split())


def no_command(printed: str) -> str:
    """The same to the eye, but no line of it is a command to the CI machine whose log it stands in."""
    return COMMAND.sub(rf"\g<0>{NO_WIDTH}", printed)
