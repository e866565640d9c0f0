"""Servers that answer the same stage, side by side, as the recordings met them: latency, retries, failures, money."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from ragprof.core import Estimate
from ragprof.core.recorded import reading
from ragprof.evals.recorded import COSTS, SPANS, USAGE, read_manifest
from ragprof.evals.settings import settings_of
from ragprof.price.bills import HOSTED_EMBEDDERS, PAID_PARTS, is_remote
from ragprof.price.pricing import QUERIES
from ragprof.report import figures
from ragprof.report.tables import Cell, Column, Table, figure
from ragprof.statistics.estimates import QUANTILES, mean_estimate, quantile_estimates, rounds_of, share_estimate
from ragprof.studies.contract import EstimateValue
from ragprof.studies.load.money_section import LoadProvider
from ragprof.studies.load.own_or_api import PARTS
from ragprof.studies.load.requests import OK
from ragprof.studies.load.section import LoadSection, LoadTarget

NEEDED = {"spans": SPANS, "usage": USAGE, "costs": COSTS}
NOTHING = EstimateValue(mean=None, interval=None, n=0)


def providers_of(
    folder: Path, config: Mapping[str, Any], targets: Sequence[LoadTarget], beside: Sequence[LoadProvider] = ()
) -> list[LoadProvider]:
    """Of each stage that at least two different servers answer, those of other recordings among them."""
    found = [*servers_of(folder, config, targets), *beside]
    kinds = {stage: {(each.server, each.model, each.recording) for each in found if each.stage == stage}
             for stage in PAID_PARTS}  # fmt: skip
    return [each for stage in PAID_PARTS for each in found if each.stage == stage and len(kinds[stage]) > 1]


def servers_of(folder: Path, config: Mapping[str, Any], targets: Sequence[LoadTarget] = ()) -> list[LoadProvider]:
    """A row a server and stage of one recording, as it was priced; empty where it has no times or no bill."""
    if not all((folder / f"{name}.parquet").exists() for name in NEEDED):
        return []
    met: dict[tuple[str, tuple[str, str | None]], str] = {}
    for pipeline in config["pipelines"]:
        for stage, key in PAID_PARTS.items():
            server = _server(pipeline.get(key) or {})
            if server is not None:
                met.setdefault((stage, server), pipeline["name"])
    if not met:
        return []
    tables = [table.read(folder / f"{name}.parquet") for name, table in NEEDED.items()]
    return [_provider(stage, name, server, tables, targets) for (stage, server), name in met.items()]


def servers_elsewhere(folders: Sequence[Path], questions: str) -> list[LoadProvider]:
    """The servers that other recordings met; each is marked where its questions are not these."""
    found = []
    for folder in folders:
        with reading(folder):
            same = read_manifest(folder).get("questions") == questions
            rows = servers_of(folder, settings_of(folder))
        changed = {"recording": folder.name, "same_questions": same}
        found += [each.model_copy(update=changed) for each in rows]
    return found


def _server(part: Mapping[str, Any]) -> tuple[str, str | None] | None:
    """Its address and model; None for a part of this process."""
    name, address = str(part.get("name") or ""), part.get("base_url")
    if not address and not is_remote(name) and name not in HOSTED_EMBEDDERS:
        return None
    host = urlsplit(str(address)).netloc.rpartition("@")[2] if address else name
    return host, part.get("model")


def _provider(
    stage: Any, pipeline: str, server: tuple[str, str | None], tables: Sequence[pd.DataFrame],
    targets: Sequence[LoadTarget],
) -> LoadProvider:  # fmt: skip
    spans, usage, costs = (table[(table["pipeline"] == pipeline) & (table["stage"] == stage)] for table in tables)
    timed = spans[spans["phase"] == "timed"].groupby(["query_id", "round"], as_index=False)["duration_ns"].sum()
    times = rounds_of(timed)
    p50, p95 = (
        quantile_estimates(times, [QUANTILES[name] for name in ("p50", "p95")])
        if times.size
        else [Estimate(None, None, 0)] * 2
    )
    counts = {unit: int(total) for unit, total in usage.groupby("unit")["count"].sum().items()}
    retries, requests = counts.get("retries", 0), counts.get("requests", 0)
    prompts = tables[1][(tables[1]["pipeline"] == pipeline) & (tables[1]["unit"] == "prompt_tokens")]
    tokens = sum(counts.get(unit, 0) for unit in ("input_tokens", "output_tokens"))
    if stage == "generate" and not counts.get("input_tokens"):
        tokens += int(prompts["count"].sum())
    questions = usage["query_id"].nunique()
    usd = costs.dropna(subset=["usd"]).groupby("query_id")["usd"].sum().astype(float).sort_index()
    billed = mean_estimate(usd.to_numpy() * QUERIES, bounds=None) if len(usd) and costs["usd"].notna().all() else None
    each = tokens / questions if questions and tokens else None
    load = next((target for target in targets if target.name == pipeline), None)
    return LoadProvider(
        stage=stage,
        pipeline=pipeline,
        server=server[0],
        model=server[1],
        p50_ns=EstimateValue.of(p50),
        p95_ns=EstimateValue.of(p95),
        retries=NOTHING if not requests else EstimateValue.of(share_estimate(retries, requests + retries)),
        failed=None if load is None else _failed(load),
        tokens_per_question=each,
        usd_per_1000=NOTHING if billed is None else EstimateValue.of(billed),
        usd_per_million_tokens=None if billed is None or not each else (billed.mean or 0.0) / QUERIES / each * 1e6,
    )


def _failed(load: LoadTarget) -> EstimateValue:
    """Over all steps that it was offered."""
    asked = sum(step.requests for step in load.steps)
    ok = sum(step.outcomes.get(OK, 0) for step in load.steps)
    return EstimateValue.of(share_estimate(asked - ok, asked)) if asked else NOTHING


def provider_words(providers: Sequence[LoadProvider]) -> Iterator[str]:
    """Which surely answers faster, where one does; of each stage."""
    for stage in dict.fromkeys(each.stage for each in providers):
        mine = [each for each in providers if each.stage == stage and each.p95_ns.mean and each.same_questions]
        ranked = sorted(mine, key=lambda each: each.p95_ns.mean or 0)
        if len(ranked) < 2:
            continue
        first, second = ranked[:2]
        high, low = (first.p95_ns.interval or (None, None))[1], (second.p95_ns.interval or (None, None))[0]
        sure = high is not None and low is not None and high < low
        times = f"p95 {figures.duration(first.p95_ns.mean)} against {figures.duration(second.p95_ns.mean)}"
        if sure:
            yield f"As {PARTS[stage]}, {first.server} answers faster than {second.server}: {times}."
        else:
            yield f"As {PARTS[stage]}, none of the servers is surely the fastest: {times}, and their intervals meet."


def providers_table(section: LoadSection) -> Table | None:
    """A row a server."""
    if not section.providers:
        return None
    columns = {
        Column("Part", numeric=False): lambda one: Cell(PARTS[one.stage]),
        Column("Server", numeric=False): lambda one: Cell(one.server, note=one.model or ""),
        Column("Pipeline", numeric=False): lambda one: Cell(one.pipeline, note=_where(one)),
        Column("p50"): lambda one: _told(one.p50_ns, figures.duration),
        Column("p95"): lambda one: _told(one.p95_ns, figures.duration),
        Column("Repeated", "of attempts"): lambda one: _told(one.retries, figures.share),
        Column("Failed", "under load"): lambda one: _told(one.failed or NOTHING, figures.share),
        Column("Tokens", "per question"): lambda one: figure(figures.mean_count(one.tokens_per_question)),
        Column("USD", "per 1,000 questions"): lambda one: _told(one.usd_per_1000, figures.usd, figures.UNPRICED),
        Column("USD", "per million tokens"): lambda one: figure(
            figures.UNPRICED if one.usd_per_million_tokens is None else figures.usd(one.usd_per_million_tokens)
        ),
    }
    note = (
        "Of servers that answer the same stage, as the main recording met them: one at a time, failed attempts "
        "and waits between them in no latency; a share of attempts has an exact interval. Failed: of all requests to "
        "the pipeline under load. Servers of one stage that read other questions, or documents, are not comparable."
    )
    return Table.of("load-providers", "Providers side by side", columns, section.providers, note)


def _where(one: LoadProvider) -> str:
    """Of another recording, which; and whether it was asked other questions."""
    if not one.recording:
        return ""
    return one.recording if one.same_questions else f"{one.recording}, other questions"


def _told(found: EstimateValue, write: Any, absent: str = figures.ABSENT) -> Cell:
    if found.mean is None:
        return Cell(absent, tone="unpriced" if absent == figures.UNPRICED else "absent")
    ends = figures.span(found.interval, write)
    return figure(write(found.mean), "" if ends == figures.ABSENT else ends)
