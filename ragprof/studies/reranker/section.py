"""What the study says in summary.json: a verdict for each reranked pipeline, and what holds for all of them.

USD are decimal strings of six significant digits; None is a price or a figure that is not known, never 0. Intervals are
95 % intervals over the questions; an end that is None is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from pydantic import Field

from ragprof.studies.contract import OpenEstimate, Section

Usd: TypeAlias = str | None
UsdInterval: TypeAlias = tuple[Usd, Usd] | None
NsInterval: TypeAlias = tuple[int | None, int | None] | None
Ends: TypeAlias = tuple[float | None, float | None] | None
VerdictWord: TypeAlias = Literal["KEEP", "DROP", "SHRINK", "UNDECIDED"]
Relation: TypeAlias = Literal["better", "as good", "worse", "undecided"]
Change: TypeAlias = Literal["larger k", "smaller depth", "another search", "another embedder", "another reranker"]
Told: TypeAlias = Literal["costs", "saves", "undecided"]


class PairedDifference(Section):
    """A paired difference of a metric, with its sign-flip test."""

    difference: float | None = Field(description="mean over the queries")
    interval: Ends
    p: float | None = Field(description="two-sided paired sign-flip test")
    n: int = Field(description="queries in which both sides are known")


class QualityGain(PairedDifference):
    """A metric with the reranker minus without it."""

    without: float | None = Field(description="its mean without the reranker")
    reached: float | None = Field(alias="with", description="its mean with the reranker")


class AddedLatency(Section):
    """What the reranker adds to a query's time, over the queries that were timed with it and without it."""

    added_p50_ns: int | None
    added_p50_interval_ns: NsInterval
    added_p95_ns: int | None
    added_p95_interval_ns: NsInterval
    timed_queries: int


class RerankerBilling(Section):
    """The rate that the reranker is billed by; all None where it is UNPRICED."""

    rate: str | None = Field(description="the rate's name")
    shape: str | None = Field(description="per_hour, per_month, per_search, per_request, per_input_token or free")
    unit: str | None
    usd: Usd = Field(description="price of `per` units")
    per: int | None
    since: str | None = Field(description="date from which the price holds")
    source: str | None
    verified: str | bool | None = Field(description="date on which somebody read the price; false: at second hand")
    note: str | None
    units_per_query: OpenEstimate
    utilisation: str | None = Field(description="share of its paid time in which an hourly machine is busy")
    unpriced: str | None = Field(description="why there is no price")
    reported_per_query: dict[str, float] | None = Field(description="what the reranker itself said that it took")


class IsoQuality(Section):
    """How many chunks hold, with the reranker, what the search alone holds with its own k."""

    metric: str
    own_k: int
    k_without: int = Field(description="the smallest k that the search alone needs for it")
    k_with: int | None = Field(description="the smallest k with the reranker; null: more than `max_k`")
    max_k: int
    interval: tuple[int | None, int | None] | None = Field(description="of `k_with`; a null end is above `max_k`")
    quality_without: OpenEstimate
    quality_with: OpenEstimate | None
    tokens_saved_per_query: OpenEstimate
    note: str


class PerMonth(Section):
    """The statement's money at the eval's traffic."""

    queries: int | None = Field(description="a month; null: the eval does not say")
    reranker_usd: Usd
    reranker_usd_interval: UsdInterval
    llm_usd_saved: Usd
    llm_usd_saved_interval: UsdInterval
    net_usd: Usd
    net_interval: UsdInterval


class FlipPrice(Section):
    """The price at which the net is 0."""

    value: Usd = Field(description="USD; null: no price turns the sign, or one is not known")
    sentence: str
    interval: UsdInterval


class RerankerFlip(FlipPrice):
    """That of the reranker, of `per` units."""

    per: int
    unit: str


class FlipVolume(Section):
    """Queries a month at which the net is 0."""

    value: float | None
    sentence: str


class PriceCell(Section):
    """The net at one price of the reranker and one of the LLM."""

    reranker_factor: float
    llm_usd_per_million_tokens: float
    net: float | None = Field(description="USD per 1,000 queries")
    told: Told = Field(description="by the 95 % interval of the net")


class TodaysPrices(Section):
    """Where the grid's prices are today's."""

    reranker_factor: float
    llm_usd_per_million_tokens: float | None


class PriceGrid(Section):
    """The net over multiples of the reranker's price and prices of the LLM."""

    reranker_factor: tuple[float, ...]
    llm_usd_per_million_tokens: tuple[float, ...]
    cells: tuple[PriceCell, ...]
    here: TodaysPrices


class BreakEven(Section):
    """Where the sign of the net flips, one price or volume at a time."""

    reranker_usd: RerankerFlip
    llm_usd_per_million_tokens: FlipPrice
    queries_per_month: FlipVolume
    grid: PriceGrid | None = Field(description="null where the reranker is unpriced")


class Scenario(Section):
    """The statement's money and the verdict at the price of one LLM."""

    llm: str
    usd_per_million_tokens: Usd
    llm_usd_saved_per_1000_queries: Usd
    net_usd_per_1000_queries: Usd
    net_interval: UsdInterval
    verdict: VerdictWord
    depth: int
    reason: str


class Bill(Section):
    """A pipeline's whole bill and time."""

    usd_per_1000_queries: Usd = Field(description="every stage and the prompt")
    p50_ns: float | None = Field(description="median end-to-end time of live queries")
    tokens_per_query: float | None = Field(description="of the prompt")


class OwnBill(Bill):
    """This pipeline's own."""

    quality: OpenEstimate


class Alternative(Bill):
    """Something else that might buy the same; `difference` is it minus this pipeline."""

    name: str
    what: Change
    k: int | None
    depth: int
    metric: str
    quality: OpenEstimate
    difference: OpenEstimate
    relation: Relation


class Statement(AddedLatency):
    """What the reranker buys, takes, costs and saves. Net is its cost minus the LLM money saved: above 0 it costs."""

    quality_gain: dict[str, QualityGain] = Field(description="metric -> gain; the study's metric first")
    reranker_usd_per_1000_queries: Usd
    reranker_usd_interval: UsdInterval
    billing: RerankerBilling
    iso_quality_k: IsoQuality
    llm: str | None = Field(description="the LLM whose price the tokens have; null: none is named")
    llm_usd_saved_per_1000_queries: Usd
    llm_usd_saved_interval: UsdInterval
    net_usd_per_1000_queries: Usd
    net_interval: UsdInterval
    per_month: PerMonth
    usd_per_point: Usd = Field(description="price of 0.01 of the study's metric at equal k, per 1,000 queries")
    usd_per_point_interval: UsdInterval
    break_even: BreakEven
    scenarios: tuple[Scenario, ...]
    alternatives: tuple[Alternative, ...]
    own: OwnBill

    @property
    def is_llm_unpriced(self) -> bool:
        """Whether an LLM is named whose price nobody knows. Where none is named, money saved is not applicable."""
        prices = [each.usd_per_million_tokens for each in self.scenarios if each.llm == self.llm]
        grid = self.break_even.grid
        known = [*prices, None if grid is None else grid.here.llm_usd_per_million_tokens]
        return self.llm is not None and all(price is None for price in known)

    @property
    def is_net_unpriced(self) -> bool:
        """Because of the reranker or of the LLM; else a missing net is one that no number of chunks makes finite."""
        return self.reranker_usd_per_1000_queries is None or self.is_llm_unpriced


class DeepestOracle(Section):
    """The best order of the candidates of the greatest depth."""

    depth: int
    oracle: OpenEstimate


class Headroom(Section):
    """What the best order of the same candidates would reach."""

    metric: str
    search: OpenEstimate
    reranked: OpenEstimate
    oracle: OpenEstimate
    captured_share: OpenEstimate | None = Field(description="null where no order beats the search's")
    missed_by_search: OpenEstimate
    left_by_reranker: OpenEstimate
    deepest: DeepestOracle
    limit: Literal["recall", "ordering", "neither"]
    sentence: str


class DepthStep(Section):
    """The reranker over so many candidates, with so many chunks in the prompt."""

    depth: int
    k: int
    scores: dict[str, OpenEstimate]
    prompt_tokens: float
    p50_ns: float | None
    p50_interval_ns: Ends
    p95_ns: float | None
    p95_interval_ns: Ends
    timed_queries: int
    composed_p50_ns: float | None = Field(description="made of what the other depths took; not timed at this one")
    usd_per_1000_queries: Usd
    net_usd_per_1000_queries: Usd
    gain: OpenEstimate = Field(description="of the study's metric over the search")
    loss: OpenEstimate = Field(description="of the study's metric against the pipeline's own depth")


class Knee(Section):
    """The smallest depth with at least 95 % of the gain of the best one."""

    depth: int
    share_of_gain: float
    sentence: str


class FallsFrom(Section):
    """The depth beyond which more candidates make the ranking worse."""

    depth: int | None
    interval: tuple[int, int] | None
    status: Literal["falls", "does not fall", "undecided"]
    sentence: str


class LatencyCheck(Section):
    """How far composed latencies are from those that were timed live, as shares of the latter."""

    method: str
    largest_error: float
    mean_error: float
    sentence: str


class JudgedCut(Section):
    """Relevant passages among the candidates that the reranker does not read to their end."""

    documents: int
    of: int
    share: float


class Truncation(Section):
    """What the reranker does not read; all None where it does not say how much it reads."""

    pairs: int | None
    over_length_share: float | None
    tokens_dropped: float | None = Field(description="mean per pair")
    tokens_dropped_share: float | None
    judged_cut: JudgedCut | None
    quality_cost: PairedDifference | None = Field(description="cut texts read piece by piece, minus as it is")
    max_tokens: int | None
    sentence: str


class ChangedQuery(Section):
    """One query with the relevant document that moved most; texts are null where none is kept."""

    query_id: str
    text: str | None
    change: float
    before: float
    after: float
    doc_id: str | None
    doc_text: str | None
    from_rank: int | None = Field(description="null: not among the candidates")
    to_rank: int | None


class ClearestQueries(Section):
    """At most ten of each kind, the clearest first."""

    helped: tuple[ChangedQuery, ...]
    hurt: tuple[ChangedQuery, ...]
    unchanged: tuple[ChangedQuery, ...] = Field(description="those that a better order would have helped")


class HelpedAndHurt(Section):
    """How many queries the reranker helps, hurts and leaves as they were."""

    helped: int
    hurt: int
    unchanged: int
    clearest: ClearestQueries


class Routed(Section):
    """What is kept and saved where only the queries with a signal up to the threshold are reranked."""

    signal: str | None
    threshold: float | None = Field(description="null: every query is reranked")
    share_reranked: float | None
    share_of_gain_kept: float | None = Field(description="null where there is no significant gain")
    interval: Ends
    share_of_cost_saved: float | None
    random: float | None = Field(description="what as many queries picked by chance keep")


class RoutingChoice(Routed):
    """The smallest share that keeps 95 % of the gain."""

    sentence: str


class SizePoint(Section):
    """The gain at one size of the corpus."""

    size: int
    gain: OpenEstimate
    worth: Usd = Field(description="of the gain, USD per 1,000 queries; null where the eval does not say")
    net_usd_per_1000_queries: Usd


class PaysFrom(Section):
    """The size from which the gain exceeds the bound; `status` as in the growth section's crossovers."""

    size: int | None
    interval: tuple[int | None, int | None] | None
    status: str


class GrowthValue(Section):
    """What the reranker gains as the corpus grows."""

    curve: str
    metric: str
    bound: float = Field(description="the gain from which it pays")
    points: tuple[SizePoint, ...]
    pays_from: PaysFrom
    sentence: str


class TrendYear(Section):
    """The verdict in a year, 0 being today."""

    year: int
    llm_usd_per_million_tokens: Usd
    net_usd_per_1000_queries: Usd
    net_interval: UsdInterval
    verdict: VerdictWord


class PriceTrend(Section):
    """The verdict if LLM prices fall by so many percent a year."""

    percent_a_year: float
    years: tuple[TrendYear, ...]
    sentence: str


class DatedPrice(Section):
    """One entry of the reranker's rate in the rate books."""

    since: str
    usd: str


class SensitiveTo(Section):
    """The assumption whose smallest change flips the verdict."""

    what: str
    sentence: str
    factor: float | None
    becomes: str | None


class RerankerVerdict(Section):
    """All that is said of one pipeline's reranker."""

    verdict: VerdictWord
    reason: str
    against: str = Field(description="the same pipeline without its reranker")
    depth: int = Field(description="the depth to continue with; 0: without a reranker")
    own_depth: int
    k: int
    metric: str
    reranker: str
    listwise: bool = Field(description="whether it was run at every depth")
    more_queries: int | None = Field(description="about how many more would decide an UNDECIDED")
    sensitive_to: SensitiveTo
    statement: Statement
    headroom: Headroom
    depth_curve: tuple[DepthStep, ...]
    knee: Knee | None
    falls_from: FallsFrom
    latency_check: LatencyCheck | None
    truncation: Truncation
    queries: HelpedAndHurt
    routing: tuple[Routed, ...]
    routing_choice: RoutingChoice | None
    growth: GrowthValue | None = Field(description="null without a growth recording of this pipeline")
    price_trend: PriceTrend | None
    price_history: tuple[DatedPrice, ...]
    notes: tuple[str, ...]

    @property
    def gain(self) -> QualityGain:
        """Of the study's metric."""
        return self.statement.quality_gain[self.metric]

    @property
    def at_own_k(self) -> list[DepthStep]:
        """The depth curve at the pipeline's own k, in rising depth."""
        return sorted((step for step in self.depth_curve if step.k == self.k), key=lambda step: step.depth)


class RankingAgreement(Section):
    """How far two rankings of the same queries agree."""

    same_first: OpenEstimate
    overlap: OpenEstimate
    kendall_tau: OpenEstimate


class StudentBesideTeacher(Section):
    """Two rerankers or embedders; ratios are the student's over the teacher's."""

    kind: Literal["reranker", "embedder"]
    teacher: str
    student: str
    over: str
    retained: OpenEstimate = Field(description="share of the teacher's gain over the search; of an embedder's quality")
    quality_share: OpenEstimate
    difference: OpenEstimate
    p: float | None
    agreement: RankingAgreement
    cost_ratio: float | None
    latency_ratio: OpenEstimate | None
    sentence: str


class RerankerWork(Section):
    """What the recording took."""

    pairs_scored: int
    pairs_reused: int
    searches: int


class RerankerStudy(Section):
    """What holds for all rerankers together."""

    metric: str
    k: dict[str, int]
    margin: float
    worth_usd_per_point: float | None
    priced_as: str | None
    queries: int
    timed_queries: dict[str, int]
    replicates: int
    side_by_side: tuple[StudentBesideTeacher, ...]
    statements: tuple[str, ...]
    notes: tuple[str, ...]
    work: RerankerWork


class RerankerSection(Section):
    """`verdicts` by the name of the reranked pipeline."""

    verdicts: Mapping[str, RerankerVerdict]
    study: RerankerStudy

    def placed(self) -> dict[str, Any]:
        """The keys that the section has in summary.json."""
        whole = self.as_json()
        return {"reranker": whole["verdicts"], "reranker_study": whole["study"]}
