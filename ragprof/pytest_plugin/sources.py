"""What a recording rests on, as text: equal text, equal recording. Reads sizes and dates of files, not the files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import MethodType
from typing import Any

from ragprof.errors import BadInput
from ragprof.record.pipeline import Pipeline
from ragprof.registry import PartSpec

STAGES = ("embedder", "store", "reranker", "injector", "generator")
UNNAMEABLE = re.compile(r"[^A-Za-z0-9+._ -]+")
USUAL_K = 5


def as_pipelines(given: Pipeline | Sequence[Pipeline] | Callable[[str, int], Any], *, depth: int) -> list[Pipeline]:
    """Pipelines from whatever a test may give: one, several, or a bare retriever. Raises BadInput for anything else."""
    if isinstance(given, Pipeline):
        return [given]
    if callable(given):
        injector = {"name": "top_k", "k": min(USUAL_K, depth)}
        return [Pipeline(_name(given), store=given, depth=depth, injector=injector)]
    if isinstance(given, Sequence) and given and all(isinstance(each, Pipeline) for each in given):
        return list(given)
    raise BadInput(
        f"cannot profile {given!r:.80}: give a Pipeline, a list of them, or a retriever (question, depth) -> list"
    )


def declared(pipeline: Pipeline) -> str:
    """A pipeline as text. An object or a callable stands for itself: another one is another pipeline."""
    stages = {stage: _given(getattr(pipeline, stage)) for stage in STAGES}
    return json.dumps({"name": pipeline.name, "depth": pipeline.depth, **stages}, sort_keys=True)


def objects(pipelines: Sequence[Pipeline]) -> Iterator[object]:
    """What must stay alive as long as its identity stands for it."""
    for pipeline in pipelines:
        for stage in STAGES:
            yield getattr(pipeline, stage)


def stamp(path: Path) -> str:
    """A file, or a folder with all that is in it, by names, sizes and times of change."""
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    lines = [f"{each} {each.stat().st_size} {each.stat().st_mtime_ns}" for each in files if each.exists()]
    return "\n".join([str(path), *lines])


def stamps_of_eval(eval_file: Path) -> list[str]:
    """The eval file as it reads, with its corpus, questions and judgements. Raises what reading it raises."""
    from ragprof.evals import read_eval
    from ragprof.preparation import corpus_path, evaluation_paths

    config = read_eval(eval_file)
    corpus = corpus_path(config, eval_file)
    paths = (corpus, *evaluation_paths(config, eval_file, corpus))
    return [str(eval_file), config.model_dump_json(), *map(stamp, paths)]


def _name(retriever: Callable[..., Any]) -> str:
    """A pipeline's name for a callable: its own, as far as it can be one."""
    own = str(getattr(retriever, "__name__", type(retriever).__name__))
    return UNNAMEABLE.sub("", own).lstrip("+._ -") or "retriever"


def _given(value: Any) -> str:
    if value is None or isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, dict | PartSpec):
        return PartSpec.model_validate(value).key
    if isinstance(value, MethodType):
        return f"{os.getpid()} {id(value.__self__)} {id(value.__func__)}"
    return f"{os.getpid()} {id(value)}"
