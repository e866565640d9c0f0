"""What the study of rerankers asks: which rerankers over which candidates, from which depths. Loads no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ragprof.core import Doc, Query, registry
from ragprof.core.clock import Progress
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
from ragprof.studies.reranker.apps import OWN, RERANKER_KNOBS, AppVariants, GivenOrder, SeenApp, seen, variants_of


@dataclass(frozen=True, slots=True)
class Arm:
    """One reranker over one pipeline's candidates. `student` is None for the pipeline's own reranker.

    `depths` rise and hold the pipeline's own; a student is looked at there alone. `against` is what a reader calls the
    same pipeline without its reranker. Of an app depth and k are known once the main recording has it: see `seen`.
    """

    name: str
    pipeline: str
    student: str | None
    spec: PartSpec
    parts: Parts
    depths: tuple[int, ...]
    own_k: int
    against: str
    app: AppVariants | None = None
    by_depth: Mapping[int, Parts] = field(default_factory=dict)

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
        return replace(self.by_depth.get(depth, self.parts), depth=depth, reranker=self.parts.reranker)

    @property
    def plain(self) -> Parts:
        if self.app is not None and self.app.without is not None:
            return self.app.without
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

    def settled(self, home: Path, progress: Progress) -> tuple[RerankerPlan, list[SeenApp]]:
        """The same with the depths of apps, as the recording at `home` has them; of each app what that has, too.

        Raises BadInput where there is nothing left to look at.
        """
        found: dict[str, SeenApp | None] = {
            arm.pipeline: seen(arm.app, home, self.subject.queries, self.subject.corpus.docs)
            for arm in self.own
            if arm.app is not None
        }
        if lacking := [name for name, one in found.items() if one is None]:
            told = f"nobody told of a reranker in {', '.join(lacking)}"
            if len(lacking) == len(self.own):
                raise BadInput(f"{told}; mark it with ragprof.span('rerank') and give that the documents")
            progress.note(f"{told}, so it is left out")
        arms = [
            arm if arm.app is None else _settled(arm, one)
            for arm in self.arms
            if (one := found.get(arm.pipeline)) is not None or arm.app is None
        ]
        return replace(self, arms=tuple(arms)), [one for one in found.values() if one is not None]

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
        apps = variants_of(config, settings, prepared.subject.pipelines)
        own = [_own_arm(prepared, each, settings) for each in _chosen(config, settings, apps)]
        own += [_app_arm(each) for each in apps]
    with places.put_before("reranker", "signals"):
        signals = _signals(settings)
    with places.put_before("reranker", "students"):
        students = _students(own, settings)
    return RerankerPlan(prepared.subject, settings, (*own, *students), signals, keep_text)


def _settled(arm: Arm, found: SeenApp | None) -> Arm:
    if found is None:
        return arm
    reranker = found.order if arm.student is None else arm.reranker
    depths = tuple(sorted(found.by_depth)) if arm.student is None else (found.own_depth,)
    parts = replace(arm.parts, depth=found.own_depth, reranker=reranker)
    return replace(arm, parts=parts, depths=depths, own_k=found.own_k, by_depth=found.by_depth)


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
        if arm.app is not None:
            latencies[arm.name], row = _asked_app(arm, trial)
            times += 1 if arm.student is not None else 2 + len(arm.app.others)
            rows.append((f"calls of {arm.name}", row))
            continue
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
    rerankers = {id(arm.reranker): arm.reranker for arm in plan.arms if arm.app is None}
    scoring_s = sum(trial.scoring(rerankers[key], list(some.values())).seconds for key, some in pairs.items())
    live_s = rounds_s(latencies, timing, available=queries)
    answers = f"{times} answers to each query a round"
    rows.append(("live timings", f"{answers}, about {rough_duration(live_s)} in {timing.rounds} rounds"))
    return Effort(rows, scoring_s + live_s)


def _asked_app(arm: Arm, trial: Trial) -> tuple[float, str]:
    """Seconds of one live question of every variant that an app is asked as, and what is said of that."""
    if arm.app is None:
        raise ValueError(f"'{arm.name}' is no app")
    own = trial.pipelines[arm.pipeline]
    if arm.student is not None:
        query, ranking = max(own.found, key=lambda one: len(one[1]))
        student_s = len(ranking) * trial.candidate_s(arm.reranker, query, ranking)
        return own.query_s + student_s, "asked live as it is, and its candidates scored anew; scores are kept"
    every = [arm.app.own, arm.app.without or arm.app.own, *arm.app.others]
    taken = sum(trial.pipelines[each.name].query_s for each in every)
    names = ", ".join(dict.fromkeys(each.name for each in every))
    called = f"{', '.join(RERANKER_KNOBS[:-1])} or {RERANKER_KNOBS[-1]}"
    lacking = "" if arm.app.without else f"; no knob called {called} switches its reranker off"
    return taken, f"asked live as {names}, beside the main recording{lacking}"


def _chosen(config: EvalConfig, settings: RerankerSettings, apps: Sequence[AppVariants]) -> list[PipelineConfig]:
    """The declared pipelines to look at. Raises BadInput where one has no reranker, or none has and there is no app."""
    reranked = [each for each in config.pipelines if each.reranker.name != "none"]
    if not reranked and not apps:
        raise BadInput('no pipeline has a reranker; give one reranker = "maxsim", say')
    own_apps = [each.name for each in config.pipelines if each.app is not None and each.variant_of in (None, each.name)]
    having = [*(each.name for each in reranked), *own_apps]
    for name in settings.pipelines or ():
        if name not in having:
            raise BadInput(f"pipeline '{name}' has no reranker; those that have one: {', '.join(having)}")
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


def _app_arm(variants: AppVariants) -> Arm:
    """Of an app, with a depth that holds a place until the app was seen."""
    own, without = variants.own, variants.without
    return Arm(
        name=own.name,
        pipeline=own.name,
        student=None,
        spec=OWN,
        parts=replace(own, depth=1, reranker=GivenOrder()),
        depths=(1,),
        own_k=1,
        against=f"{own.name} without its reranker" if without is None else without.name,
        app=variants,
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
