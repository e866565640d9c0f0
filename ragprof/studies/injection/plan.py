"""Plans what is asked of the generators: questions, pipelines, and the ways in which chunks go into their prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ragprof.core import Query
from ragprof.core.errors import BadInput
from ragprof.core.files import written_path
from ragprof.core.stages import Generator, Injector
from ragprof.corpus import read_queries
from ragprof.evals import EvalConfig, InjectionSettings, PipelineConfig, complaint
from ragprof.evals.config import own_k
from ragprof.price.energy import region_named
from ragprof.record.pipeline import Parts, part
from ragprof.record.recording import Subject, shuffled
from ragprof.studies.preparation import Places, Prepared, answering, corpus_path, evaluation_paths

OWN = "own"


@dataclass(frozen=True)
class Setting:
    """One way of putting chunks into the prompt.

    `wanted` is how many chunks it asks for, `timed` whether live queries are asked in it too, and `questions` how many
    of the questions are asked in it; None for all.
    """

    name: str
    injector: Injector
    wanted: int
    timed: bool = False
    questions: int | None = None


@dataclass(frozen=True)
class InjectionPlan:
    """A subject whose pipelines all have a generator, what is asked of it, and the settings of each pipeline.

    `queries` have gold answers; `unanswerable` have none in the corpus and are asked in the pipelines' own setting.
    `electricity` is written beside the energy that is measured; the record pass reads nothing in it. `model_judge` is
    asked for its opinion of the answers, whose words are forgotten afterwards unless `keep_text`.
    """

    subject: Subject
    injection: InjectionSettings
    queries: tuple[Query, ...]
    unanswerable: tuple[Query, ...]
    settings: Mapping[str, tuple[Setting, ...]]
    own_k: Mapping[str, int]
    electricity: Mapping[str, Any] = field(default_factory=dict)
    model_judge: Generator | None = None
    keep_text: bool = True

    @property
    def asked(self) -> Subject:
        """The subject with the questions of this study in place of its own."""
        return replace(self.subject, queries=(*self.queries, *self.unanswerable))

    @property
    def generators(self) -> list[Generator]:
        """Each once, in the order of the pipelines."""
        every = (parts.generator for parts in self.subject.pipelines)
        return list({id(each): each for each in every if each is not None}.values())

    def queries_of(self, setting: Setting) -> Sequence[Query]:
        if setting.name == OWN:
            return (*self.queries, *self.unanswerable)
        return self.queries[: setting.questions]


def with_injector(parts: Parts, setting: Setting) -> Parts:
    """The pipeline as it is in a setting."""
    return replace(parts, injector=setting.injector)


UNANSWERABLE = "queries_unanswerable.jsonl"


def plan_injection(
    prepared: Prepared, eval_file: Path, *, changes: Mapping[str, Any] | None = None, keep_text: bool = True
) -> InjectionPlan:
    """Check and lay out what is asked. `changes` go before the file's [injection]. Loads no model. Raises BadInput."""
    before = prepared.subject.config
    try:
        changed = InjectionSettings.model_validate(
            {**before.injection.model_dump(exclude_unset=True), **(changes or {})}
        )
        whole = {**before.model_dump(exclude_unset=True), "injection": changed.model_dump(exclude_unset=True)}
        injection = EvalConfig.model_validate(whole).injection
    except ValidationError as failure:
        raise BadInput(f"[injection] {complaint(failure)}") from None
    places = Places(eval_file)
    for place, name in enumerate(injection.pipelines or ()):
        if any(each.name == name and each.app is not None for each in before.pipelines):
            with places.put_before("injection", "pipelines", place):
                raise BadInput(f"'{name}' is an app, which makes its own prompt; leave it out")
    prepared = prepared.without_apps("injection")
    chosen = injection.pipelines or tuple(parts.name for parts in prepared.subject.pipelines)
    with places.put_before("injection", "generator"):
        pipelines = answering(prepared, injection.generator, chosen).pipelines
    own = {each.name: each for each in before.pipelines if each.name in chosen}
    config = before.model_copy(update={"injection": injection, "pipelines": tuple(own.values())})
    with places.put_before("injection", "ks"):
        settings = {parts.name: _settings(parts, own[parts.name], injection, config.tokenizer) for parts in pipelines}
    asked = shuffled(_with_gold(prepared.subject.queries, _questions_file(prepared, eval_file)), injection.seed)
    unanswerable = _unanswerable(prepared, injection, eval_file)
    electricity = _electricity(config, eval_file)
    judging: Generator | None = None
    if injection.judge is not None:
        with places.put_before("injection", "judge"):
            judging = part("generators", injection.judge)
    return InjectionPlan(
        replace(prepared.subject, config=config, pipelines=pipelines),
        injection,
        asked[: injection.questions or None],
        unanswerable,
        settings,
        {parts.name: own_k(own[parts.name]) for parts in pipelines},
        electricity,
        judging,
        keep_text,
    )


def _electricity(config: EvalConfig, eval_file: Path) -> dict[str, Any]:
    """What electricity costs and emits in the eval's region, with dates, for the energy section of the summary."""
    book = None if config.energy.book is None else eval_file.parent / config.energy.book
    with Places(eval_file).put_before("energy", "region"):
        region = region_named(config.energy.region, book=book)
    figures = region.as_json()
    return {
        **figures,
        "usd_per_kwh": float(region.price.usd_per_kwh),
        "kg_co2_per_kwh": float(region.carbon.kg_co2_per_kwh),
        "date": max(figures["price"]["date"], figures["carbon"]["date"]),
        "statement": (
            f"Electricity in {region.name} at {region.price.usd_per_kwh} USD "
            f"and {region.carbon.kg_co2_per_kwh} kg CO2e a kWh "
            f"(as of {figures['price']['date']} and {figures['carbon']['date']})."
        ),
    }


def _settings(
    parts: Parts, config: PipelineConfig, injection: InjectionSettings, tokenizer: str
) -> tuple[Setting, ...]:
    """The pipeline's own setting, and the others where the pipeline is swept."""
    own = Setting(OWN, parts.injector, wanted=own_k(config), timed=True)
    if injection.sweep is not None and parts.name not in injection.sweep:
        return (own,)
    orders = injection.orders if len(injection.orders) > 1 else ()
    asked_for = max(*injection.ks, injection.order_k if orders else 1)
    if asked_for > parts.depth:
        raise BadInput(
            f"pipeline '{parts.name}': {asked_for} chunks cannot be injected from depth = {parts.depth} candidates; "
            "lower ks and order_k, raise its depth, or leave it out of sweep"
        )
    template, some = config.injector.options.get("template"), injection.side_questions or None

    def made(name: str, wanted: int, spec: Mapping[str, object], *, timed: bool = False) -> Setting:
        """In the pipeline's own words. Only what is timed too is asked of all questions."""
        words = {"template": template} if isinstance(template, str) else {}
        injector: Injector = part("injectors", {**spec, **words})
        return Setting(name, injector, wanted, timed, None if timed else some)

    k, budget = injection.order_k, {"name": "token_budget", "k": parts.depth, "tokenizer": tokenizer}
    return (
        own,
        *(made(f"k={each}", each, {"name": "top_k", "k": each}, timed=True) for each in injection.ks),
        *(made(f"tokens={tokens}", own.wanted, {**budget, "tokens": tokens}) for tokens in injection.budgets),
        *(made(order, k, {"name": "top_k", "k": k, "order": order}) for order in orders),
    )


def _questions_file(prepared: Prepared, eval_file: Path) -> Path:
    """Where the questions of the corpus stand, whichever corpus was given."""
    config = prepared.subject.config
    return evaluation_paths(config, eval_file, corpus_path(config, eval_file))[0]


def _with_gold(queries: Sequence[Query], file: Path) -> list[Query]:
    """Questions that have gold answers. Raises BadInput where none has, or what stands there are no texts."""
    kept = []
    for query in queries:
        gold = query.metadata.get("answers") or []
        if not isinstance(gold, list) or not all(isinstance(answer, str) and answer.strip() for answer in gold):
            raise BadInput(
                f"query '{query.query_id}': 'answers' must be a list of texts, each accepted as an answer",
                file=file,
            )
        if gold:
            kept.append(query)
    if not kept:
        raise BadInput(
            "no question has a gold answer, so no answer could be judged; "
            'add them to the questions: {"_id": "q1", "text": "...", "metadata": {"answers": ["thirty days"]}}',
            file=file,
        )
    return kept


def _unanswerable(prepared: Prepared, injection: InjectionSettings, eval_file: Path) -> tuple[Query, ...]:
    """Questions without an answer: those that the eval names, else those of the BEIR folder; a seeded sample."""
    config = prepared.subject.config
    if injection.unanswerable == 0:
        return ()
    if config.evaluation.unanswerable is not None:
        path = written_path(config.evaluation.unanswerable, beside=eval_file)
    else:
        path = _questions_file(prepared, eval_file).parent / UNANSWERABLE
        if not path.is_file():
            return ()
    known = {query.query_id for query in prepared.evaluation.queries}
    queries = read_queries(path)
    for query in queries:
        if query.query_id in known:
            raise BadInput(f"'{query.query_id}' is a question with judgements too; give it another id", file=path)
    return shuffled(queries, injection.seed)[: injection.unanswerable]
