"""Calls to an HTTP server that may be slow, busy or gone: one open client, attempts repeated, no secret shown.

The key stands in an environment variable and goes into a header; it is no attribute, no message and no identity. Time
of failed attempts and of the waits between them is `waiting.exclude`d, so that no latency holds it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import weakref
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from ipaddress import ip_address
from random import Random
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

import httpx2

from ragprof.core.clock import Clock, exclude, now_ns, sleep
from ragprof.core.errors import BadInput

T = TypeVar("T")
BUSY = frozenset({408, 425, 429})
REFUSALS = frozenset({400, 403, 422, 451})
OUT_OF_MONEY = "insufficient_quota"
FILTERED = re.compile(
    r"content_?filter|content_policy|ResponsibleAIPolicy|content management policy|potentially violating|"
    r"input was flagged",
    re.IGNORECASE,
)
"""How servers say that their content filter refused a prompt: Azure, OpenAI, and OpenRouter."""
NO_MODEL = re.compile(
    r"model_not_found|model.*(not exist|not found|unknown|not supported|no such|invalid)|(unknown|no such) model", re.I
)
SHOWN_CHARACTERS = 300
AUTOMATIC = 47
"""For zlib: a header of gzip or of zlib, whichever is there."""
OF_URLS = str.maketrans("+/", "-_")
LOG = logging.getLogger("ragprof")
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")
KEEP_ALIVE_S = 30.0
MOST_BYTES = 256 * 1024 * 1024
"""Of a response, unpacked: several times what a batch of vectors takes in decimals."""
TIMEOUTS = 10
"""How often the time between two bytes a whole response may take."""
PIECE = 1024 * 1024
SHORTEST_ECHO = 8
"""Characters of a key in another writing that are looked for: fewer stand in any text."""


class CallFailed(Exception):
    """One attempt that gave nothing. `again`: another may succeed, after `wait_s` where the server names a time.

    `status` is None where no response came at all; `code` is what the server calls the error, `attempts` how many
    were made before this was raised.
    """

    def __init__(
        self, reason: str, *, status: int | None = None, code: str = "", again: bool = True, wait_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason, self.status, self.code = reason, status, code
        self.again, self.wait_s, self.attempts = again, wait_s, 1

    @property
    def filtered(self) -> bool:
        """Whether a content filter refused the prompt; the next one may be answered."""
        return self.status in REFUSALS and FILTERED.search(f"{self.code} {self.reason}") is not None

    def at(self, status: int | None, reason: str) -> CallFailed:
        """The same with the response's status, where it has none of its own, and another wording."""
        known = status if self.status is None else self.status
        return CallFailed(reason, status=known, code=self.code, again=self.again, wait_s=self.wait_s)


@dataclass(frozen=True)
class Patience:
    """How often a failed call is repeated and how long is waited before: doubling, at random between half and whole.

    A server that asks for more than `longest_s` is not waited for.
    """

    retries: int = 4
    first_s: float = 0.5
    most_s: float = 30.0
    longest_s: float = 120.0
    random: Random = field(default_factory=lambda: Random(0))
    clock: Clock = now_ns
    sleep: Callable[[float], None] = sleep

    def wait_s(self, failed: int, asked_s: float | None) -> float:
        """Seconds to wait after `failed` attempts; what the server asked for is taken as it is."""
        if asked_s is not None:
            return asked_s
        return min(self.first_s * 2.0 ** (failed - 1), self.most_s) * self.random.uniform(0.5, 1.0)


def persistently(attempt: Callable[[], T], patience: Patience) -> tuple[T, int]:
    """What the first attempt that succeeds returns, and how many failed before it; all time before it is excluded.

    Raises the last CallFailed once the retries are spent, and at once where another attempt would fail alike.
    """
    begun = patience.clock()
    failed = 0
    while True:
        started = patience.clock()
        try:
            value = attempt()
        except CallFailed as failure:
            failed += 1
            failure.attempts = failed
            wait_s = patience.wait_s(failed, failure.wait_s)
            if not failure.again or failed > patience.retries or wait_s > patience.longest_s:
                raise
            patience.sleep(wait_s)
        else:
            exclude(started - begun)
            return value, failed


def attempted(call: Callable[[], T]) -> T | CallFailed:
    """What the call gives, or how it failed, as a value: so that the error made of it has no chain."""
    try:
        return call()
    except CallFailed as failure:
        return failure


@dataclass(frozen=True)
class FormatName:
    """A wire format as messages name it: the option to `mend` where it is another, its `path`, which `others` exist."""

    name: str
    mend: str
    path: str
    others: str = ""


class Server:
    """An HTTP service under one address. Safe to use from several threads; its connections are kept open."""

    def __init__(
        self, base_url: str, *, key_name: str, timeout_s: float, connections: int, key_header: str | None = None
    ) -> None:
        """`key_header` is the header that holds the key alone, where it is not `Authorization: Bearer`."""
        self.url = plain_url(base_url)
        self.key_name = variable_name(key_name)
        self._timeout_s, self._connections, self._key_header = timeout_s, connections, key_header
        self._opened: httpx2.Client | None = None
        self._opening = Lock()

    @property
    def has_key(self) -> bool:
        return bool(self._key())

    @contextmanager
    def exchange(self, method: str, path: str, body: object = None) -> Iterator[httpx2.Response]:
        """A response of status 2xx with its content still to be read.

        Raises CallFailed for any other, and for what goes wrong while it is read inside the `with`.
        """
        status = None
        try:
            with self._client().stream(method, f"{self.url}{path}", json=body) as response:
                status = response.status_code
                until_ns = now_ns() + round(TIMEOUTS * self._timeout_s * 1e9)
                bound(response, until_ns, TIMEOUTS * self._timeout_s, most_bytes=MOST_BYTES)
                if not response.is_success:
                    raise refusal(response.read(), status, asked_wait_s(response.headers))
                yield response
        except CallFailed as failure:
            raise failure.at(status, self.shown(failure.reason)) from None
        except httpx2.TimeoutException:
            raise CallFailed(f"nothing came within {self._timeout_s:g} s", status=status) from None
        except httpx2.RequestError as failure:
            raise CallFailed(self.shown(f"{type(failure).__name__}: {failure}"), status=status) from None

    def refused(self, content: bytes, status: int) -> CallFailed:
        """The failure that a response of another kind than 2xx tells, as it may be printed."""
        failure = refusal(content, status)
        return failure.at(status, self.shown(failure.reason))

    def get_json(self, path: str) -> Any:
        """The content of an address. Raises CallFailed, also where it is no JSON."""
        with self.exchange("GET", path) as response:
            return parsed(self.without_key(response.read().decode("utf-8", "replace")))

    def shown(self, text: str) -> str:
        """Text of the server's as it may be printed: on one line, short, and without the key."""
        line = " ".join(UNPRINTABLE.sub(" ", self.without_key(text)).split())
        return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}..."

    def without_key(self, text: str) -> str:
        """The text with stars in place of the key, should a server send it back, as it is or in another writing."""
        key = self._key()
        return writings_of(key).sub("***", text) if key else text

    def unusable(self, failure: CallFailed, url: str, *, when_slow: str) -> BadInput | None:
        """What can be done where the key is refused, nothing comes or every attempt fails; None for what is left."""
        status, name = failure.status, self.key_name
        if status in (401, 403) and self.has_key:
            return BadInput(f"the key in ${name} was refused by {self.url} ({status}); set one that it accepts")
        if status in (401, 403):
            return BadInput(
                f"{self.url} wants a key ({status}) and ${name} is not set; set it, or name another in api_key_env"
            )
        if status is None:
            return BadInput(
                f"{url} does not answer ({failure.reason}); start the server or mend base_url, and where it is only "
                f"slow, {when_slow}"
            )
        if failure.again:
            return BadInput(
                f"{url} failed {failure.attempts} times, last with {status}: {failure.reason}; "
                "try later, lower concurrency, or raise retries or timeout_seconds"
            )
        return None

    def mismatch(
        self, failure: CallFailed, path: str, *, form: FormatName, model: str, when_slow: str
    ) -> BadInput | None:
        """As `unusable`; also where another format, model or address is meant. None where the request is at fault."""
        url, status, reason = f"{self.url}{path}", failure.status, failure.reason
        if (unusable := self.unusable(failure, url, when_slow=when_slow)) is not None:
            return unusable
        if status is not None and status < 300:
            return BadInput(f"{url} does not answer as '{form.name}' does: {reason}; mend {form.mend} or base_url")
        if NO_MODEL.search(f"{failure.code} {reason}"):
            return BadInput(f"{url} has no model '{model}': {reason}")
        if status in (404, 405):
            others = f", and {form.others}" if form.others else ""
            return BadInput(
                f"{url} is no address of '{form.name}' ({status}: {reason}); base_url is what stands before "
                f"{form.path}{others}"
            )
        return None

    def _client(self) -> httpx2.Client:
        with self._opening:
            if self._opened is not None:
                return self._opened
            try:
                client = httpx2.Client(
                    headers={"User-Agent": "ragprof", "Accept-Encoding": "identity"},
                    timeout=self._timeout_s,
                    limits=httpx2.Limits(max_connections=self._connections, keepalive_expiry=KEEP_ALIVE_S),
                    trust_env=not is_loopback(self.url),
                )
            except (ImportError, ValueError, OSError) as failure:
                raise BadInput(
                    f"no connection can be set up: {failure}; mend the proxy or certificate variables of the "
                    "environment (ALL_PROXY, HTTPS_PROXY, SSL_CERT_FILE)"
                ) from None
            if self.has_key:
                LOG.info("requests to %s go with the key in $%s", self.url, self.key_name)
            client.headers.update(self.key_headers())
            self._opened = client
            weakref.finalize(self, client.close)
            return client

    def key_headers(self) -> dict[str, str]:
        """The header that holds the key, where there is one: never to be written down."""
        if not self.has_key:
            return {}
        if self._key_header is not None:
            return {self._key_header: self._key()}
        return {"Authorization": f"Bearer {self._key()}"}

    def _key(self) -> str:
        key = os.environ.get(self.key_name, "").strip()
        if re.search(r"[^\x21-\x7e]", key):
            raise BadInput(f"the value of ${self.key_name} cannot be a key: a header takes no spaces and only ASCII")
        return key


class BoundedStream(httpx2.SyncByteStream):
    """The bytes of a response, unpacked: as many as MOST_BYTES and until a moment. A server that sends more or drips
    is given up, and so is its connection."""

    def __init__(
        self, stream: Any, until_ns: int, seconds: float, *, packed: bool = False, most_bytes: int = MOST_BYTES
    ) -> None:
        self._stream, self._until_ns, self._seconds, self._packed = stream, until_ns, seconds, packed
        self._most_bytes = most_bytes

    def __iter__(self) -> Iterator[bytes]:
        """Raises CallFailed, which another attempt would only repeat."""
        count = 0
        for chunk in self._unpacked() if self._packed else self._stream:
            count += len(chunk)
            if count > self._most_bytes:
                raise CallFailed(f"its answer is larger than {self._most_bytes:,} bytes", again=False)
            if now_ns() > self._until_ns:
                raise CallFailed(f"its answer did not end within {self._seconds:g} s", again=False)
            yield chunk

    def _unpacked(self) -> Iterator[bytes]:
        unpacking = zlib.decompressobj(AUTOMATIC)
        try:
            for chunk in self._stream:
                left = chunk
                while left:
                    yield unpacking.decompress(left, PIECE)
                    left = unpacking.unconsumed_tail
        except zlib.error as failure:
            raise CallFailed(f"what came cannot be unpacked ({failure})") from None

    def close(self) -> None:
        self._stream.close()


def bound(response: httpx2.Response, until_ns: int, seconds: float, *, most_bytes: int) -> None:
    """Let a response be read as far as BoundedStream goes. Raises CallFailed for a packing that was not asked for."""
    packing = response.headers.pop("content-encoding", "identity").strip().lower()
    if packing not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise CallFailed(f"its answer is packed by '{packing}', which was not asked for", again=False)
    packed = packing not in ("", "identity")
    response.stream = BoundedStream(response.stream, until_ns, seconds, packed=packed, most_bytes=most_bytes)


@lru_cache(32)
def writings_of(key: str) -> re.Pattern[str]:
    """What finds a key in a text: in any case, URL-encoded, escaped as in JSON, and within Base64 of either kind."""
    written = {key, quote(key, safe=""), quote_plus(key), json.dumps(key)[1:-1]}
    for before in range(3):  # three bytes are four signs: where the key begins among them decides what it looks like
        packed = b64encode(b" " * before + key.encode())
        inside = packed[-(-before * 8 // 6) : (before + len(key)) * 8 // 6].decode()
        written |= {each for each in (inside, inside.translate(OF_URLS)) if len(each) >= SHORTEST_ECHO}
    return re.compile("|".join(re.escape(each) for each in sorted(written, key=len, reverse=True)), re.IGNORECASE)


def plain_url(base_url: str) -> str:
    """The address without a final slash. Raises BadInput for one that is not http(s), or that could hold a secret."""
    try:
        url = httpx2.URL(base_url.strip())
        url.host.encode("idna")
    except (httpx2.InvalidURL, UnicodeError):
        url = httpx2.URL()
    if url.scheme not in ("http", "https") or not url.host or not 0 < (url.port or 80) < 65536:
        raise BadInput("base_url must be an address like http://127.0.0.1:8000/v1 or https://api.openai.com/v1")
    if url.userinfo or url.query or url.fragment:
        raise BadInput(
            f"base_url of {url.host} holds a user name, a query or a fragment, which recordings would keep; "
            "leave them out and put the key into the environment variable that api_key_env names"
        )
    return str(url).rstrip("/?#")


def variable_name(key_name: str) -> str:
    """The name itself. Raises BadInput, without repeating it, for what may be the key and not its variable's name."""
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", key_name):
        raise BadInput("api_key_env must be an environment variable's name in capitals, like OPENAI_API_KEY; no key")
    return key_name


def is_loopback(url: str) -> bool:
    """Whether the address is this machine's own, where no proxy stands between."""
    host = httpx2.URL(url).host
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def refusal(content: bytes, status: int, wait_s: float | None = None) -> CallFailed:
    """The failure that the content of a response tells, be it JSON or not."""
    try:
        payload: object = json.loads(content)
    except (ValueError, RecursionError):
        payload = content.decode("utf-8", "replace")
    return complaint(payload, status, wait_s)


def complaint(payload: object, status: int, wait_s: float | None = None) -> CallFailed:
    """The failure that an error object tells: OpenAI's, FastAPI's, or whatever text there is."""
    error = payload.get("error", payload) if isinstance(payload, Mapping) else payload
    named = error if isinstance(error, Mapping) else {"message": error}
    said = named.get("message") or named.get("detail")
    if isinstance(said, list):  # FastAPI's list of complaints: places and words, never the input
        told = [each for each in said if isinstance(each, Mapping)]
        said = "; ".join(" ".join(str(each[key]) for key in ("loc", "type", "msg") if each.get(key)) for each in told)
    reason = str(said or "no reason given")
    code = " ".join(str(named[name]) for name in ("code", "type", "param") if named.get(name))
    if status >= 500 and FILTERED.search(code):  # an error within a stream, which has no status of its own
        status = 400
    again = (status in BUSY or status >= 500) and OUT_OF_MONEY not in code
    return CallFailed(reason, status=status, code=code, again=again, wait_s=wait_s)


def asked_wait_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a response asks to wait: retry-after-ms, or Retry-After in seconds or as a date beside Date."""
    for name, per_second in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        if re.fullmatch(r"\d+(\.\d+)?", headers.get(name, "")):
            return float(headers[name]) / per_second
    try:
        until, now = (parsedate_to_datetime(headers.get(name, "")) for name in ("retry-after", "date"))
    except ValueError:
        return None
    until, now = (date if date.tzinfo else date.replace(tzinfo=UTC) for date in (until, now))
    return max(0.0, (until - now).total_seconds())


def parsed(content: bytes | str) -> Any:
    """JSON. Raises CallFailed where it is none, which another attempt may mend."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise CallFailed("what came is not JSON") from None
