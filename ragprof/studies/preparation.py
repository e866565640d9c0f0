"""From an eval file to something that can be recorded. What can be wrong is found here, before work begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from ragprof.core import Query, ScoredDoc, registry
from ragprof.core.clock import SILENT, Progress, step, today
from ragprof.core.counting import counted
from ragprof.core.environment import revision
from ragprof.core.errors import BadInput
from ragprof.core.files import cache_folder, written_path
from ragprof.core.registry import PartSpec
from ragprof.core.stages import ClosableStore, ExistingIndex, Lexical
from ragprof.core.tokens import counter
from ragprof.corpus import (
    Corpus,
    EvaluationSet,
    Passages,
    check_readers,
    find,
    read_beir_folder_paths,
    read_corpus,
    read_evaluation_set,
    take_stored,
    with_own_documents,
)
from ragprof.corpus.layouts import part_of, relevant_places
from ragprof.evals import EvalConfig, GrowthSettings, Prices, line_of, read_eval
from ragprof.judge.scores import canonical
from ragprof.parts.injectors.token_budget import TokenBudgetInjector
from ragprof.price import check_rate
from ragprof.record.belonging import passages_at_hand
from ragprof.record.pipeline import Parts, Workshop
from ragprof.record.recording import Subject


@dataclass(frozen=True)
class Prepared:
    """What is to be recorded, and what it will be judged by."""

    subject: Subject
    evaluation: EvaluationSet

    def need_judgements(self, study: str) -> None:
        """Raises BadInput for an eval without relevance judgements."""
        if not self.evaluation.is_judged:
            raise BadInput(f"{study} needs relevance judgements, and this eval has none; name qrels in [evaluation]")

    def without_apps(self, study: str) -> Prepared:
        """The same with the pipelines that are made of parts. Raises BadInput where there are none."""
        subject = self.subject
        kept = [parts for parts in subject.pipelines if parts.app is None]
        if not kept:
            raise BadInput(
                f"{study} takes pipelines apart, and an app is asked whole; name one that is made of an embedder, a "
                "store and so on beside it"
            )
        own = tuple(each for each in subject.config.pipelines if each.app is None)
        config = subject.config.model_copy(update={"pipelines": own})
        return replace(self, subject=replace(subject, config=config, pipelines=tuple(kept)))

    def with_growth(self, growth: GrowthSettings) -> Prepared:
        """The same with other settings of growth."""
        config = self.subject.config.model_copy(update={"growth": growth})
        return replace(self, subject=replace(self.subject, config=config))


def prepare(
    eval_file: Path,
    *,
    corpus: Path | None = None,
    books: Sequence[Path] = (),
    passages: Passages | None = None,
    beside: Path | None = None,
    progress: Progress = SILENT,
) -> Prepared:
    """Read and check an eval file with everything that it names. Loads no model.

    `corpus` takes the place of the file's own corpus and, if that is a BEIR folder, of its questions too. `passages`
    takes the place of the file's; without it as much is searched as by the recording in the folder `beside`, if that is
    of the same corpus.
    """
    with step(progress, "read the corpus and the questions"):
        return _prepared(eval_file, corpus, books, passages, beside, progress)


def _prepared(
    eval_file: Path,
    corpus: Path | None,
    books: Sequence[Path],
    passages: Passages | None,
    beside: Path | None,
    progress: Progress,
) -> Prepared:
    config = read_eval(eval_file)
    places = Places(eval_file)
    with places.put_before("metrics"):
        config = config.model_copy(update={"metrics": canonical(config.metrics)})
    with places.put_before("tokenizer"):
        counter(config.tokenizer)
    for location, name in rate_names(config):
        with places.put_before(*location):
            check_rate(name, on=today(), file=eval_file, books=books)
    pipelines = build_pipelines(config, places, progress)
    if corpus is not None:
        config = with_corpus(config, corpus)
    folder = corpus_path(config, eval_file, progress=progress)
    written = "recipe" if config.corpus.recipe else config.corpus.format
    with places.put_before("corpus", "readers") if config.corpus.readers else nullcontext():
        check_readers(config.corpus.readers)
    whole = read_corpus(
        folder, format=written, chunking=config.corpus.chunking, rules=config.corpus.rules, progress=progress
    )
    queries, qrels = evaluation_paths(config, eval_file, folder)
    evaluation = read_evaluation_set(queries, qrels, corpus=whole)
    evaluation = with_own_documents(evaluation, whole, config.evaluation.own_documents)
    is_offered = passages is None and beside is None
    if passages is None and beside is not None:
        passages = passages_at_hand(beside, whole)
    with nullcontext() if passages is not None else places.put_before("corpus", "passages"):
        wanted = config.corpus.passages if passages is None else passages
        docs, evaluation = searched(whole, evaluation, wanted, seed=config.seed)
    settle(pipelines, docs)
    for number, parts in zip(config.tables, pipelines, strict=True):
        with places.put_before("pipelines", number, "depth" if parts.depth > len(docs.docs) else "injector"):
            check_pipeline(parts, docs, config.tokenizer)
    smallest = max(
        [len(relevant_places(whole.docs, evaluation.qrels)), *(parts.depth for parts in pipelines if parts.app is None)]
    )
    subject = Subject(
        config, docs, evaluation.queries, pipelines, smallest if is_offered else None, revision(eval_file.parent)
    )
    return Prepared(subject, evaluation)


def searched(
    whole: Corpus, evaluation: EvaluationSet, passages: Passages | None, *, seed: int
) -> tuple[Corpus, EvaluationSet]:
    """Return the part of the corpus that is searched. With a notice where more is asked for than there is.

    Raises BadInput for a part without room for what is relevant.
    """
    if passages is None or passages == "all":
        return whole, evaluation
    total = len(whole.docs)
    if passages >= total:
        notice = f"{passages:,} passages were asked for and the corpus has {total:,}: all of them are searched"
        evaluation = replace(evaluation, notices=(*evaluation.notices, notice))
    return part_of(whole, evaluation, passages, seed=seed), evaluation


class Places:
    """Where in the eval file something stands, so that a message can begin with it."""

    def __init__(self, eval_file: Path) -> None:
        self.file = eval_file
        self._text = eval_file.read_text(encoding="utf-8-sig")

    @contextmanager
    def put_before(self, *location: str | int) -> Iterator[None]:
        """BadInput from within gets the file and line of a key of the eval file."""
        try:
            yield
        except BadInput as problem:
            raise problem.at(self.file, line_of(self._text, location)) from None


def build_pipelines(config: EvalConfig, places: Places, progress: Progress = SILENT) -> tuple[Parts, ...]:
    """Parts of every pipeline, no model of ours loaded; an app's module, which is the user's own code, is imported.

    Raises UnknownName, MissingModel or BadInput with the line.
    """
    workshop = Workshop(places.file.parent, config.tokenizer)
    built, imported = list[Parts](), set[str]()
    for number, pipeline in zip(config.tables, config.pipelines, strict=True):
        is_new = pipeline.app is not None and pipeline.app not in imported
        # A user's module may fill an index or load a model when it is imported, which can take minutes.
        task = step(progress, f"import {pipeline.app}") if is_new else nullcontext()
        with task, places.put_before("pipelines", number, "name" if pipeline.app is None else "app"):
            built.append(workshop.parts(pipeline))
        imported.add(pipeline.app or "")
    return tuple(built)


def rate_names(config: EvalConfig) -> list[tuple[tuple[str | int, ...], str]]:
    """Every rate that the eval names, with its place in the file."""
    tables: list[tuple[Prices, tuple[str | int, ...]]] = [(config.prices, ("prices",))]
    tables += [
        (pipeline.prices, ("pipelines", table, "prices"))
        for table, pipeline in zip(config.tables, config.pipelines, strict=True)
    ]
    named: list[tuple[tuple[str | int, ...], str]] = [
        ((*location, stage), name)
        for prices, location in tables
        for stage, name in prices.model_dump(exclude={"utilisation", "hour"}, exclude_none=True).items()
    ]
    return named + [(("reranker", "llms"), name) for name in config.reranker.llms]


def with_corpus(config: EvalConfig, corpus: Path) -> EvalConfig:
    """The eval on another corpus; a folder that brings its own questions brings them along."""
    source = config.corpus.model_copy(
        update={"recipe": None, "source": None, "path": str(corpus.resolve()), "format": "auto"}
    )
    changes: dict[str, object] = {"corpus": source}
    if (corpus / "queries.jsonl").is_file():
        changes["evaluation"] = config.evaluation.model_copy(update={"queries": None, "qrels": None})
    return config.model_copy(update=changes)


def corpus_path(config: EvalConfig, eval_file: Path, *, progress: Progress = SILENT) -> Path:
    """Where the corpus is; where it is in an index that exists, it is taken from there. Raises BadInput for none."""
    source = config.corpus
    if source.source == "store":
        if source.recipe is not None or source.path is not None:
            raise BadInput('from = "store" is a corpus; leave recipe and path out of [corpus]', file=eval_file)
        return _taken(config, eval_file, progress)
    if (source.recipe is None) == (source.path is None):
        given = "both a recipe and a path" if source.recipe else "no corpus"
        raise BadInput(f'{given}; give [corpus] recipe = "..." or path = "...", or --corpus DIR', file=eval_file)
    if source.recipe is not None:
        return find(source.recipe, near=eval_file)
    return written_path(source.path or "", beside=eval_file)


def _taken(config: EvalConfig, eval_file: Path, progress: Progress) -> Path:
    """The copy of the first index that exists among the pipelines' stores."""
    for spec in {pipeline.store.key: pipeline.store for pipeline in config.pipelines if pipeline.app is None}.values():
        if (folder := taken_from(spec, progress)) is not None:
            return folder
    raise BadInput(
        'from = "store" takes the corpus from an index that exists, and no pipeline opens one; name its table in a '
        'store, such as { name = "pgvector", url_env = "DATABASE_URL", table = "chunks" }',
        file=eval_file,
    )


def taken_from(spec: registry.PartSpec, progress: Progress) -> Path | None:
    """The copy of an index that exists, taken where there is none; None for a store that makes its own."""
    store = registry.create("stores", spec)
    if not isinstance(store, ExistingIndex) or not store.is_existing:
        return None
    with ExitStack() as stack:
        if isinstance(store, ClosableStore):
            stack.callback(store.close)
        return take_stored(store, spec, cache=cache_folder(), progress=progress)


def evaluation_paths(config: EvalConfig, eval_file: Path, corpus: Path) -> tuple[Path, Path | None]:
    """Queries and qrels: those that the eval names (relative to its file), else those of the BEIR folder.

    An eval that names queries and no qrels has no judgements.
    """
    source = config.evaluation
    if source.queries is None and source.qrels is None:
        return read_beir_folder_paths(corpus, source.split)
    if source.queries is None:
        raise BadInput("[evaluation] gives qrels and no queries; name the questions that they judge", file=eval_file)
    qrels = None if source.qrels is None else written_path(source.qrels, beside=eval_file)
    if qrels is not None and qrels.parent.suffix == ".labels" and not qrels.exists():
        raise BadInput(f"nothing is judged yet; run 'ragprof label {eval_file}' first", file=qrels)
    return written_path(source.queries, beside=eval_file), qrels


def settle(pipelines: Sequence[Parts], corpus: Corpus) -> None:
    """Let stores that read words choose their language by the whole corpus."""
    for parts in pipelines:
        if isinstance(parts.store, Lexical):
            parts.store.settle(corpus.docs)


def check_pipeline(parts: Parts, corpus: Corpus, tokenizer: str) -> None:
    """What only the corpus can tell: a depth it cannot fill, a budget that no passage fits, a missing embedder."""
    if parts.app is not None:
        return
    if parts.depth > len(corpus.docs):
        raise BadInput(
            f"pipeline '{parts.name}': depth = {parts.depth}, but the corpus has "
            f"{counted(len(corpus.docs), 'passage')}; lower it"
        )
    if parts.store.needs_vectors and parts.embedder is None:
        raise BadInput(f"pipeline '{parts.name}': its store compares vectors; name an embedder")
    if isinstance(parts.injector, TokenBudgetInjector):
        _check_budget(parts.name, parts.injector, corpus, counter(tokenizer))


def _check_budget(name: str, injector: TokenBudgetInjector, corpus: Corpus, count: Callable[[str], int]) -> None:
    shortest = min(corpus.docs, key=lambda doc: len(doc.content))
    alone = injector.inject(Query("", ""), (ScoredDoc(shortest, 0.0),))
    if not alone.ranking:
        raise BadInput(
            f"pipeline '{name}': its budget of {injector.tokens} tokens holds no passage: the prompt takes "
            f"{count(alone.prompt)} without any, the shortest ('{shortest.doc_id}') {count(shortest.content)} more; "
            "raise tokens or cut the corpus into chunks"
        )


def answering(prepared: Prepared, generator: PartSpec, pipelines: Sequence[str]) -> Subject:
    """The subject with these pipelines alone, and this generator in each that has none; equal generators are one."""
    subject = prepared.subject
    own = {
        config.generator.key: parts.generator
        for config, parts in zip(subject.config.pipelines, subject.pipelines, strict=True)
        if config.generator is not None and parts.generator is not None
    }
    chosen = [parts for parts in subject.pipelines if parts.name in pipelines]
    if any(parts.generator is None for parts in chosen):
        shared = own.get(generator.key) or Workshop().generator(generator)
        chosen = [parts if parts.generator is not None else replace(parts, generator=shared) for parts in chosen]
    return replace(subject, pipelines=tuple(chosen))
