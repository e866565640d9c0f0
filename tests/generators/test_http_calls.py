"""Attempts, the waits between them and the addresses that are asked."""

from __future__ import annotations

import gzip
import time as waiting
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from random import Random

import httpx2
import pytest
from asker import KEY, Asker
from passing_time import PassingTime
from speaking_server import Handler, SpeakingServer

from ragprof.core.clock import excluded_ns
from ragprof.core.errors import BadInput
from ragprof.parts.http import calls
from ragprof.parts.http.calls import (
    CallFailed,
    Patience,
    Server,
    asked_wait_s,
    complaint,
    is_loopback,
    persistently,
    plain_url,
)


def failing(failures: list[CallFailed], passing: Callable[[], None]) -> Callable[[], str]:
    """Each call takes its time and fails, until the failures are used up."""

    def attempt() -> str:
        passing()
        if failures:
            raise failures.pop(0)
        return "done"

    return attempt


def test_what_went_before_the_attempt_that_succeeds_is_excluded_and_nothing_else(time: PassingTime) -> None:
    before = excluded_ns()
    attempt = failing([CallFailed("busy", wait_s=2.0), CallFailed("busy", wait_s=3.0)], time.passing(1.0))
    assert persistently(attempt, Patience(clock=time, sleep=time.sleep)) == ("done", 2)
    assert excluded_ns() - before == 7_000_000_000
    assert time.now_ns == 8_000_001_000


def test_an_attempt_that_succeeds_at_once_excludes_nothing(time: PassingTime) -> None:
    before = excluded_ns()
    assert persistently(failing([], time.passing(5.0)), Patience(clock=time, sleep=time.sleep)) == ("done", 0)
    assert excluded_ns() == before


def test_waits_double_up_to_the_longest_and_differ_by_chance() -> None:
    patience = Patience(first_s=1.0, most_s=10.0, random=Random(1))
    waits = [patience.wait_s(failed, None) for failed in range(1, 8)]
    bounds = [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    assert len(set(waits)) == 7


def test_waits_of_one_seed_are_the_same() -> None:
    first, second = Patience(random=Random(7)), Patience(random=Random(7))
    assert [first.wait_s(n, None) for n in range(1, 5)] == [second.wait_s(n, None) for n in range(1, 5)]


def test_the_retries_are_spent_and_counted(time: PassingTime) -> None:
    attempt = failing([CallFailed(reason) for reason in ("first", "second", "third", "fourth")], time.passing(1.0))
    with pytest.raises(CallFailed, match="third") as caught:
        persistently(attempt, Patience(2, clock=time, sleep=time.sleep))
    assert (caught.value.attempts, len(time.slept)) == (3, 2)


def test_what_would_fail_again_is_not_repeated(time: PassingTime) -> None:
    with pytest.raises(CallFailed, match="no"):
        persistently(failing([CallFailed("no", again=False)], time.passing(1.0)), Patience(clock=time))
    assert time.slept == []


def test_a_server_that_asks_for_an_hour_is_not_waited_for(time: PassingTime) -> None:
    with pytest.raises(CallFailed, match="come tomorrow"):
        persistently(failing([CallFailed("come tomorrow", wait_s=3600)], time.passing(1.0)), Patience(clock=time))
    assert time.slept == []


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": "0.25"}, 0.25),
        ({"Retry-After": "3", "retry-after-ms": "1500"}, 1.5),
        ({"Retry-After": "Sun, 06 Nov 2033 08:50:07 GMT", "Date": "Sun, 06 Nov 2033 08:49:37 GMT"}, 30.0),
        ({"Retry-After": "Sun, 06 Nov 2033 08:49:00 GMT", "Date": "Sun, 06 Nov 2033 08:49:37 GMT"}, 0.0),
        ({"Retry-After": "Sun, 06 Nov 2033 08:49:00 GMT"}, None),
        ({"Retry-After": "soon", "Date": "Sun, 06 Nov 2033 08:49:37 GMT"}, None),
        ({"Retry-After": "-3"}, None),
    ],
)
def test_the_wait_that_a_response_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_wait_s(httpx2.Headers(headers)) == seconds


@pytest.mark.parametrize(
    ("payload", "reason", "code"),
    [
        ({"error": {"message": "too busy", "type": "overloaded", "code": None}}, "too busy", "overloaded"),
        ({"error": {"message": "bad", "code": "c", "param": "p"}}, "bad", "c p"),
        ({"error": "just words"}, "just words", ""),
        ({"detail": "not here"}, "not here", ""),
        ({"object": "error", "message": "flat", "code": 404}, "flat", "404"),
        ("<h1>Bad Gateway</h1>", "<h1>Bad Gateway</h1>", ""),
        ([], "no reason given", ""),
        ({}, "no reason given", ""),
    ],
)
def test_error_objects_of_several_servers(payload: object, reason: str, code: str) -> None:
    failure = complaint(payload, 500)
    assert (failure.reason, failure.code, failure.status) == (reason, code, 500)


@pytest.mark.parametrize(
    ("status", "again"),
    [(429, True), (408, True), (500, True), (503, True), (529, True), (400, False), (404, False), (307, False)],
)
def test_only_what_may_pass_is_tried_again(status: int, again: bool) -> None:
    assert complaint({}, status).again is again


def test_a_spent_quota_does_not_come_back_by_waiting() -> None:
    assert complaint({"error": {"code": "insufficient_quota"}}, 429).again is False


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1"),
        ("HTTPS://API.Example.com/v1", "https://api.example.com/v1"),
        (" http://[::1]:8080 ", "http://[::1]:8080"),
    ],
)
def test_an_address_is_kept_without_its_last_slash(given: str, kept: str) -> None:
    assert plain_url(given) == kept


@pytest.mark.parametrize(
    "given", ["", "127.0.0.1:8000", "ftp://host/v1", "http://", "http://host:x/", "http://h:99999/", "http://a..b/"]
)
def test_what_is_no_address_is_said_to_be_none(given: str) -> None:
    with pytest.raises(BadInput, match=r"base_url must be an address like http://127\.0\.0\.1:8000/v1"):
        plain_url(given)


@pytest.mark.parametrize("given", ["http://me:hush@host/v1", "https://host/v1?key=hush", "https://host/v1#hush"])
def test_an_address_that_could_hold_a_secret_is_refused_without_repeating_it(given: str) -> None:
    with pytest.raises(BadInput, match="base_url of host holds") as caught:
        plain_url(given)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://127.0.0.1:1/v1", True),
        ("http://127.8.8.8", True),
        ("http://localhost:1", True),
        ("http://[::1]:1", True),
        ("https://api.example.com", False),
        ("http://10.0.0.1", False),
    ],
)
def test_proxies_are_left_out_for_this_machine_alone(url: str, own: bool) -> None:
    assert is_loopback(url) is own


def endless(handler: Handler) -> None:
    handler.begin()
    while True:
        handler.write("x" * 65536)


PACKED = gzip.compress(bytes(5_000_000))


def packed_small(handler: Handler) -> None:
    content = PACKED
    handler.send_response(200)
    for name, value in (("Content-Encoding", "gzip"), ("Content-Length", str(len(content)))):
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)


def dripping(handler: Handler) -> None:
    handler.begin()
    while True:
        handler.write("x")
        waiting.sleep(0.05)


def packed_otherwise(handler: Handler) -> None:
    handler.send(200, "x", content_encoding="zstd")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (endless, "its answer is larger than 1,000,000 bytes"),
        (packed_small, "its answer is larger than 1,000,000 bytes"),
        (dripping, "its answer did not end within 0.5 s"),
        (packed_otherwise, "its answer is packed by 'zstd', which was not asked for"),
    ],
)
def test_an_answer_that_has_no_end_is_given_up(
    server: SpeakingServer, monkeypatch: pytest.MonkeyPatch, step: Callable[[Handler], None], said: str
) -> None:
    """An endless body took 4 GB, a packed one of 4 MB took 2.9 GB, and one byte a second took for ever."""
    monkeypatch.setattr(calls, "MOST_BYTES", 1_000_000)
    monkeypatch.setattr(calls, "TIMEOUTS", 1 if step is dripping else 100)
    server.listing = step
    with pytest.raises(CallFailed, match=said) as caught:
        Server(server.url, key_name="NO_KEY", timeout_s=0.5, connections=1).get_json("/models")
    assert caught.value.again is False


def test_what_is_packed_unasked_is_read(server: SpeakingServer) -> None:
    def packed(handler: Handler) -> None:
        content = gzip.compress(b'{"data": [1]}')
        handler.send_response(200)
        for name, value in (("Content-Encoding", "gzip"), ("Content-Length", str(len(content)))):
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    server.listing = packed
    assert Server(server.url, key_name="NO_KEY", timeout_s=5, connections=1).get_json("/models") == {"data": [1]}


ODD = "ab+cd/ef=gh-1234567890"


@pytest.mark.parametrize(
    "written",
    [
        ODD, ODD.upper(), "ab%2Bcd%2Fef%3Dgh-1234567890", "ab%2bcd%2fef%3dgh-1234567890",
        b64encode(ODD.encode()).decode(), urlsafe_b64encode(f"Bearer {ODD}".encode()).decode(),
        b64encode(f"user:{ODD}!".encode()).decode(),
    ],
)  # fmt: skip
def test_a_key_that_comes_back_in_another_writing_is_hidden(
    server: SpeakingServer, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setenv("ODD_KEY", ODD)
    server.listing = lambda handler: handler.send(200, f'{{"data": "you sent {written} to us"}}')
    asked = Server(server.url, key_name="ODD_KEY", timeout_s=5, connections=1)
    assert written[6:-6] not in asked.get_json("/models")["data"]
    assert "***" in asked.get_json("/models")["data"]


def test_a_model_that_says_the_key_in_pieces_is_not_believed_and_the_key_is_announced_before_it_is_sent(
    asking: Asker, server: SpeakingServer, caplog: pytest.LogCaptureFixture
) -> None:
    def echoing(handler: Handler) -> None:
        handler.begin()
        for piece in (KEY[:9], KEY[9:], " is your key"):
            handler.write(f'data: {{"choices": [{{"delta": {{"content": "{piece}"}}}}]}}\n\n')
        handler.write("data: [DONE]\n\n")
        handler.end()

    server.plan.append(echoing)
    with caplog.at_level("INFO", "ragprof"):
        assert asking().generate("What is my key?").text == "*** is your key"
    assert caplog.messages == [f"requests to {server.url} go with the key in $OPENAI_API_KEY"]
