"""What `ragprof inject` found, as summary.json has it under `injection` and, per pipeline, `economics`.

Money is a decimal string in USD; null is money that is UNPRICED, because a rate is missing. Times are in nanoseconds
unless the name says otherwise. `correct` and the other shares are fractions of the questions with a gold answer.
"""

from __future__ import annotations

from typing import Any, Literal, Self, TypeAlias

from pydantic import Field

from ragprof.studies.contract import ComparedPair, EstimateValue, Section

Attribution: TypeAlias = Literal["search", "rerank", "packing", "model"]
Interval: TypeAlias = tuple[float, float]


class AnsweringModel(Section):
    """Which generator answered; null where it does not say."""

    name: str | None
    model: str | None
    precision: str | None
    device: str | None


class TimedLength(Section):
    """Time to first token of live prompts of one length."""

    prompt_tokens: int
    p50_ns: int | None
    interval_ns: tuple[int, int] | None = Field(description="95% interval of the median over timings")
    n: int = Field(description="timings")


class FitIntervals(Section):
    """95% intervals of the terms; null with too few timings. That of c comes from a fit in which c may be below 0."""

    a_ns: Interval | None
    b_ns_per_token: Interval | None
    c_ns_per_token2: Interval | None


class FitResidual(Section):
    """Mean of measured minus fitted at one prompt length."""

    prompt_tokens: int
    residual_ns: float


class FitPoint(Section):
    """A point of the fitted curve, for drawing."""

    prompt_tokens: int
    value_ns: float
    interval_ns: Interval | None


class FirstTokenFit(Section):
    """Time to first token = a + b n + c n^2, with n the tokens of the prompt; null where it could not be fitted."""

    a_ns: float | None
    b_ns_per_token: float | None
    c_ns_per_token2: float | None
    residual_ns: float | None = Field(description="root mean square of measured minus fitted")
    relative_residual: float | None = Field(description="the same as a share of the fitted time")
    quadratic_from_tokens: int | None = Field(
        description="length from which c n^2 is a tenth of the time; null where c is not significant"
    )
    intervals: FitIntervals
    residuals: list[FitResidual]
    curve: list[FitPoint]
    weights: str = Field(description="how timings are weighted in the fit")
    n: int = Field(description="timings")
    statement: str


class FirstTokenSection(Section):
    """How long the generator takes to its first token, by the length of the prompt."""

    model: str
    points: list[TimedLength]
    fit: FirstTokenFit
    decode_ns_per_token: EstimateValue = Field(description="time per token of the answer after the first")
    withheld: str = Field("", description="why no sentence rests on these times; empty where one may")


class PromptParts(Section):
    """Mean tokens of a prompt by what they are; null where unknown. `truncated` was within reach and did not get in."""

    template: float | None
    question: float | None
    relevant: float | None
    irrelevant: float | None
    unjudged: float | None
    duplicate: float | None
    truncated: float | None


class SweptSetting(Section):
    """Answers with k chunks, or with as many as fit a budget of tokens."""

    k: int = Field(0, description="chunks asked for; in by_k alone")
    budget_tokens: int = Field(0, description="tokens that the prompt may take; in by_budget alone")
    setting: str
    prompt_tokens: EstimateValue = Field(description="tokens of the prompt as the model counts them")
    answer_f1: EstimateValue
    exact_match: EstimateValue
    correct: EstimateValue
    answer_in_context: EstimateValue
    answer_in_answer: EstimateValue
    ndcg: EstimateValue = Field(description="nDCG@10 of the chunks in the prompt")
    time_to_first_token_ns: EstimateValue = Field(description="from the generator's call, over the timed questions")
    usd_per_1000_queries: str | None
    usd_interval: tuple[str | None, str | None] | None
    tokens: PromptParts
    usd_per_relevant_token: str | None = Field(description="the whole bill over the relevant tokens; null without any")
    withheld: str | None = Field(description="why no rate of these answers is told; null where they are")

    @property
    def size(self) -> int:
        """The k or the budget."""
        return self.k or self.budget_tokens


class ChunkOrder(Section):
    """The same chunks in one order; the others are compared with best_first, which has no comparison."""

    order: str
    k: int
    answer_f1: EstimateValue
    correct: EstimateValue
    withheld: str | None = Field(description="why no rate of these answers is told; null where they are")
    evidence_position: EstimateValue = Field(
        description="place of the first chunk that holds a gold answer: 0 first, 1 last"
    )
    difference: EstimateValue | None = Field(description="in correct answers, paired")
    p: float | None
    p_holm: float | None = Field(description="corrected over the orders")
    verdict: str | None


class ChunkStep(Section):
    """From k to the next larger k that was tried: what the added chunks bring and what they add."""

    from_k: int
    to_k: int
    correct_gain: EstimateValue
    f1_gain: EstimateValue
    added_usd_per_1000: str | None
    added_first_token_ns: EstimateValue
    usd_per_extra_correct: str | None = Field(description="null where a step is unpriced, costs nothing or brings none")
    usd_per_extra_correct_interval: tuple[str | None, str | None] | None = Field(
        description="the upper end is null where the gain is not significant"
    )


class ChunkMargin(Section):
    """The last k that is worth it."""

    steps: list[ChunkStep]
    last_worthwhile_k: int | None = Field(description="null where that is undecided")
    status: Literal["told", "undecided"] = Field(description="whether it is significant")
    usd_per_correct_answer: float | None = Field(description="what the eval says a correct answer is worth")
    statement: str


class Abstention(Section):
    """Shares of answers that say they have none; null where no such question was asked."""

    unanswerable: EstimateValue | None = Field(description="higher is better")
    answerable: EstimateValue = Field(description="lower is better")


class JudgeAgreement(Section):
    """How far a model as judge agrees with the gold answers."""

    model: str
    agreement: float | None
    kappa: float | None = Field(description="Cohen's kappa; null where both labels are constant")
    kappa_interval: Interval | None
    n: int = Field(description="answers that both labelled")
    unparsable: int = Field(description="replies that are neither CORRECT nor INCORRECT")


class AnswerEndings(Section):
    """How answers ended. A rate is withheld where more than 5 % of them are empty, filtered, or cut and not right."""

    asked: int = Field(description="answerable questions that were asked")
    empty: int = Field(description="answers without a word: all tokens went into reasoning, or the model said nothing")
    cut: int = Field(description="answers with words that were cut at max_new_tokens")
    cut_wrong: int = Field(description="those of them that held no gold answer yet")
    filtered: int = Field(description="answers that a content filter refused or held back")
    filtered_queries: list[str] = Field(description="the questions of those")
    withheld: str | None = Field(description="why no rate of these answers is told; null where they are")


class AnswerReasoning(Section):
    """What the model said to itself before it answered."""

    tokens: EstimateValue = Field(description="tokens of reasoning per question")
    answer_tokens: EstimateValue = Field(description="tokens of the answer alone per question")
    share: float | None = Field(description="of all tokens that the model wrote")
    time_ns: EstimateValue = Field(description="from the first token of the reasoning to the first of the answer")
    first_token_ns: EstimateValue = Field(description="from the generator's call to the first token of the reasoning")
    usd_per_1000_queries: str | None = Field(description="part of the cost of the answers; null where unpriced")


class PipelineAnswers(Section):
    """How well a pipeline answers with its own injector."""

    setting: str
    n: int = Field(description="questions with a verdict")
    exact_match: EstimateValue
    f1: EstimateValue
    answer_in_context: EstimateValue
    answer_in_answer: EstimateValue
    correct: EstimateValue
    attribution: dict[Attribution, float | None] = Field(description="share of the questions lost at each place")
    attribution_counts: dict[Attribution, int]
    abstention: Abstention
    judge: JudgeAgreement | None
    endings: AnswerEndings
    reasoning: AnswerReasoning | None = Field(description="null where the model showed and reported none")


class TimeSensitivity(Section):
    """A field of use, by how much its users mind waiting."""

    name: str
    k: float
    reason: str


class UtilityPoint(Section):
    """U of every pipeline at one k."""

    k: float
    values: dict[str, float]


class UtilityWinner(Section):
    """The pipeline with the highest U over a range of k."""

    from_k: float
    to_k: float
    pipeline: str
    share: float = Field(description="share of the resamples in which it also leads at the middle of the range")


class UtilitySection(Section):
    """U = A * R / L^k of the pipelines that have all three."""

    presets: list[TimeSensitivity]
    curve: list[UtilityPoint]
    winners: list[UtilityWinner]
    statement: str
    formula: str


class BudgetSpent(Section):
    """What a question takes; `within` is null where a limit cannot be compared because something is unknown."""

    tokens_per_query: float | None
    usd_per_1000_queries: str | None
    within: bool | None


class BudgetSection(Section):
    """The eval's limits, null where it sets none, and who keeps them."""

    tokens_per_query: int | None
    usd_per_1000_queries: float | None
    pipelines: dict[str, BudgetSpent]


class ElectricityFigure(Section):
    """Where a price or an emission of electricity comes from."""

    region: str = ""
    date: str = ""
    source: str = ""
    verified: str | bool = False
    note: str = ""


class EnergyBasis(Section):
    """Where joules come from, and what electricity costs and emits there."""

    source: str = Field(description="nvml, rapl, nvml+rapl, or estimate: a stated wattage")
    watts: float | None = Field(description="stated; null where the machine counts")
    region: str = ""
    name: str = ""
    usd_per_kwh: float | None = None
    price: ElectricityFigure | None = None
    kg_co2_per_kwh: float | None = None
    carbon: ElectricityFigure | None = None
    date: str = ""
    statement: str


class Economics(Section):
    """Money, tokens and energy of a pipeline's answers; null is what was not measured or is UNPRICED, never 0."""

    setting: str
    usd_per_query: EstimateValue | None
    usd_per_correct_answer: EstimateValue | None
    usd_per_token_of_correctness: EstimateValue | None
    correct_answers_per_million_tokens: EstimateValue | None
    tokens_per_query: EstimateValue | None
    joules_per_query: EstimateValue | None
    joules_per_correct_answer: EstimateValue | None
    energy_usd_per_1000_queries: EstimateValue | None
    kg_co2_per_1000_queries: EstimateValue | None
    accuracy: EstimateValue
    relevance: EstimateValue
    time_to_first_token_s: EstimateValue
    utility: dict[str, EstimateValue | None] = Field(description="time sensitivity k -> U")
    formulas: dict[str, str] = Field(description="key -> how it is worked out")
    usd_per_1000_queries: str | None = None
    usd_interval: tuple[str | None, str | None] | None = None
    unpriced: list[str] = Field(default_factory=list, description="what has no price, and why")
    latency_withheld: str = Field("", description="why no sentence rests on the live times; empty where one may")
    cost_withheld: str = Field("", description="the same of the money, where it is billed by time")

    @property
    def is_unpriced(self) -> bool:
        return self.usd_per_query is None


class FirstTokenMedian(Section):
    """From the generator's call to the first token in the main recording, where a pipeline has a generator."""

    p50_ns: int | None
    p50_interval_ns: tuple[int, int] | None
    withheld: str = Field("", description="why no sentence rests on it: the main recording's machine was busy")


class InjectionSection(Section):
    """What answers are worth, what they cost and how long they take."""

    generator: AnsweringModel
    priced_as: str | None = Field(description="names of the rates of the generations; null where unpriced")
    questions: int
    unanswerable: int
    correct: str = Field(description="when an answer is correct: contains, exact or f1")
    seed: int
    time_to_first_token: FirstTokenSection
    by_k: dict[str, list[SweptSetting]]
    by_budget: dict[str, list[SweptSetting]]
    orders: dict[str, list[ChunkOrder]]
    marginal: dict[str, ChunkMargin]
    answers: dict[str, PipelineAnswers]
    comparisons: list[ComparedPair]
    utility: UtilitySection
    budget: BudgetSection | None
    energy: EnergyBasis | None
    work: dict[str, int] = Field(description="prompts built, distinct ones, answers generated and reused")
    statements: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    economics: dict[str, Economics] = Field(
        default_factory=dict, exclude=True, description="stands with the pipelines, not in the section"
    )
    first_tokens: dict[str, FirstTokenMedian] = Field(
        default_factory=dict, exclude=True, description="stands with the pipelines' stages, not in the section"
    )

    def place(self, document: dict[str, Any], name: str) -> None:
        document[name] = self.as_json()
        for pipeline, found in self.economics.items():
            document["pipelines"][pipeline]["economics"] = found.as_json()

    @classmethod
    def places(cls, name: str) -> dict[str, Any]:
        return {name: cls, "pipelines.economics": Economics}

    @classmethod
    def read(cls, document: dict[str, Any], name: str) -> Self:
        """The section of summary.json, with what stands there under `pipelines`."""
        pipelines = document["pipelines"]
        medians = {name: one["stages"].get("generate", {}).get("first_token") for name, one in pipelines.items()}
        beside = {
            "economics": {name: one["economics"] for name, one in pipelines.items() if "economics" in one},
            "first_tokens": {
                name: {
                    **{key: found[key] for key in ("p50_ns", "p50_interval_ns")},
                    "withheld": (pipelines[name].get("waiting") or {}).get("reason", ""),
                }
                for name, found in medians.items()
                if found
            },
        }
        return cls.model_validate({**document[name], **beside})
