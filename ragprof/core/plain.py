"""Text of others (titles, ids, names, messages) without what steers a terminal or a CI log, for all output."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

SAID_CHARACTERS = 300
"""Of a message of other people's code that are shown."""
NO_WIDTH = "\u200b"
# XML forbids most of these, a terminal obeys the others (ESC, its 8-bit forms, what turns the direction of writing
# around), and halves of surrogate pairs, which stand for bytes of file names, cannot be written at all.
STEERING = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u007f-\u009f\u202d\u202e]")
# GitHub reads `::error` at the start of a line, GitHub and Azure `##[error]` and `##vso[...]` anywhere.
COMMAND = re.compile(r"(?<!\S):(?=:)|#(?=#\w*\[)")
SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
"""In the name of an environment variable: its value is a secret."""
SECRET_OPTION = re.compile(
    r"(^|[_.-])(key|api-?key|token|secret|password|passwd|credential|authorization|cookie)s?$", re.IGNORECASE
)
NOT_SECRET = frozenset({"max_tokens", "tokens"})
SHORTEST_SECRET = 8
CANNOT_BE_A_NAME = (
    "cannot be a name: begin with a letter A to Z or a digit, go on with these, dots, underscores and hyphens"
)
PATTERNS = {
    r"^(nDCG|P|R)@[1-9]\d*$": "cannot be measured here: write nDCG, P or R with a cutoff, such as nDCG@10",
    r"^[a-z0-9]+$": "is no ending of a file name: write it in small letters without the dot, such as pdf",
    r"^[^/\\]+\.py$": "is no script: write the name of a .py file beside it, without a folder",
}
"""What is wrong with a value that does not match a pattern; all others are patterns of names."""
SECRET = re.compile(r"\b(?:(Bearer|Basic)\s+\S+|(?:sk|pk|rk|hf|gsk|ghp|xox[bp]|pa|jina)[-_][A-Za-z0-9_-]{12,})")
"""What looks like one: a header's credentials, keys as providers hand them out."""
NAMED_SECRET = re.compile(
    r"((?:password|passwd|pwd|secret|api[_-]?key|(?:access|auth)[_-]?token)(?:\s*=\s*|[\"']\s*:\s*)[\"']?)[^\s\"',;&)]+"
    r"|(?<=://)[^\s/@]*:[^\s/@]+(?=@)",
    re.IGNORECASE,
)
"""`password=...` as drivers of databases say it, and who an address is asked as (`postgres://name:word@host`)."""


def text(value: object) -> str:
    """Without control characters other than tab and line ends."""
    return STEERING.sub("", str(value))


def line(value: object) -> str:
    """As `text`, on one line."""
    return " ".join(text(value).split())


def refused(problem: Mapping[str, Any]) -> str:
    """What an error of pydantic says of a value, in words where it prints a pattern."""
    pattern = problem.get("ctx", {}).get("pattern")
    if problem["type"] != "string_pattern_mismatch" or pattern is None:
        return str(problem["msg"]).removeprefix("Value error, ")
    value = f"'{line(problem['input'])[:60]}'" if "input" in problem else "it"
    # A name stands in names of folders and files, and on command lines.
    return f"{value} {PATTERNS.get(pattern, CANNOT_BE_A_NAME)}"


def no_command(printed: str) -> str:
    """The same to the eye, but no line of it is a command to the CI machine whose log it stands in."""
    return COMMAND.sub(rf"\g<0>{NO_WIDTH}", printed)


def written(value: str) -> str:
    """The text as a file takes it: question marks for halves of surrogate pairs, and for NUL, where C ends an id."""
    plain = value.replace("\0", "?")
    return plain if plain.isascii() else plain.encode("utf-8", "replace").decode()


def names_secret(option: str) -> bool:
    """Whether the value of an option by this name is a secret."""
    return SECRET_OPTION.search(option) is not None and option not in NOT_SECRET


def without_secrets(told: str) -> str:
    """The text with stars in place of secrets of the environment, of what looks like a key, and after `password=`."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST_SECRET and SECRET_NAME.search(name):
            told = told.replace(value, "***")
    told = NAMED_SECRET.sub(lambda found: f"{found[1] or ''}***", told)
    return SECRET.sub(lambda found: f"{found[1]} ***" if found[1] else "***", told)


def said_by(problem: BaseException) -> str:
    """What code of the user's own raised, in one short line without secrets."""
    try:
        said = str(problem)
    except Exception as worse:
        said = f"(its message raises {type(worse).__name__})"
    said = line(without_secrets(said))
    return f"{type(problem).__name__}: {said if len(said) <= SAID_CHARACTERS else f'{said[:SAID_CHARACTERS]}...'}"
