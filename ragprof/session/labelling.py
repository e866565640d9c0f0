"""`ragprof label`: from an eval without judgements to one with them: questions, pool, a model's grades, people's.

All of it lies in a folder beside the eval file, `<eval>.labels`: what was made is taken as it is, and what was stopped
goes on. Only the questions hold text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.core import Generated, Query, StageName, files
from ragprof.core.clock import SILENT, Progress, now_ns, today
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput
from ragprof.core.registry import PartSpec
from ragprof.core.stages import Generator
from ragprof.corpus import Corpus, read_corpus, read_qrels, read_queries
from ragprof.evals import EvalConfig, read_eval
from ragprof.evals.recorded import RANKING, final_stage
from ragprof.judge import arrays
from ragprof.judge.labelled import CorrectedFigure, Judgements, LabelledScores, judgements_of
from ragprof.labels import questions as making
from ragprof.labels.agreement import JudgesCompared, compared, flip_rate
from ragprof.labels.choice import UNGRADED, Beliefs, Grades, draw, expected_errors, preferences
from ragprof.labels.judging import JudgedCounts, ModelJudge, PairTexts, expected_usd, judge_pairs, to_judge
from ragprof.labels.page import Desk
from ragprof.labels.pool import MissedDocuments, PooledQuery, keep_pool, missed, pooled, read_pool
from ragprof.labels.records import (
    DrawFile,
    LabelFile,
    Pair,
    PassageLabel,
    QueryDraw,
    State,
    best_grades,
    grades_by,
    standing,
    write_out,
)
from ragprof.labels.rubric import RUBRIC_NAME
from ragprof.price.bills import PriceList
from ragprof.price.rates import catalogue
from ragprof.record.pipeline import Workshop, closing
from ragprof.record.rankings import Ranked
from ragprof.record.recording import Bench, Subject, build_indexes, embed, load, rank
from ragprof.studies.injection.record import answer_prompts
from ragprof.studies.preparation import Places, build_pipelines, check_pipeline, corpus_path, settle

FOR_EVERYBODY = 5
FIRST_DRAW = 20
"""Passages that people are given to judge where nothing was drawn for them."""


@dataclass(frozen=True)
class Labelling:
    """An eval, its corpus and questions, and the folder in which its judgements are made."""

    eval_file: Path
    config: EvalConfig
    corpus: Corpus
    folder: Path
    queries: tuple[Query, ...]

    @cached_property
    def store(self) -> LabelFile:
        return LabelFile(self.folder)

    @cached_property
    def pool(self) -> list[PooledQuery]:
        """Raises BadInput where nothing is pooled yet."""
        return read_pool(self.folder / "pool.jsonl")

    @cached_property
    def pairs(self) -> list[PairTexts]:
        """Every pair of the pool with its texts; passages that the corpus no longer has are left out."""
        docs = {doc.doc_id: doc for doc in self.corpus.docs}
        asked = {query.query_id: query.text for query in self.queries}
        return [
            PairTexts(each.query_id, doc, docs[doc].document_id, asked[each.query_id], docs[doc].content)
            for each in self.pool
            if each.query_id in asked
            for doc in each.passages
            if doc in docs
        ]


@dataclass(frozen=True)
class LabelReport:
    """Where the labels stand. Figures are as the model's grades have them, and corrected by people's."""

    folder: Path
    questions: int
    pairs: int
    graded: int
    by_people: int
    drawn: int
    judged_queries: int
    """Of those that were drawn: queries of which people have judged everything."""
    kept: int
    """Judgements that were written to qrels.tsv."""
    refused: Mapping[str, int] = field(default_factory=dict)
    model: JudgedCounts | None = None
    expected_usd: Decimal | None = None
    flips: tuple[float, int] | None = None
    agreements: Sequence[JudgesCompared] = ()
    missed: MissedDocuments | None = None
    figures: Mapping[tuple[str, str], CorrectedFigure] = field(default_factory=dict)
    """(what, metric) -> figure; `what` is a pipeline, or `candidate - baseline`."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class NextDraw:
    """Queries that were drawn for people, and what judging them is expected to do to the interval asked about."""

    queries: int
    passages: int
    waiting: int
    """Passages of former draws that nobody has judged yet; they come first."""
    figure: str
    half_width: float | None
    half_width_after: float | None
    evenly: bool
    """Drawn evenly: because it was asked for, or because no model has graded anything."""


def opened(eval_file: Path, *, corpus: Path | None = None) -> Labelling:
    """Read the eval, its corpus, and its questions where there are any."""
    config = read_eval(eval_file)
    if corpus is not None:
        source = config.corpus.model_copy(update={"recipe": None, "path": str(corpus.resolve()), "format": "auto"})
        config = config.model_copy(update={"corpus": source})
    path = corpus_path(config, eval_file)
    docs = read_corpus(
        path, format="recipe" if config.corpus.recipe else config.corpus.format, chunking=config.corpus.chunking
    )
    folder = label_folder(eval_file)
    source_of_queries = queries_file(config, eval_file, path, folder)
    queries = tuple(read_queries(source_of_queries)) if source_of_queries is not None else ()
    return Labelling(eval_file, config, docs, folder, queries)


def label_folder(eval_file: Path) -> Path:
    """Where the judgements of an eval are made."""
    return eval_file.with_suffix(".labels")


def queries_file(config: EvalConfig, eval_file: Path, corpus: Path, folder: Path) -> Path | None:
    """The questions that the eval names, else those that were made, else those of a BEIR folder; None: none yet."""
    named = (
        None if config.evaluation.queries is None else files.written_path(config.evaluation.queries, beside=eval_file)
    )
    beside = corpus / "queries.jsonl" if corpus.is_dir() else None
    return next(
        (path for path in (named, folder / "queries.jsonl", beside) if path is not None and path.is_file()), None
    )


def make_questions(
    work: Labelling, *, log: Path | None, generator: PartSpec | None, headings: bool, count: int, progress: Progress
) -> tuple[Labelling, dict[str, int]]:
    """Make queries.jsonl: from a log, by a model, or from headings. Returns what was refused, by reason.

    Raises BadInput where there are questions already: grades hang on their ids.
    """
    path = work.folder / "queries.jsonl"
    if path.exists():
        raise BadInput(
            "questions were made before, and judgements hang on them; delete the folder to begin anew", file=path
        )
    seed = work.config.seed
    if log is not None:
        found = making.own_questions(log, count=count, seed=seed)
    elif generator is not None:
        model = Workshop().generator(generator)
        model.load()

        def written(prompts: Sequence[str]) -> list[str]:
            return [answer.text for answer in _answers(model, prompts, progress)]

        found = making.generated_questions(work.corpus.docs, written, model=model.model_name, count=count, seed=seed)
    elif headings:
        found = making.heading_questions(work.corpus.docs, count=count, seed=seed)
    else:
        raise BadInput(
            "this eval has no questions; give --questions FILE with your users' own, --generate to have a model write "
            "some, or --headings to take titles (weak)",
            file=work.eval_file,
        )
    making.keep_questions(path, found.questions)
    refused = {reason: number for reason, number in found.refused.items() if number}
    return opened_again(work), refused


def opened_again(work: Labelling) -> Labelling:
    return Labelling(
        work.eval_file, work.config, work.corpus, work.folder, tuple(read_queries(work.folder / "queries.jsonl"))
    )


def _answers(model: Generator, prompts: Sequence[str], progress: Progress) -> list[Generated]:
    """Answers in order, each prompt asked once ever."""
    found, _ = answer_prompts(
        model, {prompt: prompt for prompt in prompts}, cache=files.cache_folder(), progress=progress
    )
    return [found[prompt] for prompt in prompts]


def make_pool(work: Labelling, progress: Progress) -> Labelling:
    """Rank every question in every pipeline, and pool what any ranks high. What was pooled before may grow."""
    subject = _subject(work)
    bench = Bench(work.folder, files.cache_folder(), progress)
    with closing(subject.pipelines):
        load(subject.pipelines, progress)
        embedding = embed(subject, subject.corpus.docs, bench)
        build_indexes(subject.pipelines, subject.corpus.docs, embedding.documents, clock=now_ns, progress=progress)
        ranked = rank(subject, embedding, bench)
    settings = work.config.labels
    found = pooled(
        {name: _final(each) for name, each in ranked.items()},
        [query.query_id for query in work.queries],
        [doc.doc_id for doc in work.corpus.docs],
        depth=settings.depth, below=settings.below, seed=work.config.seed,
    )  # fmt: skip
    keep_pool(work.folder / "pool.jsonl", found)
    return Labelling(work.eval_file, work.config, work.corpus, work.folder, work.queries)


def _subject(work: Labelling) -> Subject:
    places = Places(work.eval_file)
    pipelines = build_pipelines(work.config, places)
    settle(pipelines, work.corpus)
    for parts in pipelines:
        check_pipeline(parts, work.corpus, work.config.tokenizer)
    return Subject(work.config, work.corpus, work.queries, pipelines)


def _final(ranked: Ranked) -> dict[str, list[str]]:
    """query_id -> the best passage of each document, best first, of the ranking that is the pipeline's own."""
    table = ranked.rankings
    stage = "rerank" if (table["stage"] == "rerank").any() else "search"
    mine = table[table["stage"] == stage].sort_values("rank").drop_duplicates(["query_id", "document_id"])
    return {str(query): rows["doc_id"].tolist() for query, rows in mine.groupby("query_id", sort=False)}


def model_judge(work: Labelling, books: Sequence[Path]) -> ModelJudge | None:
    """The model of [labels], ready to be asked; None where the eval names none."""
    settings = work.config.labels
    if settings.judge is None:
        return None
    model = Workshop().generator(settings.judge)
    bill = None
    if settings.price is not None:
        rate = PriceList(catalogue(books), today(), work.eval_file).rate(settings.price)

        def bill(read: int, written: int) -> Decimal:
            cost = rate.call(prompt_tokens=read, answer_tokens=written)
            return cost.prompt + cost.answer

    def answer(prompts: Sequence[str]) -> list[Generated]:
        return _answers(model, prompts, SILENT)

    model.load()
    return ModelJudge(model.model_name, answer, model.count_tokens, bill, settings.twice, work.config.seed)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def label(
    eval_file: str | Path,
    *,
    corpus: str | Path | None = None,
    questions: str | Path | None = None,
    generate: bool = False,
    headings: bool = False,
    count: int | None = None,
    imported: str | Path | None = None,
    budget_usd: Decimal | str | None = None,
    ask_model: bool = True,
    books: Sequence[Path] = (),
    progress: Progress = SILENT,
) -> LabelReport:
    """Make questions where there are none, pool, let the model of [labels] judge, and say where the labels stand.

    `questions` is a file of users' own; with `generate` the model of [labels] writes some; `headings` takes titles.
    `imported` is a file of judgements (BEIR, TREC, or a click log as CSV) to stand beside the others. `budget_usd` is
    kept: the model stops before it would be exceeded, and goes on with the next call. Raises RagprofError.
    """
    work = opened(Path(eval_file), corpus=None if corpus is None else Path(corpus))
    files.ready_folder(work.folder, remedy="choose another place for the eval file")
    budget = None if budget_usd is None else budget_of(budget_usd)
    if budget is not None and work.config.labels.judge is not None and work.config.labels.price is None:
        raise BadInput('a budget needs a price; name one as [labels] price = "provider:model"', file=work.eval_file)
    with files.claimed(work.folder):
        refused: dict[str, int] = {}
        spec = work.config.labels.judge if generate else None
        if generate and spec is None:
            raise BadInput("--generate needs a model; name one as judge in [labels]", file=work.eval_file)
        wanted = questions is not None or spec is not None or headings
        if wanted or not work.queries:
            work, refused = make_questions(
                work, log=None if questions is None else Path(questions), generator=spec, headings=headings,
                count=count or work.config.labels.questions, progress=progress,
            )  # fmt: skip
        work = make_pool(work, progress)
        if imported is not None:
            import_judgements(work, Path(imported))
        judge = model_judge(work, books) if ask_model else None
        counts, expected = None, None
        if judge is not None:
            todo = to_judge(work.pairs, work.store.read(), judge)
            expected = expected_usd(todo, judge)
            if todo:
                told = "at no known price" if expected is None else f"about ${expected:.4f}"
                progress.note(f"{judge.name} is asked about {counted(len(todo), 'passage')}: {told}")
            counts = judge_pairs(todo, judge, work.store, budget=budget, now=now, progress=progress)
        return reported(work, refused=refused, model=counts, expected=expected)


def budget_of(written: Decimal | str) -> Decimal:
    """USD as written. Raises BadInput for what is no amount."""
    try:
        usd = Decimal(written)
    except InvalidOperation:
        usd = Decimal(-1)
    if not usd.is_finite() or usd < 0:
        raise BadInput(f"a budget of '{written}' is no amount of USD; write it like 2.50")
    return usd


def import_judgements(work: Labelling, path: Path) -> int:
    """Take judgements of others as those of one judge, named after the file. Documents stand for their passages.

    Raises BadInput where they have no pair in common with the pool.
    """
    qrels = clicks_of(path) if path.suffix.lower() == ".csv" else read_qrels(path)
    labels = [
        PassageLabel(
            each.query_id, each.doc_id, each.document_id, max(0, min(3, qrels[each.query_id][each.document_id])),
            f"import:{path.name}", "import", now(), rubric="imported",
        )
        for each in work.pairs
        if each.document_id in qrels.get(each.query_id, {})
    ]  # fmt: skip
    if not labels:
        raise BadInput(
            "it judges no pair of the pool; are the ids those of this eval's questions and documents?", file=path
        )
    work.store.append(labels)
    return len(labels)


CLICKED, SHOWN_OFTEN = 0.3, 5
"""A passage that was shown five times and clicked in three of ten is called relevant, one never clicked irrelevant."""


def clicks_of(path: Path) -> dict[str, dict[str, int]]:
    """Grades 0 and 1 from a click log: columns query_id, doc_id, shown, clicked. What was shown too seldom is left out.

    Clicks follow the order in which results stood, so these are weak: they stand beside other judges, and kappa tells.
    """
    import csv

    found: dict[str, dict[str, int]] = {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream)
        missing = {"query_id", "doc_id", "shown", "clicked"} - set(rows.fieldnames or ())
        if missing:
            raise BadInput(
                f"a click log needs query_id, doc_id, shown and clicked; missing: {', '.join(sorted(missing))}",
                file=path,
            )
        for number, row in enumerate(rows, start=2):
            try:
                shown, clicked = int(row["shown"]), int(row["clicked"])
            except (TypeError, ValueError):
                raise BadInput("shown and clicked are whole numbers", file=path, line=number) from None
            if shown >= SHOWN_OFTEN and (clicked == 0 or clicked / shown >= CLICKED):
                found.setdefault(row["query_id"], {})[row["doc_id"]] = int(clicked > 0)
    return found


def reported(
    work: Labelling,
    *,
    refused: Mapping[str, int] | None = None,
    model: JudgedCounts | None = None,
    expected: Decimal | None = None,
) -> LabelReport:
    """Write qrels and tables, and say where the labels stand."""
    kept = write_out(work.store)
    labels = work.store.read()
    judged, draws = judgements_of(work.folder), DrawFile(work.folder).read()
    return LabelReport(
        folder=work.folder, questions=len(work.queries), pairs=sum(len(each.passages) for each in work.pool),
        graded=len(best_grades(labels)), by_people=len(grades_by(labels, "person")), drawn=len(draws),
        judged_queries=0 if judged is None else len(judged.drawn.places), kept=kept, refused=refused or {}, model=model,
        expected_usd=expected, flips=flip_rate(labels), agreements=compared(labels),
        missed=missed(work.pool, best_grades(labels)),
        figures={} if judged is None else figures_of(work, judged),
    )  # fmt: skip


def figures_of(work: Labelling, judged: Judgements) -> dict[tuple[str, str], CorrectedFigure]:
    """The leading metric of every pipeline, and of every later one less the first."""
    scores, metric, seed = _scores(work, judged), leading_metric(work), work.config.seed
    values = {each.name: scores.values(each.name, metric) for each in work.config.pipelines}
    first, *others = values
    found = {(name, metric): CorrectedFigure.of(*both, judged.drawn, seed=seed) for name, both in values.items()}
    for name in others:
        less = tuple(b - a for a, b in zip(values[first], values[name], strict=True))
        found[f"{name} - {first}", metric] = CorrectedFigure.of(less[0], less[1], judged.drawn, seed=seed)
    return found


def _scores(work: Labelling, judged: Judgements) -> LabelledScores:
    tables = {name: _table(work, name) for name in (each.name for each in work.config.pipelines)}
    declared = {each.name: each.model_dump(mode="json") for each in work.config.pipelines}
    stages: dict[str, StageName] = {name: final_stage(declared[name], table) for name, table in tables.items()}
    return LabelledScores(judged, tables, stages, [leading_metric(work)])


def _table(work: Labelling, name: str) -> pd.DataFrame:
    return RANKING.read(work.folder / "rankings" / f"{name}.parquet")


def leading_metric(work: Labelling) -> str:
    return next((metric for metric in work.config.metrics if not metric.startswith("Judged")), "nDCG@10")


def next_draw(
    eval_file: str | Path,
    passages: int = FIRST_DRAW,
    *,
    between: tuple[str, str] | None = None,
    evenly: bool = False,
    corpus: str | Path | None = None,
) -> NextDraw:
    """Draw queries for people until about so many passages are waiting for them, and say what that would bring.

    `between` names baseline and candidate, whose difference is asked about; the first and the last pipeline where it is
    left out. `evenly` draws without regard to what is known. Raises BadInput where nothing is pooled or left.
    """
    work = opened(Path(eval_file), corpus=None if corpus is None else Path(corpus))
    if not work.pool:
        raise BadInput("its pool is empty; run `ragprof label` on the eval file again", file=work.folder)
    with files.claimed(work.folder):
        return _next_draw(work, passages, between, evenly)


def _next_draw(work: Labelling, passages: int, between: tuple[str, str] | None, evenly: bool) -> NextDraw:
    names = [each.name for each in work.config.pipelines]
    baseline, candidate = between or (names[0], names[-1])
    for name in (baseline, candidate):
        if name not in names:
            raise BadInput(f"no pipeline named '{name}'; there are: {', '.join(names)}", file=work.eval_file)
    draws, judged = DrawFile(work.folder), judgements_of(work.folder)
    pool = {each.query_id: each for each in work.pool}
    order = list(pool)
    taken = [order.index(each.query_id) for each in draws.read() if each.query_id in order]
    waiting = _waiting(work)
    costs = np.array([len(pool[query].passages) for query in order], float)
    even = evenly or judged is None
    weights = (
        np.full(len(order), 1 / len(order))
        if even or judged is None
        else _weights(work, judged, baseline, candidate, costs)
    )
    left = np.delete(np.arange(len(order)), taken)
    if not len(left) and not waiting:
        raise BadInput("people have judged every question; there is nothing left to draw", file=work.folder)
    wanted = max(0, passages - waiting)
    mean_cost = float(np.average(costs[left], weights=weights[left])) if len(left) else 1.0
    many = max(1 if not waiting else 0, round(wanted / mean_cost))
    found = draw(weights, taken, many, seed=work.config.seed)
    draws.append([QueryDraw(order[place], chance, len(order), now()) for place, chance in found])
    half, after = None, None
    if judged is not None and np.isfinite((figure := _asked(work, judged, baseline, candidate)).corrected.half_width):
        half = figure.corrected.half_width
        pending = len(taken) + len(found) - len(judged.drawn.places)
        after = figure.corrected.half_width_after(pending)
    name = candidate if baseline == candidate else f"{candidate} - {baseline}"
    return NextDraw(
        len(found),
        int(sum(costs[place] for place, _ in found)),
        waiting,
        f"{leading_metric(work)} of {name}",
        half,
        after,
        even,
    )


def _waiting(work: Labelling) -> int:
    return len(worklist(work, ""))


def worklist(work: Labelling, person: str) -> list[PairTexts]:
    """Passages of drawn queries for a person, in the order of the draws: what nobody has judged, nor this person seen.

    Those of every fifth query are for everybody, so that people can be compared. Within a query the order is random.
    Without a name: what nobody has judged or skipped.
    """
    by_person = standing(label for label in work.store.read() if label.source == "person")
    mine = by_person.get(person, {})
    settled = {
        pair for judged in by_person.values() for pair, label in judged.items() if label.grade is not None or not person
    }
    places = {each.query_id: number for number, each in enumerate(DrawFile(work.folder).read())}
    drawn = sorted((each for each in work.pairs if each.query_id in places), key=lambda each: places[each.query_id])
    return [
        each
        for each in drawn
        if each.pair not in mine
        and (each.pair not in settled or (person and places[each.query_id] % FOR_EVERYBODY == 0))
    ]


def _asked(work: Labelling, judged: Judgements, baseline: str, candidate: str) -> CorrectedFigure:
    scores, metric = _scores(work, judged), leading_metric(work)
    by_model, by_people = scores.values(candidate, metric)
    if baseline != candidate:
        base_model, base_people = scores.values(baseline, metric)
        by_model, by_people = by_model - base_model, by_people - base_people
    return CorrectedFigure.of(by_model, by_people, judged.drawn, seed=work.config.seed)


def _weights(
    work: Labelling, judged: Judgements, baseline: str, candidate: str, costs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Chances by the expected error of the asked figure, with what people have said so far."""
    places = _PoolArrays.of(work, judged.queries)
    labels = work.store.read()
    people = grades_by(labels, "person")
    person = places.grades(people)
    drawn = np.zeros(len(judged.queries), bool)
    drawn[judged.drawn.places] = True
    person = np.where(drawn[:, None], person, UNGRADED)
    first = places.grades(grades_by(labels, "model"))
    second = places.grades(
        {label.pair: label.second for label in labels if label.source == "model" and label.second is not None}
    )
    beliefs = Beliefs.after(first.ravel(), second.ravel(), person.ravel())
    sides = {name: places.ranks(_final_table(work, name)) for name in {baseline, candidate}}
    metric = leading_metric(work)

    def score(grades: Grades) -> NDArray[np.float64]:
        of_candidate = metric_of(metric, grades, sides[candidate])
        return of_candidate if baseline == candidate else of_candidate - metric_of(metric, grades, sides[baseline])

    errors = expected_errors(score, first, beliefs.of(first, second), places.there, seed=work.config.seed)
    return preferences(errors, costs)


def _final_table(work: Labelling, name: str) -> dict[str, list[str]]:
    table = _table(work, name)
    return _final(Ranked(table, table, 0))


@dataclass(frozen=True)
class _PoolArrays:
    """Pooled passages of queries as (queries, places)."""

    order: tuple[tuple[str, str], ...]
    index: Mapping[tuple[str, str], tuple[int, int]]
    there: NDArray[np.bool_]

    @classmethod
    def of(cls, work: Labelling, queries: Sequence[str]) -> _PoolArrays:
        pool = {each.query_id: each for each in work.pool}
        index = {
            (query, doc): (row, place)
            for row, query in enumerate(queries)
            for place, doc in enumerate(pool[query].pooled)
        }
        there = np.zeros((len(queries), max(len(pool[query].pooled) for query in queries)), bool)
        for row, place in index.values():
            there[row, place] = True
        return cls(tuple(index), index, there)

    def grades(self, given: Mapping[tuple[str, str], int]) -> Grades:
        found = np.full(self.there.shape, UNGRADED)
        for pair, grade in given.items():
            if pair in self.index:
                found[self.index[pair]] = grade
        return found

    def ranks(self, final: Mapping[str, Sequence[str]]) -> NDArray[np.int64]:
        """Ranks from 0 of the pooled passages; beyond every cutoff where a pipeline did not find one."""
        found = np.full(self.there.shape, 10**6)
        for pair, at in self.index.items():
            ranked = final.get(pair[0], ())
            if pair[1] in ranked:
                found[at] = list(ranked).index(pair[1])
        return found


def metric_of(metric: str, grades: Grades, ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Values of a metric by query from grades and ranks of pooled passages; nDCG@10 for what is not known here."""
    family, _, written = metric.partition("@")
    cutoff = int(written) if written.isdigit() else 10
    width = int(min(cutoff, ranks.shape[1]))
    gains = np.maximum(grades, 0).astype(float)
    order = np.argsort(ranks, axis=1, kind="stable")
    ranked = np.take_along_axis(np.where(ranks < cutoff, gains, 0.0), order, axis=1)
    at = np.take_along_axis(ranks, order, axis=1)
    if family in ("P", "Success", "RR", "R"):
        hits = ranked > 0
        if family == "P":
            return np.asarray(hits.sum(axis=1) / cutoff)
        if family == "Success":
            return np.asarray(hits.any(axis=1), float)
        if family == "RR":
            return np.asarray(np.where(hits, 1 / (at + 1), 0.0).max(axis=1))
        findable = (gains > 0).sum(axis=1)
        return np.asarray(np.divide(hits.sum(axis=1), findable, out=np.zeros(len(hits)), where=findable > 0))
    found = np.where(at < cutoff, ranked / np.log2(at + 2), 0.0).sum(axis=1)
    ideal = arrays.dcg(-np.sort(-gains, axis=1)[:, :width])
    return np.asarray(np.divide(found, ideal, out=np.zeros(len(found)), where=ideal > 0))


class PeopleJudging:
    """Hands passages of drawn queries to people, and saves what they say. Safe to use from several threads."""

    def __init__(self, work: Labelling) -> None:
        self._work, self._lock = work, Lock()
        self._pairs = {each.pair: each for each in work.pairs}
        self._before: dict[str, Pair] = {}
        """What lies before each person, so that two do not judge one passage at once."""

    def next(self, person: str, said: str = "") -> Desk:
        waiting = worklist(self._work, person)
        mine = standing(self._work.store.read()).get(person, {})
        others = {pair for name, pair in self._before.items() if name != person}
        chosen = next((each for each in waiting if each.pair not in others), waiting[0] if waiting else None)
        if chosen is not None:
            self._before[person] = chosen.pair
        return Desk(chosen, len(mine), len(waiting), said)

    def grade(self, person: str, query_id: str, doc_id: str, grade: int | None) -> Desk:
        with self._lock:
            pair = self._pairs.get((query_id, doc_id))
            if pair is None:
                raise BadInput(f"the passage '{doc_id}' is not in the pool of '{query_id}'; reload the page")
            self._save(person, pair, grade, "skipped" if grade is None else "graded")
            return self.next(person, "skipped" if grade is None else f"saved: {grade}")

    def undo(self, person: str) -> Desk:
        with self._lock:
            mine = standing(self._work.store.read()).get(person, {})
            known = [pair for pair in mine if pair in self._pairs]
            if not known:
                return self.next(person, "nothing to take back")
            last = self._pairs[known[-1]]
            self._save(person, last, None, "undone")
            desk = self.next(person, "taken back")
            return replace(desk, pair=last)

    def _save(self, person: str, pair: PairTexts, grade: int | None, state: State) -> None:
        label = PassageLabel(
            pair.query_id, pair.doc_id, pair.document_id, grade, person, "person", now(), state, RUBRIC_NAME
        )
        self._work.store.append([label])


def judging_by_people(eval_file: str | Path, *, corpus: str | Path | None = None) -> tuple[Labelling, PeopleJudging]:
    """What people judge, drawn first where nothing is. Raises BadInput where nothing is pooled."""
    work = opened(Path(eval_file), corpus=None if corpus is None else Path(corpus))
    if work.pool and not DrawFile(work.folder).read():
        with files.claimed(work.folder):
            _next_draw(work, FIRST_DRAW, None, evenly=False)
    return work, PeopleJudging(work)
