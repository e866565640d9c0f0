"""docs/your-pipeline.md as a reader follows it: each framework's module and eval file, and the stages they show."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ragprof.core import Doc, Query
from ragprof.evals import PipelineConfig
from ragprof.record.pipeline import Workshop

PAGE = (Path(__file__).parents[2] / "docs" / "your-pipeline.md").read_text(encoding="utf-8")
DOCS = [Doc(name, "", "", name) for name in ("leave.md", "laptop.md")]


def written(framework: str, folder: Path) -> dict[str, Any]:
    """The table of the app that the page shows for a framework; its module is written into the folder."""
    part = re.search(rf"^## {framework}\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    assert part is not None
    (code,) = re.findall(r"^```python\n(.*?)^```$", part[1], re.MULTILINE | re.DOTALL)
    (table,) = re.findall(r"^```toml\n(.*?)^```$", part[1], re.MULTILINE | re.DOTALL)
    (folder / "rag.py").write_text(code, encoding="utf-8")
    return dict(tomllib.loads(table)["pipelines"][0])


@pytest.mark.parametrize(
    ("framework", "package", "stages", "source"),
    [
        ("LangChain", "langchain_core", {"embed", "search", "rerank", "inject", "generate"}, "callbacks of LangChain"),
        ("LlamaIndex", "llama_index.core", {"embed", "search", "generate"}, "the dispatcher of LlamaIndex"),
        ("Haystack", "haystack", {"search", "inject"}, "the tracing of Haystack"),
    ],
)
def test_a_frameworks_module_and_eval_file_are_an_app(
    framework: str, package: str, stages: set[str], source: str, tmp_path: Path
) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed")
    table = written(framework, tmp_path)
    app = Workshop(tmp_path).parts(PipelineConfig.model_validate(table)).app
    assert app is not None
    assert app.kind == framework.lower()
    app.add(DOCS, None)
    answer = app.ranked(Query("q1", "how many days of paid leave"), of=1)
    assert {stage for stage in app.log.sources if not stage.startswith("other:")} == stages
    assert app.log.sources["search"] == source
    assert app.log.sources[f"other:{framework}"] == source
    assert (app.log.unknown, app.log.failed) == ({}, {})
    assert {item.doc.doc_id for item in answer.rankings["search"]} <= {"leave.md", "laptop.md"}
    if framework == "Haystack":  # the page's vectors of the others mean nothing
        assert answer.rankings["search"][0].doc.doc_id == "leave.md"


@pytest.mark.parametrize(
    ("framework", "package", "knob"),
    [
        ("LangChain", "langchain_core", "first.steps__.context.first.search_kwargs.k"),
        ("LangChain", "langchain_core", "retriever.search_kwargs.k"),
        ("LlamaIndex", "llama_index.core", "retriever.similarity_top_k"),
    ],
)
def test_a_knob_reaches_into_a_framework(framework: str, package: str, knob: str, tmp_path: Path) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed")
    table = written(framework, tmp_path)
    if knob.startswith("retriever.search_kwargs"):  # of the module, as where the chain uses it by that name
        code = (tmp_path / "rag.py").read_text(encoding="utf-8").replace("store.as_retriever()", "retriever")
        code = code.replace("def rerank(", "retriever = store.as_retriever()\n\n\ndef rerank(")
        (tmp_path / "rag.py").write_text(code, encoding="utf-8")
    workshop, found = Workshop(tmp_path), {}
    for variant in PipelineConfig.model_validate({**table, "knobs": {knob: [2, 1]}}).variants():
        app = workshop.parts(variant).app
        assert app is not None
        app.add(DOCS, None)
        found[variant.name] = len(app.answer(Query("q1", "how many days of paid leave")).rankings["search"])
    assert list(found.values()) == [2, 1]
