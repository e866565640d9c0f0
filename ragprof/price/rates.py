"""Rate books: TOML files of dated, sourced prices. Knows names and dates; counts nothing and reads no recording.

A price is appended, never overwritten: a name may stand several times with different `since`, and the entry valid on
a day is the latest that is not after it. The shipped books are in `books/`, whose files explain the format. Prices of
models by `provider:model` come from the data that genai-prices carries; no network is asked.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache, partial
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, PlainValidator, ValidationError, ValidationInfo

from ragprof.core.errors import BadInput, RagprofError, UnknownName
from ragprof.core.files import read_toml

FREE = "free"
ENERGY, DATABASES = "energy.toml", "databases.toml"
KEPT_BOOKS = "rate-books"
"""Folder of a recording with the books that it was priced by, so that a later command knows their names too."""
TOKENIZER_NOTE = "Tokens are counted by the recording's tokenizer, which stands in for the provider's."
KEYS = ("name", "shape", "unit", "usd", "per", "since", "source", "verified", "note")
REQUIRED = ("name", "shape", "usd", "since", "source")
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "per_search": ("docs_per_search", "window_tokens", "max_docs", "max_tokens"),
    "per_request": ("docs_per_request", "window_tokens", "max_docs", "max_tokens"),
    "per_input_token": ("output_usd", "max_docs", "max_tokens"),
    "per_hour": (),
    "per_month": (),
    "per_page": (),
}
UNITS: Mapping[str, str] = {
    "per_search": "search",
    "per_request": "request",
    "per_input_token": "input token",
    "per_hour": "hour",
    "per_month": "month",
    "per_page": "page",
}


class Unpriced(RagprofError):
    """Why something has no price. The pass writes the reason down; it never becomes 0."""


@dataclass(frozen=True, slots=True)
class CallCost:
    """USD of one call of a model: of the tokens it read and of those it wrote."""

    prompt: Decimal
    answer: Decimal


@dataclass(frozen=True, slots=True)
class PublishedRate:
    """A published price: `usd` for `per` units, valid from `since`, with its source and the shape that it is billed in.

    `docs_per_unit` and `window_tokens` are None where there is no ceiling.

    `output_usd` is what a model takes for `per` tokens of its answers; None where it says nothing of them. What one
    call takes at most (`max_docs`) and the model's window (`max_tokens`) are told, not billed; None: not known.
    """

    name: str
    unit: str
    usd: Decimal
    per: int
    since: date
    source: str
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
    """The shipped books with these on top: a book's entries replace all earlier ones of the same name.

    Those that a recording has kept go below all: they name what nobody else does.
    """
    merged: dict[str, tuple[PublishedRate, ...]] = {}
    kept = [path for path in books if path.parent.name == KEPT_BOOKS]
    for path in [*kept, *shipped_books(), *(path for path in books if path not in kept)]:
        merged.update(read_book(path))
    return merged


def shipped_books() -> list[Path]:
    """The rate books; what electricity and managed databases cost is in the same folder, but no rate book."""
    return sorted(path for path in books_folder().glob("*.toml") if path.name not in (ENERGY, DATABASES))


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


def read_book(path: Path) -> Catalogue:
    """Raises BadInput with file and line for anything in the book that is not a rate."""
    state = path.stat() if path.is_file() else None
    return _read_book(path, *((state.st_mtime_ns, state.st_size) if state else ()))


@cache
def _read_book(path: Path, *_state: int) -> Catalogue:
    """The book as it is in this state: a study prices several recordings by the same books."""
    text, parsed = read_toml(path, what="rate book")
    for key in parsed:
        if key != "rates":
            raise UnknownName("table in a rate book", key, ["rates"], file=path, line=_line_starting(text, key))
    entries = parsed.get("rates", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadInput(
            "'rates' must be tables; begin each rate with a line [[rates]]",
            file=path, line=_line_starting(text, "rates"),
        )  # fmt: skip
    by_name: dict[str, list[PublishedRate]] = {}
    for position, entry in enumerate(entries):
        line = partial(line_of, text, position)
        rate = _published(entry, path, line)
        known = by_name.setdefault(rate.name, [])
        if any(other.since == rate.since for other in known):
            raise BadInput(
                f"'{rate.name}' has two rates since {rate.since}; a price is appended with a later date",
                file=path, line=line("since"),
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


def _line_starting(text: str, key: str) -> int | None:
    pattern = rf'[\s\[]*"?{re.escape(key)}\b'
    return next((number for number, line in enumerate(text.splitlines(), 1) if re.match(pattern, line)), None)


def _published(table: Mapping[str, Any], path: Path, line: Callable[[str | None], int | None]) -> PublishedRate:
    """The rate of one [[rates]] table; `line` finds a key of it in the file, for complaints."""
    shape = table.get("shape")
    if shape is None:
        raise BadInput(f"a rate needs 'shape', one of {', '.join(OPTIONS)}", file=path, line=line(None))
    if not isinstance(shape, str) or shape not in OPTIONS:
        raise UnknownName("shape of a rate", str(shape), OPTIONS, file=path, line=line("shape"))
    known = (*KEYS, *OPTIONS[shape])
    for key in table:
        if key not in known:
            raise UnknownName(f"key of a {shape} rate", key, known, file=path, line=line(key))
    if missing := [key for key in REQUIRED if key not in table]:
        needed, lacking = (", ".join(f"'{key}'" for key in keys) for keys in (REQUIRED, missing))
        raise BadInput(f"a rate needs {needed}; missing here: {lacking}", file=path, line=line(None))
    try:
        entry = _Entry.model_validate(table)
    except ValidationError as failure:
        first = failure.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        raise BadInput(message, file=path, line=line(str(first["loc"][0]))) from None
    facts = entry.model_dump(exclude={"docs_per_search", "docs_per_request"})
    docs = entry.docs_per_search or entry.docs_per_request
    return PublishedRate(**{**facts, "unit": entry.unit or UNITS[shape], "docs_per_unit": docs})


def _name(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"[^/:\s]+/[^:\s]+", value):
        return value
    raise ValueError(f"'{value}' is no rate name; write book/name, such as cohere/rerank-v3.5, without ':'")


def _price_in_quotes(value: object) -> Decimal:
    with suppress(InvalidOperation):
        if isinstance(value, str) and (usd := Decimal(value)).is_finite() and usd >= 0:
            return usd
    raise ValueError(f'{value!r} is no price; write a decimal of 0 or more in quotes, such as "0.05"')


def _day(value: object, info: ValidationInfo) -> date:
    if type(value) is date:
        return value
    raise ValueError(f"'{info.field_name}' is {value!r}; write a day without quotes, such as 2026-01-31")


def _verified(value: object, info: ValidationInfo) -> date | None:
    return None if value is False else _day(value, info)


def _count(value: object, info: ValidationInfo) -> int:
    if type(value) is int and value >= 1:
        return value
    raise ValueError(f"'{info.field_name}' is {value!r}; write a whole number of 1 or more")


def _text(value: object, info: ValidationInfo) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"'{info.field_name}' is {value!r}; write text in quotes")


Usd: TypeAlias = Annotated[Decimal, PlainValidator(_price_in_quotes)]
Count: TypeAlias = Annotated[int, PlainValidator(_count)]
Text: TypeAlias = Annotated[str, PlainValidator(_text)]


class _Entry(BaseModel):
    """The keys of all shapes; what a shape has none of was refused before."""

    name: Annotated[str, PlainValidator(_name)]
    shape: str
    unit: Text = ""
    usd: Usd
    per: Count = 1
    since: Annotated[date, PlainValidator(_day)]
    source: Text
    verified: Annotated[date | None, PlainValidator(_verified)] = None
    note: Text = ""
    docs_per_search: Count | None = None
    docs_per_request: Count | None = None
    window_tokens: Count | None = None
    output_usd: Usd | None = None
    max_docs: Count | None = None
    max_tokens: Count | None = None


PER = 1_000_000
QUOTED = 1_000  # a prompt of this length is in every model's lowest step


@dataclass(frozen=True, slots=True)
class ModelRate(PublishedRate):
    """A model's prices. genai-prices does not say since when, so `since` is the day asked for.

    `usd` is for tokens of a short prompt, `output_usd` for those of its answer, `request_usd` for each request besides.
    `hour` is the hour of the day in UTC whose prices these are; None where the day has one price.
    """

    provider: str = ""
    model: str = ""
    request_usd: Decimal = Decimal(0)
    hour: int | None = None

    def cost(self, units: Decimal) -> Decimal:
        """One request of so many input tokens, with its fee: prices with steps by length are met as they are."""
        each = _per_token(self.provider, self.model, moment(self.since, self.hour or 0))
        if each is not None and units <= FLAT:
            return each[0] + each[1] * int(units)
        usd: Decimal = self._priced(input_tokens=int(units)).total_price
        return usd

    def call(self, *, prompt_tokens: int, answer_tokens: int, cached_tokens: int = 0) -> CallCost:
        """One request as the provider bills it: with steps by length of the prompt and its price of cached tokens."""
        if self.output_usd is None:
            raise Unpriced(f"genai-prices lists '{self.name}' without a price of output tokens")
        each = _per_token(self.provider, self.model, moment(self.since, self.hour or 0))
        if each is not None and prompt_tokens <= FLAT:
            fee, read, written, cached = each
            return CallCost(
                fee + read * (prompt_tokens - cached_tokens) + cached * cached_tokens, written * answer_tokens
            )
        priced = self._priced(input_tokens=prompt_tokens, output_tokens=answer_tokens, cache_read_tokens=cached_tokens)
        return CallCost(priced.total_price - priced.output_price, priced.output_price)

    def _priced(self, **tokens: int) -> Any:
        return _price(self.provider, self.model, at=moment(self.since, self.hour or 0), **tokens)

    def as_json(self) -> dict[str, Any]:
        """`request_usd` and `hour` are there where the model has them."""
        own = {"request_usd": format(self.request_usd, "f")} if self.request_usd else {}
        hour = {} if self.hour is None else {"hour": self.hour}
        return {**PublishedRate.as_json(self), "since": None, "on": self.since.isoformat(), **own, **hour}


@cache
def model_rate(name: str, on: date, hour: int = 0) -> ModelRate:
    """The rate of `provider:model` on a day, at an hour in UTC where its price depends on that.

    Raises UnknownName or BadInput for a provider or model that genai-prices does not have, Unpriced for a model
    that it has without a price of input tokens.
    """
    provider, _, model = name.partition(":")
    try:
        priced = _price(provider, model, at=moment(on, hour), input_tokens=QUOTED)
    except LookupError:
        from genai_prices import data

        models = {known.id: [listed.id for listed in known.models] for known in data.providers}
        if provider not in models:
            raise UnknownName("provider of model prices", provider, models) from None
        close = difflib.get_close_matches(model, models[provider], n=3)
        hint = f"; did you mean {' or '.join(repr(name) for name in close)}?" if close else "."
        raise BadInput(
            f"genai-prices has no model '{model}' of '{provider}'{hint} It has {len(models[provider])} models of it."
        ) from None
    if priced.model_price.input_mtok is None:
        raise Unpriced(f"genai-prices lists '{name}' without a price of input tokens")
    answered = _price(provider, model, at=moment(on, hour), input_tokens=QUOTED, output_tokens=QUOTED)
    totals = {
        _price(provider, model, at=moment(on, each), input_tokens=QUOTED, output_tokens=QUOTED).total_price
        for each in range(24)
    }
    note = f"From genai-prices {version('genai-prices')}."
    note += f" Its price depends on the hour; this is that of {hour:02d}:00 UTC." if len(totals) > 1 else ""
    has_answers = answered.model_price.output_mtok is not None
    urls = priced.provider.pricing_urls or ["https://github.com/pydantic/genai-prices"]
    return ModelRate(
        name=name, unit="input token", usd=_per_million(priced.input_price), per=PER, since=on, source=urls[0],
        shape="per_input_token", verified=None, note=note,
        output_usd=_per_million(answered.output_price) if has_answers else None, provider=provider, model=model,
        request_usd=priced.total_price - priced.input_price - priced.output_price,
        hour=hour if len(totals) > 1 else None,
    )  # fmt: skip


def _per_million(usd: Decimal) -> Decimal:
    return (usd * (PER // QUOTED)).normalize() + 0


def moment(on: date, hour: int) -> datetime:
    return datetime(on.year, on.month, on.day, hour, tzinfo=UTC)


FLAT = 128_000
"""Tokens of a prompt up to which a price by the token is tried; steps by length begin here, or at 200,000, or below."""
SAMPLES = ((10, 3, 4), (4_001, 7_891, 1_003), (20_011, 11, 0), (40_009, 5, 39_000), (FLAT, 63_001, 103))
"""Tokens of prompts, of answers, and cached ones: where these cost what a price by the token says, all do."""


@cache
def _per_token(provider: str, model: str, at: datetime) -> tuple[Decimal, Decimal, Decimal, Decimal] | None:
    """USD of a request and of a token that is read, written, read from a cache; None where a price has steps below.

    Asking genai-prices takes a hundred times as long as three products, and traces hold a call in every second span.
    """

    def asked(prompt: int, answer: int, cached: int) -> Decimal:
        usage = {"input_tokens": prompt, "output_tokens": answer, "cache_read_tokens": cached}
        usd: Decimal = _price(provider, model, at=at, **usage).total_price
        return usd

    fee = asked(0, 0, 0)
    read, written, cached = (
        (asked(*tokens) - fee) / QUOTED for tokens in ((QUOTED, 0, 0), (0, QUOTED, 0), (QUOTED, 0, QUOTED))
    )
    for prompt, answer, kept in SAMPLES:
        if fee + read * (prompt - kept) + written * answer + cached * kept != asked(prompt, answer, kept):
            return None
    return fee, read, written, cached


def _price(provider: str, model: str, *, at: datetime, **tokens: int) -> Any:
    """The only place that asks genai-prices."""
    from genai_prices import Usage, calc_price

    return calc_price(Usage(**tokens), model_ref=model, provider_id=provider, genai_request_timestamp=at)
