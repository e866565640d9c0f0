"""One rule says whether a study belongs to the recording that it lies in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ragprof.record.belonging import Basis, belongs

DENSE, SPARSE = ({"name": name, "depth": 20} for name in ("dense", "sparse"))
PARTS = {"store": "flat", "reranker": "maxsim"}
MANIFEST: dict[str, Any] = {
    "corpus": {"sha256": "c"},
    "questions": "q",
    "config": {"pipelines": [{**DENSE, "prices": {"llm": "x"}}, SPARSE], "tokenizer": "t"},
    "identities": {"dense": {**PARTS, "generator": "g"}, "sparse": {"store": "bm25", "reranker": None}},
    "environment": {"cpu": "fast"},
}
BASIS = Basis(
    corpus="c", questions="q", pipelines=[DENSE, SPARSE], identities={"dense": PARTS}, tokenizer="t", cpu="fast"
)


def whether(basis: Basis, manifest: dict[str, Any] = MANIFEST, **judged: str) -> bool:
    judged = {"recording": "study", "qrels_sha256": "j", **judged}
    return belongs(basis, recording="study", judged=judged, manifest=manifest, judgement={"qrels_sha256": "j"})


@pytest.mark.parametrize(
    "known",
    [{}, {"questions": None}, {"tokenizer": None}, {"cpu": None}, {"identities": None}, {"pipelines": [SPARSE, DENSE]}],
)
def test_a_study_of_the_same_things_belongs_whatever_the_prices(known: dict[str, Any]) -> None:
    assert whether(replace(BASIS, **known))


def test_a_recording_that_does_not_know_its_questions_takes_a_study_of_any() -> None:
    assert whether(BASIS, {key: value for key, value in MANIFEST.items() if key != "questions"})


@pytest.mark.parametrize(
    "other",
    [
        {"corpus": "d"},
        {"questions": "r"},
        {"pipelines": [{**DENSE, "depth": 5}, SPARSE]},
        {"pipelines": [DENSE]},
        {"identities": {"dense": {**PARTS, "reranker": "other"}}},
        {"identities": {"dense": {}}},
        {"identities": {"hybrid": PARTS}},
        {"tokenizer": "u"},
        {"cpu": "slow"},
    ],
    ids=str,
)
def test_a_study_of_something_else_does_not(other: dict[str, Any]) -> None:
    assert not whether(replace(BASIS, **other))


def test_a_study_of_some_pipelines_belongs_where_it_may() -> None:
    assert whether(replace(BASIS, pipelines=[DENSE], every_pipeline=False))


@pytest.mark.parametrize("judged", [{"recording": "other"}, {"qrels_sha256": "k"}])
def test_a_study_that_was_judged_otherwise_does_not(judged: dict[str, str]) -> None:
    assert not whether(BASIS, **judged)
