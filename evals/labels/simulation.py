"""Label runs with judges of known error on SciFact: does the corrected interval hold the truth, and what does it take?

    python evals/labels/simulation.py ../shared/data/beir/scifact [RUNS]

Real rankings of bm25, of static vectors and of both together are made once and kept in the cache. The person is
SciFact's own judgements. A judge misses a relevant passage and finds an irrelevant one relevant as often as JUDGES
says; the biased one does so far more often where the candidate ranks a passage higher. Every run asks other questions,
drawn from the 300 with replacement, so that the truth is the mean over all 300, and the interval has to bear both:
other questions could have been asked, and others judged.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ragprof.core import files
from ragprof.core.clock import SILENT
from ragprof.corpus import read_qrels
from ragprof.labels.choice import UNGRADED, Beliefs, draw, expected_errors, preferences
from ragprof.labels.pool import missed, pooled
from ragprof.session.run import run_untimed
from ragprof.statistics.powered import DrawnQueries, powered_mean
from ragprof.studies.preparation import prepare

EVAL = """name = "scifact-labels"
[corpus]
path = "{folder}"
[[pipelines]]
name = "bm25"
store = "bm25s"
[[pipelines]]
name = "static"
embedder = "static"
store = "faiss_flat"
[[pipelines]]
name = "hybrid"
embedder = "static"
store = {{ name = "rrf", stores = ["bm25s", "faiss_flat"] }}
"""
CUTOFF = 5
RELEVANT = 3


@dataclass(frozen=True)
class Judge:
    """How often it errs, and how much more often it flatters what the candidate ranks higher."""

    name: str
    miss: float
    false: float
    flattery: float = 0.0


JUDGES = (Judge("good", 0.10, 0.05), Judge("poor", 0.20, 0.10), Judge("biased", 0.10, 0.05, 0.20))


@dataclass(frozen=True)
class Pool:
    """The first CUTOFF passages of two pipelines, (queries, places), and what a person says of them."""

    truth: np.ndarray
    ranks: tuple[np.ndarray, np.ndarray]

    @property
    def is_there(self) -> np.ndarray:
        return self.truth != UNGRADED

    def of(self, rows: np.ndarray) -> Pool:
        return Pool(self.truth[rows], (self.ranks[0][rows], self.ranks[1][rows]))

    def score(self, side: int, grades: np.ndarray) -> np.ndarray:
        """nDCG@5 of one side."""
        gains = np.maximum(grades, 0).astype(float)
        ranks = self.ranks[side]
        found = np.where(ranks < CUTOFF, gains / np.log2(ranks + 2), 0).sum(axis=1)
        best = -np.sort(-gains, axis=1)[:, :CUTOFF]
        ideal = (best / np.log2(np.arange(2, best.shape[1] + 2))).sum(axis=1)
        return np.divide(found, ideal, out=np.zeros(len(found)), where=ideal > 0)

    def difference(self, grades: np.ndarray) -> np.ndarray:
        return self.score(1, grades) - self.score(0, grades)

    def judged(self, judge: Judge, rng: np.random.Generator) -> np.ndarray:
        flattered = (self.ranks[1] < self.ranks[0]) * judge.flattery
        chance = np.where(self.truth > 0, 1 - judge.miss, judge.false + flattered)
        return np.where(self.is_there, RELEVANT * (rng.random(chance.shape) < chance), UNGRADED)


def rankings(folder: Path) -> dict[str, dict[str, list[str]]]:
    """pipeline -> query -> documents, best first; recorded once."""
    home = files.cache_folder() / "labels-simulation"
    if not (home / "manifest.json").exists():
        files.write_text(home / "eval.toml", EVAL.format(folder=folder.resolve()))
        run_untimed(prepare(home / "eval.toml"), asked=(), queries=1, out=home, books=(), progress=SILENT)
    found = {}
    for name in ("bm25", "static", "hybrid"):
        table = pd.read_parquet(home / "rankings" / f"{name}.parquet")
        at_search = table[table["stage"] == "search"].sort_values("rank")
        found[name] = {str(query): list(rows["document_id"]) for query, rows in at_search.groupby("query_id")}
    return found


def pool_of(folder: Path, baseline: str, candidate: str) -> Pool:
    ranked, qrels = rankings(folder), read_qrels(folder / "qrels" / "test.tsv")
    sides = [[ranked[name].get(query, [])[:CUTOFF] for query in sorted(qrels)] for name in (baseline, candidate)]
    pooled = [list(dict.fromkeys([*first, *second])) for first, second in zip(*sides, strict=True)]
    shape = (len(pooled), max(map(len, pooled)))
    truth, ranks = np.full(shape, UNGRADED), tuple(np.full(shape, CUTOFF) for _ in sides)
    for row, (query, documents) in enumerate(zip(sorted(qrels), pooled, strict=True)):
        for place, document in enumerate(documents):
            truth[row, place] = RELEVANT * (qrels[query].get(document, 0) > 0)
            for side, by_rank in zip(sides, ranks, strict=True):
                if document in side[row]:
                    by_rank[row, place] = side[row].index(document)
    return Pool(truth, (ranks[0], ranks[1]))


Weights = Callable[[Pool, np.ndarray, np.ndarray, list[int]], np.ndarray]


def evenly(pool: Pool, _first: np.ndarray, _second: np.ndarray, _taken: list[int]) -> np.ndarray:
    return np.full(len(pool.truth), 1 / len(pool.truth))


def actively(pool: Pool, first: np.ndarray, second: np.ndarray, taken: list[int]) -> np.ndarray:
    """As `ragprof label --next` does, by what the person has said of the queries drawn before."""
    beliefs = Beliefs.after(first[taken].ravel(), second[taken].ravel(), pool.truth[taken].ravel())
    errors = expected_errors(pool.difference, first, beliefs.of(first, second), pool.is_there, seed=len(taken))
    return preferences(errors, pool.is_there.sum(axis=1))


@dataclass(frozen=True)
class Run:
    """One label run: intervals of three kinds, and the passages that the person judged."""

    corrected: tuple[float, float]
    alone: tuple[float, float]
    naive: tuple[float, float]
    passages: int


def label_run(
    pool: Pool,
    value: Callable[[Pool, np.ndarray], np.ndarray],
    judge: Judge,
    weights: Weights,
    batches: Sequence[int],
    *,
    twice: bool,
    seed: int,
    swap: bool = False,
) -> list[Run]:
    """Draw and judge in batches; a run after each. With `swap` sides change at random: there is no difference."""
    rng = np.random.default_rng(seed)
    mine = pool.of(rng.integers(0, len(pool.truth), len(pool.truth)))
    first = mine.judged(judge, rng)
    second = mine.judged(judge, rng) if twice else np.full(first.shape, UNGRADED)
    sign = rng.choice([-1.0, 1.0], len(first)) if swap else np.ones(len(first))
    by_model, by_person = sign * value(mine, first), sign * value(mine, mine.truth)
    if swap and judge.flattery:  # the judge flatters whatever stands for the candidate
        by_model = by_model + judge.flattery / 2
    error = 1.96 * by_model.std(ddof=1) / np.sqrt(len(by_model))
    naive = (by_model.mean() - error, by_model.mean() + error)
    drawn: list[tuple[int, float]] = []
    runs = []
    for count in batches:
        taken = [place for place, _ in drawn]
        drawn += draw(weights(mine, first, second, taken), taken, count, seed=seed)
        places = np.array([place for place, _ in drawn])
        sample = DrawnQueries(places, np.array([chance for _, chance in drawn]))
        corrected = powered_mean(by_model, by_person[places], sample).interval
        alone = powered_mean(by_model, by_person[places], sample, power=0.0).interval
        assert corrected is not None
        assert alone is not None
        runs.append(Run(corrected, alone, naive, int(mine.is_there[places].sum())))
    return runs


def held(intervals: Sequence[tuple[float, float]], truth: float) -> float:
    return float(np.mean([low <= truth <= high for low, high in intervals]))


def width(intervals: Sequence[tuple[float, float]]) -> float:
    return float(np.mean([high - low for low, high in intervals])) / 2


@dataclass(frozen=True)
class Coverage:
    """Shares of runs in which the naive and the corrected interval hold the truth; by how much the latter is narrower
    than the person's alone."""

    naive: float
    corrected: float
    narrower: float


def coverage(folder: Path, runs: int, judges: Sequence[Judge] = JUDGES) -> dict[tuple[str, str, str], Coverage]:
    """(figure, judge, chosen) -> what was found."""
    found = {}
    print(f"{runs} label runs each; 20 of 300 questions judged by a person; 95 % intervals of nDCG@{CUTOFF}")
    titles = ("figure", "judge", "chosen", "naive holds", "corrected holds", "alone holds", "corrected +-", "alone +-")
    print(f"| {' | '.join(titles)} | narrower | passages |")
    single, two = pool_of(folder, "bm25", "bm25"), pool_of(folder, "static", "hybrid")
    figures = (("bm25", single, lambda pool, grades: pool.score(0, grades)), ("hybrid - static", two, Pool.difference))
    for label, pool, value in figures:
        truth = float(value(pool, pool.truth).mean())
        for judge in judges:
            for how, weights in (("evenly", evenly), ("actively", actively)):
                if pool is single and (how == "actively" or judge.flattery):
                    continue
                done = [label_run(pool, value, judge, weights, (20,), twice=True, seed=seed)[0] for seed in range(runs)]
                kinds = [[getattr(run, kind) for run in done] for kind in ("naive", "corrected", "alone")]
                shares = " | ".join(f"{held(kind, truth):.3f}" for kind in kinds)
                wide, alone = width(kinds[1]), width(kinds[2])
                passages = np.mean([run.passages for run in done])
                gained = f"{wide:.3f} | {alone:.3f} | {1 - wide / alone:.0%} | {passages:.0f}"
                print(f"| {label} | {judge.name} | {how} | {shares} | {gained} |", flush=True)
                found[label, judge.name, how] = Coverage(held(kinds[0], truth), held(kinds[1], truth), 1 - wide / alone)
    return found


def qualities(folder: Path, runs: int) -> dict[float, dict[str, float]]:
    """kappa of judge and person -> figure and choice -> by how much the corrected interval is narrower than the
    person's alone, for judges from one that never errs to one that is of little use."""
    print(
        f"{runs} label runs each; 20 of 300 questions judged by a person; how much narrower the corrected interval is"
    )
    single, two = pool_of(folder, "bm25", "bm25"), pool_of(folder, "static", "hybrid")
    asked = (
        ("bm25, evenly", single, lambda pool, grades: pool.score(0, grades), evenly),
        ("hybrid - static, evenly", two, Pool.difference, evenly),
        ("hybrid - static, actively", two, Pool.difference, actively),
    )
    found = {}
    for miss in (0.0, 0.05, 0.10, 0.15, 0.20, 0.30):
        judge = Judge(f"misses {miss:.0%}", miss, miss / 2)
        narrower = {}
        for name, pool, value, weights in asked:
            done = [label_run(pool, value, judge, weights, (20,), twice=True, seed=seed)[0] for seed in range(runs)]
            narrower[name] = 1 - width([run.corrected for run in done]) / width([run.alone for run in done])
        agreed = kappa(two, judge)
        print(f"| {miss:.0%} | {miss / 2:.1%} | {agreed:.2f} | {' | '.join(f'{by:.0%}' for by in narrower.values())} |")
        found[agreed] = narrower
    return found


def kappa(pool: Pool, judge: Judge) -> float:
    """Cohen's, of relevant against not, over all pooled passages."""
    model = (pool.judged(judge, np.random.default_rng(0)) > 0)[pool.is_there]
    person = (pool.truth > 0)[pool.is_there]
    by_chance = model.mean() * person.mean() + (1 - model.mean()) * (1 - person.mean())
    return float(((model == person).mean() - by_chance) / (1 - by_chance))


def false_keeps(folder: Path, runs: int) -> dict[str, float]:
    """judge -> share of runs in which the corrected interval tells of a gain that is none."""
    pool = pool_of(folder, "static", "hybrid")
    found = {}
    print(f"no difference at all, {runs} runs: share in which the lower end is above 0")
    for judge in JUDGES:
        done = [
            label_run(pool, Pool.difference, judge, evenly, (20,), twice=False, seed=seed, swap=True)[0]
            for seed in range(runs)
        ]
        shares = {
            kind: np.mean([getattr(run, kind)[0] > 0 for run in done]) for kind in ("naive", "corrected", "alone")
        }
        print(f"  {judge.name}: " + ", ".join(f"{kind} {share:.3f}" for kind, share in shares.items()), flush=True)
        found[judge.name] = float(shares["corrected"])
    return found


def curve(folder: Path, runs: int) -> dict[tuple[str, str], list[float]]:
    """(judge, how it was asked) -> passages judged by passages that an even choice needs, after each batch."""
    pool = pool_of(folder, "static", "hybrid")
    batches = (20, 10, 10, 20, 30)
    print("half width of hybrid - static by passages judged; how many an even choice needs for the same")
    ratios: dict[tuple[str, str], list[float]] = {}
    for judge in JUDGES[:2]:
        points = {}
        for how, weights, twice in (
            ("evenly", evenly, True),
            ("actively, asked once", actively, False),
            ("actively, asked twice", actively, True),
        ):
            many = (*batches, 40, 40) if how == "evenly" else batches
            done = [
                label_run(pool, Pool.difference, judge, weights, many, twice=twice, seed=seed) for seed in range(runs)
            ]
            points[how] = [
                (float(np.mean([run[at].passages for run in done])), width([run[at].corrected for run in done]))
                for at in range(len(many))
            ]
        even = points.pop("evenly")
        print(f"  {judge.name}, evenly: " + ", ".join(f"{passages:.0f}: {wide:.4f}" for passages, wide in even))
        for how, found in points.items():
            shown = []
            ratios[judge.name, how] = []
            for passages, wide in found:
                needed = np.interp(-wide, [-each for _, each in even], [each for each, _ in even])
                ratios[judge.name, how].append(passages / float(needed))
                shown.append(f"{passages:.0f}: {wide:.4f} (even {needed:.0f}, ratio {passages / needed:.2f})")
            print(f"  {judge.name}, {how}: " + ", ".join(shown), flush=True)
    return ratios


def pool_misses(folder: Path, runs: int) -> float:
    """How often the interval of what nobody found holds what SciFact's judgements say is outside the pools."""
    ranked, qrels = rankings(folder), read_qrels(folder / "qrels" / "test.tsv")
    docs = [json.loads(line)["_id"] for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    queries, found, one = sorted(qrels), [], {"static": ranked["static"]}
    for seed in range(runs):
        pool = pooled(one, queries, docs, depth=CUTOFF, below=20, seed=seed)
        grades = {(each.query_id, doc): qrels[each.query_id].get(doc, 0) for each in pool for doc in each.below}
        outside = sum(
            relevance > 0 and doc not in each.pooled for each in pool for doc, relevance in qrels[each.query_id].items()
        )
        estimate = missed(pool, grades)
        assert estimate is not None
        found.append(estimate.interval[0] <= outside / len(pool) <= estimate.interval[1])
    held_in = float(np.mean(found))
    print(
        f"{outside / len(pool):.2f} relevant passages a question are outside the pools: held in {held_in:.3f} of runs"
    )
    return held_in


if __name__ == "__main__":
    given, number = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 500
    coverage(given, number)
    pool_misses(given, number // 5)
    false_keeps(given, number)
    curve(given, number // 5)
    qualities(given, number // 5)
