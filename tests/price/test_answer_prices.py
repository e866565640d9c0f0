"""The bill of an injection study: by tokens or by the machine's time, never both, and the retrieval beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from complete_tables import complete

from ragprof.core.errors import BadInput, UnknownName
from ragprof.price import price_recording
from ragprof.studies.injection.price import price_answers
from ragprof.studies.injection.recorded import ANSWERS as ANSWER_TABLE
from ragprof.studies.injection.recorded import LIVE as LIVE_TABLE
from ragprof.studies.injection.recorded import PROMPTS as PROMPT_TABLE

ON = date(2026, 11, 22)
HOUR = 36 * 10**11
LOCAL, REMOTE = "local gemma", "openai_compatible http://localhost:8000 gpt"
PROMPTS = [
    # setting, query, digest, tokens of the eval's tokenizer, tokens as the model counts
    ("own", "q1", "aa", 1_000, 1_100),
    ("own", "q2", "bb", 3_000, 3_300),
    ("k=1", "q1", "cc", 500, 550),
]
ANSWERS = [("aa", 100, 120), ("bb", 300, None), ("cc", 50, 60)]  # digest, the eval's tokens, the server's
Asked = Callable[..., Path]


@pytest.fixture
def asked(recorded: Callable[..., Path]) -> Asked:
    """A recording whose search is priced, and an injection study of its one pipeline beside it."""

    def build(
        *,
        prices: Mapping[str, Any] | None = None,
        own: Mapping[str, Any] | None = None,
        generator: str = LOCAL,
        live: Sequence[tuple[str, int, str, int]] = (),
    ) -> Path:
        config = {"prices": {"search": "free", **(prices or {})}, "pipelines": {"dense": own or {}}}
        folder = recorded(**config, stages=["search", "inject"])
        price_recording(folder, on=ON)
        study(folder, generator, live)
        return folder

    return build


def study(folder: Path, generator: str, live: Sequence[tuple[str, int, str, int]]) -> None:
    """`live`: setting, round, query, ns of generating."""
    home = folder / "injection"
    home.mkdir()
    config = json.loads((folder / "manifest.json").read_text())["config"]
    facts = {"config": config, "generators": {"dense": generator}, "recording": "r", "corpus_sha256": "c", "work": {}}
    facts |= {"generator": {}, "questions": ["q1", "q2"], "unanswerable": [], "own_k": {}, "settings": {}}
    (home / "manifest.json").write_text(json.dumps(facts))
    columns = ["setting", "query_id", "digest", "prompt_tokens", "model_tokens"]
    prompts = pd.DataFrame(PROMPTS, columns=columns).assign(pipeline="dense")
    answers = pd.DataFrame(ANSWERS, columns=["digest", "answer_tokens", "output_tokens"])
    timed = pd.DataFrame(live, columns=["setting", "round", "query_id", "generate_ns"]).assign(pipeline="dense")
    for name, table, recorded in (
        ("prompts", prompts, PROMPT_TABLE), ("answers", answers, ANSWER_TABLE), ("live", timed, LIVE_TABLE),
    ):  # fmt: skip
        complete(table, recorded).to_parquet(home / f"{name}.parquet")


def bill(folder: Path) -> dict[tuple[str, str, str], Decimal | None]:
    rows = pq.read_table(folder / "injection" / "costs.parquet").to_pylist()
    return {(row["setting"], row["query_id"], row["item"]): row["usd"] for row in rows}


def rates(folder: Path) -> dict[str, Any]:
    written: dict[str, Any] = json.loads((folder / "injection" / "rates.json").read_text())
    return written


def test_a_named_llm_is_paid_by_the_evals_tokens(asked: Asked) -> None:
    folder = asked(prices={"llm": "openai:gpt-4o-mini"})
    price_answers(folder, on=ON)
    assert bill(folder) == {
        ("own", "q1", "prompt tokens"): Decimal("0.00015"),
        ("own", "q2", "prompt tokens"): Decimal("0.00045"),
        ("own", "q1", "output tokens"): Decimal("0.00006"),
        ("own", "q2", "output tokens"): Decimal("0.00018"),
        ("own", "q1", "retrieval"): Decimal(0),
        ("own", "q2", "retrieval"): Decimal(0),
        ("k=1", "q1", "prompt tokens"): Decimal("0.000075"),
        ("k=1", "q1", "output tokens"): Decimal("0.00003"),
        ("k=1", "q1", "retrieval"): Decimal(0),
    }
    assert rates(folder)["priced_as"] == {"dense": "openai:gpt-4o-mini"}
    assert rates(folder)["rates"]["openai:gpt-4o-mini"]["output_usd"] == "0.6"


def test_a_servers_own_count_goes_before_the_evals_tokenizer_where_it_is_given(asked: Asked) -> None:
    folder = asked(prices={"llm": "openai:gpt-4o-mini"}, generator=REMOTE)
    price_answers(folder, on=ON)
    priced = bill(folder)
    assert priced["own", "q1", "prompt tokens"] == Decimal("0.000165")
    assert priced["own", "q1", "output tokens"] == Decimal("0.000072")
    assert priced["own", "q2", "output tokens"] == Decimal("0.00018")


def test_a_model_that_runs_here_is_paid_by_the_time_of_each_timed_query(asked: Asked) -> None:
    live = [("own", 0, "q1", HOUR), ("own", 1, "q1", 3 * HOUR), ("own", 0, "q2", 4 * HOUR), ("k=1", 0, "q1", HOUR)]
    folder = asked(prices={"machine": "aws/m7i.large", "utilisation": "0.5"}, live=live)
    price_answers(folder, on=ON)
    assert bill(folder)["own", "q1", "machine time"] == Decimal("0.4032")
    assert bill(folder)["own", "q2", "machine time"] == Decimal("0.8064")
    assert bill(folder)["k=1", "q1", "machine time"] == Decimal("0.2016")
    assert {item for _, _, item in bill(folder)} == {"machine time", "retrieval"}


def test_a_named_llm_is_not_added_to_the_machines_time(asked: Asked) -> None:
    prices = {"machine": "aws/m7i.large", "llm": "openai:gpt-4o-mini"}
    folder = asked(prices=prices, live=[("own", 0, "q1", HOUR)])
    price_answers(folder, on=ON)
    assert {item for _, _, item in bill(folder)} == {"prompt tokens", "output tokens", "retrieval"}


def test_the_machine_here_does_not_pay_for_a_model_elsewhere(asked: Asked) -> None:
    folder = asked(prices={"machine": "aws/m7i.large"}, generator=REMOTE, live=[("own", 0, "q1", HOUR)])
    price_answers(folder, on=ON)
    assert bill(folder)["own", "q1", "prompt tokens"] is None
    reasons = {line["reason"] for line in rates(folder)["pipelines"]["dense"]["unpriced"]}
    assert "no rate for the generation; name one under [prices] as llm" in reasons


def test_without_a_rate_the_generation_is_unpriced_and_never_0(asked: Asked) -> None:
    folder = asked()
    price_answers(folder, on=ON)
    priced = bill(folder)
    assert priced["own", "q1", "prompt tokens"] is None
    assert priced["own", "q1", "output tokens"] is None
    assert priced["own", "q1", "retrieval"] == Decimal(0)
    assert rates(folder)["priced_as"] == {"dense": None}


def test_a_setting_that_was_not_timed_has_no_machine_time(asked: Asked) -> None:
    folder = asked(prices={"machine": "aws/m7i.large"}, live=[("own", 0, "q1", HOUR)])
    price_answers(folder, on=ON)
    assert bill(folder)["own", "q1", "machine time"] == Decimal("0.2016")
    assert ("own", "q2", "machine time") not in bill(folder)
    assert bill(folder)["k=1", "q1", "machine time"] is None
    (unpriced,) = [line for line in rates(folder)["pipelines"]["dense"]["unpriced"] if line["item"] == "machine time"]
    assert unpriced["setting"] == "k=1"
    assert "no timed query" in unpriced["reason"]


def test_the_pipelines_llm_goes_before_the_evals_and_the_command_lines_before_both(asked: Asked) -> None:
    folder = asked(prices={"llm": "openai:gpt-4o"}, own={"llm": "openai:gpt-4o-mini"})
    price_answers(folder, on=ON)
    assert bill(folder)["own", "q1", "prompt tokens"] == Decimal("0.00015")
    price_answers(folder, on=ON, llm="openai:gpt-4o")
    assert bill(folder)["own", "q1", "prompt tokens"] == Decimal("0.0025")


def test_retrieval_is_the_mean_of_the_recordings_bill_with_packing_and_without_the_prompt(
    asked: Asked, recorded: Callable[..., Path]
) -> None:
    folder = asked()
    recorded(
        prices={"rerank": "cohere/rerank-v3.5", "machine": "aws/m7i.large", "utilisation": "1"},
        candidates={"q1": [100] * 10, "q2": [100] * 150},
        stages=["search", "rerank", "inject"],
        timed_ns={"q1": [HOUR]},
    )
    price_recording(folder, on=ON)
    price_answers(folder, on=ON)
    assert bill(folder)["k=1", "q1", "retrieval"] == Decimal("0.003") + 2 * Decimal("0.1008")
    table = pq.read_table(folder / "injection" / "costs.parquet").to_pylist()
    assert {row["rate"] for row in table if row["item"] == "retrieval"} == {"aws/m7i.large, cohere/rerank-v3.5"}


def test_retrieval_without_a_price_is_unpriced(asked: Asked) -> None:
    folder = asked(prices={"search": None, "llm": "openai:gpt-4o-mini"})
    price_answers(folder, on=ON)
    assert bill(folder)["own", "q1", "retrieval"] is None
    (unpriced,) = [line for line in rates(folder)["pipelines"]["dense"]["unpriced"] if line["setting"] == "own"]
    assert unpriced["reason"] == "the recording has no price of search; see its rates.json"


def test_retrieval_without_a_bill_is_unpriced(asked: Asked) -> None:
    folder = asked(prices={"llm": "openai:gpt-4o-mini"})
    (folder / "costs.parquet").unlink()
    price_answers(folder, on=ON)
    assert bill(folder)["own", "q1", "retrieval"] is None


def test_costs_are_decimals_in_the_file(asked: Asked) -> None:
    folder = asked(prices={"llm": "openai:gpt-4o-mini"})
    price_answers(folder, on=ON)
    schema = pq.read_schema(folder / "injection" / "costs.parquet")
    assert schema.names == ["pipeline", "setting", "query_id", "item", "usd", "rate"]
    assert schema.field("usd").type == pa.decimal128(38, 18)


def test_a_prompt_without_an_answer_is_bad_input(asked: Asked) -> None:
    folder = asked(prices={"llm": "openai:gpt-4o-mini"})
    answers = pd.read_parquet(folder / "injection" / "answers.parquet")
    answers[answers["digest"] != "bb"].to_parquet(folder / "injection" / "answers.parquet")
    with pytest.raises(BadInput, match="no answer for 'q2'; run 'ragprof inject' again"):
        price_answers(folder, on=ON)


def test_an_unknown_rate_names_the_manifest_of_the_study(asked: Asked) -> None:
    folder = asked()
    with pytest.raises(UnknownName) as failure:
        price_answers(folder, on=ON, llm="nobody/knows")
    assert failure.value.file == folder / "injection" / "manifest.json"


def test_pricing_twice_writes_the_same_bytes(asked: Asked) -> None:
    folder = asked(prices={"llm": "openai:gpt-4o-mini"})
    files = [folder / "injection" / "costs.parquet", folder / "injection" / "rates.json"]
    price_answers(folder, on=ON)
    before = [path.read_bytes() for path in files]
    price_answers(folder, on=ON)
    assert [path.read_bytes() for path in files] == before
