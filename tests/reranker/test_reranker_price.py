"""Rerankers priced: by each billing shape at each depth, who has a price at all, and what prompts hold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from complete_tables import complete

from ragprof.core import Doc
from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.ranking import ranked
from ragprof.studies.reranker.price import price
from ragprof.studies.reranker.recorded import TABLES

ON = date(2026, 11, 22)
SECOND = 10**9
PIPELINE, STUDENT = "dense+r", "dense+r ~ small"
BOOK = """
[[rates]]
name = "own/search"
shape = "per_search"
usd = "1.50"
per = 1000
docs_per_search = 3
window_tokens = 500
since = 2025-01-01
source = "contract"

[[rates]]
name = "own/search"
shape = "per_search"
usd = "2.00"
per = 1000
docs_per_search = 3
window_tokens = 500
since = 2026-01-01
source = "contract"

[[rates]]
name = "own/request"
shape = "per_request"
usd = "1.00"
per = 1000
docs_per_request = 3
since = 2026-01-01
source = "contract"

[[rates]]
name = "own/tokens"
shape = "per_input_token"
usd = "0.05"
per = 1000000
since = 2026-01-01
source = "contract"

[[rates]]
name = "own/machine"
shape = "per_hour"
usd = "0.36"
since = 2026-01-01
source = "contract"

[[rates]]
name = "own/gpu"
shape = "per_hour"
usd = "3.60"
since = 2026-01-01
source = "contract"

[[rates]]
name = "own/fee"
shape = "per_month"
usd = "70"
since = 2026-01-01
source = "contract"
"""
Candidate = tuple[str, float, int]
"""doc_id, rerank score, tokens."""
Q1: Sequence[Candidate] = (("a", 0.1, 100), ("b", 0.9, 600), ("c", 0.5, 1_100), ("d", 0.5, 50))


@dataclass(frozen=True)
class Case:
    """A recording of one reranked pipeline, perhaps with a student, by hand; every query has 20 tokens."""

    prices: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)
    found: Mapping[str, Sequence[Candidate]] = field(default_factory=lambda: {"q1": Q1})
    query_ids: Sequence[str] = ("q1", "q2")
    depths: Sequence[int] = (2, 4)
    own_depth: int = 4
    max_k: int = 3
    remote: bool = False
    student: bool = False
    student_remote: bool = False
    prefix: bool = True
    live: Sequence[tuple[str, int, str, int]] = ()
    llms: Sequence[str] = ()
    traffic: Mapping[str, Any] = field(default_factory=lambda: {"queries_per_month": 1_000_000})

    def price(self, folder: Path, **choices: Any) -> Path:
        book = folder / "own.toml"
        place = self.write(folder)
        book.write_text(BOOK)
        price(folder, books=[book], **({"on": ON} | choices))
        return place

    def write(self, folder: Path) -> Path:
        place = folder / "reranker"
        place.mkdir(parents=True)
        (place / "manifest.json").write_text(json.dumps(self.manifest()))
        tokens = [("query", query_id, 20) for query_id in self.query_ids]
        pd.DataFrame(tokens, columns=["kind", "id", "tokens"]).to_parquet(folder / "tokens.parquet")
        columns = ["arm", "depth", "query_id", "rank", "doc_id", "document_id", "rerank_score", "tokens"]
        rows = [row for arm in self.arms() for row in self.candidates(arm)]
        complete(pd.DataFrame(rows, columns=columns), TABLES["candidates"]).to_parquet(place / "candidates.parquet")
        live = [(arm, depth, turn, query, ns) for turn, (arm, depth, query, ns) in enumerate(self.live)]
        columns = ["arm", "depth", "round", "query_id", "rerank_ns"]
        plain = (PIPELINE, 0, 0, "q1", None)
        complete(pd.DataFrame([*live, plain], columns=columns), TABLES["live"]).to_parquet(place / "live.parquet")
        return place

    def candidates(self, arm: str) -> list[tuple[Any, ...]]:
        depth = max(self.depths)
        return [
            (arm, depth, query_id, rank, doc_id, doc_id, score, tokens)
            for query_id, docs in self.found.items()
            for rank, (doc_id, score, tokens) in enumerate(docs[:depth], start=1)
        ]

    def arms(self) -> dict[str, dict[str, Any]]:
        shared: dict[str, Any] = {"own_depth": self.own_depth, "prefix": self.prefix, "pointwise": {"listwise": False}}
        own: dict[str, Any] = {"student": None, "depths": [*self.depths], "remote": self.remote}
        student: dict[str, Any] = {"student": "small", "depths": [self.own_depth], "remote": self.student_remote}
        arms = {PIPELINE: own, STUDENT: student} if self.student else {PIPELINE: own}
        return {name: {"pipeline": PIPELINE, **shared, **arm} for name, arm in arms.items()}

    def manifest(self) -> dict[str, Any]:
        config = {
            "pipelines": [{"name": PIPELINE, "prices": dict(self.own)}], "prices": dict(self.prices),
            "traffic": dict(self.traffic), "reranker": {"llms": [*self.llms]},
        }  # fmt: skip
        return {"config": config, "query_ids": [*self.query_ids], "arms": self.arms(), "max_k": self.max_k}


def costs(place: Path, arm: str = PIPELINE) -> dict[tuple[int, str], tuple[float | None, Decimal | None]]:
    """(depth, query) -> units and USD."""
    rows = pq.read_table(place / "costs.parquet").to_pylist()
    return {(row["depth"], row["query_id"]): (row["units"], row["usd"]) for row in rows if row["arm"] == arm}


def rates(place: Path, arm: str = PIPELINE) -> dict[str, Any]:
    return dict(json.loads((place / "rates.json").read_text())["arms"][arm])


TIMED = [
    (PIPELINE, 4, "q1", SECOND),
    (PIPELINE, 4, "q1", 3 * SECOND),
    (PIPELINE, 2, "q1", SECOND),
    (PIPELINE, 2, "q2", 0),
]


@pytest.mark.parametrize(
    ("rate", "shallow", "deep"),
    [
        ("own/search", (1, "0.002"), (3, "0.006")),  # pieces of 480 tokens: 1 + 2, and 3 + 1 more; 3 a search
        ("own/request", (1, "0.001"), (2, "0.002")),
        ("own/tokens", (740, "0.000037"), (1_930, "0.0000965")),  # 2 x 20 + 700, 4 x 20 + 1850
    ],
)
def test_a_query_costs_what_its_candidates_at_that_depth_are_billed(
    tmp_path: Path, rate: str, shallow: tuple[float, str], deep: tuple[float, str]
) -> None:
    place = Case(prices={"rerank": rate}).price(tmp_path)
    assert costs(place) == {
        (2, "q1"): (shallow[0], Decimal(shallow[1])),
        (2, "q2"): (0, 0),
        (4, "q1"): (deep[0], Decimal(deep[1])),
        (4, "q2"): (0, 0),
    }
    said = rates(place)
    assert (said["rate"]["name"], said["unpriced"], said["hourly"], said["utilisation"]) == (rate, None, False, None)


def test_a_monthly_fee_is_shared_out_over_the_months_queries(tmp_path: Path) -> None:
    found = costs(Case(prices={"rerank": "own/fee"}).price(tmp_path))
    assert set(found.values()) == {(0.000001, Decimal("0.00007"))}
    assert len(found) == 4


def test_what_is_free_costs_nothing_and_says_so(tmp_path: Path) -> None:
    place = Case(prices={"rerank": "free", "machine": "own/machine"}).price(tmp_path)
    assert list(costs(place).values()) == [(0.0, Decimal(0))] * 4
    assert rates(place)["rate"]["shape"] == "free"
    assert rates(place)["history"] == []


def test_by_the_hour_a_timed_query_pays_the_live_time_of_that_depth_over_the_utilisation(tmp_path: Path) -> None:
    place = Case(prices={"machine": "own/machine", "utilisation": "0.5"}, live=TIMED).price(tmp_path)
    assert costs(place) == {
        (2, "q1"): (2 / 3_600, Decimal("0.0002")),
        (2, "q2"): (0, 0),
        (4, "q1"): (4 / 3_600, Decimal("0.0004")),
    }
    said = rates(place)
    assert (said["rate"]["name"], said["hourly"], said["utilisation"]) == ("own/machine", True, "0.5")


def test_a_depth_that_was_not_timed_is_unpriced_by_the_hour(tmp_path: Path) -> None:
    place = Case(prices={"machine": "own/machine", "utilisation": "0.5"}, live=TIMED[2:]).price(tmp_path)
    assert costs(place)[4, "q1"] == costs(place)[4, "q2"] == (None, None)
    assert costs(place)[2, "q1"][1] == Decimal("0.0002")
    assert rates(place)["unpriced"] == "no timed query, so no machine time for 'own/machine'; record timings first"
    assert rates(place)["rate"]["name"] == "own/machine"


def test_a_machine_without_a_utilisation_is_unpriced(tmp_path: Path) -> None:
    place = Case(prices={"machine": "own/machine"}, live=TIMED).price(tmp_path)
    assert set(costs(place).values()) == {(None, None)}
    assert "set utilisation under [prices]" in rates(place)["unpriced"]
    assert (rates(place)["hourly"], rates(place)["utilisation"]) == (True, None)


@pytest.mark.parametrize(
    ("prices", "own", "rate"),
    [
        ({"rerank": "own/search", "machine": "own/machine"}, {}, "own/search"),
        ({"rerank": "own/search"}, {"rerank": "own/request"}, "own/request"),
        ({"rerank": "own/search"}, {"rerank": None, "machine": "own/machine"}, "own/search"),
        ({"machine": "own/machine"}, {"machine": "own/gpu"}, "own/gpu"),
    ],
)
def test_a_pipelines_own_price_beats_the_evals_and_both_beat_the_machine(
    tmp_path: Path, prices: dict[str, str], own: dict[str, str], rate: str
) -> None:
    assert rates(Case(prices=prices, own=own).price(tmp_path))["rate"]["name"] == rate


def test_without_any_price_it_is_unpriced_and_never_0(tmp_path: Path) -> None:
    place = Case().price(tmp_path)
    assert costs(place) == dict.fromkeys([(2, "q1"), (2, "q2"), (4, "q1"), (4, "q2")], (None, None))
    assert rates(place) == {
        "rate": None,
        "unpriced": "no rate for rerank; name one under [prices] as rerank or machine",
        "utilisation": None,
        "history": [],
        "hourly": False,
        "llms": [],
    }


def test_the_machine_here_does_not_pay_for_a_reranker_elsewhere(tmp_path: Path) -> None:
    case = {"prices": {"machine": "own/machine", "utilisation": "1"}, "live": TIMED, "remote": True}
    place = Case(**case).price(tmp_path / "machine")  # type: ignore[arg-type]
    assert rates(place)["rate"] is None
    assert rates(place)["unpriced"].endswith("name its rate under [prices] as rerank")
    assert set(costs(place).values()) == {(None, None)}
    named = Case(**{**case, "own": {"rerank": "own/search"}}).price(tmp_path / "named")  # type: ignore[arg-type]
    assert costs(named)[4, "q1"] == (3, Decimal("0.006"))


@pytest.mark.parametrize(
    ("prices", "remote", "student_remote", "rate"),
    [
        ({"rerank": "own/search", "machine": "own/machine"}, False, False, "own/machine"),
        ({"rerank": "own/search", "machine": "own/machine"}, True, False, "own/machine"),
        ({"rerank": "own/gpu", "machine": "own/machine"}, False, False, "own/gpu"),
        ({"rerank": "own/gpu", "machine": "own/machine"}, True, False, "own/machine"),
        ({"rerank": "free", "machine": "own/machine"}, False, False, "free"),
        ({"rerank": "free"}, True, True, "free"),
        ({"rerank": "own/search"}, True, False, None),
        ({"rerank": "own/search", "machine": "own/machine"}, True, True, None),
        ({"rerank": "own/gpu", "machine": "own/machine"}, False, True, None),
    ],
)
def test_a_student_takes_the_machine_that_it_runs_on_and_no_price_of_another_reranker(
    tmp_path: Path, prices: dict[str, str], remote: bool, student_remote: bool, rate: str | None
) -> None:
    case = Case(prices=prices, remote=remote, student=True, student_remote=student_remote)
    said = rates(case.price(tmp_path), STUDENT)
    assert (said["rate"] or {"name": None})["name"] == rate
    assert rate is not None or "under [prices] as" in said["unpriced"]


def test_a_student_has_costs_at_the_own_depth_alone(tmp_path: Path) -> None:
    live = [*TIMED, (STUDENT, 4, "q1", SECOND)]
    place = Case(prices={"machine": "own/machine", "utilisation": "1"}, live=live, student=True).price(tmp_path)
    assert costs(place, STUDENT) == {(4, "q1"): (1 / 3_600, Decimal("0.0001"))}


def test_every_date_of_a_rate_is_told(tmp_path: Path) -> None:
    history = [{"since": "2025-01-01", "usd": "1.50"}, {"since": "2026-01-01", "usd": "2.00"}]
    place = Case(prices={"rerank": "own/search"}).price(tmp_path / "now")
    assert (rates(place)["rate"]["usd"], rates(place)["history"]) == ("2.00", history)
    earlier = Case(prices={"rerank": "own/search"}).price(tmp_path / "earlier", on=date(2025, 6, 1))
    assert (rates(earlier)["rate"]["usd"], rates(earlier)["history"]) == ("1.50", history)
    before = Case(prices={"rerank": "own/search"}).price(tmp_path / "before", on=date(2020, 1, 1))
    assert (rates(before)["rate"], rates(before)["history"]) == (None, history)
    assert "no rate on that date" in rates(before)["unpriced"]


def llms(place: Path) -> list[tuple[str, str | None, bool]]:
    written = rates(place)["llms"]
    return [(each["name"], each["usd_per_million_tokens"], each["primary"]) for each in written]


def test_the_evals_llm_comes_first_and_then_the_others_once(tmp_path: Path) -> None:
    others = ["own/tokens", "openai:gpt-4o-mini", "free"]
    place = Case(prices={"llm": "openai:gpt-4o-mini"}, llms=others).price(tmp_path / "eval")
    assert llms(place) == [("openai:gpt-4o-mini", "0.15", True), ("own/tokens", "0.05", False), ("free", "0", False)]
    replaced = Case(prices={"llm": "openai:gpt-4o-mini"}).price(tmp_path / "replaced", llm="openai:gpt-4o")
    assert llms(replaced) == [("openai:gpt-4o", "2.5", True)]
    assert llms(Case(llms=["own/tokens"]).price(tmp_path / "none")) == [("own/tokens", "0.05", False)]
    assert llms(Case().price(tmp_path / "nothing")) == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("own/gpu", "'own/gpu' is billed per hour, and how long a prompt takes is not measured here"),
        ("own/search", "'own/search' is billed per search and has no price of a prompt's tokens"),
        ("groq:whisper-large-v3", "without a price of input tokens"),
    ],
)
def test_an_llm_without_a_price_of_tokens_is_unpriced_with_its_reason(tmp_path: Path, name: str, says: str) -> None:
    written = rates(Case(prices={"llm": name}).price(tmp_path))["llms"]
    assert written[0]["usd_per_million_tokens"] is None
    assert says in written[0]["unpriced"]


def test_a_name_that_nobody_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no rate named 'own/serch'"):
        Case(prices={"rerank": "own/serch"}).price(tmp_path / "rerank")
    with pytest.raises(UnknownName, match="no rate named 'own/llm'"):
        Case(llms=["own/llm"]).price(tmp_path / "llm")
    with pytest.raises(BadInput, match="'own/search' is billed per search and cannot price the machine of 'rerank'"):
        Case(prices={"machine": "own/search"}).price(tmp_path / "machine")


def test_rates_json_says_when_by_which_books_and_at_which_traffic(tmp_path: Path) -> None:
    place = Case().price(tmp_path)
    written = json.loads((place / "rates.json").read_text())
    assert written["on"] == "2026-11-22"
    assert written["books"][-1] == "own.toml"
    assert written["queries_per_month"] == 1_000_000


def prompts(place: Path, ranking: str, depth: int, query_id: str, arm: str = PIPELINE) -> list[int]:
    rows = pd.read_parquet(place / "prompts.parquet")
    rows = rows[(rows["arm"] == arm) & (rows["ranking"] == ranking) & (rows["depth"] == depth)]
    rows = rows[rows["query_id"] == query_id]
    assert rows["k"].tolist() == list(range(1, len(rows) + 1))
    return [int(tokens) for tokens in rows["context_tokens"]]


def test_a_prompt_holds_the_first_k_passages_of_its_ranking(tmp_path: Path) -> None:
    place = Case(max_k=5).price(tmp_path)
    assert prompts(place, "search", 4, "q1") == [100, 700, 1_800, 1_850, 1_850]
    assert prompts(place, "rerank", 4, "q1") == [600, 650, 1_750, 1_850, 1_850]  # b, d and c tie, a
    assert prompts(place, "rerank", 2, "q1") == [600, 700, 700, 700, 700]
    assert prompts(place, "rerank", 4, "q2") == [0] * 5


def test_prompts_stand_for_the_search_at_the_own_depth_and_the_reranker_at_every_depth(tmp_path: Path) -> None:
    rows = pd.read_parquet(Case(student=True).price(tmp_path) / "prompts.parquet")
    assert list(rows.groupby(["arm", "ranking", "depth"]).size().items()) == [
        ((PIPELINE, "rerank", 2), 6),
        ((PIPELINE, "rerank", 4), 6),
        ((PIPELINE, "search", 4), 6),
        ((STUDENT, "rerank", 4), 6),
        ((STUDENT, "search", 4), 6),
    ]


@pytest.mark.parametrize("seed", range(5))
def test_prompts_are_those_of_a_pipeline_of_that_depth(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    queries = [f"q{number}" for number in range(15)]
    found: dict[str, list[Candidate]] = {}
    for query_id in queries[1:]:
        ids = rng.permutation(40)[: rng.integers(0, 14)].tolist()
        found[query_id] = [
            (f"d{number}", float(rng.integers(0, 4)), int(rng.integers(0, 300) + number)) for number in ids
        ]
    case = Case(found=found, query_ids=queries, depths=(1, 4, 7, 12), own_depth=7, max_k=9)
    place = case.price(tmp_path)
    for depth in case.depths:
        for query_id, docs in found.items():
            tokens = {doc_id: count for doc_id, _, count in docs}
            order = ranked((Doc(doc_id, "", "", doc_id), score) for doc_id, score, _ in docs[:depth])
            counts = [tokens[item.doc.doc_id] for item in order]
            assert prompts(place, "rerank", depth, query_id) == [sum(counts[:k]) for k in range(1, 10)]


def test_money_is_decimal_and_pricing_twice_writes_the_same_bytes(tmp_path: Path) -> None:
    place = Case(prices={"rerank": "own/tokens"}).price(tmp_path)
    schema = pq.read_schema(place / "costs.parquet")
    assert schema.names == ["arm", "depth", "query_id", "units", "usd"]
    assert schema.field("usd").type == pa.decimal128(38, 18)
    assert schema.field("units").type == pa.float64()
    written = [place / "costs.parquet", place / "prompts.parquet", place / "rates.json"]
    before = [path.read_bytes() for path in written]
    price(tmp_path, books=[tmp_path / "own.toml"], on=ON)
    assert [path.read_bytes() for path in written] == before


def test_what_cannot_be_priced_for_want_of_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"candidates\.parquet lacks the candidates of 'dense\+r' at depth 2"):
        Case(prefix=False, prices={"rerank": "own/search"}).price(tmp_path / "depth")
    with pytest.raises(BadInput, match=r"no finite rerank_score"):
        Case(found={"q1": [("a", float("nan"), 100)]}).price(tmp_path / "score")
    with pytest.raises(BadInput, match=r"which manifest.json does not ask"):
        Case(found={"q7": Q1}).price(tmp_path / "query")
