"""Knobs of an app: each combination of values is a pipeline of its own, and the app is put back as it was."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from passages import DOCS
from test_apps_in_evals import with_app

from ragprof.core import Query
from ragprof.core.errors import AppFailed, BadInput
from ragprof.evals import read_eval
from ragprof.record.apps import AskedApp
from ragprof.record.pipeline import Pipeline
from ragprof.record.recording import Subject
from ragprof.session.forecast import forecast_eval
from ragprof.session.run import prepare_pipelines, run
from ragprof.studies.preparation import prepare

QUERY = Query("q1", "which tides come when sun and moon pull along one line?")
APP = """
import json
from pathlib import Path

import ragprof

LINES = (Path(__file__).parent / "handbook" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
PAGES = [json.loads(line) for line in LINES]
MADE = []


class Retriever:
    def __init__(self):
        self.search_kwargs = {"k": 8}

    @ragprof.stage("search")
    def search(self, question):
        words = set(question.lower().split())
        scored = [(page["_id"], len(words & set(page["text"].lower().split()))) for page in PAGES]
        return sorted(scored, key=lambda pair: -pair[1])[: self.search_kwargs["k"]]


retriever = Retriever()


def answer(question, k=3, reranker="on"):
    found = retriever.search(question)
    if reranker == "on":
        with ragprof.span("rerank") as marked:
            marked.documents = found = list(reversed(found))
    return [doc_id for doc_id, _ in found[:k]]


def make():
    MADE.append(1)
    return answer
"""
KNOBS = 'knobs = { k = [3, 1], reranker = ["on", "off"] }'
NAMES = ["prod", "prod reranker=off", "prod k=1", "prod k=1 reranker=off"]


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """summary.json of the handbook with an app of four variants, and the headline of its page."""
    import shutil

    data, folder = Path(__file__).parents[1] / "data", tmp_path_factory.mktemp("knobs")
    shutil.copytree(data / "handbook", folder / "handbook")
    file = with_app(Path(shutil.copy(data / "handbook.toml", folder)), f'app = "rag.py:answer"\n{KNOBS}', APP)
    file.write_text(file.read_text().replace("seconds = 2\n", "seconds = 0.2\n"), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(folder / "cache"))
        made = run(file, out=folder / "recording")
    return dict(json.loads((made.folder / "summary.json").read_text(encoding="utf-8")))


def test_each_combination_of_values_is_a_pipeline_of_its_own(summary: dict[str, Any]) -> None:
    found = summary["pipelines"]
    assert [name for name in found if name.startswith("prod")] == NAMES
    assert [found[name]["usage_per_query"]["inject.docs_injected"] for name in NAMES] == [3, 3, 1, 1]
    assert [[*found[name]["stages"]] for name in NAMES] == [["search", "rerank"], ["search"]] * 2
    pairs = [{pair["baseline"], pair["candidate"]} for pair in summary["comparisons"]]
    assert {"prod", "prod k=1 reranker=off"} in pairs


def test_variants_of_which_the_same_is_known_are_told_in_one_sentence(summary: dict[str, Any]) -> None:
    told = [each for each in summary["headline"] if "rag.py:answer" in each]
    assert [each.partition(" are rag.py")[0] for each in told] == [
        "prod and prod k=1",
        "prod reranker=off and prod k=1 reranker=off",
    ]
    assert "with other settings: search and rerank told by ragprof.span; nobody told of" in told[0]


def subject_of(handbook: Path, line: str, code: str = APP) -> Subject:
    return prepare(with_app(handbook, f"app = {line}", code)).subject


def variants(subject: Subject) -> dict[str, AskedApp]:
    return {parts.name: parts.app for parts in subject.pipelines if parts.app is not None}


def test_the_first_values_are_the_app_as_declared_and_a_gate_may_name_a_variant(handbook: Path) -> None:
    file = with_app(handbook, f'app = "rag.py:answer"\n{KNOBS}', APP)
    config = read_eval(file)
    mine = [each for each in config.pipelines if each.app is not None]
    assert [(each.name, each.knobs, each.variant_of) for each in mine[:2]] == [
        ("prod", {"k": 3, "reranker": "on"}, "prod"),
        ("prod reranker=off", {"k": 3, "reranker": "off"}, "prod"),
    ]
    assert type(config).model_validate(config.model_dump(mode="json")) == config
    with file.open("a", encoding="utf-8") as more:
        more.write('[gate]\npipelines = ["prod k=1"]\n')
    assert read_eval(file).gate.pipelines == ("prod k=1",)


def test_a_fixed_value_is_no_choice(handbook: Path) -> None:
    apps = variants(subject_of(handbook, '"rag.py:answer"\nknobs = { k = 1 }'))
    assert [*apps] == ["prod"]
    apps["prod"].add((), None)
    assert len(apps["prod"].answer(QUERY).rankings["inject"]) == 1


def test_check_prints_the_variants_and_how_many_calls_they_make(handbook: Path, cache: Path) -> None:
    file = with_app(handbook, f'app = "rag.py:answer"\n{KNOBS}', APP)
    rows = dict(forecast_eval(file).rows)
    config, questions = read_eval(file), len(prepare(file).subject.queries)
    each = 1 + questions * (2 + config.timing.rounds) + config.timing.warmup
    assert rows["variants of prod"] == (
        f"4 by k, reranker, each a pipeline of its own with at most {each:,} of these calls: {', '.join(NAMES)}"
    )
    assert f"at most {4 * each:,} calls in all" in rows["app prod"]


def test_variants_share_what_a_function_makes(handbook: Path) -> None:
    subject_of(handbook, '"rag.py:make"\nknobs = { k = [3, 2, 1] }')
    import sys

    (made,) = [module for name, module in sys.modules.items() if name.startswith("rag_") and hasattr(module, "MADE")
               and Path(str(module.__file__)).parent == handbook.parent]  # fmt: skip
    assert made.MADE == [1]


def test_a_dotted_path_is_set_for_each_question_and_put_back(handbook: Path) -> None:
    apps = variants(subject_of(handbook, '"rag.py:answer"\nknobs = { "retriever.search_kwargs.k" = [8, 2] }'))
    assert [*apps] == ["prod", "prod k=2"]
    for app in apps.values():
        app.add((), None)
    assert [len(app.answer(QUERY).rankings["search"]) for app in (*apps.values(), *apps.values())] == [8, 2, 8, 2]
    kwargs = apps["prod"].settings[0].place()[0]
    assert kwargs == {"k": 8}


class Chain:
    """An app with something to set, that fails or hangs when it is told to."""

    def __init__(self) -> None:
        self.retriever = SimpleNamespace(top=3, kwargs={}, parts=[SimpleNamespace(k=1)])
        self.trouble = ""

    def __call__(self, question: str) -> list[str]:
        top = self.retriever.top
        if self.trouble == "fails":
            raise RuntimeError("index is locked")
        time.sleep(0.3 if self.trouble == "hangs" else 0)
        return [f"d{number:02}" for number in range(1, top + 1)]


def asked(chain: Any, **knobs: Any) -> Iterator[AskedApp]:
    for parts in Pipeline("prod", app=chain, timeout_seconds=0.1, knobs=knobs).variants():
        assert parts.app is not None
        parts.app.add(DOCS, None)
        yield parts.app


@pytest.mark.parametrize("trouble", ["fails", "hangs"])
def test_a_question_that_fails_or_hangs_leaves_the_app_as_it_was(trouble: str) -> None:
    chain = Chain()
    first, second = asked(chain, **{"retriever.top": [3, 5]})
    chain.trouble = trouble
    with pytest.raises(AppFailed):
        second.answer(QUERY)
    assert chain.retriever.top == 3
    chain.trouble = ""
    assert [len(each.answer(QUERY).rankings["search"]) for each in (second, first)] == [5, 3]
    time.sleep(0.25 if trouble == "hangs" else 0)
    assert chain.retriever.top == 3


def test_a_key_that_was_not_there_is_taken_away_again_and_lists_are_gone_through_by_number() -> None:
    chain = Chain()
    first, second = asked(chain, **{"retriever.kwargs.k": [4, 2], "retriever.parts.0.k": 1})
    assert (first.name, second.name) == ("prod", "prod retriever.kwargs.k=2")
    second.answer(QUERY)
    assert (chain.retriever.kwargs, chain.retriever.parts[0].k) == ({}, 1)


def test_a_path_may_begin_at_the_object_of_a_method() -> None:
    chain = Chain()
    first, second = asked(chain.__call__, **{"retriever.top": [3, 1]})
    assert len(second.answer(QUERY).rankings["search"]) == 1
    assert len(first.answer(QUERY).rankings["search"]) == 3


def test_from_python_variants_stand_beside_other_pipelines(handbook: Path) -> None:
    folder = handbook.parent / "handbook"
    prepared = prepare_pipelines(
        [Pipeline("bm25", store="bm25s", depth=5), Pipeline("prod", app=Chain(), knobs={"retriever.top": [3, 5]})],
        corpus=folder, queries=folder / "queries.jsonl", qrels=folder / "qrels" / "test.tsv", name="mine", prices=None,
        timing=None, metrics=("nDCG@10",),
    )  # fmt: skip
    subject = prepared.subject
    assert [each.name for each in subject.pipelines] == ["bm25", "prod", "prod top=5"]
    assert [each.name for each in subject.config.pipelines] == ["bm25", "prod", "prod top=5"]
    assert subject.config.tables == (0, 1, 1)


def test_a_value_with_signs_of_its_own_is_named_by_its_end() -> None:
    model = "cross-encoder/ms-marco-MiniLM-L6-v2"
    names = [app.name for app in asked(lambda question, model: ["d01"], model=["BAAI/bge", model])]
    assert names == ["prod", "prod model=er-ms-marco-MiniLM-L6-v2"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("knobs = { k = [] }", ":72: pipelines.4.knobs: knob 'k' is []; its values are numbers, texts, true or false"),
        ("knobs = { k = [[1]] }", "knob 'k' is [[1]]; its values are numbers"),
        ("knobs = { k = [1, 1] }", "knob 'k' has a value twice; write each once"),
        ("knobs = {}", "write knobs with their values, such as { k = [3, 5, 10] }"),
        (
            'knobs = { k = [1, 2, 3, 4, 5, 6], reranker = ["a", "b", "c"] }',
            ":72: pipelines.4.knobs: 6 x 3 = 18 variants, each asked every question; 16 are the most",
        ),
        ("knobs = { depth = [1, 2] }", "it is called with (question, depth)"),
        ("knobs = { k = [1, 2] }\narguments = { k = 3 }", "'k' is a knob, so its values stand there"),
        ('knobs = { q = [1, 2] }\nquestion = "q"', "'q' is what the question goes by, and cannot be a knob"),
        (
            'knobs = { "retreiver.search_kwargs.k" = [8, 2] }',
            ":71: knob 'retreiver.search_kwargs.k': there is no 'retreiver' at this place of the app; did you mean "
            "'retriever'?",
        ),
        (
            'knobs = { "retriever.search_kwargs.k" = [2, 8] }',
            "the app has 8, and the first value stands for the app as it is declared; put 8 first",
        ),
        ('knobs = { "retriever.search.k" = [2, 8] }', "there is no 'k' at this place of the app"),
    ],
)
def test_what_is_wrong_with_knobs_is_told_before_anything_runs(handbook: Path, line: str, message: str) -> None:
    with pytest.raises(BadInput) as raised:
        subject_of(handbook, f'"rag.py:answer"\n{line}')
    assert message in str(raised.value)


def test_what_refuses_a_value_is_told() -> None:
    class Fixed:
        top = property(lambda self: 3)

    chain = Chain()
    chain.retriever = Fixed()  # type: ignore[assignment]
    with pytest.raises(BadInput, match=r"knob 'retriever.top' cannot be set to 3: AttributeError: property"):
        list(asked(chain, **{"retriever.top": [3, 5]}))
    with pytest.raises(BadInput, match="a service is given its knobs in the request; write names without dots"):
        list(asked("http://127.0.0.1:9/answer", **{"retriever.top": [3, 5]}))
    with pytest.raises(BadInput, match="pipeline 'prod': knobs: knob 'k' has a value twice"):
        list(asked(chain, k=[1, 1]))


def test_a_name_that_a_variant_takes_is_taken(handbook: Path) -> None:
    file = with_app(handbook, 'app = "rag.py:answer"\nknobs = { k = [3, 1] }', APP)
    with file.open("a", encoding="utf-8") as more:
        more.write('\n[[pipelines]]\nname = "prod k=1"\nstore = "bm25s"\n')
    with pytest.raises(BadInput, match=r"handbook.toml:75: .*two pipelines are named prod k=1"):
        read_eval(file)
