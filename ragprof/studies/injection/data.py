"""A judged and priced recording of answers as tables, and what answering costs as a bill. Concludes nothing.

A bill is the sum over items of the item's mean over the questions that it is known for (machine time is known for timed
questions alone). One null among the rows makes the whole bill UNPRICED: None, never 0. Money is exact in Decimal; only
its intervals, which are statistics, go through floats.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ragprof.evals import unpriced
from ragprof.price import read_pricing
from ragprof.price.pricing import EXACT, MACHINE_TIME, QUERIES, plain
from ragprof.record import belonging
from ragprof.record.belonging import Basis
from ragprof.record.disturbance import busy_words, disturbances
from ragprof.report import figures
from ragprof.statistics.draws import Array, Draws, ends
from ragprof.studies.injection import recorded
from ragprof.studies.injection.recorded import ANSWERS, JUDGED, JUDGEMENT, MANIFEST, PROMPTS, RATES


@dataclass(frozen=True)
class AnswerBill:
    """item -> query_id -> USD; at least one item, each of at least one question."""

    items: Mapping[str, Mapping[str, Decimal]]

    def per_query(self) -> Decimal:
        """Mean USD of a question."""
        with localcontext(EXACT):
            return sum((sum(usd.values(), Decimal(0)) / len(usd) for usd in self.items.values()), Decimal(0))

    def drawn(self, draws: Draws) -> Array:
        """Mean USD of a question in each resample; NaN where one drew no question that an item is known for."""
        means = [draws.mean(pd.Series({key: float(usd) for key, usd in item.items()})) for item in self.items.values()]
        return np.asarray(np.sum(means, axis=0))

    @property
    def rests_on(self) -> int:
        """Questions that every item is known for at least."""
        return min(len(usd) for usd in self.items.values())


def bill_of(costs: pd.DataFrame, ids: Collection[str]) -> AnswerBill | None:
    """The bill of one pipeline's and setting's rows, over these questions; None where unpriced or not priced at all."""
    rows = costs[costs["query_id"].isin(list(ids))]
    if rows.empty or rows["usd"].isna().any():
        return None
    return AnswerBill(
        {str(item): dict(zip(of["query_id"], of["usd"], strict=True)) for item, of in rows.groupby("item", sort=False)}
    )


def usd_per_1000(bill: AnswerBill | None) -> str | None:
    """Decimal string of six significant digits."""
    return None if bill is None else plain(bill.per_query() * QUERIES)


def usd_interval(bill: AnswerBill | None, draws: Draws) -> tuple[str, str] | None:
    """Its interval over questions; None where an item is known for a single one."""
    if bill is None or bill.rests_on < 2:
        return None
    found = ends(bill.drawn(draws) * QUERIES, n=bill.rests_on)
    if found is None:
        return None
    low, high = (plain(Decimal(repr(end))) for end in found)
    return low, high


def usd_for_each(bill: AnswerBill | None, count: float | None) -> str | None:
    """The bill of a question over how much of something it brings (tokens, say); None where it brings nothing."""
    if bill is None or not count or np.isnan(count):
        return None
    with localcontext(EXACT):
        return plain(bill.per_query() / Decimal(repr(float(count))))


def added_usd(dearer: AnswerBill | None, cheaper: AnswerBill | None) -> Decimal | None:
    """What a question costs more under the first bill than under the second."""
    if dearer is None or cheaper is None:
        return None
    with localcontext(EXACT):
        return dearer.per_query() - cheaper.per_query()


KEYS = ["pipeline", "setting", "query_id"]
OWN = "own"
NUMBERS = (
    "prompt_tokens", "template_tokens", "context_tokens", "query_tokens", "model_tokens", "docs_injected",
    "docs_dropped", "truncated_tokens", "exact_match", "f1", "in_context", "in_answer", "correct", "abstained", "ndcg",
    "relevant_tokens", "irrelevant_tokens", "unjudged_tokens", "duplicate_tokens", "evidence_position",
    "output_tokens", "answer_tokens", "reasoning_tokens",
)  # fmt: skip
VERDICTS = ["exact_match", "f1", "in_answer", "correct", "abstained"]
"""What rests on an answer's words."""
UNFINISHED = 0.05
"""Share of answers without an end above which no rate of them is told: it could be off by as much."""
SPANS = ("embed_ns", "search_ns", "rerank_ns", "inject_ns")
LIVE = (
    *(*KEYS, "end_to_end_ns", *SPANS, "first_token_ns", "first_reasoning_ns", "decode_ns", "output_tokens"),
    *("reasoning_tokens", "joules", "cpu_ns", "waiting_ns"),
)
COSTS = (*KEYS, "item", "usd", "rate")
PREFILL = ("round", "prompt_tokens", "first_token_ns", "end_to_end_ns", "cpu_ns", "waiting_ns")
NEEDED = ("manifest.json", "judgement.json", "judged.parquet", "prompts.parquet", "answers.parquet")


@dataclass(frozen=True)
class InjectionData:
    """What a recording of answers holds.

    `cells` has one row for each pipeline, setting and question: prompts, judged, the answer's tokens and how it ended
    (`ending`), all of NUMBERS as floats with NaN for what is unknown. An answer that never began, because reasoning
    took all tokens or a content filter held it back, has no verdict. What was not written is empty: `live`, `costs`,
    `prefill`, `rates`.
    """

    manifest: Mapping[str, Any]
    judgement: Mapping[str, Any]
    rates: Mapping[str, Any]
    cells: pd.DataFrame
    live: pd.DataFrame
    costs: pd.DataFrame
    prefill: pd.DataFrame
    retrieval_busy: Mapping[str, str] = field(default_factory=dict)
    """Pipeline -> why its retrieval's bill is withheld: by time, on a machine that was busy in the main recording."""

    @property
    def config(self) -> Mapping[str, Any]:
        return dict(self.manifest["config"])

    @property
    def settings(self) -> Mapping[str, Any]:
        """The [injection] table."""
        return dict(self.config["injection"])

    @property
    def seed(self) -> int:
        return int(self.settings["seed"])

    @cached_property
    def names(self) -> list[str]:
        """Pipelines that answered, in the eval's order."""
        answered = set(self.cells["pipeline"])
        return [pipeline["name"] for pipeline in self.config["pipelines"] if pipeline["name"] in answered]

    @property
    def priced_as(self) -> str | None:
        """The rates that the pipelines' generations are priced by; None where none is."""
        rates = (self.rates.get("priced_as") or {}).values()
        return ", ".join(sorted({rate for rate in rates if rate})) or None

    def unpriced(self, pipeline: str) -> list[str]:
        """What of the pipeline's own bill has no price, and why."""
        lines = self.rates.get("pipelines", {}).get(pipeline, {}).get("unpriced", [])
        return [f"{line['item']}: {line['reason']}" for line in lines if line["setting"] == OWN]

    @cached_property
    def draws(self) -> Draws:
        """Resamples of the answerable questions, the same for every figure."""
        return Draws.of(self.manifest["questions"], seed=self.seed)

    @cached_property
    def timed_draws(self) -> Draws | None:
        """Resamples of the questions that the pipelines' own settings were timed with; None where none was."""
        timed = self.live[self.live["setting"] == OWN]["query_id"].unique().tolist()
        return Draws.of(timed, seed=self.seed) if timed else None

    def asked(self, pipeline: str, setting: str = OWN, *, answerable: bool = True) -> pd.DataFrame:
        """The questions of one pipeline and setting that the corpus can answer (or cannot), by query_id."""
        chosen = (self.cells["pipeline"] == pipeline) & (self.cells["setting"] == setting)
        rows = self.cells[chosen & (self.cells["answerable"] == answerable)]
        return rows.set_index("query_id").sort_index()

    def withheld(self, pipeline: str, setting: str = OWN) -> str | None:
        """Why no rate of these answers is told; None where all but a few of them came to their end."""
        return withheld(self.asked(pipeline, setting))

    def busy(self, pipeline: str) -> str:
        """Why no sentence rests on the live times of a pipeline; empty where one may."""
        return busy_words(self.live[self.live["pipeline"] == pipeline], self.settings["timing"])

    @property
    def prefill_busy(self) -> str:
        """The same of the prompts of chosen lengths."""
        return busy_words(self.prefill, self.settings["timing"])

    def dear(self, pipeline: str) -> str:
        """The same of the pipeline's bills, where they hold machine time."""
        rows = self.costs[(self.costs["pipeline"] == pipeline) & (self.costs["item"] == MACHINE_TIME)]
        return (self.busy(pipeline) if len(rows) else "") or self.retrieval_busy.get(pipeline, "")

    def bill(self, pipeline: str, setting: str = OWN) -> AnswerBill | None:
        rows = self.costs[(self.costs["pipeline"] == pipeline) & (self.costs["setting"] == setting)]
        return bill_of(rows, self.manifest["questions"])

    def timed(self, pipeline: str, setting: str = OWN) -> pd.DataFrame:
        """Means over the rounds of each timed question: columns of LIVE, and what follows from two of one round.

        That is `until_token_ns`, from end to end, and `reasoning_ns`, where the model reasoned in that round.
        """
        rows = self.live[(self.live["pipeline"] == pipeline) & (self.live["setting"] == setting)]
        numbers = rows[[column for column in LIVE if column not in KEYS]].astype(float)
        numbers["until_token_ns"] = numbers[list(SPANS)].sum(axis=1) + numbers["first_token_ns"]
        numbers["reasoning_ns"] = numbers["first_token_ns"] - numbers["first_reasoning_ns"]
        return numbers.groupby(rows["query_id"]).mean().sort_index()

    def steps(self, pipeline: str, kind: str) -> list[int]:
        """The values that were swept, rising: `k` of "k=3", `tokens` of "tokens=1000"."""
        settings = self.cells[self.cells["pipeline"] == pipeline]["setting"].unique()
        return sorted(int(text.removeprefix(f"{kind}=")) for text in settings if text.startswith(f"{kind}="))


def endings(asked: pd.DataFrame) -> dict[str, int]:
    """How many answers are `empty`, were `cut`, were cut before they were right (`cut_wrong`), or `filtered`."""
    counts = {kind: int((asked["ending"] == kind).sum()) for kind in ("empty", "cut", "filtered")}
    return counts | {"cut_wrong": int(((asked["ending"] == "cut") & (asked["correct"] == 0)).sum())}


def withheld(asked: pd.DataFrame) -> str | None:
    """Why no rate of these answers is told; None where all but a few of them came to their end."""
    counts = endings(asked)
    unfinished = counts["empty"] + counts["filtered"] + counts["cut_wrong"]
    if not len(asked) or unfinished / len(asked) <= UNFINISHED:
        return None
    words = {
        "empty": "empty",
        "cut_wrong": "cut at max_new_tokens before they were right",
        "filtered": "held back by a content filter",
    }
    told = ", ".join(f"{counts[kind]} {said}" for kind, said in words.items() if counts[kind])
    remedy = "" if counts["filtered"] == unfinished else "; raise max_new_tokens of the generator"
    return f"{unfinished} of {figures.counted(len(asked), 'answer')} did not come to their end ({told}){remedy}"


def is_recorded(folder: Path) -> bool:
    """Whether answers were recorded to the end and judged."""
    return all((folder / "injection" / name).exists() for name in NEEDED)


def belongs(folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]) -> bool:
    """Whether the answers are of the same eval as the recording that they lie in: of its corpus and questions, of all
    or some of its pipelines, and judged by the same judgements."""
    answers = MANIFEST.read(folder / "injection" / "manifest.json")
    judged = JUDGEMENT.read(folder / "injection" / "judgement.json")
    basis = Basis(
        corpus=answers["corpus_sha256"],
        questions=answers.get("questions_sha256"),
        pipelines=unpriced(answers["config"]["pipelines"]),
        every_pipeline=False,
    )
    return belonging.belongs(
        basis, recording=answers["recording"], judged=judged, manifest=manifest, judgement=judgement
    )


def read_injection(folder: Path) -> InjectionData:
    """The answers in a recording's folder. Raises BadInput where something that is needed is missing."""
    place = folder / "injection"
    prompts, judged, answers = (
        table.read(place / f"{name}.parquet")
        for name, table in {"prompts": PROMPTS, "judged": JUDGED, "answers": ANSWERS}.items()
    )
    answers = answers.reindex(columns=["digest", "finish", "output_tokens", "answer_tokens", "reasoning_tokens"])
    cells = judged.merge(prompts, on=KEYS, how="left", validate="one_to_one").merge(
        answers, on="digest", how="left", validate="many_to_one"
    )
    cells = cells.reindex(columns=[*KEYS, "answerable", "lost_at", "finish", *NUMBERS])
    cells = cells.astype(dict.fromkeys(NUMBERS, "float64"))
    empty, finish = cells["answer_tokens"] == 0, cells["finish"]
    kinds = [finish == "content_filter", empty, finish == "length"]
    cells["ending"] = np.select(kinds, ["filtered", "empty", "cut"], "whole")
    never_began = (finish == "content_filter") | (empty & (finish == "length"))
    cells.loc[never_began, VERDICTS] = np.nan
    cells.loc[never_began, "lost_at"] = ""
    live, costs, prefill = (
        (table.read(path) if (path := place / f"{name}.parquet").exists() else pd.DataFrame()).reindex(
            columns=list(columns)
        )
        for name, table, columns in (
            ("live", recorded.LIVE, LIVE),
            ("costs", recorded.COSTS, COSTS),
            ("prefill", recorded.PREFILL, PREFILL),
        )
    )
    return InjectionData(
        MANIFEST.read(place / "manifest.json"),
        JUDGEMENT.read(place / "judgement.json"),
        RATES.read(place / "rates.json") if (place / "rates.json").exists() else {},
        cells,
        live,
        costs,
        prefill,
        _retrieval_busy(folder),
    )


def _retrieval_busy(folder: Path) -> dict[str, str]:
    if not (folder / "rates.json").exists():
        return {}
    flags, bills = disturbances(folder), read_pricing(folder).pipelines
    return {
        name: flag.reason
        for name, flag in flags.items()
        if flag.busy and name in bills and set(bills[name].billed_by_time) - {"generate"}
    }
