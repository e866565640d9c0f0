"""Files and spans that nobody would write on purpose: each is read as far as it goes, or refused with what to do."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from written import DAY, MS, openinference, request, span, write

import ragprof
from ragprof.core.errors import BadInput
from ragprof.traces import SpanFacts
from ragprof.traces.reading import TraceAccount, read_spans
from ragprof.traces.trees import trace_of

LINE = json.dumps(request(openinference())).encode() + b"\n"


def read(path: Path) -> tuple[list[SpanFacts], TraceAccount]:
    account = TraceAccount(path)
    return list(read_spans(path, account)), account


def read_one(tmp_path: Path, about: dict[str, Any], **more: Any) -> SpanFacts:
    kinds = {"openinference.span.kind": "LLM"}
    found, _ = read(write(tmp_path / "t.jsonl", [request([{**span(1, 1, "c", 0, 10, kinds | about), **more}])]))
    return found[0]


def read_bytes(tmp_path: Path, content: bytes, name: str = "t.jsonl") -> int:
    (tmp_path / name).write_bytes(content)
    return len(read(tmp_path / name)[0])


def test_a_byte_order_mark_and_a_missing_ending_cost_nothing(tmp_path: Path) -> None:
    assert read_bytes(tmp_path, b"\xef\xbb\xbf" + LINE) == 5
    assert read_bytes(tmp_path, gzip.compress(LINE)) == 5


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (LINE.decode().encode("utf-16"), "it is UTF-16; write it as UTF-8"),
        (b"\x28\xb5\x2f\xfd....", "it is compressed by zstd; decompress it first"),
        (json.dumps(json.loads(LINE), indent=1).encode(), "write each object on a line of its own"),
    ],
)
def test_a_file_of_another_kind_is_told_by_its_beginning(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        read_bytes(tmp_path, content)


def test_a_compressed_file_that_is_damaged_is_told(tmp_path: Path) -> None:
    packed = zlib.compressobj(wbits=31)
    whole = packed.compress(LINE) + packed.flush(zlib.Z_FULL_FLUSH) + b"\xff" * 40
    with pytest.raises(BadInput, match=r"t.jsonl.gz: cannot read it \(.*invalid block type\); copy it again"):
        read_bytes(tmp_path, whole, "t.jsonl.gz")


YEAR_NS = 366 * 86_400 * 10**9


@pytest.mark.parametrize(
    ("times", "kept"),
    [
        ({"startTimeUnixNano": None}, (DAY + 10 * MS, None)),
        ({"startTimeUnixNano": "2025-11-24T16:00:00Z"}, (DAY + 10 * MS, None)),
        ({"startTimeUnixNano": str(2**63)}, (0, None)),
        ({"startTimeUnixNano": "-5"}, (DAY + 10 * MS, None)),
        ({"endTimeUnixNano": str(2**63 - 1)}, (DAY, None)),
        ({"endTimeUnixNano": "9" * 40}, (DAY, None)),
        ({"startTimeUnixNano": "9" * 40, "endTimeUnixNano": "9" * 40}, (0, None)),
        ({"endTimeUnixNano": str(DAY + YEAR_NS)}, (DAY, DAY + YEAR_NS)),
    ],
)
def test_times_that_are_none_are_not_taken_for_some(tmp_path: Path, times: Any, kept: tuple[int, int | None]) -> None:
    found = read_one(tmp_path, {}, **times)
    assert (found.start_ns, found.end_ns) == kept


@pytest.mark.parametrize(
    "about",
    [
        {"llm.token_count.total": 10**30},
        {"gen_ai.usage.input_tokens": 1e300},
        {"llm.cost.total": 1.7e308},
        {"ragprof.cost.usd": 1.7e308},
        {"gen_ai.response.time_to_first_chunk": 1e305},
        {"http.request.resend_count": 10**12},
        {"ragprof.rerank.candidates": 2**63},
    ],
)
def test_counts_and_money_beyond_all_bounds_are_not_told(tmp_path: Path, about: dict[str, Any]) -> None:
    assert read_one(tmp_path, about).facts == {"kind": "LLM"}


def test_of_usage_counts_alone_are_kept(tmp_path: Path) -> None:
    told = {"calls": "3", "requests": "many", "pages": [], "seats": 10**25, "Key sk-1": 3, "cost": "inf"}
    found = read_one(tmp_path, {f"ragprof.usage.{unit}": count for unit, count in told.items()})
    assert found.facts["usage"] == {"calls": 3}


def test_the_name_of_a_model_is_no_book(tmp_path: Path) -> None:
    assert read_one(tmp_path, {"llm.model_name": "m" * 10_000}).facts["model"] == "m" * 200


def test_json_a_thousand_levels_deep_is_passed_over(tmp_path: Path) -> None:
    deep = "[" * 1_000 + "]" * 1_000
    observation = '{"id": "o", "traceId": "t", "type": "GENERATION", "startTime": "2025-11-24T16:00:00Z", "input": '
    phoenix = '{"context": {"trace_id": "p", "span_id": "a"}, "attributes": {"llm": ' + '{"a": ' * 1_000 + "1"
    lines = [observation + deep + "}", phoenix + "}" * 1_002, LINE.decode().strip()]
    (tmp_path / "t.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found, account = read(tmp_path / "t.jsonl")
    assert (len(found), account.unread, account.first_unread) == (5, 2, 1)


def test_rows_of_parquet_that_hold_something_else_are_counted(tmp_path: Path) -> None:
    rows = [
        {"context.trace_id": "a", "context.span_id": "1", "name": b"binary", "span_kind": "LLM", "events": None},
        {"context.trace_id": "a", "context.span_id": "2", "name": b"ends", "span_kind": "LLM", "events": 7},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    found, account = read(tmp_path / "t.parquet")
    assert ([each.name for each in found], account.unread) == (["binary"], 1)


def test_spans_that_name_no_trace_are_counted_and_said(tmp_path: Path) -> None:
    lost = request([{**each, "traceId": ""} for each in openinference()])
    path = write(tmp_path / "t.jsonl", [lost, request(openinference()), lost])
    made = ragprof.trace(path, out=tmp_path / "out").summary["trace"]
    assert (made["sources"][0]["without_trace"], [*made["pipelines"]]) == (10, ["shop"])
    assert "t.jsonl: left out 10 spans that name no trace." in made["warnings"]
    with pytest.raises(BadInput, match="none of its 5 spans says which trace it is of"):
        ragprof.trace(write(tmp_path / "lost.jsonl", [lost]), out=tmp_path / "out")


def test_an_attribute_that_cannot_be_read_costs_itself_and_no_line(tmp_path: Path) -> None:
    broken = request(openinference())
    spans = broken["resourceSpans"][0]["scopeSpans"][0]["spans"]
    count = {"key": "llm.token_count.prompt", "value": {"intValue": "twelve"}}
    spans[0]["attributes"] += [{"value": {"stringValue": "no key"}}, None, count]
    spans[1]["attributes"] = {"openinference.span.kind": "LLM"}
    path = write(tmp_path / "t.jsonl", [broken, request(openinference())])
    found, account = read(path)
    whole, _ = read(write(tmp_path / "whole.jsonl", [request(openinference())]))
    assert (len(found), account.unread, account.lost_attributes) == (2 * len(whole), 0, 4)
    assert found[0] == whole[0]
    warnings = ragprof.trace(path, out=tmp_path / "out").summary["trace"]["warnings"]
    assert "t.jsonl: 4 attributes could not be read; the spans are counted without them." in warnings


def test_a_service_of_another_script_has_a_name_of_ours_and_its_own_beside_it(tmp_path: Path) -> None:
    lines = [request(openinference(number), service=name) for number, name in enumerate(("Büro", "検索"), start=1)]
    section = ragprof.trace(write(tmp_path / "t.jsonl", lines), out=tmp_path / "out").summary["trace"]
    assert sorted(section["pipelines"]) == ["Buro", "traces-1b6b1a6f"]
    assert section["renamed"] == {"Buro": "Büro", "traces-1b6b1a6f": "検索"}
    assert "The service '検索' is called traces-1b6b1a6f here." in section["warnings"]


def test_services_do_not_share_a_name(tmp_path: Path) -> None:
    lines = [request(openinference(place), service=name) for place, name in enumerate(("a/b", "a-b", "", "-"), start=1)]
    (tmp_path / "q.jsonl").write_text('{"_id": "q1", "text": "nobody asked"}\n', encoding="utf-8")
    (tmp_path / "r.tsv").write_text("query-id\tcorpus-id\tscore\nq1\ta\t1\n", encoding="utf-8")
    made = ragprof.trace(
        write(tmp_path / "t.jsonl", lines), out=tmp_path / "out", queries=tmp_path / "q.jsonl", qrels=tmp_path / "r.tsv"
    ).summary["trace"]
    assert sorted(made["pipelines"]) == ["a-b", "a-b-d44362d6", "traces", "traces-3973e022"]
    assert (
        "None of the 1 judged question was asked in these traces, word for word: quality is not told."
        in made["warnings"]
    )


def test_spans_without_an_end_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    spans = [{name: each for name, each in one.items() if name != "endTimeUnixNano"} for one in openinference()]
    with pytest.raises(BadInput, match="none of its 5 spans has an end after its beginning"):
        ragprof.trace(write(tmp_path / "t.jsonl", [request(spans)]), out=tmp_path / "out")
    assert not [*(tmp_path / "out").glob("*.parquet")]


def test_the_folder_itself_takes_a_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ragprof.trace(write(tmp_path / "t.jsonl", [request(openinference())]), out=".").folder == Path()


def test_a_thousand_pairs_of_spans_that_are_each_others_parents_are_read_at_once(tmp_path: Path) -> None:
    numbers = [(place, place + 1 if place % 2 == 0 else place - 1) for place in range(2_000)]
    spans = [span(1, mine, "s", 0, 10, {"openinference.span.kind": "LLM"}, parent=other) for mine, other in numbers]
    tree = trace_of(read(write(tmp_path / "t.jsonl", [request(spans)]))[0])
    assert (tree.spans, tree.calls, tree.is_rooted) == (2_000, {"generate": 2_000}, False)


@pytest.mark.slow
def test_a_gigabyte_of_attributes_that_nobody_reads_takes_no_more_memory_than_a_line(tmp_path: Path) -> None:
    """Forty lines of 25 MB each, compressed; the process that reads them never holds a tenth of them."""
    path, big = tmp_path / "big.jsonl.gz", "a vector as text " * 31_250
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for trace in range(40):
            about = {"openinference.span.kind": "RETRIEVER", **{f"llm.invocation.{n}": big for n in range(50)}}
            stream.write(
                msgspec.json.encode(request([span(trace + 1, 1, "search", 0, 10, about, parent=None)])) + b"\n"
            )
    read_it = """
import sys; from pathlib import Path; from ragprof.traces.reading import TraceAccount, read_spans
account = TraceAccount(Path(sys.argv[1])); spans = list(read_spans(account.path, account))
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(len(spans), spans[0].stage, int(peak.split()[1]))
"""
    done = subprocess.run([sys.executable, "-c", read_it, path], check=True, capture_output=True, text=True)
    spans, stage, kilobytes = done.stdout.split()
    assert (spans, stage) == ("40", "search")
    assert int(kilobytes) < 400_000
