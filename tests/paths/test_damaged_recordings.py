"""A recording of which any file was cut, edited or emptied: every pass ends well or names the file and what to do."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import pandas as pd
import pytest
from paths import Placed, eval_text, write_collection
from unsealed import unsealed

import ragprof
from ragprof.core.clock import SILENT
from ragprof.core.errors import BadInput
from ragprof.core.recorded import KINDS, SEAL, SEALS, SUMS, RecordedTable, reading
from ragprof.corpus import EvaluationSet
from ragprof.evals import recorded
from ragprof.evals.recorded import manifest_of
from ragprof.exports.per_query import per_query_table
from ragprof.exports.trec import run_texts
from ragprof.judge.scores import judge
from ragprof.price import price_recording
from ragprof.record.recording import Bench
from ragprof.session.studies import STUDIES, study
from ragprof.session.summary import belonging, stale_of
from ragprof.studies.audit import recorded as audit
from ragprof.studies.chunking import recorded as chunking
from ragprof.studies.contract import Pricing, Request
from ragprof.studies.curate import recorded as curate
from ragprof.studies.gate.evidence import of_recording
from ragprof.studies.growth import recorded as growth
from ragprof.studies.growth.plan import plan_growth
from ragprof.studies.growth.record_live import write_sizes
from ragprof.studies.injection import recorded as injection
from ragprof.studies.load import recorded as load
from ragprof.studies.preparation import Prepared, prepare
from ragprof.studies.profile.analysis import profile_of
from ragprof.studies.reranker import recorded as reranker
from ragprof.studies.screen import recorded as screen
from ragprof.studies.stores import recorded as stores
from ragprof.studies.variants import AS_ONE_SCORES

TWO = """
[[pipelines]]
name = "two"
store = "faiss_flat"
embedder = "hashing"
depth = 4
injector = { name = "top_k", k = 2 }
"""
STORES = """
[stores]
margin = 0.05
pipeline = "two"
k = 2
[stores.indexes]
hnsw = { name = "faiss", factory = "HNSW4", ef_search = [4] }
[stores.timing]
seconds = 0.01
rounds = 2
min_queries = 1
"""
LOAD = """
[load]
pipelines = ["two"]
rates = [20]
repeats = 1
seconds = 1
"""
TABLES: dict[str, RecordedTable] = {
    "spans": recorded.SPANS, "first_tokens": recorded.FIRST_TOKENS, "usage": recorded.USAGE,
    "tokens": recorded.TOKENS, "builds": recorded.BUILDS, "rankings/*": recorded.RANKING,
    "scores": recorded.SCORES, "costs": recorded.COSTS,
    "audit/checks": audit.CHECKS, "audit/ties": audit.TIES, "audit/rankings": audit.RANKINGS,
    "audit/scores": audit.SCORES,
    "curate/review": curate.REVIEW, "curate/lines": curate.LINES, "curate/variants/*/as_one": AS_ONE_SCORES,
    "curate/variants/*/rankings/*": recorded.RANKING, "curate/variants/*/usage": recorded.USAGE,
    "curate/variants/*/builds": recorded.BUILDS, "curate/variants/*/tokens": recorded.TOKENS,
    "curate/variants/*/scores": recorded.SCORES, "curate/variants/*/costs": recorded.COSTS,
    "screen/sampled": screen.SAMPLED, "screen/effects": screen.EFFECTS,
    "chunking/spans": chunking.SPANS, "chunking/cut": chunking.CUT, "chunking/variants/*/placed": chunking.PLACED,
    **{
        f"{name}/variants/*/{table}": declared
        for name in ("screen", "chunking")
        for table, declared in {
            "rankings/*": recorded.RANKING, "usage": recorded.USAGE, "builds": recorded.BUILDS,
            "tokens": recorded.TOKENS, "scores": recorded.SCORES, "costs": recorded.COSTS,
        }.items()
    },
    "load/*/*": load.REQUESTS, "load/prefixes": load.PREFIXES,
    "stores/builds": stores.BUILDS, "stores/spans": stores.LIVE, "stores/scores": stores.SCORES,
    "stores/rankings/*": stores.RANKED, "stores/found/*": stores.FOUND,
    "growth/docs": growth.DOCS, "growth/queries": growth.QUERIES, "growth/entry": growth.ENTRY,
    "growth/cells/*/*": growth.CELLS, "growth/prompts/*/*": growth.PROMPTS, "growth/tails/*": growth.TAILS,
    "growth/distributions/*": growth.DISTRIBUTION, "growth/scores/*": growth.SCORES,
    "growth/context/*": growth.CONTEXT, "growth/coverage": growth.COVERAGE,
    **{f"growth/live/*/{name}": table for name, table in growth.LIVE.items()},
    "growth/sizes/*/rankings/*": recorded.RANKING, "growth/sizes/*/spans": recorded.SPANS,
    "growth/sizes/*/usage": recorded.USAGE, "growth/sizes/*/builds": recorded.BUILDS,
    "growth/sizes/*/tokens": recorded.TOKENS, "growth/sizes/*/costs": recorded.COSTS,
    "injection/prompts": injection.PROMPTS, "injection/chunks": injection.CHUNKS,
    "injection/candidates": injection.CANDIDATES, "injection/answers": injection.ANSWERS,
    "injection/judged": injection.JUDGED, "injection/live": injection.LIVE, "injection/prefill": injection.PREFILL,
    "injection/costs": injection.COSTS,
    **{f"reranker/{name}": table for name, table in reranker.TABLES.items()}, "reranker/windows": reranker.WINDOWS,
}  # fmt: skip
DOCUMENTS = (
    "manifest", "judgement", "rates", "settings", "audit/manifest", "audit/judgement", "growth/manifest",
    "curate/manifest", "curate/judgement", "curate/variants/*/manifest", "screen/manifest", "screen/judgement",
    "screen/variants/*/manifest", "chunking/manifest", "chunking/judgement", "chunking/variants/*/manifest",
    "growth/judgement", "growth/beside", "growth/sizes/*/manifest", "growth/sizes/*/rates", "injection/manifest",
    "injection/judgement", "injection/rates", "injection/beside", "reranker/manifest", "reranker/judgement",
    "reranker/rates", "reranker/settings", "reranker/beside", "stores/manifest", "stores/judgement", "stores/costs",
    "load/manifest", "load/costs", "load/*/*",
)  # fmt: skip
OWNERS = ("pipeline", "arm", "query_id", "query", "stage", "curve", "size", "depth", "k", "ranking")
"""Columns that say whose a row is."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A recording with every study and settings beside both that can be restated."""
    folder = tmp_path_factory.mktemp("damaged")
    write_collection(folder)
    generator = Placed("own generator", '"extractive"', "extractive")
    text = eval_text(generator).replace('curves = ["all_judged"]', 'curves = ["all_judged", "proportional"]')
    more = (
        '[chunking]\nbudget = 60\nvariants = [{ max_characters = 30 }]\n[screen]\nsource = "new.jsonl"\n'
        + STORES
        + LOAD
    )
    (folder / "new.jsonl").write_text(
        "".join(f'{{"_id": "n{n}", "text": "Ferns grow {n} m high."}}\n' for n in range(4))
    )
    text = text.replace("sizes = [4, 6]", "sizes = [4, 5, 6]\ndepths = [2]")
    # Billed by what the search found, so that the rankings of every size are read.
    text = text.replace("[prices]", '[prices]\nrerank = "cohere/rerank-v3.5"')
    (folder / "cell.toml").write_text(text + TWO + more)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("RAGPROF_CACHE", str(folder / "cache"))
        out = folder / "recording"
        ragprof.run("cell.toml", out=out)
        for command in (ragprof.grow, ragprof.inject, ragprof.reranker, ragprof.curate, ragprof.audit):
            command("cell.toml", out=out)
        ragprof.chunking("cell.toml", out=out)
        ragprof.screen("cell.toml", "new.jsonl", out=out)
        ragprof.stores("cell.toml", out=out)
        ragprof.load("cell.toml", out=out)
        ragprof.restate("reranker", out, changes={"margin": 0.02})
        (folder / "cell.toml").write_text((folder / "cell.toml").read_text().replace("gpt-4o-mini", "gpt-4o"))
        ragprof.inject("cell.toml", out=out)
        yield out


TOLD = re.compile(
    r"((record|price) it again"
    r"( with 'ragprof (run|grow --fresh|inject|reranker|curate|screen|chunking|stores|load|audit|price)')?"
    r"|delete the file.*|run 'ragprof run' to the end)$"
)
Pass = Callable[[Path], object]
ON = date(2026, 11, 1)


@pytest.fixture(scope="module")
def evaluation(whole: Path) -> EvaluationSet:
    return prepare(whole.parent / "cell.toml").evaluation


@pytest.fixture(scope="module")
def passes(whole: Path, evaluation: EvaluationSet) -> dict[str, list[Pass]]:
    """What reads the files of a study, of the main recording under an empty name, beside its own live rounds.

    Judging comes last: what it writes is read by all others.
    """
    eval_file = whole.parent / "cell.toml"
    prepared = prepare(eval_file)
    growing = plan_growth(prepared, eval_file)

    def sizes_written(home: Path) -> None:
        with reading(home, "growth"):
            write_sizes(growing, home / "growth")

    of_studies: dict[str, list[Pass]] = {
        name: [
            belonging, partial(stale_of, names=[name]), study(name).analyse, priced(name),
            judged(name, prepared, eval_file), *([sizes_written] if name == "growth" else []),
        ]
        for name in STUDIES
    }  # fmt: skip
    return of_studies | {
        "": [
            profile_of,
            of_recording,
            lambda home: per_query_table(home, manifest_of(home).names),
            run_texts,
            partial(price_recording, on=ON),
            lambda home: judge(home, evaluation, metrics=["nDCG@10"]),
        ]
    }


def judged(name: str, prepared: Prepared, eval_file: Path) -> Pass:
    planned, cache = study(name).plan(prepared, Request(eval_file)), eval_file.with_name("cache")
    return lambda home: study(name).judge(planned, prepared.evaluation, Bench(home, cache, SILENT))


def priced(name: str) -> Pass:
    return lambda home: study(name).price(home, Pricing((), ON))


@pytest.fixture
def home(whole: Path, tmp_path: Path) -> Path:
    """A copy that shares its files with the recording: files are replaced here, and never written into.

    It has no seals, as those of older versions: what is in a file has to be found out by what it is.
    """
    return unsealed(Path(shutil.copytree(whole, tmp_path / "recording", copy_function=os.link)))


def refused(passes: list[Pass], home: Path) -> str:
    """The message of the first pass that refuses the recording; empty where all take it. Nothing else may come."""
    for each in passes:
        try:
            each(home)
        except BadInput as refusal:
            return str(refusal)
    return ""


@contextmanager
def damaged(path: Path, content: bytes) -> Iterator[None]:
    """The file with other content; afterwards all files of the recording that were written meanwhile are as before."""
    before = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.unlink()
        path.write_bytes(before)


def parquet(table: pd.DataFrame) -> bytes:
    stream = io.BytesIO()
    table.to_parquet(stream, index=False)
    return stream.getvalue()


def of_another_kind(column: pd.Series) -> list[Any]:
    """Texts in place of anything else, and numbers in place of texts."""
    is_text = pd.api.types.infer_dtype(column, skipna=True) in ("string", "empty")
    return list(range(len(column))) if is_text else [f"x{number}" for number in range(len(column))]


def table_damages(declared: RecordedTable, table: pd.DataFrame) -> Iterator[tuple[str, bytes, bool]]:
    """(what, content, whether it must be refused): a column lost or of another kind, all rows or one owner's lost."""
    needed = {name for kind in KINDS for name in getattr(declared, kind).split()} - set(declared.later.split())
    for name in table.columns:
        yield f"without {name}", parquet(table.drop(columns=name)), name in needed
        other = table.assign(**{name: of_another_kind(table[name])})
        yield f"other kind of {name}", parquet(other), name in needed and len(table) > 0
    yield "without rows", parquet(table.iloc[:0]), not declared.may_be_empty
    for name in OWNERS:
        if name in table and table[name].nunique() > 1:
            for owner in (table[name].iloc[0], table[name].iloc[-1]):
                yield f"without rows of {name} {owner}", parquet(table[table[name] != owner]), False
    yield "cut short", parquet(table)[:-20], True


def value_of_another_kind(value: Any) -> Any:
    if isinstance(value, dict):
        return [1]
    if isinstance(value, list | str):
        return {"a": 1} if isinstance(value, list) else 7
    return "x"


def member_damages(value: Any) -> Iterator[tuple[str, Any]]:
    """(place, whole document) with one member lost or of another kind, at every depth; of a list its first."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"no {name}", {key: each for key, each in value.items() if key != name}
            yield f"other kind of {name}", {**value, name: value_of_another_kind(inner)}
            yield from ((f"{name}.{place}", {**value, name: changed}) for place, changed in member_damages(inner))
    elif isinstance(value, list) and value:
        yield "other kind of 0", [value_of_another_kind(value[0]), *value[1:]]
        yield from ((f"0.{place}", [changed, *value[1:]]) for place, changed in member_damages(value[0]))


def told_of(home: Path, path: Path, content: Any, mine: list[Pass]) -> str:
    with damaged(path, json.dumps(content).encode()):
        return refused(mine, home)


MAIN: list[Pass] = [profile_of, of_recording, lambda home: per_query_table(home, manifest_of(home).names), run_texts]


@pytest.mark.parametrize("name", ["spans", "scores", "rankings/*"])
def test_a_table_of_a_main_recording_that_lost_what_is_needed_of_it_is_named(
    handbook_recording: Path, name: str
) -> None:
    """As below, of every study; here of what each command reads."""
    path = sorted(handbook_recording.glob(f"{name}.parquet"))[0]
    readers = [*MAIN, partial(price_recording, on=ON)] if name != "costs" else MAIN
    table = pd.read_parquet(path)
    for what, content, needed in table_damages(TABLES[name], table):
        if needed:
            with damaged(path, content):
                told = refused(readers, handbook_recording)
            assert told.startswith(f"{path}: "), (what, told)
            assert TOLD.search(told), (what, told)


@pytest.mark.parametrize("name", ["manifest", "judgement", "rates"])
def test_a_member_of_another_kind_in_a_main_recording_is_named(handbook_recording: Path, name: str) -> None:
    path = handbook_recording / f"{name}.json"
    whole = json.loads(path.read_text())
    for member in whole:
        if member in ("format", "books"):  # nobody reads them back
            continue
        told = told_of(handbook_recording, path, {**whole, member: value_of_another_kind(whole[member])}, MAIN)
        assert told.startswith(f"{path}: "), (member, told)
        assert TOLD.search(told), (member, told)


def test_a_table_that_is_not_the_one_that_was_written_is_refused(recorded_handbook: Path, tmp_path: Path) -> None:
    """Rows dropped, added or in another order, or one value another: the figures of all these would look right."""
    home = Path(shutil.copytree(recorded_handbook, tmp_path / "sealed"))
    for name in ("spans", "usage", "tokens", "builds", "rankings/dense", "scores", "costs"):
        path = home / f"{name}.parquet"
        table = pd.read_parquet(path)
        first = table.columns[0]
        for changed in (table.iloc[1:], pd.concat([table, table.iloc[:1]]), table.iloc[::-1], altered(table, first)):
            with damaged(path, parquet(changed)), pytest.raises(BadInput) as raised:
                TABLES[name.replace("dense", "*")].read(path)
            assert str(raised.value).startswith(f"{path}: it is not the table that "), name
            assert TOLD.search(str(raised.value)), name
    assert [each(home) for each in MAIN]


def altered(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """With the first value of a column in place of the last that is another."""
    values = table[column].copy()
    values[values.index[values != values.iloc[0]][-1:]] = values.iloc[0]
    return table.assign(**{column: values})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda scores: scores.assign(value=2.0), "is 2, and it cannot lie outside 0 to 1; record it again with"),
        (lambda scores: scores[scores["query_id"] != scores["query_id"].iloc[0]], "judged queries; record it again"),
    ],
)
def test_scores_without_a_seal_are_held_to_what_a_metric_can_be_and_to_the_judged_queries(
    handbook_recording: Path, change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    path = handbook_recording / "scores.parquet"
    change(pd.read_parquet(path)).to_parquet(path)
    with pytest.raises(BadInput, match=rf"scores\.parquet: .*{said}"):
        profile_of(handbook_recording)
    assert said.split(";", maxsplit=1)[0] in refused([of_recording], handbook_recording)


def test_a_recorded_stage_that_would_lead_out_of_the_folder_is_no_file(handbook_recording: Path) -> None:
    path = handbook_recording / "rankings" / "dense.parquet"
    pd.read_parquet(path).assign(stage="/../../outside").to_parquet(path)
    with pytest.raises(BadInput, match=r"'dense\./\.\./\.\./outside\.run' is no name of a file"):
        ragprof.export(handbook_recording, into=handbook_recording / "to", formats=["trec"])
    assert not list(handbook_recording.rglob("outside*"))


@pytest.mark.slow
def test_every_table_of_a_whole_recording_is_sealed(whole: Path) -> None:
    sealed = {
        path.parent / name
        for seal in SEALS
        for path in whole.rglob(seal)
        for name in json.loads(path.read_text()).get(SUMS, {})
    }
    assert set(whole.rglob("*.parquet")) - sealed == set()
    assert all(SEAL in json.loads(path.read_text()) for seal in SEALS for path in whole.rglob(seal))


@pytest.mark.slow
def test_every_table_of_a_recording_is_declared(whole: Path) -> None:
    """Whatever is written is read back through what is declared of it, and no column is declared that is not there."""
    for path in sorted(whole.rglob("*.parquet")):
        name = path.relative_to(whole).with_suffix("")
        keys = [key for key in TABLES if len(PurePath(key).parts) == len(name.parts) and name.match(key)]
        assert len(keys) == 1, name
        declared = TABLES[keys[0]]
        found = declared.read(path)
        wanted = {column for kind in KINDS for column in getattr(declared, kind).split()}
        assert wanted <= set(found.columns), name


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_lost_what_is_needed_of_it_is_named(
    home: Path, whole: Path, passes: dict[str, list[Pass]], name: str
) -> None:
    path = sorted(home.glob(f"{name}.parquet"))[0]
    of = PurePath(name).parts[0]
    mine = passes[of if of in STUDIES else ""]
    for what, content, needed in table_damages(TABLES[name], pd.read_parquet(path)):
        if needed:
            with damaged(path, content):
                told = refused(mine, home)
            assert told.startswith(f"{path}: "), (what, told)
            assert TOLD.search(told), (what, told)


@pytest.mark.slow
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_json_file_that_holds_nothing_is_named(home: Path, passes: dict[str, list[Pass]], name: str) -> None:
    path = sorted(home.glob(f"{name}.json"))[0]
    of = PurePath(name).parts[0]
    for content in ({}, [], {"a": 1}):
        told = told_of(home, path, content, passes[of if of in STUDIES else ""])
        assert told.startswith(f"{path}: "), (content, told)
        assert TOLD.search(told), (content, told)


@pytest.mark.slow
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_json_file_with_any_member_lost_or_of_another_kind_is_no_crash(
    home: Path, passes: dict[str, list[Pass]], name: str
) -> None:
    path = sorted(home.glob(f"{name}.json"))[0]
    of = PurePath(name).parts[0]
    crashes = []
    for place, content in member_damages(json.loads(path.read_text())):
        try:
            told_of(home, path, content, passes[of if of in STUDIES else ""])
        except Exception as crash:  # all of them are told at once
            crashes.append(f"{place}: {type(crash).__name__} {crash}")
    assert crashes == []


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_lost_anything_else_is_no_crash(home: Path, passes: dict[str, list[Pass]], name: str) -> None:
    path = sorted(home.glob(f"{name}.parquet"))[0]
    of = PurePath(name).parts[0]
    crashes = []
    for what, content, needed in table_damages(TABLES[name], pd.read_parquet(path)):
        if not needed:
            try:
                with damaged(path, content):
                    refused(passes[of if of in STUDIES else ""], home)
            except Exception as crash:
                crashes.append(f"{what}: {type(crash).__name__} {crash}")
    assert crashes == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["growth/entry", "growth/context/*", "injection/prompts"])
def test_an_old_recording_that_lost_rows_that_its_figures_rest_on_is_refused(
    home: Path, passes: dict[str, list[Pass]], name: str
) -> None:
    """Without a seal, and with all columns: what is there has to be all that was asked."""
    path = sorted(home.glob(f"{name}.parquet"))[0]
    for what, content, _ in table_damages(TABLES[name], pd.read_parquet(path)):
        if what.startswith("without rows of"):
            with damaged(path, content):
                told = refused(passes[PurePath(name).parts[0]], home)
            assert told.startswith(f"{path}: "), (what, told)
            assert TOLD.search(told), (what, told)
