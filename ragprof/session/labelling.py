"""`ragprof label`: from an eval without judgements to one with them: questions, pool, a model's grades, people's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from ragprof.core import Generated, StageName, files
from ragprof.core.clock import SILENT, Progress, now_ns, step, today
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput
from ragprof.corpus import read_qrels
from ragprof.evals.recorded import final_stage
from ragprof.judge.labelled import CorrectedFigure, Judgements, LabelledScores, judgements_of
from ragprof.labels import questions as making
from ragprof.labels.agreement import JudgesCompared, compared, flip_rate
from ragprof.labels.clicks import clicks_of
from ragprof.labels.judging import (
    AT_ONCE,
    Allowance,
    JudgedCounts,
    ModelJudge,
    expected_usd,
    judge_pairs,
    to_judge,
)
from ragprof.labels.pool import MissedDocuments, PooledQuery, keep_pool, missed, pooled, read_pool
from ragprof.labels.records import HIGHEST, DrawFile, PassageLabel, best_grades, grades_by, standing, write_out
from ragprof.price.bills import PriceList
from ragprof.price.rates import catalogue
from ragprof.record.pipeline import Workshop, closing
from ragprof.record.purse import budget_of
from ragprof.record.rankings import Ranked
from ragprof.record.recording import Bench, Subject, build_indexes, embed, load, rank
from ragprof.session.label_work import Labelling, now, opened
from ragprof.statistics.unseen import UNIT
from ragprof.studies.injection.record import answer_prompts, kept_answers
from ragprof.studies.preparation import Places, build_pipelines, check_pipeline, settle

QUESTION_TOKENS = 40
"""What a question is taken to have, before any is known."""


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
    imported: str = ""
    """What became of the judgements of a file, in words; empty where none was given."""
    refused: Mapping[str, int] = field(default_factory=dict)
    model: JudgedCounts | None = None
    expected_usd: Decimal | None = None
    written_usd: Decimal | None = None
    """What questions cost that a model wrote in this call; None where it wrote none, or at no known price."""
    flips: tuple[float, int] | None = None
    agreements: Sequence[JudgesCompared] = ()
    missed: MissedDocuments | None = None
    figures: Mapping[tuple[str, str], CorrectedFigure] = field(default_factory=dict)
    """(what, metric) -> figure; `what` is a pipeline, or `candidate - baseline`."""
    notes: tuple[str, ...] = ()


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
    again: bool = False,
    books: Sequence[Path] = (),
    progress: Progress = SILENT,
) -> LabelReport:
    """Make questions where there are none, pool, let the model of [labels] judge, and say where the labels stand.

    `questions` is a file of users' own; with `generate` the model of [labels] writes some; `headings` takes titles.
    `imported` is a file of judgements (BEIR, TREC, or a click log as CSV) to stand beside the others. `budget_usd` is
    kept: the model stops before it would be exceeded, and goes on with the next call. `again` asks it anew about
    passages that it gave no grade. Raises RagprofError.
    """
    work = opened(Path(eval_file), corpus=None if corpus is None else Path(corpus))
    files.ready_folder(work.folder, remedy="choose another place for the eval file")
    budget = None if budget_usd is None else budget_of(budget_usd)
    if budget is not None and work.config.labels.judge is not None and work.config.labels.price is None:
        raise BadInput('a budget needs a price; name one as [labels] price = "provider:model"', file=work.eval_file)
    with files.claimed(work.folder, remedy="wait for it to end"), TemporaryDirectory() as fresh:
        refused: dict[str, int] = {}
        if generate and work.config.labels.judge is None:
            raise BadInput("--generate needs a model; name one as judge in [labels]", file=work.eval_file)
        wanted, written = questions is not None or generate or headings, None
        if wanted or not work.queries:
            writer = None
            if generate and (model := model_judge(work, books, cache=files.cache_folder())) is not None:
                writer = QuestionWriter(model, budget, progress)
            work, refused = make_questions(
                work, log=None if questions is None else Path(questions), writer=writer, headings=headings,
                count=count or work.config.labels.questions,
            )  # fmt: skip
            written = None if writer is None else writer.usd
        left = None if budget is None else budget - (written or 0)
        work.check_ids()
        work = make_pool(work, progress)
        taken = "" if imported is None else import_judgements(work, Path(imported))
        counts, expected = None, None
        # What is asked anew must not be answered by what was kept.
        cache = Path(fresh) if again else files.cache_folder()
        if ask_model and (judge := model_judge(work, books, cache=cache)) is not None:
            judge = replace(judge, asks_again=again)
            counts, expected = judged_by_model(work, judge, budget=left, progress=progress)
        report = reported(work, refused=refused, model=counts, expected=expected, written=written)
        return replace(report, imported=taken)


def judged_by_model(
    work: Labelling, judge: ModelJudge, *, budget: Decimal | None, progress: Progress
) -> tuple[JudgedCounts, Decimal | None]:
    """Have the model judge what it has not, its cost told before. Returns what became of it, and what was expected."""
    todo = to_judge(work.pairs, work.labels(), judge)
    expected = expected_usd(todo, judge)
    if todo:
        told = "at no known price" if expected is None else f"about ${expected:.4f}"
        progress.note(f"{judge.name} is asked about {counted(len(todo), 'passage')}: {told}")
    return judge_pairs(todo, judge, work.store, budget=budget, now=now, progress=progress), expected


def make_questions(
    work: Labelling, *, log: Path | None, writer: QuestionWriter | None, headings: bool, count: int
) -> tuple[Labelling, dict[str, int]]:
    """Make queries.jsonl: from a log, by a model, or from headings. Returns what was refused, by reason.

    Raises BadInput where there are questions already: grades hang on their ids.
    """
    path, seed = work.folder / "queries.jsonl", work.config.seed
    _check_unmade(work, path)
    if log is not None:
        found = making.own_questions(log, count=count, seed=seed)
    elif writer is not None:
        docs, name = work.corpus.docs, writer.model.name
        found = making.generated_questions(docs, writer.answers, model=name, count=count, seed=seed)
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
    return work.with_queries(path), refused


def _check_unmade(work: Labelling, path: Path) -> None:
    """Raises BadInput where questions were made before, or the eval names others."""
    if path.exists():
        raise BadInput(
            "questions were made before, and judgements hang on them; delete the folder to begin anew", file=path
        )
    named = work.config.evaluation.queries
    other = None if named is None else files.written_path(named, beside=work.eval_file)
    if other is not None and other.is_file() and other.resolve() != path.resolve():
        raise BadInput(
            f"this eval has questions already ({named}); to make others, name them as [evaluation] queries = "
            f'"{path.parent.name}/{path.name}"',
            file=work.eval_file,
        )


@dataclass
class QuestionWriter:
    """A model that writes questions within a budget. `usd` is what was spent, None where nobody knows the price."""

    model: ModelJudge
    budget: Decimal | None
    progress: Progress
    usd: Decimal | None = None

    def answers(self, prompts: Sequence[str]) -> list[str]:
        """An answer to each, in order; what was answered before is not paid again.

        Raises BadInput before the budget would be exceeded: what was written is kept, and the next call goes on.
        """
        allowance, found = Allowance(self.budget), dict[str, str]()
        todo = [prompt for prompt in dict.fromkeys(prompts) if not self.model.is_kept(prompt)]
        if (expected := self._expected(todo)) is not None:
            self.usd = Decimal(0)
            self.progress.note(f"{self.model.name} writes {counted(len(todo), 'question')}: about ${expected:.4f}")
        with step(self.progress, f"questions by {self.model.name}", len(todo)):
            size = AT_ONCE if self.budget is None else AT_ONCE // 4
            for start in range(0, len(todo), size):
                some = todo[start : start + size]
                if not allowance.covers(self._expected(some), spent=self.usd or Decimal(0)):
                    raise BadInput(
                        f"the budget is reached: {counted(len(todo) - start, 'question')} are still to be written, and "
                        f"${self.usd:.4f} was spent; what was written is kept, run it again to go on"
                    )
                found |= self._paid(some)
                self.progress.advance(len(some))
        kept = [prompt for prompt in prompts if prompt not in found]
        found |= {prompt: each.text for prompt, each in zip(kept, self.model.answer(kept), strict=True)}
        return [found[prompt] for prompt in prompts]

    def _paid(self, prompts: Sequence[str]) -> dict[str, str]:
        answers = dict(zip(prompts, self.model.answer(prompts), strict=True))
        if self.model.bill is not None and self.usd is not None:
            for prompt, answer in answers.items():
                read = answer.usage.get("input_tokens") or self.model.count_tokens(prompt)
                self.usd += self.model.bill(read, answer.usage.get("output_tokens") or QUESTION_TOKENS)
        return {prompt: answer.text for prompt, answer in answers.items()}

    def _expected(self, prompts: Sequence[str]) -> Decimal | None:
        if self.model.bill is None:
            return None
        return self.model.bill(sum(map(self.model.count_tokens, prompts)), QUESTION_TOKENS * len(prompts))


def make_pool(work: Labelling, progress: Progress) -> Labelling:
    """Rank every question in every pipeline, and pool what any ranks high. What was pooled before may grow."""
    subject = _subject(work)
    bench = Bench(work.folder, files.cache_folder(), progress)
    with closing(subject.pipelines):
        load(subject.pipelines, progress)
        embedding = embed(subject, subject.corpus.docs, bench)
        build_indexes(subject.pipelines, subject.corpus.docs, embedding.documents, clock=now_ns, progress=progress)
        ranked = rank(subject, embedding, bench)
    keep_pool(work.folder / "pool.jsonl", _pooled(work, ranked))
    return work.anew()


def _pooled(work: Labelling, ranked: Mapping[str, Ranked]) -> list[PooledQuery]:
    """The pool of these rankings, with what was pooled and judged before and the corpus still has."""
    settings, docs = work.config.labels, [doc.doc_id for doc in work.corpus.docs]
    path, known = work.folder / "pool.jsonl", set(docs)
    said = {label.pair for label in work.labels()}
    before = read_pool(path) if path.exists() else []
    found = pooled(
        {name: _final(each) for name, each in ranked.items()},
        [query.query_id for query in work.queries],
        docs,
        depth=settings.depth, below=settings.below, seed=work.config.seed,
        judged={
            each.query_id: [doc for doc in each.pooled if doc in known and (each.query_id, doc) in said]
            for each in before
        },
    )  # fmt: skip
    return [
        replace(
            each,
            question_digest=work.digests[each.query_id],
            passage_digests=tuple(work.passage_digests[doc] for doc in each.passages),
        )
        for each in found
    ]


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


def model_judge(work: Labelling, books: Sequence[Path], *, cache: Path) -> ModelJudge | None:
    """The model of [labels], ready to be asked, its answers kept in the cache; None where the eval names none."""
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
        found, _ = answer_prompts(model, {prompt: prompt for prompt in prompts}, known=known, progress=SILENT)
        return [found[prompt] for prompt in prompts]

    def is_kept(prompt: str) -> bool:
        return known is not None and known.get(prompt) is not None

    model.load()
    # Opened once: what is kept is a file that is read whole, and passages are asked about a few at a time.
    known = kept_answers(model, cache=cache)
    return ModelJudge(
        model.model_name, answer, model.count_tokens, bill, settings.twice, work.config.seed, is_kept=is_kept
    )  # fmt: skip


def import_judgements(work: Labelling, path: Path) -> str:
    """Take judgements of others as those of one judge, named after the file. Documents stand for their passages.

    Returns what was taken and what was not, in words. Raises BadInput where they have no pair in common with the pool.
    """
    qrels = clicks_of(path) if path.suffix.lower() == ".csv" else read_qrels(path)
    labels = [
        PassageLabel(
            each.query_id, each.doc_id, each.document_id, max(0, min(HIGHEST, qrels[each.query_id][each.document_id])),
            f"import:{path.name}", "import", now(), rubric="imported", question_digest=each.question_digest,
            passage_digest=each.passage_digest,
        )
        for each in work.pairs
        if each.document_id in qrels.get(each.query_id, {})
    ]  # fmt: skip
    if not labels:
        raise BadInput(
            "it judges no pair of the pool; are the ids those of this eval's questions and documents?", file=path
        )
    work.store.append(labels)
    taken = {(each.query_id, each.document_id) for each in labels}
    every = sum(map(len, qrels.values()))
    cut = sum(not 0 <= qrels[query][document] <= HIGHEST for query, document in taken)
    told = f"{len(taken):,} of {counted(every, 'judgement')} of {path.name}"
    if beside := every - len(taken):
        told += f"; {beside:,} of documents that are not in the pool of their question"
    return told + (f"; {cut:,} beyond 0 to {HIGHEST}, taken for the nearest of these" if cut else "")


def reported(
    work: Labelling,
    *,
    refused: Mapping[str, int] | None = None,
    model: JudgedCounts | None = None,
    expected: Decimal | None = None,
    written: Decimal | None = None,
) -> LabelReport:
    """Write qrels and tables, and say where the labels stand."""
    labels = work.labels()
    kept = write_out(work.folder, labels, {(each.query_id, doc) for each in work.pool for doc in each.pooled})
    judged, draws = judgements_of(work.folder, digests=work.digests), work.draws()
    return LabelReport(
        folder=work.folder, questions=len(work.queries), pairs=sum(len(each.passages) for each in work.pool),
        graded=len(best_grades(labels)), by_people=len(grades_by(labels, "person")), drawn=len(draws),
        judged_queries=0 if judged is None else len(judged.drawn.places), kept=kept, refused=refused or {}, model=model,
        expected_usd=expected, written_usd=written, flips=flip_rate(labels),
        agreements=compared(labels, seed=work.config.seed), missed=missed(work.pool, best_grades(labels)),
        figures={} if judged is None else figures_of(work, judged), notes=_notes(work, labels, len(draws)),
    )  # fmt: skip


def _notes(work: Labelling, labels: Sequence[PassageLabel], draws: int) -> tuple[str, ...]:
    """What does not count, because questions were changed or a model gave no grade, and what to do."""
    reworded, void = len(work.store.read()) - len(labels), len(DrawFile(work.folder).read()) - draws
    found = []
    source = work.config.evaluation
    for what, named, made in (
        ("questions", source.queries, work.folder / "queries.jsonl"),
        ("judgements", source.qrels, work.folder / "qrels.tsv"),
    ):
        other = None if named is None else files.written_path(named, beside=work.eval_file)
        if other is not None and made.exists() and other.resolve() != made.resolve():
            found.append(
                f"the eval file names other {what} ({named}), and commands use those; to use the ones made here, give "
                f'[evaluation] {"qrels" if what == "judgements" else "queries"} = "{made.parent.name}/{made.name}"'
            )
    if reworded:
        found.append(
            f"no longer counted: {counted(reworded, 'judgement')} of questions or passages that have other words now; "
            "these are judged anew"
        )
    prose = {
        label.pair for judged in standing(labels).values() for label in judged.values() if label.state == "unjudged"
    }
    if missing := len(prose - best_grades(labels).keys()):
        found.append(
            f"{counted(missing, 'passage')} without a grade, because what the model answered is none: `ragprof label "
            "--again` asks it about these anew"
        )
    if void and not draws:
        found.append(
            f"no longer counted: {counted(void, 'draw')} for people, because questions were added or removed since; "
            "draw again with `ragprof label --next 20`: what people have judged is kept, and is not asked again"
        )
    return tuple(found)


def figures_of(work: Labelling, judged: Judgements) -> dict[tuple[str, str], CorrectedFigure]:
    """The leading metric of every pipeline, and of every later one less the first."""
    scores, metric, seed = scores_of_labels(work, judged), work.leading_metric, work.config.seed
    values = {each.name: scores.values(each.name, metric) for each in work.config.pipelines}
    first, *others = values
    found = {(name, metric): CorrectedFigure.of(*both, judged, seed=seed, bounds=UNIT) for name, both in values.items()}
    for name in others:
        less = tuple(b - a for a, b in zip(values[first], values[name], strict=True))
        found[f"{name} - {first}", metric] = CorrectedFigure.of(less[0], less[1], judged, seed=seed)
    return found


def scores_of_labels(work: Labelling, judged: Judgements) -> LabelledScores:
    """Scores of the pipelines' rankings by the leading metric, under the model's grades and under people's."""
    tables = {each.name: work.ranking(each.name) for each in work.config.pipelines}
    declared = {each.name: each.model_dump(mode="json") for each in work.config.pipelines}
    stages: dict[str, StageName] = {name: final_stage(declared[name], table) for name, table in tables.items()}
    return LabelledScores(judged, tables, stages, [work.leading_metric])


def final_ranking(work: Labelling, name: str) -> dict[str, list[str]]:
    """query_id -> the best passage of each document, best first, as a pipeline ranked them when it was pooled."""
    table = work.ranking(name)
    return _final(Ranked(table, table, 0))
