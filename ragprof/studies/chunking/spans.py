"""Token-wise recall, precision and IoU of what a prompt holds against the spans that answer its question.

As Smith and Troynikov define them (Evaluating Chunking Strategies for Retrieval, Chroma technical report, July 2024,
"Metrics"): of the tokens t_e of the relevant spans and t_r of the retrieved passages, recall = |t_e and t_r| / |t_e|,
precision = |t_e and t_r| / |t_r|, IoU = |t_e and t_r| / (|t_e| + |t_r| - |t_e and t_r|). A token of the spans counts
once however often it was retrieved, every retrieved token counts in t_r: overlapping passages pay for what they repeat.
That is what their code computes (brandonstarxel/chunking_evaluation, `_scores_from_dataset_and_retrievals`), but for
two things: it counts characters, and characters that two spans share twice in |t_e|. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class TextSpan:
    """Characters `start` to `end` of a document's text."""

    document_id: str
    start: int
    end: int

    def holds(self, other: TextSpan) -> bool:
        return self.document_id == other.document_id and self.start <= other.start and other.end <= self.end


def answer_spans(answers: Iterable[str], relevant: Iterable[str], texts: Mapping[str, str]) -> list[TextSpan]:
    """Where answers stand word for word in relevant documents, each at its first place in each document."""
    found = set[TextSpan]()
    for answer in answers:
        for document in relevant:
            at = texts.get(document, "").find(answer) if answer.strip() else -1
            if at >= 0:
                found.add(TextSpan(document, at, at + len(answer)))
    return sorted(found)


def united(spans: Iterable[TextSpan]) -> list[TextSpan]:
    """The same characters, none of them twice."""
    joined: list[TextSpan] = []
    for span in sorted(spans):
        last = joined[-1] if joined else None
        if last is not None and last.document_id == span.document_id and span.start <= last.end:
            joined[-1] = TextSpan(last.document_id, last.start, max(last.end, span.end))
        else:
            joined.append(span)
    return joined


def common(some: Sequence[TextSpan], others: Sequence[TextSpan]) -> list[TextSpan]:
    """The characters that both have; neither may have any twice."""
    both = (
        TextSpan(one.document_id, max(one.start, other.start), min(one.end, other.end))
        for one in some
        for other in others
        if one.document_id == other.document_id
    )
    return [span for span in both if span.start < span.end]


def token_scores(
    wanted: Sequence[TextSpan], held: Sequence[TextSpan], texts: Mapping[str, str], count: Callable[[str], int]
) -> tuple[float, float, float]:
    """Recall, precision and IoU; `held` are the passages of the prompt, in any order. 0 where nothing is held."""

    def tokens(spans: Iterable[TextSpan]) -> int:
        return sum(count(texts[span.document_id][span.start : span.end]) for span in spans)

    relevant = united(wanted)
    both, of_spans, of_prompt = tokens(common(relevant, united(held))), tokens(relevant), tokens(held)
    either = of_spans + of_prompt - both
    return (
        min(1.0, both / of_spans) if of_spans else 0.0,
        min(1.0, both / of_prompt) if of_prompt else 0.0,
        min(1.0, both / either) if either else 0.0,
    )
