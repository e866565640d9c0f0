"""A comparison for GitHub Actions: annotations, step summary, outputs. Nothing in an id can end or start a command.

Limits and escapes: docs.github.com, "Workflow commands for GitHub Actions".
"""

import secrets
from collections.abc import Mapping
from pathlib import Path

from ragprof.errors import BadInput
from ragprof.report.compare.cases import Case, Level, cases, counted, line, text, worst_first
from ragprof.report.compare.reading import Document
from ragprof.report.compare.words import headline
from ragprof.report.lookup import at

ANNOTATIONS = 10
"""What GitHub shows of a step."""
SUMMARY_BYTES = 1_048_576
"""What GitHub takes as the summary of a step."""
CUT = "_The summary was cut here: GitHub shows at most 1 MiB. The whole of it is in the Markdown file of this step._\n"
_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_DATA, ":": "%3A", ",": "%2C"}


def annotations(document: Document) -> list[str]:
    """At most ten workflow commands, worst first; the tenth stands for all that are left. One notice where nothing is
    to be said."""
    found = [case for case in worst_first(cases(document)) if case.level]
    if not found:
        return [_all_well(document)]
    shown = found if len(found) <= ANNOTATIONS else found[: ANNOTATIONS - 1]
    return [*map(_annotation, shown), *_rest(found[len(shown) :])]


def step_summary(document: Document) -> str:
    """The comparison's Markdown, as much of it as GitHub takes."""
    from ragprof.report.compare.markdown import comparison_markdown

    return cut(comparison_markdown(document), limit=SUMMARY_BYTES)


def cut(markdown: str, *, limit: int) -> str:
    """At most `limit` bytes of UTF-8, cut after a line and then saying so. Empty where not even that sentence fits."""
    encoded = markdown.encode()
    if len(encoded) <= limit:
        return markdown
    room = limit - len(f"\n{CUT}".encode())
    if room < 0:
        return ""
    kept = encoded[: encoded.rfind(b"\n", 0, room) + 1].decode()
    return f"{kept}\n{CUT}"


def outputs(document: Document) -> dict[str, str]:
    """name -> value on one line: verdict, exit_code, gates, a number for each outcome, queries, worst.

    Without a gate the verdict is `ungated`, the exit code 0, and `gates` counts the primary quantities.
    """
    found = cases(document)
    numbers = counted(found)
    failing = [case for case in worst_first(found) if case.outcome == "regression"]
    return {
        "verdict": line(at(document, "gate", "verdict") or "ungated"),
        "exit_code": str(at(document, "gate", "exit_code") or 0),
        "gates": str(len(found)),
        "holds": str(numbers["holds"]),
        "regressions": str(numbers["regression"]),
        "unpriced": str(numbers["unpriced"]),
        "incomparable": str(numbers["incomparable"]),
        "undecided": str(numbers["undecided"]),
        "queries": str(document.get("queries") or 0),
        "worst": failing[0].name if failing else "",
    }


def write_github(document: Document, environ: Mapping[str, str], *, markdown: str) -> list[str]:
    """Append to the files that GITHUB_STEP_SUMMARY and GITHUB_OUTPUT name, where they are set; return the lines that
    are to be printed. `findings`, one sentence a line, comes to the outputs. Raises BadInput for a file that cannot be
    written."""
    summary, output = (environ.get(name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"))
    if summary:
        taken = Path(summary).stat().st_size if Path(summary).exists() else 0
        _add(Path(summary), cut(markdown, limit=SUMMARY_BYTES - taken))
    if output:
        values = {**outputs(document), "findings": _findings(document)}
        _add(Path(output), "".join(_entry(name, value) for name, value in values.items()))
    return annotations(document)


def _findings(document: Document) -> str:
    return "\n".join(line(case.message) for case in worst_first(cases(document)) if case.level)


def _entry(name: str, value: str) -> str:
    """A line of $GITHUB_OUTPUT; several lines between delimiters that nobody can foresee."""
    if "\n" not in value:
        return f"{name}={value}\n"
    delimiter = f"ragprof_{secrets.token_hex(16)}"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def _add(path: Path, addition: str) -> None:
    try:
        with path.open("a", encoding="utf-8", newline="") as stream:
            stream.write(addition)
    except OSError as failure:
        raise BadInput(
            f"cannot write what GitHub is told: {failure.strerror or failure}; leave out --github outside of GitHub",
            file=path,
        ) from None


def _annotation(case: Case) -> str:
    return command(case.level or "notice", title=f"ragprof: {_headline(case)}", message=case.message)


def _headline(case: Case) -> str:
    words = {"holds": "better", "regression": "regression" if case.fails else "worse"}
    return f"{words.get(case.outcome, case.outcome)}: {case.quantity} of {case.pipeline}"


def _rest(left: list[Case]) -> list[str]:
    if not left:
        return []
    named = "\n".join(f"{case.outcome}: {case.name}" for case in left)
    message = f"The step summary has them all.\n{named}"
    return [command(left[0].level or "notice", title=f"ragprof: {len(left)} more", message=message)]


def _all_well(document: Document) -> str:
    message = f"{headline(document)}, over {document.get('queries') or 0} queries"
    return command("notice", title=f"ragprof: {line(document['eval'])}", message=message)


def command(level: Level, *, title: str, message: str) -> str:
    """One workflow command on one line."""
    return f"::{level} title={_escaped(line(title), _PROPERTY)}::{_escaped(text(message), _DATA)}"


def _escaped(value: str, escapes: Mapping[str, str]) -> str:
    return "".join(escapes.get(character, character) for character in value)
