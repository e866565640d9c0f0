"""Spans a second and peak memory of `ragprof trace` on a generated file: OTLP JSON lines, a million spans by default.

    python evals/performance/traces.py [--spans 1000000] [--documents 5] [--folder SCRATCH] [--keep]

The file holds queries of six spans (chain, embed, search, rerank, prompt's model call, and a tool or a retry now and
then) with passages, prompts and tokens, in export requests of a hundred spans; the spans of one query are spread over
a thousand requests, so that nothing can rest on their being near each other. Every pass is timed in one process, whose
highest resident memory is read from the system. Beside it: what parsing the lines alone takes (`msgspec.json.decode`).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ragprof.core.clock import SILENT, cpu_ns, now_ns, today
from ragprof.core.environment import describe

A_LINE, SPREAD = 100, 100_000
"""Spans of one export request, and over how many spans those of one query are spread."""
START = 1_764_000_000 * 10**9
SECOND = 10**9
TEXT = "the leave of travel policy is booked by whoever asks in writing and each approval takes two days"
WORDS = TEXT.split()


def main() -> None:
    options = arguments()
    if options.measure is not None:
        print(json.dumps(measured(options.measure, options.folder)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        folder = Path(options.folder or made)
        path = folder / f"traces-{options.spans}.jsonl"
        if not path.exists():
            write(path, spans=options.spans, documents=options.documents)
        command = [sys.executable, __file__, "--measure", str(path), "--folder", made]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        show(json.loads(done.stdout), spans=options.spans, size=path.stat().st_size)
        if not options.keep:
            path.unlink(missing_ok=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--spans", type=int, default=1_000_000, metavar="N", help="default 1,000,000")
    parser.add_argument("--documents", type=int, default=5, metavar="N", help="passages a search finds; default 5")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="where the file is written; default a scratch folder"
    )
    parser.add_argument("--keep", action="store_true", help="leave the file there, for the next time")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def write(path: Path, *, spans: int, documents: int) -> None:
    """Write the file. Spans wait in a queue from which one is drawn at random, so that those of a query lie apart."""
    rng = random.Random(0)
    waiting: deque[dict[str, Any]] = deque()
    batch: list[dict[str, Any]] = []
    with path.open("wb") as stream:
        for span in every_span(spans, documents, rng):
            waiting.append(span)
            if len(waiting) > SPREAD:
                waiting.rotate(rng.randrange(64))
                batch.append(waiting.popleft())
            if len(batch) == A_LINE:
                stream.write(request(batch))
                batch = []
        for span in waiting:
            batch.append(span)
            if len(batch) == A_LINE:
                stream.write(request(batch))
                batch = []
        if batch:
            stream.write(request(batch))


def request(spans: list[dict[str, Any]]) -> bytes:
    resource_facts = {"attributes": attributes({"service.name": "shop", "telemetry.sdk.language": "python"})}
    line = {"resource": resource_facts, "scopeSpans": [{"scope": {"name": "openinference"}, "spans": spans}]}
    return msgspec.json.encode({"resourceSpans": [line]}) + b"\n"


def attributes(of: dict[str, Any]) -> list[dict[str, Any]]:
    kinds = {int: ("intValue", str), float: ("doubleValue", float), str: ("stringValue", str)}
    return [{"key": key, "value": {kinds[type(each)][0]: kinds[type(each)][1](each)}} for key, each in of.items()]


def every_span(number: int, documents: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    made, query = 0, 0
    while made < number:
        query += 1
        for span in spans_of(query, documents, rng)[: number - made]:
            made += 1
            yield span


def spans_of(query: int, documents: int, rng: random.Random) -> list[dict[str, Any]]:
    """Six or seven spans of one query; a week holds all of them."""
    scale, begin = rng.lognormvariate(0, 0.4), START + (query * 3_600_000_000) % (7 * 86_400 * SECOND)
    ids = [f"doc-{rng.randrange(50_000)}" for _ in range(documents)]
    passages = {doc_id: f"{doc_id}: {' '.join(rng.choices(WORDS, k=30))}" for doc_id in ids}
    order = list(passages)
    kept = order[:3] if rng.random() < 0.9 else rng.sample(order, min(3, len(order)))
    question = f"Question {query % 997} about {rng.choice(WORDS)}?"
    prompt = "\n".join([*(passages[doc_id] for doc_id in kept), question])

    def span(place: int, name: str, start: float, end: float, about: dict[str, Any], parent: int = 1) -> dict[str, Any]:
        return {
            "traceId": f"{query:032x}", "spanId": f"{query * 16 + place:016x}",
            "parentSpanId": f"{query * 16 + parent:016x}" if place > 1 else "", "name": name, "kind": 1,
            "startTimeUnixNano": str(begin + round(start * scale * 1e6)),
            "endTimeUnixNano": str(begin + round(end * scale * 1e6)),
            "attributes": attributes({**about, "session.id": f"s{query % 1000}", "user.id": f"u{query % 5000}"}),
            "status": {},
        }  # fmt: skip

    def listed(prefix: str, names: list[str], *, texts: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for place, doc_id in enumerate(names):
            found |= {f"{prefix}.{place}.document.id": doc_id, f"{prefix}.{place}.document.score": 1 - place / 100}
            if texts:
                found[f"{prefix}.{place}.document.content"] = passages[doc_id]
        return found

    spans = [
        span(1, "answer", 0, 900, {"openinference.span.kind": "CHAIN", "input.value": question}),
        span(2, "retrieve", 5, 60, {"openinference.span.kind": "RETRIEVER", "input.value": question,
                                    **listed("retrieval.documents", order, texts=True)}),
        span(3, "embed", 5, 20, {"openinference.span.kind": "EMBEDDING", "llm.token_count.prompt": 9,
                                 "embedding.model_name": "text-embedding-3-small"}, 2),
        span(4, "rerank", 60, 140, {"openinference.span.kind": "RERANKER", "reranker.model_name": "rerank-v3.5",
                                    "llm.provider": "cohere", "reranker.query": question,
                                    **listed("reranker.input_documents", order),
                                    **listed("reranker.output_documents", kept)}),
        span(5, "chat gpt-4o-mini", 150, 890, {
            "openinference.span.kind": "LLM", "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini", "gen_ai.usage.input_tokens": 400 + query % 600,
            "gen_ai.usage.output_tokens": 40 + query % 200, "gen_ai.response.time_to_first_chunk": 0.2 * scale,
            "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": prompt}),
        span(6, "POST", 152, 888, {"http.request.method": "POST", "server.address": "api.example.com"}, 5),
    ]  # fmt: skip
    if query % 20 == 0:
        spans.append(span(7, "chat gpt-4o-mini", 142, 149, {"openinference.span.kind": "LLM", "error.type": "429"}))
    return spans


def measured(path: Path, folder: Path) -> dict[str, Any]:
    """Wall and CPU seconds of each pass of a profile, and the highest resident memory after it."""
    from ragprof.session.again import redraw
    from ragprof.session.tracing import _config
    from ragprof.studies.contract import Pricing
    from ragprof.studies.trace.price import price_traces
    from ragprof.studies.trace.record import record_traces, without_collecting

    out = folder / "profile"
    out.mkdir()
    config = _config("traces", None, ["nDCG@10"], None)
    passes = {
        "read, by trace, tables": lambda: record_traces([path], out, config=config, judged={}, progress=SILENT),
        "price": lambda: price_traces(out, Pricing((), today())),
        "analyse and draw": lambda: redraw(out),
    }
    found: dict[str, Any] = {}
    for name, work in passes.items():
        wall, cpu = now_ns(), cpu_ns()
        work()
        found[name] = {"wall": (now_ns() - wall) / 1e9, "cpu": (cpu_ns() - cpu) / 1e9, "peak": peak_bytes()}
    wall, cpu = now_ns(), cpu_ns()
    with path.open("rb") as stream, without_collecting():
        for line in stream:
            msgspec.json.decode(line)
    found["msgspec.json.decode alone"] = {
        "wall": (now_ns() - wall) / 1e9,
        "cpu": (cpu_ns() - cpu) / 1e9,
        "peak": peak_bytes(),
    }
    return found


def peak_bytes() -> int:
    """Highest resident memory of this process alone: what `getrusage` tells is also of whoever started it."""
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def show(found: dict[str, Any], *, spans: int, size: int) -> None:
    table = Table(box=SIMPLE_HEAD, title=f"{spans:,} spans, {size / 1e6:,.0f} MB", title_justify="left")
    for title in ("pass", "s", "CPU s", "spans/s", "peak MB"):
        table.add_column(title, justify="left" if title == "pass" else "right")
    for name, one in found.items():
        rate = f"{spans / one['wall']:,.0f}"
        table.add_row(name, f"{one['wall']:.1f}", f"{one['cpu']:.1f}", rate, f"{one['peak'] / 1e6:,.0f}")
    whole = sum(found[name]["wall"] for name in ("read, by trace, tables", "price", "analyse and draw"))
    console = Console()
    console.print(table)
    console.print(f"the whole profile: {whole:.1f} s, {spans / whole:,.0f} spans/s", highlight=False)
    facts = describe()
    console.print(f"{facts['cpu']}, {facts['cores']} cores, Python {facts['python']}", style="dim", highlight=False)


if __name__ == "__main__":
    main()
