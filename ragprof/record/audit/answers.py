"""Does the generator give the same answer to the same prompt, again and among others? No text is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ragprof.progress import Progress
from ragprof.record.audit.checks import IN_A_BATCH, REPEATED, Check, Difference
from ragprof.record.audit.live import Live
from ragprof.record.pipeline import Parts
from ragprof.stages import Generator, ManyGenerator

ANSWERED = 5
"""At most so many queries: a model takes seconds for an answer."""


def answer_checks(parts: Parts, lives: Sequence[Live], *, times: int, progress: Progress) -> list[Check]:
    """The first queries' prompts, each answered several times alone and once together with the others."""
    if parts.generator is None:
        return []
    asked = lives[:ANSWERED]
    progress.start(f"{parts.name}: answer {times} times", len(asked) * times)
    answers = {live.query.query_id: _repeated(parts.generator, live, times, progress) for live in asked}
    progress.done()
    checks = [
        Check("generate", "answer", REPEATED, query_id, Difference(len(set(texts)) == 1))
        for query_id, texts in answers.items()
    ]
    return [*checks, *_together(parts.generator, asked, [texts[0] for texts in answers.values()])]


def _repeated(generator: Generator, live: Live, times: int, progress: Progress) -> list[str]:
    texts = []
    for _ in range(times):
        texts.append(generator.generate(live.answer.prompt).text)
        progress.advance(1)
    return texts


def _together(generator: Generator, asked: Sequence[Live], alone: Sequence[str]) -> Iterator[Check]:
    if not isinstance(generator, ManyGenerator):
        return
    together = generator.generate_many([live.answer.prompt for live in asked])
    for live, text, generated in zip(asked, alone, together, strict=True):
        same = Difference(generated.text == text)
        yield Check("generate", "batch size", IN_A_BATCH, live.query.query_id, same)
