"""What an endpoint can refuse, what the user is told then, and that no message ever holds the key."""

from __future__ import annotations

import gc
import json
import traceback
from functools import partial
from typing import Any

import pytest
from asker import KEY, Asker
from speaking_server import SpeakingServer, Step, fails, hangs_up, is_cut, is_silent, lists_models, writes

from ragprof.core import registry
from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.registry import PartSpec
from ragprof.parts.generators.openai_compatible import OpenAICompatibleGenerator

PROMPT = "one two three"
ECHO = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}", "code": f"bad {KEY}"}})
TOO_LONG = "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens."


def refusal(status: int, message: str, code: str = "") -> Step:
    return partial(fails, status=status, content=json.dumps({"error": {"message": message, "code": code}}))


def failure_of(generator: OpenAICompatibleGenerator) -> BadInput:
    """What a question ends in."""
    with pytest.raises(BadInput) as caught:
        generator.generate(PROMPT)
    return caught.value


def told(generator: OpenAICompatibleGenerator) -> str:
    """What the user reads when a question fails."""
    return str(failure_of(generator))


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_named_by_its_variable(asking: Asker, server: SpeakingServer, status: int) -> None:
    server.plan.append(partial(fails, status=status, content=ECHO))
    assert told(asking()) == (
        f"the key in $OPENAI_API_KEY was refused by {server.url} ({status}); set one that it accepts"
    )
    assert len(server.bodies) == 1


def test_a_key_that_is_missing_is_asked_for(
    asking: Asker, server: SpeakingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    server.plan.append(refusal(401, "no key"))
    assert told(asking()) == (
        f"{server.url} wants a key (401) and $OPENAI_API_KEY is not set; set it, or name another in api_key_env"
    )


def test_a_refused_key_ends_the_run_at_loading(asking: Asker, server: SpeakingServer) -> None:
    server.listing = partial(fails, status=401, content=ECHO)
    with pytest.raises(BadInput, match=r"the key in \$OPENAI_API_KEY was refused"):
        asking().load()


def test_a_key_that_no_header_takes_is_said_without_showing_it(asking: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hush\nX-Other: 1")
    with pytest.raises(BadInput, match=r"the value of \$OPENAI_API_KEY cannot be a key") as caught:
        asking().load()
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-hush-1234", "gsk_hush1234", "", "A B"])
def test_a_key_in_place_of_its_variable_is_refused_without_showing_it(asking: Asker, key: str) -> None:
    with pytest.raises(BadInput, match="api_key_env must be an environment variable's name") as caught:
        asking(api_key_env=key)
    assert "hush" not in str(caught.value)


def test_nobody_there_ends_the_run_at_loading(asking: Asker) -> None:
    with pytest.raises(BadInput, match=r"http://127\.0\.0\.1:1/v1 does not answer \(ConnectError") as caught:
        asking(base_url="http://127.0.0.1:1/v1").load()
    assert "start the server or mend base_url" in str(caught.value)


def test_silence_ends_the_run_at_loading(asking: Asker, server: SpeakingServer) -> None:
    server.listing = is_silent
    with pytest.raises(BadInput, match=r"does not answer \(nothing came within 0\.1 s\)"):
        asking(timeout_seconds=0.1).load()


def test_an_endpoint_that_goes_away_is_given_every_retry(asking: Asker, server: SpeakingServer) -> None:
    server.plan.extend([hangs_up] * 3)
    assert "does not answer (RemoteProtocolError" in told(asking(retries=2))
    assert len(server.bodies) == 3


def test_a_server_that_stays_busy_is_said_to_be(asking: Asker, server: SpeakingServer) -> None:
    server.plan.extend([refusal(503, "overloaded")] * 3)
    assert told(asking(retries=2)) == (
        f"{server.url} failed 3 times, last with 503: overloaded; "
        "try later, lower concurrency, or raise retries or timeout_seconds"
    )


def test_an_unknown_model_is_told_with_those_that_there_are(asking: Asker, server: SpeakingServer) -> None:
    server.plan.append(refusal(404, "The model `tiny-3` does not exist.", "model_not_found"))
    with pytest.raises(UnknownName) as caught:
        asking(model="tiny-22").generate(PROMPT)
    assert str(caught.value) == (
        f"no model at {server.url}, which lists 2, named 'tiny-22'; did you mean 'tiny-2'? There are: tiny-1, tiny-2"
    )


def test_of_hundreds_of_models_the_nearest_are_shown(asking: Asker, server: SpeakingServer) -> None:
    server.listing = partial(lists_models, models=[f"model-{number}" for number in range(300)])
    server.plan.append(refusal(404, "no", "model_not_found"))
    message = told(asking(model="model-12x"))
    assert "which lists 300, named 'model-12x'; did you mean 'model-12'?" in message
    assert message.count(",") == 21


@pytest.mark.parametrize("listing", [partial(fails, status=404), partial(fails, status=500), hangs_up])
def test_an_unknown_model_of_a_server_that_lists_none(asking: Asker, server: SpeakingServer, listing: Step) -> None:
    server.listing = listing
    server.plan.append(refusal(400, "unknown model: tiny-3"))
    assert told(asking(model="tiny-3")) == f"{server.url} has no model 'tiny-3': unknown model: tiny-3"


def test_a_wrong_address_is_told(asking: Asker, server: SpeakingServer) -> None:
    server.plan.append(partial(fails, status=404, content="404 page not found"))
    assert told(asking()) == (
        f"{server.url} has no /chat/completions (404: 404 page not found); base_url mostly ends in /v1, "
        "and style is 'chat' or 'completions'"
    )


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (400, TOO_LONG, "context_length_exceeded"),
        (400, TOO_LONG, ""),
        (400, "the request exceeds the available context size. try increasing it", "exceed_context_size_error"),
        (422, "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000", "validation"),
        (400, "max_tokens is too large: 64. This model's maximum context length is 32; it is not supported", ""),
    ],
)
def test_a_prompt_that_does_not_fit_is_told(
    asking: Asker, server: SpeakingServer, status: int, message: str, code: str
) -> None:
    server.plan.append(refusal(status, message, code))
    said = told(asking(style="completions"))
    assert said.startswith("a prompt of about 3 tokens with 64 for the answer does not fit the context of 'tiny-1'")
    assert said.endswith("set context_tokens to what it takes, or inject less")
    assert len(server.bodies) == 1


def test_another_refusal_is_passed_on(asking: Asker, server: SpeakingServer) -> None:
    server.plan.append(refusal(400, "temperature must be\nnice"))
    assert told(asking()) == f"{server.url} refused the request with 400: temperature must be nice"


def test_a_page_in_place_of_an_answer_is_told(asking: Asker, server: SpeakingServer) -> None:
    server.plan.append(lambda handler: handler.send(200, "<html>hello</html>", kind="text/html"))
    assert "it sent 'text/html' where an answer should be" in told(asking())


def test_an_error_inside_the_stream_that_would_come_again_is_not_repeated(
    asking: Asker, server: SpeakingServer
) -> None:
    chunk = json.dumps({"error": {"message": "bad request", "code": 400}})
    server.plan.append(lambda handler: writes(handler, f"data: {chunk}\n\n"))
    assert told(asking()) == f"{server.url} refused the request with 400: bad request"


def test_a_redirection_is_not_followed_with_the_key(asking: Asker, server: SpeakingServer) -> None:
    server.plan.append(partial(fails, status=307, Location="http://127.0.0.1:1/elsewhere"))
    assert "refused the request with 307" in told(asking())


def test_a_long_reason_is_shortened(asking: Asker, server: SpeakingServer) -> None:
    server.plan.append(refusal(400, "no " * 2000))
    assert len(told(asking())) < 400


def test_one_failure_among_many_prompts_is_told(asking: Asker, server: SpeakingServer) -> None:
    server.plan.append(refusal(400, "no"))
    with pytest.raises(BadInput, match="refused the request with 400: no"):
        asking(concurrency=2).generate_many([PROMPT] * 6)


def everything_about(error: BaseException) -> str:
    """Message, representation and traceback with all local variables, of the error and of all that it hangs on."""
    told = [
        repr(error),
        str(error),
        "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()),
    ]
    chained = [one for one in (error.__cause__, error.__context__) if one is not None]
    return "\n".join([*told, *map(everything_about, chained)])


@pytest.mark.parametrize(
    "step",
    [
        partial(fails, status=401, content=ECHO),
        partial(fails, status=403, content=ECHO),
        partial(fails, status=400, content=ECHO),
        partial(fails, status=404, content=ECHO),
        partial(fails, status=500, content=ECHO),
        partial(fails, status=418, content=f"no {KEY}"),
        lambda handler: writes(handler, f"data: {ECHO}\n\n"),
        lambda handler: writes(handler, f"data: {KEY}\n\n"),
        lambda handler: handler.send(200, KEY, kind="text/plain"),
        is_cut,
        hangs_up,
    ],
)
def test_the_key_is_in_nothing_that_could_be_printed(asking: Asker, server: SpeakingServer, step: Step) -> None:
    server.otherwise = step
    failure = failure_of(asking(retries=1))
    assert failure.__cause__ is failure.__context__ is None
    assert KEY not in everything_about(failure)


def test_the_key_is_in_no_part_of_the_generator(asking: Asker, server: SpeakingServer) -> None:
    generator = asking()
    generator.load()
    generator.generate(PROMPT)
    told = [repr(generator), str(generator), generator.identity, repr(vars(generator))]
    told += [repr(vars(part)) for part in vars(generator).values() if hasattr(part, "__dict__")]
    assert KEY not in "\n".join(told)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": "http://h/v1"}, "'model': Field required"),
        ({"base_url": "http://h/v1", "model": "m", "timeout_seconds": 0}, "'timeout_seconds': Input should be greater"),
        ({"base_url": "http://h/v1", "model": "m", "timeout_seconds": float("inf")}, "'timeout_seconds'"),
        ({"base_url": "http://h/v1", "model": "m", "style": "cat"}, "'style': Input should be 'chat' or 'completions'"),
        ({"base_url": "http://h/v1", "model": "m", "retries": -1}, "'retries': Input should be greater"),
        ({"base_url": "http://h/v1", "model": "m", "concurrency": 0}, "'concurrency': Input should be greater"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        registry.create("generators", PartSpec(name="openai_compatible", **options))


def test_connections_are_closed_with_the_generator(asking: Asker) -> None:
    generator = asking()
    generator.generate(PROMPT)
    client = generator._server._client()
    del generator
    gc.collect()
    assert client.is_closed
