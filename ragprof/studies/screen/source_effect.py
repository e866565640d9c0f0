"""The effect of the whole source on one pipeline, from what the sample does to it, query by query. Reads no file."""

from __future__ import annotations

import numpy as np

from ragprof.judge.arrays import UNJUDGED, metrics
from ragprof.report.figures import judged_beside
from ragprof.studies.screen.simulate import Candidates
from ragprof.studies.screen.whole import BEGINNINGS, EVEN, Counts, Gathered, Values, standing


class SourceEffect:
    """Sees every query once, then says what the whole source would change.

    `halves` (resamples, sampled) are random halves of the sample, which is `share` of the source.
    """

    def __init__(self, metric: str, *, depth: int, share: float, halves: Counts) -> None:
        self._metric, self._depth, self._share = metric, depth, share
        self._counts = np.concatenate([np.ones((1, halves.shape[1]), np.int64), halves])
        self._of = {name: Gathered() for name in ("quality", "judged", "share", "number", "tokens")}
        self._held: list[float] = []
        self._new: list[Counts] = []
        self._new_tokens: list[Values] = []

    def see(self, found: Candidates, *, ideal: Values | None, held: int, is_search: bool) -> None:
        """`found` is merged from both searches; `ideal` are the query's relevant grades, None where nobody judged.

        `held` passages are in the prompt. Without `is_search` another stage made the final order.
        """
        query, passages = len(self._held), np.arange(len(found.documents))
        self._held.append(float(held))
        searched = {
            item: (before, ahead)
            for item, before, ahead in standing(_in_search_order(found), self._counts, passages)
            if not is_search
        }
        inside = np.arange(self._depth) < held
        for item, before, ahead in standing(found, self._counts, passages):
            if before < held:
                for name, worth in {"share": 1 / held, "number": 1.0, "tokens": found.tokens[item]}.items():
                    self._of[name].add(query, (before, ahead), searched.get(item), inside * worth)
        order = np.argsort(-found.scores, kind="stable")
        order = order[found.source[order] >= 0]
        there = self._counts[:, found.source[order]]
        first = there * (np.cumsum(there, axis=1) <= held)
        self._new.append(first.sum(axis=1))
        self._new_tokens.append(first @ found.tokens[order])
        if ideal is None:
            return
        for item, before, ahead in standing(found, self._counts, found.documents):
            grade = found.grades[item]
            if grade != UNJUDGED and before < self._depth:
                judged = judged_beside(self._metric)
                scored = self._scored(grade, ideal)
                self._of["judged"].add(query, (before, ahead), searched.get(item), scored[judged])
                if grade > 0:
                    self._of["quality"].add(query, (before, ahead), searched.get(item), scored[self._metric])

    def _scored(self, grade: float, ideal: Values) -> dict[str, Values]:
        """What a document of this grade adds at each place, where nothing else is judged."""
        alone = np.full((self._depth, self._depth), UNJUDGED)
        np.fill_diagonal(alone, grade)
        cutoff = int(self._metric.partition("@")[2])
        return metrics(alone, np.broadcast_to(ideal, (self._depth, len(ideal))), [cutoff])

    def changes(self, today: Values, draws: Values) -> Values:
        """Quality, Judged, share of the source and tokens against `today` (figures, queries), (1 + resamples, figures).

        Row 0 is the estimate. The others draw queries, move as the estimate does with halves of the sample, begin from
        each of BEGINNINGS in turn, and have happen to each query what may; so they hold all four. Quality is NaN
        without judgements.
        """
        prior = np.arange(len(draws)) % len(BEGINNINGS)
        rng = np.random.default_rng(draws.shape)
        there = np.concatenate(
            [
                self._figures(draws[:1], prior[:1], None, slice(0, 1), self._share),
                self._figures(draws[1:], prior[1:], rng.random(draws[1:].shape), slice(0, 1), self._share),
            ]
        )
        every = there - draws @ today.T / draws.shape[1]
        once = np.ones((len(self._counts) - 1, draws.shape[1]))
        halves = self._figures(once, np.full(len(once), EVEN), None, slice(1, None), self._share / 2)
        # A sample that is most of the source leaves little to chance.
        moved = (halves - halves.mean(axis=0)) * np.sqrt(1 - self._share)
        every[1:] += moved[: len(every) - 1]
        return np.asarray(every)

    def _figures(self, draws: Values, prior: Counts, chances: Values | None, rows: slice, share: float) -> Values:
        """(resamples, figures), by these rows of what is there of the sample, so that it is a share of the source."""
        sums = {name: each.total(draws, prior, chances, rows=rows, share=share) for name, each in self._of.items()}
        held = draws @ np.array(self._held)
        numbers, tokens = (
            np.broadcast_to(np.stack(each, axis=1)[rows], draws.shape) for each in (self._new, self._new_tokens)
        )
        weight = (draws * numbers).sum(axis=1)
        new = np.divide((draws * tokens).sum(axis=1), weight, out=np.zeros(len(draws)), where=weight > 0)
        filled = draws @ (np.array(self._held) > 0)
        judged = [sums["quality"], sums["judged"]]
        if not self._of["judged"].query:
            judged = [np.full(len(draws), np.nan)] * 2
        of_prompts = [filled - sums["share"], sums["tokens"] + new * (held - sums["number"])]
        return np.asarray(np.stack([*judged, *of_prompts], axis=1) / draws.sum(axis=1, keepdims=True))


def _in_search_order(found: Candidates) -> Candidates:
    places = np.arange(len(found.documents), dtype=np.float64)
    return Candidates(found.documents, found.source, -places, found.grades, found.tokens)
