"""Plugins by name: found by their files or entry points, built from checked options, refused with the nearest name."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from ragprof.core import Doc, Query
from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.registry import KINDS, Kind, PartSpec, create, find, names, summary

OUTSIDE = '''"""A reranker from another package."""

from ragprof.core import Scored


class LengthReranker:
    """Longer is better."""

    pointwise = True
    identity = "length"

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def load(self) -> None:
        """Nothing to load."""

    def score(self, query, docs):
        return Scored(tuple(self.weight * len(doc.text) for doc in docs), {"requests": 1})
'''


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with the rerankers `by_length`, and `broken`, whose module cannot be imported."""
    info = tmp_path / "length_rerankers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: length-rerankers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[ragprof.rerankers]\nby_length = length_rerankers:LengthReranker\nbroken = length_rerankers_broken:Nothing\n"
    )
    (tmp_path / "length_rerankers.py").write_text(OUTSIDE)
    (tmp_path / "length_rerankers_broken.py").write_text("raise RuntimeError('imported without need')\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def spec(value: object) -> PartSpec:
    return PartSpec.model_validate(value)


def test_the_built_in_plugins_are_the_files_in_their_folders() -> None:
    assert {"hashing", "sentence_transformers", "static"} <= set(names("embedders"))
    assert {"bm25s", "faiss_flat", "rank_bm25", "rrf"} <= set(names("stores"))
    assert {"bi_encoder", "cross_encoder", "maxsim", "none", "overlap"} <= set(names("rerankers"))
    assert {"token_budget", "top_k"} <= set(names("injectors"))


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_sorted_and_every_plugin_has_a_summary_of_one_line(kind: Kind) -> None:
    assert names(kind) == sorted(names(kind))
    for name in names(kind):
        find(kind, name)
        module = next(each for path, each in sys.modules.items() if path.endswith(f".{kind}.{name}"))
        assert summary(kind, name) == (module.__doc__ or "").split("\n")[0]
        assert len(summary(kind, name)) > 20


def test_a_name_alone_is_a_part_with_its_defaults() -> None:
    assert create("embedders", spec("hashing")).identity == "hashing 256"


def test_a_table_gives_options() -> None:
    assert create("stores", spec({"name": "bm25s", "k1": 0.9})).identity == "bm25s k1=0.9 b=0.75"


def test_a_store_of_stores_builds_its_parts_from_names_and_tables() -> None:
    made = create("stores", spec({"name": "rrf", "stores": ["faiss_flat", {"name": "bm25s", "b": 0.5}]}))
    assert made.identity == "rrf k=60 [faiss_flat; bm25s k1=1.5 b=0.5]"


def test_equal_specifications_have_equal_keys_and_others_have_not() -> None:
    one, same = spec({"name": "bm25s", "k1": 1, "b": 0.5}), spec({"b": 0.5, "k1": 1, "name": "bm25s"})
    assert one.key == same.key
    assert spec("bm25s").key == spec({"name": "bm25s"}).key
    assert len({one.key, spec("bm25s").key, spec({"name": "bm25s", "k1": 2}).key}) == 3


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("rerankers", "maxsin", r"^no reranker named 'maxsin'; did you mean 'maxsim'\? There are: bi_encoder, "),
        ("stores", "bm25", r"^no store named 'bm25'; did you mean 'bm25s'\? There are: bm25s, "),
        ("embedders", "zzz", r"^no embedder named 'zzz'\. There are: "),
        ("stores", "__init__", r"^no store named '__init__'\. There are: "),
        ("stores", "../registry", r"^no store named '\.\./registry'\. There are: "),
        ("stores", {"name": "rrf", "stores": ["bm25s", "fais_flat"]}, r"^no store named 'fais_flat'; did you mean"),
        (
            "embedders",
            {"name": "hashing", "dimension": 8},
            r"^no option of the embedder 'hashing' named 'dimension'; did you mean 'dimensions'\? There are: ",
        ),
    ],
)
def test_an_unknown_plugin_or_option_is_answered_with_the_nearest_name(kind: Kind, value: object, message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        create(kind, spec(value))


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (
            "stores",
            {"name": "bm25s", "k1": "much"},
            r"^option of the store 'bm25s' 'k1': Input should be a valid number",
        ),
        ("stores", {"name": "rrf"}, r"^option of the store 'rrf' 'stores': Field required"),
        ("stores", {"name": "rrf", "stores": ["bm25s"]}, r"^the store 'rrf' fuses at least two stores; give stores = "),
        ("stores", {"name": "rrf", "stores": [5]}, r"^option of the store 'rrf' 'stores\.0': Input should be a valid"),
        ("injectors", "token_budget", r"^option of the injector 'token_budget' 'tokens': Field required"),
        (
            "injectors",
            {"name": "top_k", "k": 0},
            r"^option of the injector 'top_k' 'k': Input should be greater than 0",
        ),
        (
            "injectors",
            {"name": "top_k", "k": -1},
            r"^option of the injector 'top_k' 'k': Input should be greater than 0",
        ),
        (
            "injectors",
            {"name": "top_k", "template": "no places"},
            r"^the prompt template lacks {passages} and {question}",
        ),
        ("embedders", {"name": "hashing", "dimensions": 0}, r"'dimensions': Input should be greater than 0"),
        (
            "embedders",
            {"name": "sentence_transformers", "precision": "int4"},
            r"'precision': Input should be 'auto', 'float32', 'bfloat16' or 'int8'",
        ),
        ("rerankers", "cross_encoder", r"^option of the reranker 'cross_encoder' 'model': Field required"),
    ],
)
def test_a_wrong_option_is_named_with_its_part(kind: Kind, value: object, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        create(kind, spec(value))


def test_an_outside_package_adds_a_plugin_by_entry_point(outside: Path) -> None:
    assert {"by_length", "overlap"} <= set(names("rerankers"))
    assert summary("rerankers", "by_length") == "from length_rerankers:LengthReranker"
    made: Any = create("rerankers", spec({"name": "by_length", "weight": 2}))
    docs = [Doc("a", "", "four", "a"), Doc("b", "", "sixsix", "b")]
    assert made.score(Query("q", "?"), docs).scores == (8.0, 12.0)


def test_an_outside_plugins_options_are_checked_like_all_others(outside: Path) -> None:
    with pytest.raises(
        UnknownName, match=r"no option of the reranker 'by_length' named 'wait'; did you mean 'weight'\?"
    ):
        create("rerankers", spec({"name": "by_length", "wait": 2}))
    with pytest.raises(BadInput, match="option of the reranker 'by_length' 'weight': Input should be a valid number"):
        create("rerankers", spec({"name": "by_length", "weight": "heavy"}))


def test_listing_does_not_import_outside_plugins(outside: Path) -> None:
    assert "broken" in names("rerankers")
    assert summary("rerankers", "broken") == "from length_rerankers_broken:Nothing"


def test_without_the_outside_package_its_plugin_is_unknown() -> None:
    assert not [entry for entry in entry_points(group="ragprof.rerankers") if entry.name == "by_length"]
    with pytest.raises(UnknownName):
        find("rerankers", "by_length")
