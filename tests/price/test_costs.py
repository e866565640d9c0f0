"""The pass: which rate applies, what is UNPRICED, and what is written down."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragprof.core.errors import BadInput, UnknownName
from ragprof.price import price_recording, read_pricing
from ragprof.price.pricing import plain

ON = date(2026, 11, 22)
EVERYTHING = {"llm": "openai:gpt-4o-mini", "machine": "aws/m7i.large", "rerank": "cohere/rerank-v3.5"}
MONEY = re.compile(r"^-?[0-9]+(\.[0-9]+)?$")
OWN = """
[[rates]]
name = "cohere/rerank-v3.5"
shape = "per_search"
usd = "{usd}"
docs_per_search = 100
since = 2026-01-01
source = "our contract"
"""


def test_a_whole_bill_adds_up_by_hand(recorded: Callable[..., Path]) -> None:
    folder = recorded(prices=EVERYTHING, timed_ns={"q1": [10**9, 3 * 10**9]})
    priced = price_recording(folder, on=ON).pipelines["dense"]
    hourly = Decimal("0.1008") * 2 / 3_600 / Decimal("0.5") * 1_000
    assert priced.stages["rerank"] == Decimal("2")
    assert priced.stages["embed"] == priced.stages["search"] == hourly
    assert priced.stages["inject"] == Decimal("0.15") + hourly
    assert priced.total == priced.priced_subtotal == Decimal("2.486")
    assert priced.per_month == Decimal("2486")
    assert priced.unpriced == ()


def test_machine_time_ignores_cold_and_bare_rounds_and_queries_that_were_not_timed(
    recorded: Callable[..., Path],
) -> None:
    folder = recorded(
        prices={"machine": "aws/m7i.large", "utilisation": "1"}, timed_ns={"q2": [36 * 10**8]}, stages=["search"]
    )
    priced = price_recording(folder, on=ON).pipelines["dense"]
    assert priced.stages == {"search": Decimal("0.1008")}


def test_only_the_stages_that_a_pipeline_has_are_billed(recorded: Callable[..., Path]) -> None:
    folder = recorded(prices=EVERYTHING, stages=["search", "inject"], timed_ns={"q1": [10**6]})
    assert list(price_recording(folder, on=ON).pipelines["dense"].stages) == ["search", "inject"]


def test_the_pipelines_own_entry_beats_the_evals_and_a_missing_one_inherits(recorded: Callable[..., Path]) -> None:
    folder = recorded(
        prices={"rerank": "cohere/rerank-v3.5", "embed": "free", "search": "free", "llm": "free"},
        pipelines={"own": {"rerank": "bedrock/amazon.rerank-v1", "embed": None}, "inherits": {}},
    )
    pricing = price_recording(folder, on=ON)
    assert pricing.pipelines["own"].stages["rerank"] == Decimal(1)
    assert pricing.pipelines["inherits"].stages["rerank"] == Decimal(2)
    assert pricing.pipelines["own"].total == Decimal(1)


def test_the_command_lines_llm_replaces_all_others(recorded: Callable[..., Path]) -> None:
    folder = recorded(prices={"llm": "free"}, pipelines={"dense": {"llm": "free"}})
    assert price_recording(folder, on=ON, llm="openai:gpt-4o").pipelines["dense"].stages["inject"] == Decimal("2.5")


def test_what_nobody_priced_is_unpriced_and_never_0(recorded: Callable[..., Path]) -> None:
    folder = recorded(prices={"rerank": "cohere/rerank-v3.5"})
    priced = price_recording(folder, on=ON).pipelines["dense"]
    assert priced.stages == {"embed": None, "search": None, "rerank": Decimal(2), "inject": None}
    assert (priced.total, priced.total_interval, priced.per_month) == (None, None, None)
    assert priced.priced_subtotal == Decimal(2)
    assert priced.unpriced == (
        "embed: no rate for embed; name one under [prices] as embed or machine",
        "search: no rate for search; name one under [prices] as search or machine",
        "inject: no rate for the prompt; name one under [prices] as llm",
    )


def test_a_prompt_without_an_llm_is_unpriced_although_its_packing_has_a_price(recorded: Callable[..., Path]) -> None:
    folder = recorded(prices={"machine": "aws/m7i.large"}, stages=["inject"], timed_ns={"q1": [36 * 10**8]})
    priced = price_recording(folder, on=ON).pipelines["dense"]
    assert priced.stages == {"inject": None}
    assert priced.priced_subtotal == Decimal("0.2016")


def test_a_machine_without_timings_is_unpriced(recorded: Callable[..., Path]) -> None:
    folder = recorded(prices={"machine": "aws/m7i.large"}, stages=["search"])
    assert not (folder / "spans.parquet").exists()
    priced = price_recording(folder, on=ON).pipelines["dense"]
    assert priced.unpriced == ("search: no timed query, so no machine time for 'aws/m7i.large'; record timings first",)


def test_before_the_first_rate_a_stage_is_unpriced(recorded: Callable[..., Path]) -> None:
    folder = recorded(prices={"rerank": "cohere/rerank-v3.5"}, stages=["rerank"])
    priced = price_recording(folder, on=date(2020, 1, 1)).pipelines["dense"]
    assert priced.stages == {"rerank": None}
    assert "no rate on that date" in priced.unpriced[0]


def test_a_monthly_fee_without_traffic_is_unpriced(recorded: Callable[..., Path], book: Callable[..., Path]) -> None:
    own = book('[[rates]]\nname="own/db"\nshape="per_month"\nusd="70"\nsince=2026-01-01\nsource="bill"\n')
    folder = recorded(prices={"search": "own/db"}, stages=["search"], traffic={})
    priced = price_recording(folder, books=[own], on=ON).pipelines["dense"]
    assert "set queries_per_month" in priced.unpriced[0]


def test_an_llm_by_the_hour_is_not_priced_by_the_time_of_packing(recorded: Callable[..., Path]) -> None:
    folder = recorded(prices={"llm": "aws/g5.xlarge"}, stages=["inject"], timed_ns={"q1": [10**9]})
    priced = price_recording(folder, on=ON).pipelines["dense"]
    assert priced.stages == {"inject": None}
    assert "generating is not timed" in priced.unpriced[0]


def test_a_model_listed_without_a_price_is_unpriced(recorded: Callable[..., Path]) -> None:
    folder = recorded(prices={"llm": "groq:whisper-large-v3"}, stages=["inject"])
    priced = price_recording(folder, on=ON).pipelines["dense"]
    assert priced.unpriced == ("inject: genai-prices lists 'groq:whisper-large-v3' without a price of input tokens",)


def test_a_book_on_top_overrides_the_shipped_one(recorded: Callable[..., Path], book: Callable[..., Path]) -> None:
    folder = recorded(prices={"rerank": "cohere/rerank-v3.5"}, stages=["rerank"])
    priced = price_recording(folder, books=[book(OWN.format(usd="0.007"))], on=ON)
    assert priced.pipelines["dense"].total == Decimal(7)
    assert json.loads((folder / "rates.json").read_text())["rates"]["cohere/rerank-v3.5"]["source"] == "our contract"


@pytest.mark.parametrize(
    ("prices", "says"),
    [
        ({"rerank": "cohere/rerank-v3.6"}, "no rate named 'cohere/rerank-v3.6'; did you mean 'cohere/rerank-v3.5'"),
        ({"llm": "openai:gpt-4o-mni"}, "no model 'gpt-4o-mni' of 'openai'; did you mean 'gpt-4o-mini'"),
        ({"llm": "opnai:gpt-4o-mini"}, "no provider of model prices named 'opnai'; did you mean 'openai'"),
        ({"machine": "cohere/rerank-v3.5"}, "is billed per search and cannot price the machine of 'embed'"),
        ({"utilisation": "1.5"}, "utilisation is '1.5'"),
        ({"utilisation": "half"}, "utilisation is 'half'"),
    ],
)
def test_a_wrong_name_or_setting_says_what_to_do(
    recorded: Callable[..., Path], prices: dict[str, str], says: str
) -> None:
    with pytest.raises(BadInput, match=re.escape(says)):
        price_recording(recorded(prices=prices), on=ON)


def test_an_unknown_rate_names_the_manifest(recorded: Callable[..., Path]) -> None:
    folder = recorded(prices={"rerank": "nobody/knows"})
    with pytest.raises(UnknownName) as failure:
        price_recording(folder, on=ON)
    assert failure.value.file == folder / "manifest.json"


def test_a_folder_without_a_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"manifest\.json: this file is missing"):
        price_recording(tmp_path, on=ON)


def test_costs_are_decimals_in_the_file(recorded: Callable[..., Path]) -> None:
    folder = recorded(prices={"rerank": "cohere/rerank-v3.5"})
    price_recording(folder, on=ON)
    table = pq.read_table(folder / "costs.parquet")
    assert table.schema.field("usd").type == pa.decimal128(38, 18)
    rows = [row for row in table.to_pylist() if row["query_id"] == "q1"]
    assert rows == [
        dict(zip(table.column_names, row, strict=True))
        for row in [
            ("dense", "q1", "embed", "unpriced", None, None),
            ("dense", "q1", "search", "unpriced", None, None),
            ("dense", "q1", "rerank", "search units", "cohere/rerank-v3.5", Decimal("0.002")),
            ("dense", "q1", "inject", "prompt tokens", None, None),
        ]
    ]


def test_rates_json_says_what_was_applied_and_what_the_tokens_are(recorded: Callable[..., Path]) -> None:
    folder = recorded(prices=EVERYTHING)
    price_recording(folder, on=ON)
    written = json.loads((folder / "rates.json").read_text())
    assert written["on"] == "2026-11-22"
    cohere = written["rates"]["cohere/rerank-v3.5"]
    assert (cohere["usd"], cohere["per"], cohere["since"], cohere["verified"]) == ("2.00", 1_000, "2025-07-19", False)
    assert "recording's tokenizer, which stands in for the provider's" in cohere["note"]
    model = written["rates"]["openai:gpt-4o-mini"]
    assert (model["usd"], model["per"], model["since"]) == ("0.15", 1_000_000, None)
    assert {line["reason"] for line in written["pipelines"]["dense"]["unpriced"]} == {
        "no timed query, so no machine time for 'aws/m7i.large'; record timings first"
    }


def test_reading_again_gives_what_pricing_gave(recorded: Callable[..., Path]) -> None:
    folder = recorded(prices=EVERYTHING, timed_ns={"q1": [10**6], "q2": [10**6 + 7]})
    assert price_recording(folder, on=ON) == read_pricing(folder)


def test_a_recording_that_was_not_priced_says_so(recorded: Callable[..., Path]) -> None:
    with pytest.raises(BadInput, match="price the recording first"):
        read_pricing(recorded())


def test_pricing_twice_writes_the_same_bytes(recorded: Callable[..., Path]) -> None:
    folder = recorded(prices=EVERYTHING, timed_ns={"q1": [10**6], "q2": [10**6 + 7]})
    files = [folder / "costs.parquet", folder / "rates.json"]
    price_recording(folder, on=ON)
    before = [path.read_bytes() for path in files]
    price_recording(folder, on=ON)
    assert [path.read_bytes() for path in files] == before
    assert not list(folder.glob(".*.partial"))


def test_the_summary_follows_the_schema(recorded: Callable[..., Path]) -> None:
    money = {"type": ["string", "null"], "pattern": MONEY.pattern}
    schema = {
        "type": "object",
        "required": ["total", "unpriced"],
        "properties": {"total": money, "priced_subtotal": money, "per_month": money, "embed": money, "rerank": money},
    }
    whole = price_recording(recorded(prices=EVERYTHING, timed_ns={"q1": [10**6], "q2": [2 * 10**6]}), on=ON)
    partly = price_recording(recorded(prices={"rerank": "cohere/rerank-v3.5"}), on=ON)
    for pricing in (whole, partly):
        jsonschema.validate(pricing.as_json()["dense"], schema)
    assert whole.pipelines["dense"].as_json()["total"] == "2.15025"
    assert partly.pipelines["dense"].as_json()["total"] is None
    assert partly.pipelines["dense"].as_json()["priced_subtotal"] == "2"


def test_an_interval_spans_the_total_and_comes_out_the_same_again(recorded: Callable[..., Path]) -> None:
    candidates = {f"q{number}": [100] * (50 + 10 * number) for number in range(12)}
    timed = {"q1": [10**6, 2 * 10**6], "q5": [4 * 10**6], "q9": [9 * 10**6]}
    folder = recorded(prices=EVERYTHING, candidates=candidates, timed_ns=timed)
    priced = price_recording(folder, on=ON).pipelines["dense"]
    assert priced.total is not None
    assert priced.total_interval is not None
    assert priced.total_interval[0] < priced.total < priced.total_interval[1]
    assert priced.total_interval == read_pricing(folder).pipelines["dense"].total_interval
    assert priced.stage_intervals["rerank"] is not None


def test_one_timed_query_has_no_interval(recorded: Callable[..., Path]) -> None:
    priced = price_recording(recorded(prices=EVERYTHING, timed_ns={"q1": [10**6]}), on=ON).pipelines["dense"]
    assert priced.total_interval is None
    assert priced.stage_intervals["search"] is None
    # The same for all three queries: so few bound nothing.
    assert (priced.stages["rerank"], priced.stage_intervals["rerank"]) == (Decimal(2), None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0"),
        ("1.50", "1.5"),
        ("1234567", "1234570"),
        ("5.6E-8", "0.000000056"),
        ("0.1234567", "0.123457"),
        ("100", "100"),
    ],
)
def test_money_is_written_plainly(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text


@given(st.decimals(min_value=0, max_value=10**9, allow_nan=False, allow_infinity=False))
def test_money_never_has_an_exponent(value: Decimal) -> None:
    assert MONEY.match(plain(value))


@settings(max_examples=20, deadline=None)
@given(
    candidates=st.dictionaries(
        st.sampled_from(["q1", "q2", "q3"]), st.lists(st.integers(0, 5_000), max_size=12), min_size=1
    ),
    query=st.integers(1, 400),
    rate=st.sampled_from(["cohere/rerank-v3.5", "voyage/rerank-2.5", "bedrock/amazon.rerank-v1", "free"]),
)
def test_money_is_additive_and_never_negative(
    write_recording: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
    candidates: dict[str, list[int]],
    query: int,
    rate: str,
) -> None:
    folder = write_recording(
        tmp_path_factory.mktemp("priced"),
        prices={**EVERYTHING, "rerank": rate},
        candidates=candidates,
        query_tokens=query,
        timed_ns={"q1": [query * 1_000]} if "q1" in candidates else {min(candidates): [7]},
    )
    priced = price_recording(folder, on=ON).pipelines["dense"]
    stages = [usd for usd in priced.stages.values() if usd is not None]
    assert len(stages) == 4
    assert min(stages) >= 0
    assert priced.total == priced.priced_subtotal
    assert abs(sum(stages) - priced.total) < Decimal("1e-20")
