"""Attributes of a span, in whatever shape they were written, to the facts that `vocabulary` names.

Anything else is passed over unread. Of a passage its id is kept (where it has none that of its metadata, else a digest
of its text) and a few characters of its middle, by which it is found again in a prompt; texts live in the spill folder
only, and are gone with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import msgspec

from ragprof.traces.vocabulary import DECIMALS, LISTS, MEANINGS, NUMBERS, SAMPLING, USAGE

T = TypeVar("T")
PROBE = 48
"""Characters of a passage that are looked for in the prompt: enough to be of one passage alone."""
LONGEST = 400_000
"""Characters of a prompt that are kept: about what the longest windows take."""
MOST_DOCUMENTS = 2_000
Keep = Callable[[str], str]
"""What is kept of a passage's text: a probe, or all of it."""
QUESTION = ("query", "question", "input", "query_str", "q", "user_input", "text")
"""Under which name a chain's input holds the question."""
SAMPLED = frozenset(SAMPLING)
LOST = "lost_attributes"
"""The fact that says how many attributes of a span cannot be read."""
UNREADABLE = (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError)
REDACTED = "__REDACTED__"
"""What OpenInference writes in place of what it hides."""
FIELDS, TEXTS = frozenset({"id", "content", "metadata"}), frozenset({"content", "text", "prompt"})
SOURCES = ("doc_id", "document_id", "id", "source", "file_path", "path", "file_name", "url")
"""Members of a passage's metadata by which it is known where it has no id, as LangChain's have none; the first goes."""


SHAPES, LONGEST_SHAPE = 4_096, 500
"""Sequences of names whose plan is remembered, and the longest of these: names with ids in them would fill memory."""


class Plan(NamedTuple):
    """Where in a span's attributes its facts stand, by their names alone.

    `facts` are fact, conversion and the places that may tell it, the first in the table first; `lists` are the places
    of each passage's id, content and metadata, in order, None for none.
    """

    facts: tuple[tuple[str, Callable[[Any], Any] | None, tuple[int, ...]], ...]
    lists: tuple[tuple[str, tuple[tuple[int | None, int | None, int | None], ...]], ...]
    prompt: tuple[int, ...]
    usage: tuple[tuple[str, int], ...]
    sampled: tuple[tuple[str, int], ...]


def facts_of(attributes: Sequence[dict[str, Any]], keep: Keep | None = None) -> dict[str, Any]:
    """Return the facts of a span by its attributes; those that cannot be read are left out and counted as LOST."""
    try:
        return _facts(attributes, keep)
    except UNREADABLE:
        sound = [each for each in attributes if _is_sound(each)] if isinstance(attributes, list) else []
        lost = len(attributes) - len(sound) if isinstance(attributes, list) else 1
        return {**_facts(sound, keep), LOST: lost}


def _is_sound(attribute: Any) -> bool:
    try:
        if isinstance(attribute["key"], str):
            _facts([attribute], None)
            return True
    except UNREADABLE:
        pass
    return False


def _facts(attributes: Sequence[dict[str, Any]], keep: Keep | None) -> dict[str, Any]:
    """The facts of attributes as OTLP's JSON has them: objects of a key and a value."""
    return facts_at(tuple([each["key"] for each in attributes]), attributes, _value_of, keep)


def _value_of(attribute: dict[str, Any]) -> Any:
    return plain(attribute.get("value"))


def facts_at(
    names: tuple[str, ...], attributes: Sequence[T], value_of: Callable[[T], Any], keep: Keep | None = None
) -> dict[str, Any]:
    """Return the facts of attributes of these names, whose plain values `value_of` tells.

    `found`, `offered`, `reranked` and `injected` are lists of [id, probe], `prompt` is one text, `question` another,
    `sampled` names what a sampler left behind. Of attributes that tell nothing no value is read.
    """
    # Spans of one kind have the same names: what these tell is worked out once for all of them.
    plan = _plan(names) if len(names) <= LONGEST_SHAPE else _plan.__wrapped__(names)
    facts: dict[str, Any] = {}
    for fact, convert, places in plan.facts:
        for place in places:
            value = value_of(attributes[place])
            if value is not None and (convert is None or (value := convert(value)) is not None):
                facts[fact] = value
                break
    for listed, passages in plan.lists:
        documents = []
        for at_id, at_content, at_metadata in passages:
            doc_id = None if at_id is None else value_of(attributes[at_id])
            if doc_id is None and at_metadata is not None:
                doc_id = _source_of(value_of(attributes[at_metadata]))
            content = None if at_content is None else value_of(attributes[at_content])
            if doc_id is not None or content is not None:
                documents.append(document(doc_id, content, keep))
        if documents:
            facts[listed] = documents
    if plan.usage or plan.sampled:
        for fact, places_of in (("usage", plan.usage), ("sampled", plan.sampled)):
            told = {name: value_of(attributes[place]) for name, place in places_of}
            told = {name: value for name, value in told.items() if value is not None}
            facts |= {fact: told if fact == "usage" else list(told)} if told else {}
    if plan.prompt or "documents" in facts or "prompt" in facts:
        texts = [value_of(attributes[place]) for place in plan.prompt]
        return _put_together(facts, [str(text) for text in texts if text is not None], keep)
    return facts


@lru_cache(SHAPES)
def _plan(names: tuple[str, ...]) -> Plan:
    """Work out what each name tells."""
    facts: dict[str, list[tuple[int, int]]] = {}
    lists: dict[str, dict[int, dict[str, int]]] = {}
    prompt, usage, sampled = [], {}, []
    for place, name in enumerate(names):
        parts = name.split(".")
        listed = LISTS.get((parts[0], parts[1])) if len(parts) > 2 else None
        if name in MEANINGS:
            fact, precedence = MEANINGS[name]
            facts.setdefault(fact, []).append((precedence, place))
        elif listed == "prompt":
            prompt += [place] if parts[-1] in TEXTS else []
        elif listed is not None and parts[-1] in FIELDS and parts[2].isdecimal():
            lists.setdefault(listed, {}).setdefault(int(parts[2]), {})[parts[-1]] = place
        elif name.startswith(USAGE):
            usage[name.removeprefix(USAGE)] = place
        elif name in SAMPLED:
            sampled.append((name, place))
    return Plan(
        facts=tuple((fact, CONVERSIONS.get(fact), tuple(at for _, at in sorted(of))) for fact, of in facts.items()),
        lists=tuple(
            (listed, _places(numbered))
            for listed, numbered in lists.items()
        ),
        prompt=tuple(prompt), usage=tuple(usage.items()), sampled=tuple(sampled),
    )  # fmt: skip


def _places(numbered: Mapping[int, Mapping[str, int]]) -> tuple[tuple[int | None, int | None, int | None], ...]:
    every = (at for _, at in sorted(numbered.items()))
    return tuple((at.get("id"), at.get("content"), at.get("metadata")) for at in every)[:MOST_DOCUMENTS]


def _source_of(metadata: Any) -> str | None:
    """What a passage's metadata, or the JSON of them, call it; None for nothing."""
    told = metadata
    if isinstance(metadata, str):
        try:
            told = msgspec.json.decode(metadata)
        except (ValueError, RecursionError):
            return None
    found = (told.get(name) for name in SOURCES) if isinstance(told, dict) else ()
    return next((str(each) for each in found if isinstance(each, str | int) and each not in ("", REDACTED)), None)


def plain(value: Any) -> Any:
    """Return an AnyValue of OTLP as a plain value, and any other value as it is; None for none."""
    if type(value) is not dict:
        return value
    if (text := value.get("stringValue")) is not None or not value:
        return text
    kind, found = next(iter(value.items()))
    if kind == "intValue":
        return int(found)
    if kind == "arrayValue":
        return [plain(each) for each in found.get("values") or ()]
    if kind == "kvlistValue":
        return {each["key"]: plain(each.get("value")) for each in found.get("values") or ()}
    return found


def _put_together(facts: dict[str, Any], messages: list[str], keep: Keep | None) -> dict[str, Any]:
    """The facts with passages that stand in one attribute, and with one prompt of all that it was made of."""
    if "documents" in facts:
        listed = _parsed_list(facts.pop("documents"))
        found = [document(each.get("id"), each.get("content"), keep) for each in listed if isinstance(each, dict)]
        if found:
            facts.setdefault("found", found[:MOST_DOCUMENTS])
    if "prompt" in facts:
        messages += texts_of(facts.pop("prompt"))
    if messages:
        facts["prompt"] = "\n".join(messages)[:LONGEST]
    return facts


def document(doc_id: Any, content: Any, keep: Keep | None = None) -> list[Any]:
    """Return [id, probe] of a passage: without an id a digest of its text stands for it; the probe may be empty.

    `keep` makes something else of the text than a probe.
    """
    if content is None and doc_id is not None:
        return [doc_id if type(doc_id) is str else str(doc_id), ""]
    if doc_id and type(doc_id) is type(content) is str and content != REDACTED:
        return [doc_id, (keep or probe_of)(content)]
    text = "" if content is None or content == REDACTED else str(content)
    if doc_id is None or doc_id == "":
        doc_id = f"text:{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:16]}" if text else ""
    return [str(doc_id), (keep or probe_of)(text)]


def probe_of(text: str) -> str:
    """Return some characters from the middle of a passage's longest line; empty for what is too short to tell apart."""
    if len(text) < PROBE // 2:
        return ""
    line = max(text.splitlines(), key=len, default="").strip() if "\n" in text else text.strip()
    if (length := len(line)) <= PROBE:
        return line if length >= PROBE // 2 else ""
    start = (length - PROBE) // 2
    return line[start : start + PROBE]


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
            found = msgspec.json.decode(text)
        except (ValueError, RecursionError):
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
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
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


CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "question": question_of, "session": str, **dict.fromkeys(NUMBERS, _number), **dict.fromkeys(DECIMALS, _decimal),
}  # fmt: skip
