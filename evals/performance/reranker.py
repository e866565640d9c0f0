"""What the whole depth curve of a reranker costs, as a ratio to running the pipeline at each of its depths.

    python evals/performance/reranker.py [EVAL.toml] [--corpus DIR] [--pipeline NAME] [--queries 40]

The grid is 10 depths x 5 ks. Both sides search and score with an empty cache of scores (vectors are in it): once to the
greatest depth, or once for each depth. What comes after the scoring is measured on all queries: judging every depth,
pricing it, and the whole study with 10,000 resamples. Live timings are in neither.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from ragprof.core import EmbeddedQuery, environment, files
from ragprof.core.clock import Silent, now_ns
from ragprof.core.tokens import counter
from ragprof.evals import Timing
from ragprof.judge.scores import judge, measure, scores_of
from ragprof.price import price_recording
from ragprof.record.rankings import rank_queries
from ragprof.record.recording import Bench, embed, embedded_queries, record
from ragprof.studies.preparation import Prepared, prepare, today
from ragprof.studies.reranker import judge as judging
from ragprof.studies.reranker import price as pricing
from ragprof.studies.reranker import record as recording
from ragprof.studies.reranker.analysis import analyse
from ragprof.studies.reranker.plan import Arm, RerankerPlan, plan_reranker

PROJECT = Path(__file__).parents[2]
DEPTHS = (5, 10, 15, 20, 25, 30, 35, 40, 45, 50)
KS = (1, 3, 5, 8, 10)
BRIEF = {"seconds": 0.1, "rounds": 1, "min_queries": 1, "warmup": 1}
METRICS = ("nDCG@10", "RR@10", "R@5", "P@5", "Success@5")


def main() -> None:
    options, console = arguments(), Console()
    changes = {"depths": DEPTHS, "ks": KS, "pipelines": (options.pipeline,), "windows": False, "timing": BRIEF}
    prepared = prepare(options.eval_file, corpus=options.corpus)
    plan = plan_reranker(alone(prepared, options.pipeline), options.eval_file, changes=changes)
    arm = plan.own[0]
    arm.reranker.load()
    queries = indexed(prepared, arm)
    few = queries[: options.queries]
    console.print(
        f"{prepared.subject.config.name}, {arm.name}, {len(arm.depths)} depths x {len(KS)} ks", highlight=False
    )
    with console.status(f"scoring the candidates of {len(few)} queries, once and depth by depth"):
        once_ns, once_pairs = fresh(lambda cache: score_once(arm, few, cache))
        each_ns, each_pairs = fresh(lambda cache: run_each(prepared, arm, few, cache))
    with console.status("recording all queries"), TemporaryDirectory() as folder:
        recorded(prepared, plan, Bench(Path(folder), files.cache_folder(), Silent()))
        stages = after(prepared, Path(folder))
    table = Table(box=None)
    for column in ("", "pairs scored", "seconds"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row(f"depth curve, scored once ({len(few)} queries)", f"{once_pairs:,}", f"{once_ns / 1e9:.1f}")
    table.add_row(f"each depth run by itself ({len(few)} queries)", f"{each_pairs:,}", f"{each_ns / 1e9:.1f}")
    for name, ns in stages.items():
        table.add_row(f"{name} ({len(queries)} queries)", "", f"{ns / 1e9:.2f}")
    table.add_row(f"everything after scoring ({len(queries)} queries)", "", f"{sum(stages.values()) / 1e9:.2f}")
    console.print(table)
    console.print(f"Running each depth takes {each_ns / once_ns:.1f} times as long.", highlight=False)
    console.print(f"{environment.cpu_name()}, {environment.torch_threads()} threads", style="dim", highlight=False)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("eval_file", type=Path, nargs="?", default=PROJECT / "evals" / "python-docs.toml")
    parser.add_argument("--corpus", type=Path, default=None, help="default: the eval's own")
    parser.add_argument("--pipeline", default="dense+maxsim")
    parser.add_argument("--queries", type=int, default=40, help="how many both sides of the scoring get")
    return parser.parse_args()


def alone(prepared: Prepared, name: str) -> Prepared:
    """Only the pipeline that is looked at, timed as briefly as can be: no clock is measured here."""
    subject = prepared.subject
    kept = [place for place, parts in enumerate(subject.pipelines) if parts.name == name]
    config = subject.config.model_copy(
        update={
            "timing": Timing(seconds=0.1, rounds=2, min_queries=1, warmup=1),
            "pipelines": tuple(subject.config.pipelines[place] for place in kept),
        }
    )
    pipelines = tuple(subject.pipelines[place] for place in kept)
    return replace(prepared, subject=replace(subject, config=config, pipelines=pipelines))


def recorded(prepared: Prepared, plan: RerankerPlan, bench: Bench) -> None:
    """A recording of the pipeline and its reranker, judged and priced as far as what comes after needs."""
    record(plan.subject, bench)
    judge(bench.folder, prepared.evaluation, metrics=plan.subject.config.metrics)
    price_recording(bench.folder, on=today())
    recording.record(plan, bench)


def indexed(prepared: Prepared, arm: Arm) -> list[EmbeddedQuery]:
    """The store filled, and the queries with their vectors."""
    docs = prepared.subject.corpus.docs
    cache = files.cache_folder()
    embedding = embed(prepared.subject, docs, Bench(cache, cache, Silent()))
    key = id(arm.parts.embedder)
    arm.parts.store.add(docs, embedding.documents.get(key) if arm.parts.store.needs_vectors else None)
    return embedded_queries(prepared.subject.queries, embedding.queries.get(key))


def fresh(side: Callable[[Path], int]) -> tuple[int, int]:
    """ns and scored pairs of a side, in an empty cache."""
    with TemporaryDirectory() as cache:
        start = now_ns()
        pairs = side(Path(cache))
        return now_ns() - start, pairs


def score_once(arm: Arm, queries: list[EmbeddedQuery], cache: Path) -> int:
    candidates = recording.FoundCandidates({id(arm.parts.embedder): queries}, cache, len, Silent())
    candidates.add(arm)
    return candidates.work["pairs_scored"]


def run_each(prepared: Prepared, arm: Arm, queries: list[EmbeddedQuery], cache: Path) -> int:
    """Every depth as `ragprof run` has it: search, score, ir_measures."""
    scored, qrels = 0, prepared.evaluation.qrels
    asked = {query.query.query_id: qrels[query.query.query_id] for query in queries}
    for depth in arm.depths:
        parts = replace(arm.parts, depth=depth)
        ranked = rank_queries(parts, queries, cache=cache / str(depth), count=counter("o200k_base"), progress=Silent())
        scores_of(ranked.rankings, asked, [measure(name) for name in METRICS], stages=["search", "rerank"])
        scored += ranked.pairs_scored
    return scored


def after(prepared: Prepared, folder: Path) -> dict[str, int]:
    """ns of what comes after the scoring."""
    contents = {doc.doc_id: doc for doc in prepared.subject.corpus.docs}
    steps: dict[str, Callable[[], object]] = {
        "judge every depth": lambda: judging.judge(folder, prepared.evaluation, contents, keep_text=True),
        "price every depth": lambda: pricing.price(folder, on=today()),
        "the whole study": lambda: analyse(folder),
    }
    taken = {}
    for name, step in steps.items():
        start = now_ns()
        step()
        taken[name] = now_ns() - start
    return taken


if __name__ == "__main__":
    main()
