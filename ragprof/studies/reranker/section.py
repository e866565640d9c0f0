"""What the study says in summary.json: a verdict for each reranked pipeline, and what holds for all of them.

USD are decimal strings of six significant digits; None is a price or a figure that is not known, never 0. Intervals are
95 % intervals over the questions; an end that is None is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self, TypeAlias

from pydantic import ConfigDict, Field

from ragprof.studies.contract import EstimateValue, Section, VerdictWord

Usd: TypeAlias = str | None
UsdInterval: TypeAlias = tuple[Usd, Usd] | None
NsInterval: TypeAlias = tuple[int | None, int | None] | None
Ends: TypeAlias = tuple[float | None, float | None] | None
Relation: TypeAlias = Literal["better", "as good", "worse", "undecided"]
Change: TypeAlias = Literal["larger k", "smaller depth", "another search", "another embedder", "another reranker"]
Told: TypeAlias = Literal["costs", "saves", "undecided"]


class PairedDifference(Section):
    """A paired difference of a metric, with its sign-flip test."""

    difference: float | None = Field(description="mean over the queries")
    interval: Ends = Field(description="95 %, over the queries; an end that is null is open")
    p: float | None = Field(description="two-sided paired sign-flip test")
    n: int = Field(description="queries in which both sides are known")


class QualityGain(PairedDifference):
    """A metric with the reranker minus without it."""

    model_config = ConfigDict(populate_by_name=True)

    without: float | None = Field(description="its mean without the reranker")
    reached: float | None = Field(
        validation_alias="with", serialization_alias="with", description="its mean with the reranker"
    )


class AddedLatency(Section):
    """What the reranker adds to a query's time, over the queries that were timed with it and without it."""

    added_p50_ns: int | None = Field(description="null: nothing was timed both ways")
    added_p50_interval_ns: NsInterval = Field(description="its 95 % interval")
    added_p95_ns: int | None = Field(description="of the slowest queries")
    added_p95_interval_ns: NsInterval = Field(description="its 95 % interval")
    timed_queries: int = Field(description="queries that were timed live")


class RerankerBilling(Section):
    """The rate that the reranker is billed by; all None where it is UNPRICED."""

    rate: str | None = Field(description="the rate's name")
    shape: str | None = Field(description="per_hour, per_month, per_search, per_request, per_input_token or free")
    unit: str | None = Field(description="what is counted: search, request, token, hour")
    usd: Usd = Field(description="price of `per` units")
    per: int | None = Field(description="units that the price is for")
    since: str | None = Field(description="date from which the price holds")
    source: str | None = Field(description="where the price is published")
    verified: str | bool | None = Field(description="date on which somebody read the price; false: at second hand")
    note: str | None = Field(description="what the rate book says of it")
    units_per_query: EstimateValue = Field(description="what a query is billed for")
    utilisation: str | None = Field(description="share of its paid time in which an hourly machine is busy")
    unpriced: str | None = Field(description="why there is no price")
    reported_per_query: dict[str, float] | None = Field(description="what the reranker itself said that it took")


class IsoQuality(Section):
    """How many chunks hold, with the reranker, what the search alone holds with its own k."""

    metric: str = Field(description="the metric that this is about")
    own_k: int = Field(description="chunks that the pipeline sends")
    k_without: int = Field(description="the smallest k that the search alone needs for it")
    k_with: int | None = Field(description="the smallest k with the reranker; null: more than `max_k`")
    max_k: int = Field(description="the most chunks that were looked at")
    interval: tuple[int | None, int | None] | None = Field(description="of `k_with`; a null end is above `max_k`")
    quality_without: EstimateValue = Field(description="the metric with `k_without` chunks, search alone")
    quality_with: EstimateValue | None = Field(description="the metric with `k_with` chunks and the reranker")
    tokens_saved_per_query: EstimateValue = Field(description="of prompts as good as before; below 0 they grow")
    note: str = Field(description="what the rate book says of it")


class PerMonth(Section):
    """The statement's money at the eval's traffic."""

    queries: int | None = Field(description="a month; null: the eval does not say")
    reranker_usd: Usd = Field(description="cost of the reranker")
    reranker_usd_interval: UsdInterval = Field(description="its 95 % interval")
    llm_usd_saved: Usd = Field(description="what shorter prompts save")
    llm_usd_saved_interval: UsdInterval = Field(description="its 95 % interval")
    net_usd: Usd = Field(description="cost minus saving")
    net_interval: UsdInterval = Field(description="the net's 95 % interval")


class FlipPrice(Section):
    """The price at which the net is 0."""

    value: Usd = Field(description="USD; null: no price turns the sign, or one is not known")
    sentence: str = Field(description="the finding in words")
    interval: UsdInterval = Field(description="its 95 % interval")


class RerankerFlip(FlipPrice):
    """That of the reranker, of `per` units."""

    per: int = Field(description="units that the price is for")
    unit: str = Field(description="what is counted: search, request, token, hour")


class FlipVolume(Section):
    """Queries a month at which the net is 0."""

    value: float | None = Field(description="queries; null: no volume turns the sign")
    sentence: str = Field(description="the finding in words")


class PriceCell(Section):
    """The net at one price of the reranker and one of the LLM."""

    reranker_factor: float = Field(description="multiple of the reranker's price of today")
    llm_usd_per_million_tokens: float = Field(description="price of the LLM's prompt tokens")
    net: float | None = Field(description="USD per 1,000 queries")
    told: Told = Field(description="by the 95 % interval of the net")


class TodaysPrices(Section):
    """Where the grid's prices are today's."""

    reranker_factor: float = Field(description="multiple of the reranker's price of today")
    llm_usd_per_million_tokens: float | None = Field(description="price of the LLM's prompt tokens")


class PriceGrid(Section):
    """The net over multiples of the reranker's price and prices of the LLM."""

    reranker_factor: tuple[float, ...] = Field(description="rising")
    llm_usd_per_million_tokens: tuple[float, ...] = Field(description="rising")
    cells: tuple[PriceCell, ...] = Field(description="each price of the one with each of the other")
    here: TodaysPrices = Field(description="the prices of today")


class BreakEven(Section):
    """Where the sign of the net flips, one price or volume at a time."""

    reranker_usd: RerankerFlip = Field(description="the reranker's price")
    llm_usd_per_million_tokens: FlipPrice = Field(description="the LLM's price")
    queries_per_month: FlipVolume = Field(description="the volume from which a fixed bill pays")
    grid: PriceGrid | None = Field(description="null where the reranker is unpriced")


class Scenario(Section):
    """The statement's money and the verdict at the price of one LLM."""

    llm: str = Field(description="name of the LLM")
    usd_per_million_tokens: Usd = Field(description="its price")
    llm_usd_saved_per_1000_queries: Usd = Field(description="what shorter prompts save at equal quality")
    net_usd_per_1000_queries: Usd = Field(description="cost minus saving")
    net_interval: UsdInterval = Field(description="the net's 95 % interval")
    verdict: VerdictWord = Field(description="what to do")
    depth: int = Field(description="candidates that the reranker reads")
    reason: str = Field(description="why, in a sentence")


class WholeBill(Section):
    """A pipeline's whole bill and time."""

    usd_per_1000_queries: Usd = Field(description="every stage and the prompt")
    p50_ns: float | None = Field(description="median end-to-end time of live queries")
    tokens_per_query: float | None = Field(description="of the prompt")


class OwnBill(WholeBill):
    """This pipeline's own."""

    quality: EstimateValue = Field(description="the metric")


class Alternative(WholeBill):
    """Something else that might buy the same; `difference` is it minus this pipeline."""

    name: str = Field(description="of the pipeline, or what was changed")
    what: Change = Field(description="what differs")
    k: int | None = Field(description="chunks in the prompt")
    depth: int = Field(description="candidates that the reranker reads")
    metric: str = Field(description="the study's, or evidence@k")
    quality: EstimateValue = Field(description="the metric")
    difference: EstimateValue = Field(description="alternative minus this pipeline")
    relation: Relation = Field(description="by the interval of the difference and the margin")


class StatementLines(AddedLatency):
    """What the reranker buys, takes, costs and saves. Net is its cost minus the LLM money saved: above 0 it costs."""

    quality_gain: dict[str, QualityGain] = Field(description="metric -> gain; the study's metric first")
    reranker_usd_per_1000_queries: Usd = Field(description="cost of reranking")
    reranker_usd_interval: UsdInterval = Field(description="its 95 % interval")
    billing: RerankerBilling = Field(description="by which rate, of how many units")
    iso_quality_k: IsoQuality = Field(description="chunks and tokens at equal quality")
    llm: str | None = Field(description="the LLM whose price the tokens have; null: none is named")
    llm_usd_saved_per_1000_queries: Usd = Field(description="what shorter prompts save at equal quality")
    llm_usd_saved_interval: UsdInterval = Field(description="its 95 % interval")
    net_usd_per_1000_queries: Usd = Field(description="cost minus saving")
    net_interval: UsdInterval = Field(description="the net's 95 % interval")
    per_month: PerMonth = Field(description="the same of a month")
    usd_per_point: Usd = Field(description="price of 0.01 of the study's metric at equal k, per 1,000 queries")
    usd_per_point_interval: UsdInterval = Field(description="its 95 % interval")


class Statement(StatementLines):
    """With what it becomes at other prices, and what else would buy the same."""

    break_even: BreakEven = Field(description="where the sign of the net flips")
    scenarios: tuple[Scenario, ...] = Field(description="at the prices of other LLMs")
    alternatives: tuple[Alternative, ...] = Field(description="what else was tried")
    own: OwnBill = Field(description="this pipeline's own bill")

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

    depth: int = Field(description="candidates that the reranker reads")
    oracle: EstimateValue = Field(description="the best order there is")


class Headroom(Section):
    """What the best order of the same candidates would reach."""

    metric: str = Field(description="of all figures here")
    search: EstimateValue = Field(description="the order in which search found them")
    reranked: EstimateValue = Field(description="after the reranker")
    oracle: EstimateValue = Field(description="the best order there is")
    captured_share: EstimateValue | None = Field(description="null where no order beats the search's")
    missed_by_search: EstimateValue = Field(description="what no order of these candidates reaches")
    left_by_reranker: EstimateValue = Field(description="best order minus the reranker")
    deepest: DeepestOracle = Field(description="from the greatest depth")
    limit: Literal["recall", "ordering", "neither"] = Field(
        description="what is in the way: the search, the ordering, or neither"
    )
    sentence: str = Field(description="the finding in words")


class DepthStep(Section):
    """The reranker over so many candidates, with so many chunks in the prompt."""

    depth: int = Field(description="candidates that the reranker reads")
    k: int = Field(description="chunks in the prompt")
    scores: dict[str, EstimateValue] = Field(description="metric -> estimate")
    prompt_tokens: float = Field(description="mean length of the prompt")
    p50_ns: float | None = Field(description="live, end to end")
    p50_interval_ns: Ends = Field(description="its 95 % interval")
    p95_ns: float | None = Field(description="live, end to end")
    p95_interval_ns: Ends = Field(description="its 95 % interval")
    timed_queries: int = Field(description="queries that were timed live")
    composed_p50_ns: float | None = Field(description="made of what the other depths took; not timed at this one")
    usd_per_1000_queries: Usd = Field(description="cost of reranking; null: unpriced or not timed")
    net_usd_per_1000_queries: Usd = Field(description="cost minus saving")
    gain: EstimateValue = Field(description="of the study's metric over the search")
    loss: EstimateValue = Field(description="of the study's metric against the pipeline's own depth")


class Knee(Section):
    """The smallest depth with at least 95 % of the gain of the best one."""

    depth: int = Field(description="candidates")
    share_of_gain: float = Field(description="this depth's gain over that of the best")
    sentence: str = Field(description="the finding in words")


class FallsFrom(Section):
    """The depth beyond which more candidates make the ranking worse."""

    depth: int | None = Field(description="the peak; null unless quality falls")
    interval: tuple[int, int] | None = Field(description="95 % of the resamples' peaks")
    status: Literal["falls", "does not fall", "undecided"] = Field(description="whether quality falls with depth")
    sentence: str = Field(description="the finding in words")


class LatencyCheck(Section):
    """How far composed latencies are from those that were timed live, as shares of the latter."""

    method: str = Field(description="how it is composed")
    largest_error: float = Field(description="of any depth")
    mean_error: float = Field(description="over the depths")
    sentence: str = Field(description="the finding in words")


class JudgedCut(Section):
    """Relevant passages among the candidates that the reranker does not read to their end."""

    documents: int = Field(description="that are cut")
    of: int = Field(description="relevant passages")
    share: float = Field(description="cut of all")


class Truncation(Section):
    """What the reranker does not read; all None where it does not say how much it reads."""

    pairs: int | None = Field(description="of query and passage")
    over_length_share: float | None = Field(description="pairs that are cut, of all")
    tokens_dropped: float | None = Field(description="mean per pair")
    tokens_dropped_share: float | None = Field(description="tokens that are never read, of all")
    judged_cut: JudgedCut | None = Field(description="null where no candidate is relevant")
    quality_cost: PairedDifference | None = Field(description="cut texts read piece by piece, minus as it is")
    max_tokens: int | None = Field(description="the longest pair that is read whole")
    sentence: str = Field(description="the finding in words")


class ChangedQuery(Section):
    """One query with the relevant document that moved most; texts are null where none is kept."""

    query_id: str = Field(description="of the query")
    text: str | None = Field(description="of the question")
    change: float = Field(description="of the metric")
    before: float = Field(description="without the reranker")
    after: float = Field(description="with it")
    doc_id: str | None = Field(description="of its best passage")
    doc_text: str | None = Field(description="title and first 200 characters")
    doc_where: str | None = Field(None, description="file, page and heading, where the passage knows more than its id")
    from_rank: int | None = Field(description="null: not among the candidates")
    to_rank: int | None = Field(description="null: not among the candidates")


class ClearestQueries(Section):
    """At most ten of each kind, the clearest first."""

    helped: tuple[ChangedQuery, ...] = Field(description="largest gain first")
    hurt: tuple[ChangedQuery, ...] = Field(description="largest loss first")
    unchanged: tuple[ChangedQuery, ...] = Field(description="those that a better order would have helped")


class HelpedAndHurt(Section):
    """How many queries the reranker helps, hurts and leaves as they were."""

    helped: int = Field(description="queries that gain")
    hurt: int = Field(description="queries that lose")
    unchanged: int = Field(description="queries that are as before, to the last digit")
    clearest: ClearestQueries = Field(description="examples of each kind")


class Routed(Section):
    """What is kept and saved where only the queries with a signal up to the threshold are reranked."""

    signal: str | None = Field(description="how sure the search was; null: every query")
    threshold: float | None = Field(description="null: every query is reranked")
    share_reranked: float | None = Field(description="of the queries")
    share_of_gain_kept: float | None = Field(description="null where there is no significant gain")
    interval: Ends = Field(description="of the share kept; an end that is null is open")
    share_of_cost_saved: float | None = Field(description="of the reranker's cost")
    random: float | None = Field(description="what as many queries picked by chance keep")


class RoutingChoice(Routed):
    """The smallest share that keeps 95 % of the gain."""

    sentence: str = Field(description="the finding in words")


class SizePoint(Section):
    """The gain at one size of the corpus."""

    size: int = Field(description="passages")
    gain: EstimateValue = Field(description="of the metric")
    worth: Usd = Field(description="of the gain, USD per 1,000 queries; null where the eval does not say")
    net_usd_per_1000_queries: Usd = Field(description="cost minus saving")


class PaysFrom(Section):
    """The size from which the gain exceeds the bound; `status` as in the growth section's crossovers."""

    size: int | None = Field(description="passages")
    interval: tuple[int | None, int | None] | None = Field(
        description="its 95 % interval; an end outside what was measured is null"
    )
    status: str = Field(description="as in the growth section's crossovers")


class GrowthValue(Section):
    """What the reranker gains as the corpus grows."""

    curve: str = Field(description="how the corpus grows")
    metric: str = Field(description="the metric that this is about")
    bound: float = Field(description="the gain from which it pays")
    points: tuple[SizePoint, ...] = Field(description="a point a size")
    pays_from: PaysFrom = Field(description="where the gain exceeds the bound")
    sentence: str = Field(description="the finding in words")


class TrendYear(Section):
    """The verdict in a year, 0 being today."""

    year: int = Field(description="0 is today")
    llm_usd_per_million_tokens: Usd = Field(description="price of the LLM's prompt tokens")
    net_usd_per_1000_queries: Usd = Field(description="cost minus saving")
    net_interval: UsdInterval = Field(description="the net's 95 % interval")
    verdict: VerdictWord = Field(description="what to do")


class PriceTrend(Section):
    """The verdict if LLM prices fall by so many percent a year."""

    percent_a_year: float = Field(description="below 0 prices rise")
    years: tuple[TrendYear, ...] = Field(description="today and the next five")
    sentence: str = Field(description="the finding in words")


class DatedPrice(Section):
    """One entry of the reranker's rate in the rate books."""

    since: str = Field(description="date from which it holds")
    usd: str = Field(description="price in USD")


class SensitiveTo(Section):
    """The assumption whose smallest change flips the verdict."""

    what: str = Field(description="the assumption")
    sentence: str = Field(description="the finding in words")
    factor: float | None = Field(description="how much it has to change")
    becomes: str | None = Field(description="the verdict then")


class RerankerVerdict(Section):
    """All that is said of one pipeline's reranker."""

    verdict: VerdictWord = Field(description="what to do")
    reason: str = Field(description="why, in a sentence")
    against: str = Field(description="the same pipeline without its reranker")
    depth: int = Field(description="the depth to continue with; 0: without a reranker")
    own_depth: int = Field(description="candidates that the pipeline declares")
    k: int = Field(description="chunks in the prompt")
    metric: str = Field(description="the study's")
    reranker: str = Field(description="the reranker's name")
    listwise: bool = Field(description="whether it was run at every depth")
    more_queries: int | None = Field(description="about how many more would decide an UNDECIDED")
    sensitive_to: SensitiveTo = Field(description="what the verdict hangs on most")
    statement: Statement = Field(description="profit and loss")
    headroom: Headroom = Field(description="what the candidates would allow")
    depth_curve: tuple[DepthStep, ...] = Field(description="a step a depth and k")
    knee: Knee | None = Field(description="null where no depth gains")
    falls_from: FallsFrom = Field(description="whether more candidates harm")
    latency_check: LatencyCheck | None = Field(description="null where too few depths were timed")
    truncation: Truncation = Field(description="what is not read")
    queries: HelpedAndHurt = Field(description="whom it helps and hurts")
    routing: tuple[Routed, ...] = Field(description="a row a signal and share")
    routing_choice: RoutingChoice | None = Field(description="null without a signal")
    growth: GrowthValue | None = Field(description="null without a growth recording of this pipeline")
    price_trend: PriceTrend | None = Field(description="null where it was not asked for")
    price_history: tuple[DatedPrice, ...] = Field(description="oldest first")
    latency_withheld: str = Field("", description="why no verdict rests on its live times; empty where one may")
    cost_withheld: str = Field("", description="the same of money that is billed by time")
    notes: tuple[str, ...] = Field(description="what limits the figures")

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

    same_first: EstimateValue = Field(description="queries with the same first document")
    overlap: EstimateValue = Field(description="share of the injected passages that both hold")
    kendall_tau: EstimateValue = Field(description="of the documents that both hold")


class StudentBesideTeacher(Section):
    """Two rerankers or embedders; ratios are the student's over the teacher's."""

    kind: Literal["reranker", "embedder"] = Field(description="what is compared")
    teacher: str = Field(description="the dearer part")
    student: str = Field(description="the cheaper part")
    over: str = Field(description="the pipeline or search whose candidates are ranked")
    retained: EstimateValue = Field(description="share of the teacher's gain over the search; of an embedder's quality")
    quality_share: EstimateValue = Field(description="share of the teacher's quality")
    difference: EstimateValue = Field(description="student minus teacher")
    p: float | None = Field(description="two-sided paired sign-flip test")
    agreement: RankingAgreement = Field(description="of the two rankings")
    cost_ratio: float | None = Field(description="null where a cost is not known")
    latency_ratio: EstimateValue | None = Field(description="of the medians; null where nothing was timed")
    sentence: str = Field(description="the finding in words")


class RerankerWork(Section):
    """What the recording took."""

    pairs_scored: int = Field(description="by the reranker")
    pairs_reused: int = Field(description="taken from the cache")
    searches: int = Field(description="queries times depths that were searched")


class RerankerStudy(Section):
    """What holds for all rerankers together."""

    metric: str = Field(description="the study's")
    k: dict[str, int] = Field(description="chunks in the prompt, by pipeline")
    margin: float = Field(description="the smallest gain that counts")
    worth_usd_per_point: float | None = Field(description="what 0.01 of the metric is worth; null: nobody says")
    max_added_p95_ms: float | None = Field(None, description="adding more at p95 is too slow; null: no limit")
    max_usd_per_1000_queries: float | None = Field(None, description="more is too dear; null: no limit")
    priced_as: str | None = Field(description="LLMs whose price the tokens have")
    queries: int = Field(description="questions that were asked")
    timed_queries: dict[str, int] = Field(description="timed live, by pipeline")
    replicates: int = Field(description="resamples behind every interval")
    side_by_side: tuple[StudentBesideTeacher, ...] = Field(description="a row a pair")
    statements: tuple[str, ...] = Field(description="a sentence a pipeline")
    notes: tuple[str, ...] = Field(description="what holds for every verdict")
    work: RerankerWork = Field(description="what the recording took")


class RerankerSection(Section):
    """`verdicts` by the name of the reranked pipeline."""

    verdicts: Mapping[str, RerankerVerdict] = Field(description="by the name of the reranked pipeline")
    study: RerankerStudy = Field(description="what holds for all of them")

    def place(self, document: dict[str, Any], name: str) -> None:
        """Put the verdicts under the study's name and the rest beside them."""
        whole = self.as_json()
        document |= {name: whole["verdicts"], f"{name}_study": whole["study"]}

    @classmethod
    def read(cls, document: dict[str, Any], name: str) -> Self:
        return cls.model_validate({"verdicts": document[name], "study": document[f"{name}_study"]})

    @classmethod
    def places(cls, name: str) -> dict[str, Any]:
        return {name: dict[str, RerankerVerdict], f"{name}_study": RerankerStudy}
