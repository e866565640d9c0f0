"""What `ragprof audit` found, as summary.json has it under `audit`."""

from __future__ import annotations

from pydantic import Field

from ragprof.core import StageName
from ragprof.studies.contract import Section


class StageCheck(Section):
    """One stage's work done again or in another way, over all queries of the sample."""

    stage: StageName = Field(description="whose work it is")
    what: str = Field(
        description="what was compared: vectors, ranking, scores, prompt or answer of repetitions; batch size; threads"
    )
    variant: str = Field(description="repeated, or the other way in which the work was done")
    checked: int = Field(description="queries compared")
    differing: int = Field(description="queries whose outcome was not the same to the last bit")
    differing_queries: list[str] = Field(description="their ids")
    largest_difference: float | None = Field(
        description="largest absolute difference of any number; null where the outcome has no numbers"
    )
    identical: bool = Field(description="whether no query differed")
    rankings_changed: int | None = Field(
        description="queries whose ranking has other documents or another order; null for repetitions"
    )
    prompts_changed: int | None = Field(
        description="queries with other chunks in the prompt, or in another order; null where that cannot be known"
    )
    prompts_checked: int = Field(description="queries for which it can be known")
    quality_shift: float | None = Field(
        description="mean of the metric this way minus that of the first repetition; null where it was not judged"
    )
    share: float | None = Field(description="its size as a share of the width of the mean's interval")
    note: str = Field("", description="how it was checked, what the differences did and where they come from")


class CutTies(Section):
    """Equal scores on both sides of a cut, so that a rule decides and not the score."""

    queries: int = Field(description="queries with such a tie")
    share: float = Field(description="their share of the queries checked")
    at_depth: int = Field(description="queries with a tie between the last candidate and one that was left out")
    at_k: int = Field(description="queries with a tie between the last document in the prompt and the next one")
    checked: int = Field(description="queries looked at")


class RepeatedQuality(Section):
    """A pipeline's mean quality over the repetitions."""

    metric: str = Field(description="the metric, such as nDCG@10")
    mean: float = Field(description="mean over the queries in the first repetition")
    spread: float = Field(description="largest minus smallest mean over the repetitions")
    interval_width: float | None = Field(
        description="width of the 95% interval of the first repetition's mean; null where there is none"
    )
    share: float | None = Field(description="the spread as a share of that width; null where there is no width")


class AuditedPipeline(Section):
    """One pipeline's checks, in the order of the stages."""

    stages: list[StageCheck]
    ties: CutTies
    quality: RepeatedQuality | None = None
    """None without relevance judgements."""


class ThreadCounts(Section):
    """Numbers of threads; null where no library is loaded whose number can be set."""

    present: int | None = Field(description="as the machine has it")
    other: int | None = Field(description="what it was set to for comparison")


class AuditSection(Section):
    """The audit of an eval."""

    times: int = Field(description="repetitions of each query")
    queries: int = Field(description="queries in the sample")
    threads: ThreadCounts
    pipelines: dict[str, AuditedPipeline] = Field(description="name -> what was found, in the order of the eval")
    statements: list[str] = Field(default_factory=list, description="sentences, as the report shows them")
