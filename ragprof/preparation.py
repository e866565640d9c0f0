"""From an eval file to something that can be recorded. What can be wrong is found here, before work begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ragprof.corpus import Corpus, EvaluationSet, find, read_beir_folder_paths, read_corpus, read_evaluation_set
from ragprof.errors import BadInput
from ragprof.evals import EvalConfig, Prices, line_of, read_eval
from ragprof.injectors.token_budget import TokenBudgetInjector
from ragprof.judge.scores import measure
from ragprof.price import check_rate
from ragprof.record.pipeline import Parts, Workshop
from ragprof.record.recording import Subject
from ragprof.tokens import counter


@dataclass(frozen=True)
class Prepared:
    """What is to be recorded, and what it will be judged by."""

    subject: Subject
    evaluation: EvaluationSet


def prepare(eval_file: Path, *, corpus: Path | None = None) -> Prepared:
    """Read and check an eval file with everything that it names. Loads no model.

    `corpus` takes the place of the file's own corpus and, if that is a BEIR folder, of its questions too.
    """
    config = read_eval(eval_file)
    places = Places(eval_file)
    with places.put_before("metrics"):
        for name in config.metrics:
            measure(name)
    check_prices(config, places)
    pipelines = build_pipelines(config, places)
    if corpus is not None:
        config = with_corpus(config, corpus)
    folder = corpus_path(config, eval_file)
    docs = read_corpus(folder, format=_format(config), chunking=config.corpus.chunking)
    queries, qrels = evaluation_paths(config, eval_file, folder)
    evaluation = read_evaluation_set(queries, qrels, corpus=docs)
    for number, parts in enumerate(pipelines):
        with places.put_before("pipelines", number, "depth" if parts.depth > len(docs.docs) else "injector"):
            check_pipeline(parts, docs, config.tokenizer)
    return Prepared(Subject(config, docs, evaluation.queries, pipelines), evaluation)


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


def build_pipelines(config: EvalConfig, places: Places) -> tuple[Parts, ...]:
    """Parts of every pipeline, no model loaded. Raises UnknownName, MissingModel or BadInput with the line."""
    workshop = Workshop()
    built = []
    for number, pipeline in enumerate(config.pipelines):
        with places.put_before("pipelines", number, "name"):
            built.append(workshop.parts(pipeline))
    return tuple(built)


def check_prices(config: EvalConfig, places: Places) -> None:
    """Every rate that the eval names is known to a book or to genai-prices."""
    today = datetime.now(UTC).date()
    tables: list[tuple[Prices, tuple[str | int, ...]]] = [(config.prices, ("prices",))]
    tables += [(pipeline.prices, ("pipelines", place, "prices")) for place, pipeline in enumerate(config.pipelines)]
    for prices, location in tables:
        for stage, name in prices.model_dump(exclude={"utilisation"}, exclude_none=True).items():
            with places.put_before(*location, stage):
                check_rate(name, on=today, file=places.file)


def with_corpus(config: EvalConfig, corpus: Path) -> EvalConfig:
    """The eval on another corpus; a folder that brings its own questions brings them along."""
    source = config.corpus.model_copy(update={"recipe": None, "path": str(corpus.resolve()), "format": "auto"})
    changes: dict[str, object] = {"corpus": source}
    if (corpus / "queries.jsonl").is_file():
        changes["evaluation"] = config.evaluation.model_copy(update={"queries": None, "qrels": None})
    return config.model_copy(update=changes)


def corpus_path(config: EvalConfig, eval_file: Path) -> Path:
    """Where the corpus is. Raises BadInput where the eval names none."""
    source = config.corpus
    if (source.recipe is None) == (source.path is None):
        given = "both a recipe and a path" if source.recipe else "no corpus"
        raise BadInput(f'{given}; give [corpus] recipe = "..." or path = "...", or --corpus DIR', file=eval_file)
    return find(source.recipe or source.path or "", near=eval_file)


def evaluation_paths(config: EvalConfig, eval_file: Path, corpus: Path) -> tuple[Path, Path]:
    """Queries and qrels: those that the eval names (relative to its file), else those of the BEIR folder."""
    source = config.evaluation
    if source.queries is None and source.qrels is None:
        return read_beir_folder_paths(corpus, source.split)
    if source.queries is None or source.qrels is None:
        missing = "queries" if source.queries is None else "qrels"
        raise BadInput(f"[evaluation] gives no {missing}; queries and qrels belong together", file=eval_file)
    return eval_file.parent / source.queries, eval_file.parent / source.qrels


def check_pipeline(parts: Parts, corpus: Corpus, tokenizer: str) -> None:
    """What only the corpus can tell: a depth it cannot fill, a budget that no passage fits, a missing embedder."""
    if parts.depth > len(corpus.docs):
        raise BadInput(
            f"pipeline '{parts.name}': depth = {parts.depth}, but the corpus has {len(corpus.docs)} passages; lower it"
        )
    if parts.store.needs_vectors and parts.embedder is None:
        raise BadInput(f"pipeline '{parts.name}': its store compares vectors; name an embedder")
    if isinstance(parts.injector, TokenBudgetInjector):
        shortest = min(corpus.docs, key=lambda doc: len(doc.content))
        needed = counter(tokenizer)(shortest.content)
        if needed > parts.injector.tokens:
            raise BadInput(
                f"pipeline '{parts.name}': its budget of {parts.injector.tokens} tokens is smaller than the shortest "
                f"passage ('{shortest.doc_id}', {needed} tokens); raise tokens or cut the corpus into chunks"
            )


def _format(config: EvalConfig) -> str:
    return "recipe" if config.corpus.recipe else config.corpus.format
