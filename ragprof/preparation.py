"""From an eval file to something that can be recorded. Everything that can be wrong is found here, before work begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ragprof.corpus import Corpus, EvaluationSet, find, read_beir_folder_paths, read_corpus, read_evaluation_set
from ragprof.errors import BadInput
from ragprof.evals import EvalConfig, read_eval
from ragprof.injectors.token_budget import TokenBudgetInjector
from ragprof.judge.scores import measure
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
    for name in config.metrics:
        measure(name)
    workshop = Workshop()
    pipelines = tuple(workshop.parts(pipeline) for pipeline in config.pipelines)
    if corpus is not None:
        config = with_corpus(config, corpus)
    folder = corpus_path(config, eval_file)
    docs = read_corpus(folder, format=_format(config), chunking=config.corpus.chunking)
    queries, qrels = evaluation_paths(config, eval_file, folder)
    evaluation = read_evaluation_set(queries, qrels, corpus=docs)
    check_pipelines(pipelines, docs, config)
    return Prepared(Subject(config, docs, evaluation.queries, pipelines), evaluation)


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


def check_pipelines(pipelines: tuple[Parts, ...], corpus: Corpus, config: EvalConfig) -> None:
    """What only the corpus can tell: depths that it cannot fill, budgets that not one passage fits, missing embedders."""
    for parts in pipelines:
        if parts.depth > len(corpus.docs):
            raise BadInput(
                f"pipeline '{parts.name}': depth = {parts.depth}, but the corpus has {len(corpus.docs)} passages; lower depth"
            )
        if parts.store.needs_vectors and parts.embedder is None:
            raise BadInput(f"pipeline '{parts.name}': its store compares vectors; give it an embedder")
        if isinstance(parts.injector, TokenBudgetInjector):
            _check_budget(parts, parts.injector, corpus, config)


def _check_budget(parts: Parts, injector: TokenBudgetInjector, corpus: Corpus, config: EvalConfig) -> None:
    shortest = min(corpus.docs, key=lambda doc: len(doc.content))
    needed = counter(config.tokenizer)(shortest.content)
    if needed > injector.tokens:
        raise BadInput(
            f"pipeline '{parts.name}': its budget of {injector.tokens} tokens is smaller than the shortest passage "
            f"('{shortest.doc_id}', {needed} tokens); raise tokens or cut the corpus into chunks"
        )


def _format(config: EvalConfig) -> str:
    return "recipe" if config.corpus.recipe else config.corpus.format
