"""A model behind an OpenAI-compatible HTTP endpoint (vLLM, llama.cpp, Ollama, OpenAI): greedy, streamed, retried.

Answers are reused under the endpoint's address, the model's name and the settings. What stands behind a name can
change without one of them changing: give another name, or clear the cache, when it does.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, NonNegativeInt, PositiveInt

from ragprof.core import Generated
from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.reasoning import untimed
from ragprof.core.stages import Generator
from ragprof.core.tokens import DEFAULT_TOKENIZER, counter
from ragprof.parts.http import formats as completions
from ragprof.parts.http.calls import CallFailed, Patience, Server, attempted, is_loopback, persistently
from ragprof.parts.http.formats import Reply

Style: TypeAlias = Literal["chat", "completions"]
Seconds: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
PATHS = {"chat": "/chat/completions", "completions": "/completions"}
CHAT_TOKENS = 7  # of one user message and the answer's beginning, as OpenAI's cookbook counts them
LISTED = 20
NO_MODEL = re.compile(r"model_not_found|model.*(not exist|not found|unknown|no such)|(unknown|no such) model", re.I)


class OpenAICompatibleGenerator:
    """Counts of tokens are the server's own, and absent where it gives none; `count_tokens` is by `tokenizer`.

    The first token is timed from the sending of the attempt that succeeds, that of the reasoning apart. Where the
    server refuses a setting that not all of them know (`stream_options`, `temperature`, `max_tokens`), it is asked
    again without, or by the newer name.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key_env: str = "OPENAI_API_KEY",
        max_new_tokens: PositiveInt = 64,
        context_tokens: PositiveInt | None = None,
        tokenizer: str = DEFAULT_TOKENIZER,
        timeout_seconds: Seconds = 60.0,
        retries: NonNegativeInt = 4,
        concurrency: PositiveInt = 4,
        seed: int | None = None,
        style: Style = "chat",
        stop: tuple[str, ...] = (),
    ) -> None:
        self._server = Server(base_url, key_name=api_key_env, timeout_s=timeout_seconds, connections=concurrency)
        self.max_new_tokens, self.context_tokens = max_new_tokens, context_tokens
        self.patience = Patience(retries)
        self._model, self._tokenizer, self.concurrency = model, tokenizer, concurrency
        self._seed, self._style, self._stop = seed, style, stop
        self._unsupported: frozenset[str] = frozenset()
        self._probed = False

    @property
    def identity(self) -> str:
        asked = f"max_new_tokens={self.max_new_tokens} seed={self._seed} stop={list(self._stop)}"
        return f"openai_compatible {self._server.url} {self._model} {self._style} {asked}"

    @property
    def model_name(self) -> str:
        return self._model

    @property
    def engine(self) -> str:
        return f"POST {PATHS[self._style]}, streamed"

    @property
    def precision(self) -> str:
        return "what the server computes in"

    @property
    def remote(self) -> bool:
        """Whether its time is another machine's, and money: not where the server stands on this one's loopback."""
        return not is_loopback(self._server.url)

    def load(self) -> None:
        """Ask once what models there are. Raises BadInput where nobody answers or the key is refused."""
        counter(self._tokenizer)
        if self._probed:
            return
        listed = attempted(self._listed)
        if isinstance(listed, CallFailed) and listed.status in (None, 401, 403):
            raise self._explained(listed)
        self._probed = True

    def count_tokens(self, prompt: str) -> int:
        around = CHAT_TOKENS if self._style == "chat" else 0
        return counter(self._tokenizer)(prompt) + around

    def generate(self, prompt: str) -> Generated:
        """One answer. Raises BadInput where the server refuses, or fails more often than `retries`.

        A prompt that a content filter refuses has an empty answer, for which nothing is billed.
        """
        answered = attempted(lambda: persistently(lambda: self._attempt(prompt), self.patience))
        if isinstance(answered, CallFailed):
            if not answered.filtered:
                raise self._explained(answered, prompt)
            unbilled = {"input_tokens": 0, "output_tokens": 0, "requests": 1, "retries": answered.attempts - 1}
            return Generated("", unbilled, None, "content_filter")
        (reply, sent_ns), failed = answered
        return reply.generated(sent_ns, {"requests": 1, "retries": failed})

    def generate_many(self, prompts: Sequence[str]) -> list[Generated]:
        with ThreadPoolExecutor(self.concurrency) as pool:
            return [untimed(generated) for generated in pool.map(self.generate, prompts)]

    def _attempt(self, prompt: str) -> tuple[Reply, int]:
        """The answer, and the clock's reading when it was asked for."""
        body: dict[str, Any] = {
            "model": self._model,
            **({"messages": [{"role": "user", "content": prompt}]} if self._style == "chat" else {"prompt": prompt}),
            "max_tokens": self.max_new_tokens,
            "temperature": 0,
            "seed": self._seed,
            "stop": list(self._stop) or None,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        body = completions.amended(
            {name: value for name, value in body.items() if value is not None}, self._unsupported
        )
        sent_ns = self.patience.clock()
        try:
            with self._server.exchange("POST", PATHS[self._style], body) as response:
                reply = completions.read(response, self.patience.clock)
                reply.hide(self._server.without_key)
        except CallFailed as failure:
            raise self._amended(failure, body) from None
        return reply, sent_ns

    def _amended(self, failure: CallFailed, body: dict[str, Any]) -> CallFailed:
        """The same failure, to be repeated at once where a setting that can be left out was refused."""
        refused = completions.unknown_settings(failure, body)
        if not refused:
            return failure
        self._unsupported |= refused
        return CallFailed(failure.reason, status=failure.status, code=failure.code, wait_s=0.0)

    def _listed(self) -> list[str]:
        """Names of the models that the server says it has, sorted. Raises CallFailed."""
        answer = self._server.get_json("/models")
        entries = answer.get("data") if isinstance(answer, dict) else None
        named = [entry.get("id") for entry in entries or [] if isinstance(entry, dict)]
        return sorted({name for name in named if isinstance(name, str)})

    def _explained(self, failure: CallFailed, prompt: str = "") -> BadInput:
        """What the user can do about it. It is never chained to what was caught: that may hold the request."""
        url, said = self._server.url, f"{failure.code} {failure.reason}"
        if (unusable := self._server.unusable(failure, url, when_slow="raise timeout_seconds")) is not None:
            return unusable
        if completions.TOO_LONG.search(said):
            return BadInput(
                f"a prompt of about {self.count_tokens(prompt)} tokens with {self.max_new_tokens} for the answer does "
                f"not fit the context of '{self._model}' at {url} ({failure.reason}); set context_tokens to what "
                "it takes, or inject less"
            )
        if failure.status != 404 and not NO_MODEL.search(said):
            return BadInput(f"{url} refused the request with {failure.status}: {failure.reason}")
        listed = attempted(self._listed)
        if isinstance(listed, list) and listed and self._model not in listed:
            shown = difflib.get_close_matches(self._model, listed, LISTED, 0.0)
            return UnknownName(f"model at {url}, which lists {len(listed)},", self._model, shown)
        if NO_MODEL.search(said):
            return BadInput(f"{url} has no model '{self._model}': {failure.reason}")
        return BadInput(
            f"{url} has no {PATHS[self._style]} ({failure.status}: {failure.reason}); base_url mostly ends in /v1, "
            "and style is 'chat' or 'completions'"
        )


plugin: type[Generator] = OpenAICompatibleGenerator
