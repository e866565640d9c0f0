"""Attributes of a span, in whatever shape they were written, to the facts that `vocabulary` names.

Anything else is passed over unread. Of a passage its id is kept (a digest of its text where it has none) and a few
characters of its middle, by which it is found again in a prompt; texts live in the spill folder only, and are gone
with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
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


def facts_of(attributes: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the facts of a span; `attributes` are names with plain values.

    `found`, `offered`, `reranked` and `injected` are lists of [id, probe], `prompt` is one text, `question` another,
    `sampled` names what a sampler left behind.
    """
    facts: dict[str, Any] = {}
    places: dict[str, int] = {}
    lists: dict[str, dict[int, dict[str, Any]]] = {}
    messages: list[str] = []
    for name, value in attributes:
        if value is None:
            continue
        if (meaning := MEANINGS.get(name)) is not None:
            fact, place = meaning
            if place < places.get(fact, 1_000):
                places[fact] = place
                facts[fact] = value
            continue
        parts = name.split(".")
        listed = LISTS.get((parts[0], parts[1])) if len(parts) > 2 else None
        if listed == "prompt":
            if parts[-1] in TEXTS:
                messages.append(str(value))
        elif listed is not None and parts[-1] in FIELDS and parts[2].isdigit():
            lists.setdefault(listed, {}).setdefault(int(parts[2]), {})[parts[-1]] = value
        elif name.startswith(USAGE):
            facts.setdefault("usage", {})[name.removeprefix(USAGE)] = value
        elif name in SAMPLED:
            facts.setdefault("sampled", []).append(name)
    for listed, numbered in lists.items():
        facts[listed] = [document(numbered[place]) for place in sorted(numbered)[:MOST_DOCUMENTS]]
    return _settled(facts, messages)


def _settled(facts: dict[str, Any], messages: list[str]) -> dict[str, Any]:
    """The facts with their values as they are to be: passages, one prompt, a question, numbers."""
    if "documents" in facts:
        found = [document(each) for each in _parsed_list(facts.pop("documents")) if isinstance(each, dict)]
        if found:
            facts.setdefault("found", found[:MOST_DOCUMENTS])
    if "prompt" in facts:
        messages = [*messages, *texts_of(facts.pop("prompt"))]
    if messages:
        facts["prompt"] = "\n".join(messages)[:LONGEST]
    if "question" in facts:
        facts["question"] = question_of(facts["question"])
    for name in NUMBERS & facts.keys():
        facts[name] = _number(facts[name])
    for name in DECIMALS & facts.keys():
        facts[name] = _decimal(facts[name])
    return {name: value for name, value in facts.items() if value is not None}


def document(fields: Mapping[str, Any]) -> list[Any]:
    """Return [id, probe] of a passage: without an id a digest of its text stands for it; the probe may be empty."""
    content = fields.get("content")
    text = "" if content is None or content == REDACTED else str(content)
    doc_id = fields.get("id")
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
