"""What a test of an endpoint is given: a generator of some options, and the key that it asks with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ragprof.parts.generators.openai_compatible import OpenAICompatibleGenerator

KEY = "sk-test-3141592653589793"
Asker: TypeAlias = Callable[..., OpenAICompatibleGenerator]
