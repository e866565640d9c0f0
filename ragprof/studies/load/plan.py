"""What load is put on: each pipeline as declared, without its reranker and at other depths; and within which bounds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import ValidationError

from ragprof.apps.http import HttpApp
from ragprof.core.clock import today
from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.files import written_path
from ragprof.core.stages import RemoteEmbedder, RemoteReranker
from ragprof.evals import complaint
from ragprof.evals.load import ApiSettings, Batching, LoadEndpoint, LoadSettings
from ragprof.parts.http.calls import is_loopback
from ragprof.price.bills import check_rate
from ragprof.record.batching import can_batch
from ragprof.record.pipeline import Parts
from ragprof.record.recording import Subject
from ragprof.report.figures import listed
from ragprof.studies.contract import Request
from ragprof.studies.load.arrivals import ArrivalTrace, read_trace
from ragprof.studies.load.client import check_files
from ragprof.studies.load.endpoints import ChatEndpoint, Endpoint, RerankEndpoint
from ragprof.studies.preparation import Places, Prepared

AloneStage: TypeAlias = Literal["embed", "rerank", "generate"]
TargetKind: TypeAlias = Literal["threads", "processes", "app", "http"]
"""A pool of threads that run a pipeline's parts, or that call an app of the user's own; or a service behind HTTP."""


@dataclass(frozen=True)
class Target:
    """One thing that load is put on. `depth` is 0 where an app has its own; `reranked` is None for an app.

    With `batching` its parts take the questions of several workers at once, so that it has more workers than cores. An
    `endpoint` is a model behind HTTP, and has no parts.
    With `only` it is that part alone, given what reaches it in the pipeline.
    """

    name: str
    pipeline: str
    parts: Parts | None
    kind: TargetKind
    depth: int
    reranked: bool | None
    batching: Batching | None = None
    endpoint: Endpoint | None = None
    only: AloneStage | None = None

    def workers(self, usual: int) -> int:
        """Enough for a batch that runs and one that gathers."""
        return usual if self.batching is None else max(usual, 2 * self.batching.max_batch)

    @property
    def declared(self) -> Parts:
        """The parts of a pipeline. Raises TypeError for an endpoint, which has none."""
        if self.parts is None:
            raise TypeError(f"{self.name} is an endpoint and no pipeline")
        return self.parts

    @property
    def service(self) -> Endpoint:
        """The service. Raises TypeError where it is none."""
        if self.endpoint is not None:
            return self.endpoint
        app = self.declared.app
        if app is None or not isinstance(app.app, HttpApp):
            raise TypeError(f"{self.name} is no service behind HTTP")
        return app.app


@dataclass(frozen=True)
class LoadPlan:
    """`most_requests` is what the budget pays for; None: nothing has to be paid."""

    subject: Subject
    settings: LoadSettings
    eval_file: Path
    targets: tuple[Target, ...]
    workers: int
    trace: ArrivalTrace | None
    most_requests: int | None
    beside: tuple[Path, ...] = ()
    """Folders of other recordings, whose servers are compared with those of this one."""

    @property
    def promise(self) -> str:
        """In words: p95 within 500 ms."""
        return self.settings.slo.words


def plan(prepared: Prepared, request: Request) -> LoadPlan:
    """Check targets, arrivals and bounds; asks nobody. `request.changes` override [load]. Raises BadInput."""
    subject, places = prepared.subject, Places(request.eval_file)
    config = subject.config
    try:
        settings = LoadSettings.model_validate({**config.load.model_dump(exclude_unset=True), **request.changes})
    except ValidationError as failure:
        raise BadInput(f"[load] {complaint(failure)}", file=request.eval_file) from None
    known = {parts.name: parts for parts in subject.pipelines}
    for name in settings.endpoints:
        if name in known:
            raise BadInput(f"[load.endpoints] '{name}' is the name of a pipeline; give it another one")
    for name in settings.pipelines:
        if name not in known and name not in settings.endpoints:
            raise UnknownName("pipeline or endpoint", name, {*known, *settings.endpoints})
    wanted = settings.pipelines or (*known, *settings.endpoints)
    chosen = [known[name] for name in wanted if name in known]
    pipelines = [each for parts in chosen for each in _targets(parts, settings)]
    endpoints = [_endpoint(name, settings.endpoints[name], prepared) for name in wanted if name in settings.endpoints]
    alone = () if settings.slo.of_first_token else _parts_alone(chosen, config.economics.api)
    targets = (*pipelines, *endpoints, *alone)
    if settings.slo.of_first_token:
        _check_first_tokens(targets)
    for key, rate in config.economics.api.model_dump(exclude_none=True).items():
        with places.put_before("economics", "api", key):
            check_rate(rate, on=today(), file=request.eval_file, books=request.books)
    if settings.batching and settings.pool == "processes":
        with places.put_before("load", "batching"):
            raise BadInput(
                'batching gathers the questions of several threads of one process, and pool = "processes" has one in '
                "each; leave one of the two out"
            )
    if settings.batching and not any(target.batching for target in targets):
        with places.put_before("load", "batching"):
            raise BadInput(
                "no pipeline here has a part that takes several questions at once: an embedder of this process, or one "
                "of the rerankers bi_encoder, cross_encoder and maxsim; leave batching out"
            )
    trace = _trace(settings, request.eval_file, places)
    if any(target.kind == "http" for target in targets):
        with places.put_before("load", "max_in_flight"):
            check_files(settings.max_in_flight)
    elsewhere = sorted({host for target in targets for host in _elsewhere(target)})
    most = None
    if elsewhere or settings.budget_usd is not None:
        with places.put_before("load"):
            most = _paid(settings, elsewhere)
    workers = settings.workers or len(os.sched_getaffinity(0))
    beside = tuple(_recordings(config.economics.recordings, request.eval_file, places))
    return LoadPlan(subject, settings, request.eval_file, targets, workers, trace, most, beside)


def _endpoint(name: str, declared: LoadEndpoint, prepared: Prepared) -> Target:
    made: Endpoint = ChatEndpoint(declared)
    if declared.kind == "rerank":
        made = RerankEndpoint(declared, [doc.content for doc in prepared.subject.corpus.docs])
    try:
        made.headers()
    except BadInput as problem:
        raise BadInput(f"[load.endpoints] '{name}': {problem.message}") from None
    return Target(name, name, None, "http", 0, None, endpoint=made)


def _check_first_tokens(targets: Sequence[Target]) -> None:
    """Raises BadInput where a first token is promised of what tells of none."""
    for target in targets:
        silent = target.kind == "app" or (target.kind in ("threads", "processes") and target.declared.generator is None)
        if silent or isinstance(target.endpoint, RerankEndpoint):
            raise BadInput(
                f"slo promises a time to first token, and '{target.name}' tells of none; leave it out with pipelines, "
                "or promise a latency"
            )


def _targets(parts: Parts, settings: LoadSettings) -> Iterator[Target]:
    """The pipeline as declared, then what it could be cut down to."""
    name, app = parts.name, parts.app
    if app is not None:
        if app.settings:
            raise BadInput(
                f"'{name}' is an app whose knobs are set on the app itself, so it cannot be asked several questions at "
                "once; name other pipelines with --pipeline"
            )
        yield Target(name, name, parts, "http" if isinstance(app.app, HttpApp) else "app", 0, None)
        return
    reranked = parts.reranker is not None
    kind = settings.pool
    yield Target(name, name, parts, kind, parts.depth, reranked)
    for batching in settings.batching if can_batch(parts) else ():
        called = f"{name} batch {batching.max_batch}, {batching.max_wait_ms:g} ms"
        yield Target(called, name, parts, "threads", parts.depth, reranked, batching)
    if not reranked:
        return
    for depth in sorted({depth for depth in settings.depths if depth < parts.depth}, reverse=True):
        yield Target(f"{name} depth {depth}", name, replace(parts, depth=depth), kind, depth, True)
    if settings.without_reranker:
        alone = replace(parts, reranker=None)
        yield Target(f"{name} without reranker", name, alone, kind, parts.depth, False)


def _parts_alone(chosen: Sequence[Parts], api: ApiSettings) -> Iterator[Target]:
    """Each different part of this machine that an API is named against; what runs elsewhere has no capacity here."""
    seen: set[int] = set()
    for parts in chosen:
        asked: tuple[tuple[AloneStage, object, str | None], ...] = (
            ("embed", parts.embedder, api.embed), ("rerank", parts.reranker, api.rerank),
            ("generate", parts.generator, api.llm),
        )  # fmt: skip
        for stage, part, rate in asked if parts.app is None else ():
            if rate is None or part is None or id(part) in seen or getattr(part, "remote", False):
                continue
            seen.add(id(part))
            name = f"{parts.name} {stage} alone"
            yield Target(name, parts.name, parts, "threads", parts.depth, None, only=stage)


def _recordings(written: Sequence[str], eval_file: Path, places: Places) -> Iterator[Path]:
    """Raises BadInput for a folder that has no times or no bill of a recording."""
    for number, name in enumerate(written):
        folder = written_path(name, beside=eval_file)
        with places.put_before("economics", "recordings", number):
            missing = [
                each for each in ("manifest.json", "spans.parquet", "costs.parquet") if not (folder / each).exists()
            ]
            if missing:
                raise BadInput(
                    f"'{name}' has no {missing[0]}; name the folder of a recording, as 'ragprof run' makes one"
                )
        yield folder


def _trace(settings: LoadSettings, eval_file: Path, places: Places) -> ArrivalTrace | None:
    if settings.trace is None:
        return None
    with places.put_before("load", "trace"):
        return read_trace(written_path(settings.trace, beside=eval_file))


def _elsewhere(target: Target) -> Iterator[str]:
    """Hosts beyond this machine that the target calls, as far as its parts say."""
    if target.kind == "http":
        if not is_loopback(target.service.address):
            yield urlsplit(target.service.address).hostname or "another host"
        return
    parts = target.declared
    for part, protocol in ((parts.embedder, RemoteEmbedder), (parts.reranker, RemoteReranker)):
        if isinstance(part, protocol) and part.remote:
            yield f"what '{target.pipeline}' calls"
    if getattr(parts.store, "remote", False):
        yield f"the database of '{target.pipeline}'"
    if getattr(parts.generator, "remote", False):
        yield f"the model that '{target.pipeline}' asks"


def _paid(settings: LoadSettings, elsewhere: list[str]) -> int:
    """How many requests the budget pays for. Raises BadInput where a bound is missing that a host elsewhere needs."""
    missing = []
    if elsewhere and settings.max_rate is None:
        missing.append("max_rate in [load], the most requests a second")
    if settings.budget_usd is None:
        missing.append("--budget-usd, the most that it may cost")
    if settings.usd_per_request is None:
        missing.append("usd_per_request in [load], what one costs")
    if missing:
        what = f"load on {listed(elsewhere)}, which is not this machine," if elsewhere else "a budget"
        raise BadInput(f"{what} needs {listed(missing)}")
    if settings.usd_per_request is None or settings.budget_usd is None:
        raise TypeError
    most = int(settings.budget_usd / settings.usd_per_request)
    if most < 1:
        raise BadInput(f"a budget of {settings.budget_usd} USD pays for no request of {settings.usd_per_request} USD")
    return most
