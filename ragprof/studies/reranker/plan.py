"""What the study of rerankers asks: which rerankers over which candidates, from which depths. Loads no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ragprof.core import Doc, Query, registry
from ragprof.core.errors import BadInput
from ragprof.core.registry import PartSpec
from ragprof.core.stages import NestedStore, Reranker, Signal
from ragprof.evals import EvalConfig, PipelineConfig, RerankerSettings, complaint
from ragprof.evals.config import own_k
from ragprof.record.pipeline import Parts, Workshop
from ragprof.record.rankings import pair_key
from ragprof.record.recording import Subject, redacted
from ragprof.record.trial import Trial, rounds_s
from ragprof.report.figures import rough_duration
from ragprof.studies.contract import Effort
from ragprof.studies.preparation import Places, Prepared


@dataclass(frozen=True, slots=True)
class Arm:
    """One reranker over one pipeline's candidates. `student` is None for the pipeline's own reranker.

    `depths` rise and hold the pipeline's own; a student is looked at there alone. `against` is what a reader calls the
    same pipeline without its reranker.
    """

    name: str
    pipeline: str
    student: str | None
    spec: PartSpec
    parts: Parts
    depths: tuple[int, ...]
    own_k: int
    against: str

    @property
    def reranker(self) -> Reranker:
        """Raises ValueError for parts without one, of which no arm is made."""
        if self.parts.reranker is None:
            raise ValueError(f"'{self.name}' has no reranker")
        return self.parts.reranker

    @property
    def own_depth(self) -> int:
        return self.parts.depth

    @property
    def deepest(self) -> int:
        return self.depths[-1]

    @property
    def prefix(self) -> bool:
        """Whether the candidates of a smaller depth are the first of a greater one."""
        store = self.parts.store
        return isinstance(store, NestedStore) and store.shallower_is_prefix

    def at(self, depth: int) -> Parts:
        """The pipeline as it is with so many candidates."""
        return replace(self.parts, depth=depth)

    @property
    def plain(self) -> Parts:
        return replace(self.parts, reranker=None)


@dataclass(frozen=True)
class RerankerPlan:
    """What is recorded of rerankers. Pipelines' own arms come before those of their students.

    Without `keep_text` no question and no passage is kept.
    """

    subject: Subject
    settings: RerankerSettings
    arms: tuple[Arm, ...]
    signals: Mapping[str, Signal]
    keep_text: bool = True

    @property
    def own(self) -> tuple[Arm, ...]:
        return tuple(arm for arm in self.arms if arm.student is None)

    @property
    def max_k(self) -> int:
        """The most chunks that anything is said about: as many as the search alone could send."""
        return max(*self.settings.ks, *(arm.own_k for arm in self.arms), *(arm.own_depth for arm in self.arms))


def plan_reranker(
    prepared: Prepared, eval_file: Path, *, changes: Mapping[str, Any] | None = None, keep_text: bool = True
) -> RerankerPlan:
    """Check and lay out what is asked. `changes` go before the file's [reranker]. Loads no model. Raises BadInput."""
    config = prepared.subject.config
    settings = validated({**config.reranker.model_dump(exclude_unset=True), **(changes or {})})
    try:
        whole = {**config.model_dump(exclude_unset=True), "reranker": settings.model_dump(exclude_unset=True)}
        EvalConfig.model_validate(whole)
    except ValidationError as failure:
        raise BadInput(f"[reranker] {complaint(failure)}") from None
    places = Places(eval_file)
    with places.put_before("reranker", "pipelines"):
        own = [_own_arm(prepared, each, settings) for each in _chosen(config, settings)]
    with places.put_before("reranker", "signals"):
        signals = _signals(settings)
    with places.put_before("reranker", "students"):
        students = _students(own, settings)
    return RerankerPlan(prepared.subject, settings, (*own, *students), signals, keep_text)


def validated(settings: Mapping[str, Any]) -> RerankerSettings:
    """A [reranker] table. Raises BadInput."""
    try:
        return RerankerSettings.model_validate(dict(settings))
    except ValidationError as failure:
        raise BadInput(f"[reranker] {complaint(failure)}") from None


def estimate(plan: RerankerPlan, trial: Trial) -> Effort:
    """What recording takes: pairs to score, and the time of live queries; every depth of an arm answers as many."""
    queries, timing = len(plan.subject.queries), plan.settings.timing
    rows, latencies, times = list[tuple[str, str]](), dict[str, float](), 0
    pairs: dict[int, dict[bytes, tuple[Query, Doc]]] = {}
    for arm in plan.arms:
        candidates = arm.deepest if arm.reranker.pointwise else sum(arm.depths)
        rows.append((f"pairs of {arm.name}", f"at most {queries * candidates:,} pairs if none is cached"))
        tried, found = trial.pipelines[arm.pipeline], trial.found(arm.parts, arm.deepest)
        mine = pairs.setdefault(id(arm.reranker), {})
        mine.update({pair_key(query, item.doc): (query, item.doc) for query, ranking in found for item in ranking})
        if arm.student is None:
            for query, ranking in tried.found:
                for item in ranking:
                    mine.pop(pair_key(query, item.doc), None)  # scored by the main recording
        candidate_s = trial.candidate_s(arm.reranker, *max(found, key=lambda one: len(one[1])))
        depths = arm.depths if arm.student is not None else (0, *arm.depths)
        plain_s = tried.query_s - tried.rerank_s
        latencies[arm.name], times = sum(plain_s + depth * candidate_s for depth in depths), times + len(depths)
    rerankers = {id(arm.reranker): arm.reranker for arm in plan.arms}
    scoring_s = sum(trial.scoring(rerankers[key], list(some.values())).seconds for key, some in pairs.items())
    live_s = rounds_s(latencies, timing, available=queries)
    rows.append(("live timings", f"{times} depths, about {rough_duration(live_s)} in {timing.rounds} rounds"))
    return Effort(rows, scoring_s + live_s)


def _chosen(config: EvalConfig, settings: RerankerSettings) -> list[PipelineConfig]:
    """The pipelines to look at. Raises BadInput where one has no reranker, or none has."""
    reranked = [each for each in config.pipelines if each.reranker.name != "none"]
    if not reranked:
        raise BadInput('no pipeline has a reranker; give one reranker = "maxsim", say')
    for name in settings.pipelines or ():
        if name not in [each.name for each in reranked]:
            raise BadInput(
                f"pipeline '{name}' has no reranker; those that have one: {', '.join(each.name for each in reranked)}"
            )
    return [each for each in reranked if settings.pipelines is None or each.name in settings.pipelines]


def _own_arm(prepared: Prepared, config: PipelineConfig, settings: RerankerSettings) -> Arm:
    parts = next(each for each in prepared.subject.pipelines if each.name == config.name)
    most = len(prepared.subject.corpus.docs)
    same = ("embedder", "store", "depth", "injector")
    twins = [
        each.name
        for each in prepared.subject.config.pipelines
        if each.reranker.name == "none" and all(getattr(each, part) == getattr(config, part) for part in same)
    ]
    return Arm(
        name=parts.name,
        pipeline=parts.name,
        student=None,
        spec=config.reranker,
        parts=replace(parts, generator=None),
        depths=tuple(sorted({parts.depth, *(depth for depth in settings.depths if depth <= most)})),
        own_k=own_k(config),
        against=twins[0] if twins else f"{config.name} without its reranker",
    )


def _signals(settings: RerankerSettings) -> dict[str, Signal]:
    """Every signal by its label. Raises BadInput where two have the same."""
    labels = [_label(spec) for spec in settings.signals]
    for label in labels:
        if labels.count(label) > 1:
            raise BadInput(f"the signal '{label}' is named twice; name each once")
    return {label: registry.create("signals", spec) for label, spec in zip(labels, settings.signals, strict=True)}


def _students(own: Sequence[Arm], settings: RerankerSettings) -> list[Arm]:
    """Every student over the candidates of every pipeline whose own reranker it is not."""
    workshop, arms = Workshop(), []
    labels = [_label(spec) for spec in settings.students]
    for label, spec in zip(labels, settings.students, strict=True):
        if spec.name == "none":
            raise BadInput("'none' is no student; the search alone is what every reranker is compared with anyway")
        if labels.count(label) > 1:
            raise BadInput(f"two students are called '{label}'; name each once, with options that tell them apart")
        student = workshop.reranker(spec)
        mine = [arm for arm in own if arm.spec.key != spec.key]
        if not mine:
            raise BadInput(f"'{label}' is the pipelines' own reranker; there is nothing to compare it with")
        for arm in mine:
            parts, name = replace(arm.parts, reranker=student), f"{arm.name} ~ {label}"
            arms.append(replace(arm, name=name, student=label, spec=spec, parts=parts, depths=(parts.depth,)))
    return arms


def _label(spec: PartSpec) -> str:
    """`maxsim precision=int8`, without folders of this machine and without secrets."""
    options = " ".join(f"{key}={value}" for key, value in redacted(dict(spec.options)).items())
    return f"{spec.name} {options}".strip()
