"""What a study is: one value that the runner knows. Which studies there are is said in `session/studies.py`.

A study answers one question about a recorded pipeline. Its folder holds the steps; only the runner (`session/run.py`)
calls them. The runner holds all that studies have in common: it prepares, takes or makes the main recording, calls the
steps in order, writes summary.json and draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from ragprof.core import Estimate
from ragprof.core.errors import BadInput
from ragprof.core.recorded import reading
from ragprof.report.blocks import ReportPart
from ragprof.report.decision import PaidDecision

if TYPE_CHECKING:  # a finished recording is analysed and drawn without what makes one
    from rich.console import RenderableType

    from ragprof.corpus import EvaluationSet
    from ragprof.evals import EvalConfig
    from ragprof.record.pipeline import Parts
    from ragprof.record.recording import Bench
    from ragprof.record.trial import Trial
    from ragprof.studies.preparation import Prepared

PlanT = TypeVar("PlanT")
SectionT = TypeVar("SectionT", bound="Section | Mapping[str, Any]")


VerdictWord: TypeAlias = Literal["KEEP", "DROP", "SHRINK", "UNDECIDED"]
"""What to do with a reranker."""


class Section(BaseModel):
    """A part of summary.json. Its fields are the contract; a value that is not there is None, a state is a word."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings", use_attribute_docstrings=True)

    def as_json(self) -> dict[str, Any]:
        """As summary.json has it: what was never set is left out, what is None is null."""
        return self.model_dump(mode="json", exclude_unset=True, by_alias=True)

    def place(self, document: dict[str, Any], name: str) -> None:
        """Put the section into the document of summary.json; a study that has more than one place says so here."""
        document[name] = self.as_json()

    @classmethod
    def read(cls, document: dict[str, Any], name: str) -> Self:
        """The section that `place` put into the document of summary.json, as it was."""
        return cls.model_validate(document[name])

    @classmethod
    def places(cls, name: str) -> dict[str, Any]:
        """Key -> type of what `place` puts there, for the schema; a key `pipelines.x` is one of every pipeline."""
        return {name: cls}


class EstimateValue(Section):
    """A mean with its 95% interval, as every study writes one. Cells of report/tables.py take it as it is."""

    mean: float | None
    """None where there was nothing to take a mean of."""
    interval: tuple[float | None, float | None] | None
    """None where n is too small for one; an end that is None is open."""
    n: int
    """How many queries it rests on."""

    @classmethod
    def of(cls, estimate: Estimate) -> EstimateValue:
        return cls(mean=estimate.mean, interval=estimate.interval, n=estimate.n)


class Latency(Section):
    """Quantiles of a duration in ns over all timings. Their 95% intervals resample queries; none below two queries."""

    p50_ns: int
    p50_interval_ns: tuple[int, int] | None
    p95_ns: int
    p95_interval_ns: tuple[int, int] | None
    p99_ns: int
    p99_interval_ns: tuple[int, int] | None
    mean_ns: int
    n: int
    """Timings: every query in every round."""
    queries: int
    first_token: Latency | None = None
    """Of the stage generate alone: from the generator's call to its first token, where that was measured."""


class BuildFigures(Section):
    """What building an index took."""

    duration_ns: int
    index_bytes: int
    peak_rss_bytes: int
    """Highest resident memory of the process meanwhile."""


class CostFigures(Section):
    """USD per 1,000 queries as decimal strings, and besides the fields here one entry a stage. None is UNPRICED."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str | None] = Field(init=False)

    total: str | None
    """None while anything is UNPRICED."""
    interval: tuple[str, str] | None
    priced_subtotal: str
    """What has a price, whether or not all has."""
    stage_intervals: dict[str, tuple[str, str] | None]
    unpriced: tuple[str, ...]
    """`stage: reason` of everything without a price."""
    per_month: str | None
    """USD of a month's traffic."""

    def of_stage(self, stage: str) -> str | None:
        """None where the stage is UNPRICED and where the pipeline has no such stage."""
        return self.__pydantic_extra__.get(stage)

    @property
    def unpriced_stages(self) -> set[str]:
        return {line.partition(": ")[0].strip() for line in self.unpriced}


class AppliedRate(Section):
    """A published price that was applied."""

    name: str
    shape: str
    """per_hour, per_month, per_search, per_request, per_input_token or free"""
    unit: str
    usd: str
    """Of `per` units."""
    output_usd: str | None = None
    """Of `per` output tokens."""
    request_usd: str | None = None
    """Of each request, besides its tokens."""
    per: int
    since: str | None
    """Date from which the price holds."""
    source: str
    verified: str | Literal[False]
    """Date on which somebody read the price at its source."""
    note: str
    docs_per_unit: int | None = None
    window_tokens: int | None = None
    max_docs: int | None = None
    max_tokens: int | None = None
    on: str | None = None
    """Of a model's price: the day for which it was looked up."""
    hour: int | None = None
    """Of a model's price that depends on the hour of the day: the hour, in UTC, for which it was looked up."""


class ComparedPair(Section):
    """A metric of two pipelines, paired by query: candidate minus baseline."""

    metric: str
    stage: str
    """`final`: the ranking that is the pipeline's own."""
    baseline: str
    candidate: str
    difference: float | None
    interval: tuple[float, float] | None
    p: float
    """Two-sided sign-flip test."""
    p_holm: float
    """Corrected over all pairs that were compared."""
    verdict: Literal["better", "worse", "undecided"]
    n: int
    more_queries: int | None
    """About how many more queries would be significant; None for a verdict, and where no number would be enough."""


@dataclass(frozen=True)
class Request:
    """What a command asks of a study.

    `changes` go before the study's table of the eval file. Without `keep_text` no question, passage or answer is kept.
    `fresh` throws away what the study recorded before.
    """

    eval_file: Path
    changes: Mapping[str, Any] = field(default_factory=dict)
    books: Sequence[Path] = ()
    keep_text: bool = True
    fresh: bool = False


@dataclass(frozen=True)
class Pricing:
    """By which rates: books of the user's own first, as of which day, and an LLM in place of the eval's."""

    books: Sequence[Path]
    on: date
    llm: str | None = None

    def __post_init__(self) -> None:
        if self.llm is not None and not self.llm.strip():
            raise BadInput("llm is empty; name a model as provider:model, or a rate")


@dataclass(frozen=True)
class Context:
    """What a section may know of the report that it stands in.

    `pipelines` are all that the summary names, in its order; `final_stage` is the stage whose ranking is a pipeline's
    own; `metric` leads: the eval's first. `title` and `origin` (version, day, size of the corpus) are finished text.
    `stale` names studies that were recorded with an earlier recording than the one around them, with a sentence each.
    `decisions` are those of all studies, for pages that stand alone.
    """

    pipelines: tuple[str, ...]
    metric: str
    final_stage: Mapping[str, str]
    colours: Mapping[str, str]
    title: str = ""
    origin: str = ""
    stale: Mapping[str, str] = field(default_factory=dict)
    decisions: Sequence[PaidDecision] = ()


@dataclass(frozen=True)
class Effort:
    """What recording a study would take beside the main recording: rows of (what, how much), and seconds.

    The seconds are None where they are not known, as of a server that is not asked before it is needed.
    """

    rows: Sequence[tuple[str, str]]
    seconds: float | None


def _nothing(*_: Any) -> None:
    """A step that a study does not need."""


def _fixed(folder: Path, *_: Any) -> None:
    """A study whose settings all belong to its recording, so that none can be changed afterwards."""
    raise BadInput("this study's settings are part of its recording; give the eval file and record anew", file=folder)


def _never(*_: Any) -> bool:
    """A study whose recordings are never looked for: the profile, which is the main one."""
    return False


@dataclass(frozen=True)
class Study(Generic[PlanT, SectionT]):
    """The steps of one study, in the order in which the runner takes them. A step that is not needed is left out.

    `name` is the command, the table of the eval file, the key in summary.json and the folder of the recording.
    """

    name: str
    plan: Callable[[Prepared, Request], PlanT]
    """Check and lay out. Loads no model, writes nothing. Raises BadInput for what can be known before work begins."""
    record: Callable[[PlanT, Bench], None]
    """Write facts into the study's folder; what a killed run left is continued."""
    section: type[SectionT]
    """The type of what `analyse` returns."""
    analyse: Callable[[Path], SectionT]
    """Tables in, one typed section out. Reads the recording's folder."""
    show: Callable[[SectionT, Context], Sequence[ReportPart]]
    """The section as parts of the report."""
    print: Callable[[SectionT, Context], RenderableType]
    """The section for a terminal of 80 columns."""
    estimate: Callable[[PlanT, Trial], Effort] = lambda _plan, _trial: Effort((), 0.0)
    """For `ragprof check`: what recording this plan would take, by what was tried."""
    ready: Callable[[PlanT, Bench], None] = _nothing
    """Load models and greet servers, so that what is wrong with them is known before anything is recorded."""
    uses: Callable[[PlanT], Iterable[Parts]] = lambda _plan: ()
    """Pipelines with parts that it asks besides those of the eval: a budget in USD holds for them, too."""
    judge: Callable[[PlanT, EvaluationSet, Bench], None] = _nothing
    """Scores from relevance judgements."""
    price: Callable[[Path, Pricing], None] = _nothing
    """Money from rates, for the study's recording in this folder."""
    pages: Mapping[str, Callable[[SectionT, Context], str]] = field(default_factory=dict)
    """Files beside the report, such as reranker.md: name -> text."""
    answers: Callable[[SectionT], Mapping[str, str]] = lambda _section: {}
    """Pipeline -> a sentence for the head of the report, before and instead of what the profile says of that."""
    decisions: Callable[[SectionT, Context], Sequence[PaidDecision]] = lambda _section, _context: ()
    """The answers of whoever pays, for the first screen of the report."""
    is_asked: Callable[[EvalConfig], bool] = lambda _config: True
    """Whether `ragprof check` speaks of it: not of a study that needs a table of the eval file which is not there."""
    asks_apps: bool = False
    """Whether it takes pipelines that are apps, too; else it leaves them out, and that is said."""
    needs_profile: bool = True
    """Whether it rests on the main recording, which is made where it is not there."""
    needs_whole_corpus: bool = False
    """Whether it takes the whole corpus even where a part of it was recorded."""
    is_continued: bool = False
    """Whether `record` keeps the times of a recording that is there already; else it times all anew."""
    is_recorded: Callable[[Path], bool] = _never
    """Whether the folder holds this study's recording, finished and judged."""
    belongs: Callable[[Path, Mapping[str, Any], Mapping[str, Any]], bool] = _never
    """Whether that recording rests on what the main one rests on. Takes the main manifest and the main judgement."""
    left_out: str = ""
    """The warning where it does not."""
    restate: Callable[[Path, Mapping[str, Any], Pricing], None] = _fixed
    """Keep other settings beside the study's recording, among those that it does not rest on. Raises BadInput."""

    def __post_init__(self) -> None:
        judge, analyse, price = self.judge, self.analyse, self.price

        def judged(plan: PlanT, evaluation: EvaluationSet, bench: Bench) -> None:
            with reading(bench.folder, self.name):
                judge(plan, evaluation, bench)

        def analysed(folder: Path) -> SectionT:
            with reading(folder, self.name):
                return analyse(folder)

        def priced(folder: Path, pricing: Pricing) -> None:
            with reading(folder, self.name):
                price(folder, pricing)

        # What reads a recording tells a damaged one by name, whichever study it belongs to.
        for name, step in {"analyse": analysed, "price": priced, "judge": judged}.items():
            object.__setattr__(self, name, step)
