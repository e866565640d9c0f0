"""Rate books: TOML files of dated, sourced prices. Knows names and dates; counts nothing and reads no recording.

A price is appended, never overwritten: a name may stand several times with different `since`, and the entry valid on
a day is the latest that is not after it. The shipped books are in `books/`, whose files explain the format.

Prices of models by `provider:model`, from genai-prices' bundled data. Asks no network and knows no stage.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from ragprof.core import Rate
from ragprof.core.errors import BadInput, RagprofError, UnknownName

FREE = "free"
ENERGY = "energy.toml"
TOKENIZER_NOTE = "Tokens are counted by the recording's tokenizer, which stands in for the provider's."
KEYS = ("name", "shape", "unit", "usd", "per", "since", "source", "verified", "note")
REQUIRED = ("name", "shape", "usd", "since", "source")
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "per_search": ("docs_per_search", "window_tokens", "max_docs", "max_tokens"),
    "per_request": ("docs_per_request", "window_tokens", "max_docs", "max_tokens"),
    "per_input_token": ("output_usd", "max_docs", "max_tokens"),
    "per_hour": (),
    "per_month": (),
}
UNITS: Mapping[str, str] = {
    "per_search": "search",
    "per_request": "request",
    "per_input_token": "input token",
    "per_hour": "hour",
    "per_month": "month",
}


class Unpriced(RagprofError):
    """Why something has no price. The pass writes the reason down; it never becomes 0."""


@dataclass(frozen=True, slots=True)
class CallCost:
    """USD of one call of a model: of the tokens it read and of those it wrote."""

    prompt: Decimal
    answer: Decimal


@dataclass(frozen=True, slots=True)
class PublishedRate(Rate):
    """A rate with the shape it is billed in. `docs_per_unit` and `window_tokens` are None where there is no ceiling.

    `output_usd` is what a model takes for `per` tokens of its answers; None where it says nothing of them. What one
    call takes at most (`max_docs`) and the model's window (`max_tokens`) are told, not billed; None: not known.
    """

    shape: str
    verified: date | None
    note: str
    docs_per_unit: int | None = None
    window_tokens: int | None = None
    output_usd: Decimal | None = None
    max_docs: int | None = None
    max_tokens: int | None = None

    def cost(self, units: Decimal) -> Decimal:
        return self.usd * units / self.per

    def call(self, *, prompt_tokens: int, answer_tokens: int, cached_tokens: int = 0) -> CallCost:
        """One call of a model. Raises Unpriced where no price of answers is known.

        `cached_tokens` are among those of the prompt; a book knows no price of its own for them.
        """
        if self.shape == FREE:
            return CallCost(Decimal(0), Decimal(0))
        if self.output_usd is None:
            raise Unpriced(f"'{self.name}' has no price of output tokens")
        return CallCost(self.cost(Decimal(prompt_tokens)), self.output_usd * answer_tokens / self.per)

    @property
    def counts_tokens(self) -> bool:
        return self.shape == "per_input_token" or self.window_tokens is not None

    def as_json(self) -> dict[str, Any]:
        """What rates.json says of it; money and dates are strings."""
        return {
            "shape": self.shape,
            "unit": self.unit,
            "usd": format(self.usd, "f"),
            "output_usd": None if self.output_usd is None else format(self.output_usd, "f"),
            "per": self.per,
            "since": None if self.since == date.min else self.since.isoformat(),
            "source": self.source,
            "verified": self.verified.isoformat() if self.verified else False,
            "note": f"{self.note} {TOKENIZER_NOTE}".strip() if self.counts_tokens else self.note,
            "docs_per_unit": self.docs_per_unit,
            "window_tokens": self.window_tokens,
            "max_docs": self.max_docs,
            "max_tokens": self.max_tokens,
        }


Catalogue: TypeAlias = Mapping[str, tuple[PublishedRate, ...]]
"""name -> its entries, oldest first."""


def free_rate() -> PublishedRate:
    """The rate of 0 that applies only where somebody wrote `free`."""
    return PublishedRate(
        name=FREE, unit="query", usd=Decimal(0), per=1, since=date.min, source="the eval file", shape=FREE,
        verified=None, note="Written down as free by whoever wrote the eval.",
    )  # fmt: skip


def catalogue(books: Sequence[Path] = ()) -> Catalogue:
    """The shipped books with these on top: a book's entries replace all earlier ones of the same name."""
    merged: dict[str, tuple[PublishedRate, ...]] = {}
    for path in [*shipped_books(), *books]:
        merged.update(read_book(path))
    return merged


def shipped_books() -> list[Path]:
    """The rate books; what electricity costs is in the same folder, but no rate book."""
    return sorted(path for path in books_folder().glob("*.toml") if path.name != ENERGY)


def books_folder() -> Path:
    return Path(str(resources.files("ragprof.price"))) / "books"


def rate_names(books: Sequence[Path] = ()) -> list[str]:
    """Every name that a price may have besides `provider:model`, sorted; `free` among them."""
    return sorted({FREE, *catalogue(books)})


def valid_on(entries: Sequence[PublishedRate], on: date) -> PublishedRate:
    """The latest entry not after `on`. Raises Unpriced where the first is later."""
    past = [entry for entry in entries if entry.since <= on]
    if not past:
        first = entries[0]
        raise Unpriced(f"no rate on that date: '{first.name}' on {on} (the first is of {first.since})")
    return past[-1]


def read_book(path: Path) -> dict[str, tuple[PublishedRate, ...]]:
    """Raises BadInput with file and line for anything in the book that is not a rate."""
    text = _read(path)
    parsed = _parse(text, path)
    by_name: dict[str, list[PublishedRate]] = {}
    for position, entry in enumerate(parsed):
        rate = _Entry(path, text, position, entry).rate()
        known = by_name.setdefault(rate.name, [])
        if any(other.since == rate.since for other in known):
            raise BadInput(
                f"'{rate.name}' has two rates since {rate.since}; a price is appended with a later date",
                file=path, line=line_of(text, position, "since"),
            )  # fmt: skip
        known.append(rate)
    return {name: tuple(sorted(rates, key=lambda rate: rate.since)) for name, rates in by_name.items()}


def line_of(text: str, position: int, key: str | None = None) -> int | None:
    """Line (from 1) of the `position`-th [[rates]], or of a key within it; None where the text is written otherwise."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if re.match(r"\s*\[\[\s*rates\s*\]\]", line)]
    if position >= len(starts):
        return None
    start, end = starts[position], [*starts, len(lines)][position + 1]
    found = [number for number in range(start, end) if key and re.match(rf'\s*"?{re.escape(key)}"?\s*=', lines[number])]
    return (found[0] if found else start) + 1


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise BadInput(f"cannot read this rate book ({failure})", file=path) from None


def _parse(text: str, path: Path) -> list[Mapping[str, Any]]:
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError as failure:
        line = re.search(r"at line (\d+)", str(failure))
        raise BadInput(f"not valid TOML: {failure}", file=path, line=int(line[1]) if line else None) from None
    for key in parsed:
        if key != "rates":
            raise UnknownName("table in a rate book", key, ["rates"], file=path, line=_line_starting(text, key))
    entries = parsed.get("rates", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadInput(
            "'rates' must be tables; begin each rate with a line [[rates]]",
            file=path,
            line=_line_starting(text, "rates"),
        )
    return entries


def _line_starting(text: str, key: str) -> int | None:
    pattern = rf'[\s\[]*"?{re.escape(key)}\b'
    return next((number for number, line in enumerate(text.splitlines(), 1) if re.match(pattern, line)), None)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One [[rates]] table and where it stands, so that every complaint names its line."""

    path: Path
    text: str
    position: int
    table: Mapping[str, Any]

    def rate(self) -> PublishedRate:
        shape = self._shape()
        self._check_keys(shape)
        ceiling = next((key for key in OPTIONS[shape] if key.startswith("docs_per_")), "")
        return PublishedRate(
            name=self._name(), unit=self._text("unit", UNITS[shape]), usd=self._usd("usd"), per=self._count("per", 1),
            since=self._date("since"), source=self._text("source"), shape=shape, verified=self._verified(),
            note=self._text("note", ""), docs_per_unit=self._known(ceiling), window_tokens=self._known("window_tokens"),
            output_usd=self._usd("output_usd") if "output_usd" in self.table else None,
            max_docs=self._known("max_docs"), max_tokens=self._known("max_tokens"),
        )  # fmt: skip

    def _shape(self) -> str:
        if "shape" not in self.table:
            raise self._bad(None, f"a rate needs 'shape', one of {', '.join(OPTIONS)}")
        shape = self.table["shape"]
        if shape not in OPTIONS:
            raise UnknownName("shape of a rate", str(shape), OPTIONS, file=self.path, line=self._line("shape"))
        return str(shape)

    def _check_keys(self, shape: str) -> None:
        known = (*KEYS, *OPTIONS[shape])
        for key in self.table:
            if key not in known:
                raise UnknownName(f"key of a {shape} rate", key, known, file=self.path, line=self._line(key))
        missing = [key for key in REQUIRED if key not in self.table]
        if missing:
            raise self._bad(None, f"a rate needs {_quoted(REQUIRED)}; missing here: {_quoted(missing)}")

    def _name(self) -> str:
        name = self._text("name")
        if not re.fullmatch(r"[^/:\s]+/[^:\s]+", name):
            raise self._bad(
                "name", f"'{name}' is no rate name; write book/name, such as cohere/rerank-v3.5, without ':'"
            )
        return name

    def _usd(self, key: str) -> Decimal:
        written = self.table[key]
        try:
            usd = Decimal(written) if isinstance(written, str) else None
        except InvalidOperation:
            usd = None
        if usd is None or not usd.is_finite() or usd < 0:
            raise self._bad(key, f'{written!r} is no price; write a decimal of 0 or more in quotes, such as "0.05"')
        return usd

    def _date(self, key: str) -> date:
        value = self.table[key]
        if type(value) is not date:
            raise self._bad(key, f"'{key}' is {value!r}; write a day without quotes, such as 2026-01-31")
        return value

    def _verified(self) -> date | None:
        return None if self.table.get("verified", False) is False else self._date("verified")

    def _known(self, key: str) -> int | None:
        return self._count(key) if key in self.table else None

    def _count(self, key: str, default: int = 0) -> int:
        value = self.table.get(key, default)
        if type(value) is not int or value < 1:
            raise self._bad(key, f"'{key}' is {value!r}; write a whole number of 1 or more")
        return value

    def _text(self, key: str, default: str = "") -> str:
        value = self.table.get(key, default)
        if not isinstance(value, str):
            raise self._bad(key, f"'{key}' is {value!r}; write text in quotes")
        return value

    def _bad(self, key: str | None, message: str) -> BadInput:
        return BadInput(message, file=self.path, line=self._line(key))

    def _line(self, key: str | None) -> int | None:
        return line_of(self.text, self.position, key)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


PER = 1_000_000
QUOTED = 1_000  # a prompt of this length is in every model's lowest step


@dataclass(frozen=True, slots=True)
class ModelRate(PublishedRate):
    """A model's prices. genai-prices does not say since when, so `since` is the day asked for.

    `usd` is for tokens of a short prompt, `output_usd` for those of its answer.
    """

    provider: str = ""
    model: str = ""

    def cost(self, units: Decimal) -> Decimal:
        """One request of so many input tokens: prices with steps by length are met as they are."""
        usd: Decimal = _price(self.provider, self.model, on=self.since, input_tokens=int(units)).total_price
        return usd

    def call(self, *, prompt_tokens: int, answer_tokens: int, cached_tokens: int = 0) -> CallCost:
        """One request as the provider bills it: with steps by length of the prompt and its price of cached tokens."""
        if self.output_usd is None:
            raise Unpriced(f"genai-prices lists '{self.name}' without a price of output tokens")
        priced = _price(
            self.provider, self.model, on=self.since,
            input_tokens=prompt_tokens, output_tokens=answer_tokens, cache_read_tokens=cached_tokens,
        )  # fmt: skip
        return CallCost(priced.total_price - priced.output_price, priced.output_price)

    def as_json(self) -> dict[str, Any]:
        return {**PublishedRate.as_json(self), "since": None, "on": self.since.isoformat()}


def model_rate(name: str, on: date) -> ModelRate:
    """The rate of `provider:model` on a day.

    Raises UnknownName or BadInput for a provider or model that genai-prices does not have, Unpriced for a model
    that it has without a price of input tokens.
    """
    provider, _, model = name.partition(":")
    try:
        priced = _price(provider, model, on=on, input_tokens=QUOTED)
    except LookupError:
        raise _unknown(provider, model) from None
    if priced.model_price.input_mtok is None:
        raise Unpriced(f"genai-prices lists '{name}' without a price of input tokens")
    usd = _per_million(priced.total_price)
    urls = priced.provider.pricing_urls or ["https://github.com/pydantic/genai-prices"]
    return ModelRate(
        name=name, unit="input token", usd=usd, per=PER, since=on, source=urls[0],
        shape="per_input_token", verified=None, note=f"From genai-prices {version('genai-prices')}.",
        output_usd=_output_usd(provider, model, on=on), provider=provider, model=model,
    )  # fmt: skip


def _output_usd(provider: str, model: str, *, on: date) -> Decimal | None:
    """Of a million tokens that answer a short prompt; None for a model that has no price of its answers."""
    priced = _price(provider, model, on=on, input_tokens=QUOTED, output_tokens=QUOTED)
    return None if priced.model_price.output_mtok is None else _per_million(priced.output_price)


def _per_million(usd: Decimal) -> Decimal:
    return (usd * (PER // QUOTED)).normalize() + 0


def _price(provider: str, model: str, *, on: date, **tokens: int) -> Any:
    from genai_prices import Usage, calc_price

    moment = datetime(on.year, on.month, on.day, tzinfo=UTC)
    return calc_price(Usage(**tokens), model_ref=model, provider_id=provider, genai_request_timestamp=moment)


def _unknown(provider: str, model: str) -> BadInput:
    from genai_prices import data

    models = {known.id: [listed.id for listed in known.models] for known in data.providers}
    if provider not in models:
        return UnknownName("provider of model prices", provider, models)
    close = difflib.get_close_matches(model, models[provider], n=3)
    hint = f"; did you mean {' or '.join(repr(name) for name in close)}?" if close else "."
    return BadInput(
        f"genai-prices has no model '{model}' of '{provider}'{hint} It has {len(models[provider])} models of it."
    )
