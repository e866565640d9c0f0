"""Attributes of a span, in whatever shape they were written, to the facts that `vocabulary` names.

Anything else is passed over unread. Of a passage its id is kept (a digest of its text where it has none) and a few
characters of its middle, by which it is found again in a prompt; texts live in the spill folder only, and are gone
with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson

from ragprof.traces.vocabulary import DECIMALS, LISTS, MEANINGS, NUMBERS, SAMPLING, USAGE

PROBE = 48
"""Characters of a passage that are looked for in the prompt: enough to be of one passage alone."""
LONGEST = 400_000
"""Characters of a prompt that are kept: about what the longest windows take."""
MOST_DOCUMENTS = 2_000
QUESTION = ("query", "question", "input", "query_str", "q", "user_input", "text")
"""Under which name a chain's input holds the question."""
SAMPLED = frozenset(SAMPLING)
REDACTED = "__REDACTED__"
"""What OpenInference writes in place of what it hides."""
FIELDS, TEXTS = frozenset({"id", "content"}), frozenset({"content", "text", "prompt"})


FACT, LISTED, PROMPT, USED, SIGN = range(5)
"""What a name tells: a fact, a field of a numbered passage, a part of the prompt, a count, that a sampler was there."""
MOST_LEARNED = 50_000
"""Names that are remembered: more than 2,000 passages have; names with ids in them would fill the memory."""
_learned: dict[str, tuple[int, str, Any, Any] | None] = {}


def _as_it_is(value: Any) -> Any:
    return value


def facts_of(attributes: Iterable[tuple[str, Any]], read: Callable[[Any], Any] = _as_it_is) -> dict[str, Any]:
    """Return the facts of a span; `attributes` are names with values, of which `read` makes plain ones.

    `found`, `offered`, `reranked` and `injected` are lists of [id, probe], `prompt` is one text, `question` another,
    `sampled` names what a sampler left behind. Of attributes that tell nothing no value is read.
    """
    facts: dict[str, Any] = {}
    places: dict[str, int] = {}
    lists: dict[str, dict[int, dict[str, Any]]] = {}
    messages: list[str] = []
    for name, raw in attributes:
        try:
            meaning = _learned[name]
        except KeyError:
            meaning = _learn(name)
        if meaning is None:
            continue
        # Most values are texts of OTLP; a call for each of them would take as long as all else here.
        value = raw.get("stringValue") if type(raw) is dict else None
        if value is None and (value := read(raw)) is None:
            continue
        tells, first, second, third = meaning
        if tells == FACT:
            if third is not None and (value := third(value)) is None:
                continue
            if second < places.get(first, 1_000):
                places[first] = second
                facts[first] = value
        elif tells == LISTED:
            lists.setdefault(first, {}).setdefault(second, {})[third] = value
        elif tells == PROMPT:
            messages.append(str(value))
        elif tells == USED:
            facts.setdefault("usage", {})[first] = value
        else:
            facts.setdefault("sampled", []).append(name)
    for listed, numbered in lists.items():
        facts[listed] = [document(numbered[place]) for place in sorted(numbered)[:MOST_DOCUMENTS]]
    return _put_together(facts, messages)


def _put_together(facts: dict[str, Any], messages: list[str]) -> dict[str, Any]:
    """The facts with passages that stand in one attribute, and with one prompt of all that it was made of."""
    if "documents" in facts:
        found = [document(each) for each in _parsed_list(facts.pop("documents")) if isinstance(each, dict)]
        if found:
            facts.setdefault("found", found[:MOST_DOCUMENTS])
    if "prompt" in facts:
        messages += texts_of(facts.pop("prompt"))
    if messages:
        facts["prompt"] = "\n".join(messages)[:LONGEST]
    return facts


def _learn(name: str) -> tuple[int, str, Any, Any] | None:
    """Find out once what a name tells; None where it tells nothing."""
    found: tuple[int, str, Any, Any] | None = None
    parts = name.split(".")
    listed = LISTS.get((parts[0], parts[1])) if len(parts) > 2 else None
    if name in MEANINGS:
        fact, place = MEANINGS[name]
        converted = _number if fact in NUMBERS else _decimal if fact in DECIMALS else None
        found = (FACT, fact, place, question_of if fact == "question" else converted)
    elif listed == "prompt":
        found = (PROMPT, "", None, None) if parts[-1] in TEXTS else None
    elif listed is not None and parts[-1] in FIELDS and parts[2].isdecimal():
        found = LISTED, listed, int(parts[2]), parts[-1]
    elif name.startswith(USAGE):
        found = USED, name.removeprefix(USAGE), None, None
    elif name in SAMPLED:
        found = SIGN, "", None, None
    if len(_learned) < MOST_LEARNED:
        _learned[name] = found
    return found


def document(fields: Mapping[str, Any]) -> list[Any]:
    """Return [id, probe] of a passage: without an id a digest of its text stands for it; the probe may be empty."""
    content, doc_id = fields.get("content"), fields.get("id")
    if content is None and doc_id is not None:
        return [str(doc_id), ""]
    text = "" if content is None or content == REDACTED else str(content)
    if doc_id is None or doc_id == "":
        doc_id = f"text:{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:16]}" if text else ""
    return [str(doc_id), probe_of(text)]


def probe_of(text: str) -> str:
    """Return some characters from the middle of a passage's longest line; empty for what is too short to tell apart."""
    if len(text) < PROBE // 2:
        return ""
    line = max(text.splitlines(), key=len, default="").strip() if "\n" in text else text.strip()
    start = max(0, (len(line) - PROBE) // 2)
    return line[start : start + PROBE] if len(line) >= PROBE // 2 else ""


def question_of(value: Any) -> str | None:
    """Return the question of a span's input: as it is, or the member of a JSON object that holds it. None for none."""
    text = value if isinstance(value, str) else None
    found = value
    if text is not None:
        if not text or text == REDACTED:
            return None
        if text[0] not in "{[":
            return text[:LONGEST]
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError:
            return text[:LONGEST]
    if isinstance(found, dict):
        for name in QUESTION:
            if isinstance(found.get(name), str):
                return str(found[name])[:LONGEST]
    return None


def texts_of(value: Any) -> Iterator[str]:
    """Yield every text in messages, whether as JSON, as objects or as one text."""
    if isinstance(value, str):
        parsed = _parsed(value) if value[:1] in ("[", "{") else None
        if parsed is None:
            yield value
        else:
            yield from texts_of(parsed)
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_of(each)


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted names with plain values of nested objects and lists; of vectors nothing."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from flat(each, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and value and isinstance(value[0], dict | list):
        for place, each in enumerate(value):
            yield from flat(each, f"{name}.{place}")
    else:
        yield name, value


def mapping(value: Any) -> dict[str, Any]:
    """Return an object as it is, and an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _parsed_list(value: Any) -> list[Any]:
    found = _parsed(value) if isinstance(value, str) else value
    return found if isinstance(found, list) else []


def _number(value: Any) -> int | None:
    try:
        return max(0, int(value))
    except (TypeError, ValueError, OverflowError):
        return None


def _decimal(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if 0 <= found < float("inf") else None
