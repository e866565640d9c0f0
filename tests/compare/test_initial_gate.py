"""`gate --init`: margins that stand above the noise of the recording, and beside them what its queries can show."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kept_side import only_plain, side

from ragprof.core.errors import BadInput, NonFiniteScore
from ragprof.evals import GateSettings
from ragprof.studies.gate.evidence import SideEvidence
from ragprof.studies.gate.initial import initial_gate, of_means, of_quantile

CELL = ("quality", "search", "nDCG@10")
PLAIN = np.array([number % 4 / 4 for number in range(20)])
RERANKED = np.array([0.75 if number % 2 else 0.25 for number in range(20)])


def parsed(evidence: SideEvidence) -> GateSettings:
    return GateSettings.model_validate(tomllib.loads(initial_gate(evidence).toml)["gate"])


def line_of(lines: tuple[str, ...], start: str) -> str:
    return next(line for line in lines if line.startswith(start))


def without(evidence: SideEvidence, **rows: Any) -> SideEvidence:
    """A side without the rows whose columns have these values."""
    figures = evidence.figures
    held = np.logical_and.reduce([figures[column] == value for column, value in rows.items()])
    return replace(evidence, figures=figures[~held])


def same_every_round(evidence: SideEvidence) -> SideEvidence:
    first = evidence.times[evidence.times["round"] == 0]
    facts = {**evidence.facts, "noise": dict.fromkeys(evidence.pipelines, 0.0)}
    return replace(evidence, facts=facts, times=pd.concat([first, first.assign(round=1)], ignore_index=True))


def test_the_table_gates_what_the_recording_holds() -> None:
    gate = parsed(side())
    assert list(gate.quantities) == [
        "nDCG@10",
        "R@50",
        "latency_p50",
        "latency_p95",
        "rerank.latency_p50",
        "rerank.latency_p95",
        "inject.prompt_tokens",
        "rerank.docs_scored",
        "usd_per_1000_queries",
    ]
    assert gate.alpha == 0.05


def test_a_pipeline_without_the_stage_is_not_asked_for_it() -> None:
    margins = parsed(side()).quantities
    assert {label: margin.pipelines for label, margin in margins.items() if margin.pipelines} == {
        "rerank.latency_p50": ("reranked",),
        "rerank.latency_p95": ("reranked",),
        "rerank.docs_scored": ("reranked",),
    }


def test_margins_are_those_of_the_kind_or_the_measured_noise() -> None:
    """Rerank: (9.9645 - 7.665) / 8.715 between the rounds' medians; the bill: 0.4976 of it moves by 0.2609."""
    margins = {label: margin.absolute or margin.relative for label, margin in parsed(side()).quantities.items()}
    assert margins == {
        "nDCG@10": 0.01,
        "R@50": 0.01,
        "latency_p50": 0.21,
        "latency_p95": 0.21,
        "rerank.latency_p50": 0.27,
        "rerank.latency_p95": 0.27,
        "inject.prompt_tokens": 0.02,
        "rerank.docs_scored": 0.02,
        "usd_per_1000_queries": 0.13,
    }


def test_a_quiet_machine_gets_the_least_margins() -> None:
    margins = parsed(same_every_round(side())).quantities
    assert {margins[f"{stage}latency_p{level}"].relative for stage in ("", "rerank.") for level in (50, 95)} == {0.10}
    assert margins["usd_per_1000_queries"].relative == 0.05


def test_an_unmeasured_noise_counts_as_that_between_jobs() -> None:
    evidence = side(noise={"plain": None, "reranked": None})
    margins = parsed(replace(evidence, times=evidence.times[evidence.times["round"] == 0])).quantities
    assert (margins["latency_p50"].relative, margins["rerank.latency_p95"].relative) == (0.26, 0.26)
    assert margins["usd_per_1000_queries"].relative == 0.13


def test_the_noise_is_printed_with_the_pipeline_that_has_it() -> None:
    lines = initial_gate(side()).lines
    assert line_of(lines, "latency_p50:").startswith("latency_p50: margin 21%; noise 21.0% (reranked); smallest")
    assert line_of(lines, "rerank.latency_p50:").startswith("rerank.latency_p50: margin 27%; noise 26.3% (reranked);")
    assert line_of(lines, "usd_per").startswith("usd_per_1000_queries: margin 13%; noise 13.0% (reranked);")
    assert "noise" not in line_of(lines, "nDCG@10:")


def test_a_margin_is_not_printed_smaller_than_it_is_written() -> None:
    """The bill's noise of a little above 5 % is covered by 0.054, which would round to 5 %."""
    quiet = same_every_round(side())
    times = quiet.times.assign(duration_ns=quiet.times["duration_ns"] * (1 + 0.11 * (quiet.times["round"] == 0)))
    evidence = replace(quiet, times=times)
    written = parsed(evidence).quantities["usd_per_1000_queries"].relative
    assert 0.05 < written < 0.055
    line = line_of(initial_gate(evidence).lines, "usd_per")
    assert line.startswith(f"usd_per_1000_queries: margin {100 * written:.1f}%; noise ")


def test_a_bill_without_a_clock_has_no_noise() -> None:
    result = initial_gate(only_plain(side()))
    assert "noise" not in line_of(result.lines, "usd_per_1000_queries:")
    assert (
        GateSettings.model_validate(tomllib.loads(result.toml)["gate"]).quantities["usd_per_1000_queries"].relative
        == 0.05
    )


def test_every_line_of_the_table_says_the_smallest_detectable_effect() -> None:
    table = [line for line in initial_gate(side()).toml.splitlines() if line.startswith('"')]
    assert len(table) == 9
    assert all("smallest detectable effect" in line or "any change shows" in line for line in table)


def test_the_smallest_effect_is_that_of_a_paired_t_test_on_the_differences() -> None:
    """sd 0.28677 of 20 differences: (2.0930 + 0.8610) * 0.28677 / sqrt(20)."""
    found = of_means({CELL: PLAIN}, {"reranked": {CELL: RERANKED}}, alpha=0.05)
    assert found.effect == pytest.approx(0.18942, abs=1e-5)
    assert (found.queries, found.rests_on) == (20, "differences from reranked")


def test_the_most_similar_pipeline_decides_and_an_equal_one_does_not() -> None:
    near = PLAIN + np.where(np.arange(20) == 3, 0.1, 0.0)
    others: dict[str, Mapping[Any, Any]] = {"same": {CELL: PLAIN}, "far": {CELL: RERANKED}, "near": {CELL: near}}
    found = of_means({CELL: PLAIN}, others, alpha=0.05)
    assert found.rests_on == "differences from near"
    assert found.effect == pytest.approx(2.9540 * 0.1 / 20, abs=1e-5)


def test_a_pipeline_alone_rests_on_a_stated_assumption() -> None:
    """sd 5.9161 * sqrt(2 * (1 - 0.8)) = 3.7417; times 2.9540 / sqrt(20)."""
    found = of_means({CELL: 1000.0 + np.arange(20)}, {}, alpha=0.05)
    assert found.effect == pytest.approx(2.4715, abs=1e-3)
    assert found.rests_on == "assuming a correlation of 0.8"


def test_a_sum_of_items_adds_what_each_query_adds_to_it() -> None:
    """Two items that cancel out have a sum that does not vary; an item on half of the queries weighs double there."""
    values = np.arange(20.0)
    bill = {("cost", "inject", "a"): values, ("cost", "inject", "b"): -values}
    assert of_means(bill, {}, alpha=0.05).effect == 0.0
    halved = {("cost", "rerank", "c"): np.where(np.arange(20) % 2, values, np.nan)}
    whole = of_means({("cost", "rerank", "c"): values[1::2]}, {}, alpha=0.05)
    assert of_means(halved, {}, alpha=0.05) == whole


def test_an_item_that_the_other_pipeline_lacks_is_nothing_there() -> None:
    clocked = {("cost", "rerank", "machine time"): PLAIN}
    found = of_means({**clocked, CELL: RERANKED}, {"plain": {CELL: RERANKED}}, alpha=0.05)
    assert found.effect == pytest.approx(of_means(clocked, {}, alpha=0.05).effect / np.sqrt(0.4))  # type: ignore[operator]


def test_rounds_that_agree_show_any_change_of_latency() -> None:
    rounds = np.column_stack([np.arange(1.0, 21.0)] * 2)
    assert of_quantile(rounds, 0.5, alpha=0.05, seed=0).effect == 0.0
    assert of_quantile(rounds[:, :1], 0.5, alpha=0.05, seed=0).effect is None


def test_noisy_queries_hide_a_change_of_latency() -> None:
    """Each query 10 % off at random in either round: so 1.25 * 0.1 * sqrt(2 / 200) of the ratio of medians."""
    rounds = 5 * np.exp(np.random.default_rng(1).normal(0, 0.1, (200, 2)))
    found = of_quantile(rounds, 0.5, alpha=0.05, seed=0)
    assert found.effect == pytest.approx(np.expm1(2.82 * 0.0125), rel=0.25)


def test_a_metric_that_the_queries_cannot_tell_is_warned_of_with_the_queries_needed() -> None:
    warning = line_of(initial_gate(side()).lines, "warning: nDCG@10:")
    assert warning == (
        "warning: nDCG@10: the smallest detectable effect, 0.270 with 20 queries (plain), exceeds the margin; about "
        "15,000 queries would be needed"
    )


def test_a_constant_count_shows_any_change() -> None:
    lines = initial_gate(side()).lines
    assert line_of(lines, "rerank.docs_scored:") == (
        "rerank.docs_scored: margin 2%; any change shows: every query has the same (20 queries)"
    )
    assert not [line for line in lines if line.startswith("warning: rerank.docs_scored")]


def test_what_has_no_rate_is_a_comment_and_not_a_gate() -> None:
    result = initial_gate(side(unpriced={"plain": [], "reranked": ["rerank: no rate for\n'requests'"]}))
    gate = GateSettings.model_validate(tomllib.loads(result.toml)["gate"])
    assert gate.quantities["usd_per_1000_queries"].pipelines == ("plain",)
    said = "usd_per_1000_queries of reranked is UNPRICED: rerank: no rate for 'requests'; name a rate in [prices]"
    assert f"# {said}" in result.toml
    assert line_of(result.lines, "usd_per_1000_queries of reranked").startswith(said)


def test_nothing_priced_leaves_money_ungated() -> None:
    evidence = side(unpriced={"plain": ["inject: no rate"], "reranked": ["inject: no rate"]})
    assert "usd_per_1000_queries" not in parsed(evidence).quantities


def test_only_the_first_metric_and_one_recall_are_gated() -> None:
    assert list(parsed(without(side(), name="R@50")).quantities)[:2] == ["nDCG@10", "latency_p50"]
    assert next(iter(parsed(side(metrics=["R@50", "nDCG@10"])).quantities)) == "R@50"


def test_a_recording_without_live_queries_gets_no_latency_gate() -> None:
    evidence = side()
    result = initial_gate(replace(evidence, times=evidence.times.iloc[:0]))
    assert not [label for label in tomllib.loads(result.toml)["gate"]["quantities"] if "latency" in label]
    assert "latency" not in "".join(result.lines)


def test_names_are_written_so_that_toml_reads_them() -> None:
    evidence = side()
    renamed = {"pipelines": {"plain": {}, "re ranked+é": {}}, "unpriced": {"plain": [], "re ranked+é": []}}
    renamed |= {"clocked": {"plain": [], "re ranked+é": []}, "noise": {"plain": 0.0, "re ranked+é": 0.0}}
    tables = {
        name: getattr(evidence, name).replace({"pipeline": {"reranked": "re ranked+é"}})
        for name in ("figures", "times")
    }
    gate = parsed(replace(evidence, facts={**evidence.facts, **renamed}, **tables))
    assert gate.quantities["rerank.docs_scored"].pipelines == ("re ranked+é",)


def test_alpha_is_written_and_shared_by_all_gates() -> None:
    result = initial_gate(side(), alpha=0.1)
    assert tomllib.loads(result.toml)["gate"]["alpha"] == 0.1
    assert "15 gates" in result.toml
    assert "alpha 0.1 shared by all gates" in result.toml


@pytest.mark.parametrize("alpha", [0.0, 0.5, float("nan")])
def test_an_alpha_that_no_gate_takes_is_refused(alpha: float) -> None:
    with pytest.raises(BadInput, match=r"alpha lies between 0 and 0.5"):
        initial_gate(side(), alpha=alpha)


def test_nothing_to_gate_is_refused() -> None:
    evidence = side()
    with pytest.raises(BadInput, match="'reports/small' holds nothing to gate"):
        initial_gate(replace(evidence, figures=evidence.figures.iloc[:0], times=evidence.times.iloc[:0]))


def test_a_figure_that_is_not_a_number_is_refused() -> None:
    evidence = side()
    evidence.figures.loc[0, "value"] = np.nan
    with pytest.raises(NonFiniteScore, match="is not a finite number"):
        initial_gate(evidence)


def test_so_few_queries_that_no_loss_could_be_told_are_said_to_be() -> None:
    few = side(queries=8)
    assert any("cannot tell any loss over" in line for line in initial_gate(few).lines)
    assert not any("cannot tell any loss over" in line for line in initial_gate(side()).lines)


def with_rounds(evidence: SideEvidence, factor: float) -> SideEvidence:
    """A side whose second round took so many times as long in one pipeline."""
    slow = (evidence.times["round"] == 1) & (evidence.times["pipeline"] == "reranked")
    times = evidence.times.assign(duration_ns=evidence.times["duration_ns"] * np.where(slow, factor, 1.0))
    return replace(evidence, times=times)


def test_a_pipeline_whose_rounds_differ_by_more_than_its_figure_gets_no_margin_of_latency() -> None:
    """A margin of several hundred per cent would hold for whatever is changed."""
    result = initial_gate(with_rounds(side(), 5.0))
    gate = GateSettings.model_validate(tomllib.loads(result.toml)["gate"])
    assert gate.quantities["latency_p50"].pipelines == ("plain",)
    assert gate.quantities["latency_p50"].relative == 0.10
    assert "rerank.latency_p50" not in gate.quantities
    said = "latency_p50 of reranked is left out: its rounds differ by 1"
    assert line_of(result.lines, said).endswith("record it again on a quieter machine")
    assert f"\n# {said}" in result.toml


def test_an_effect_of_more_than_the_figure_itself_is_not_told() -> None:
    """Eight queries and 25 gates: an expected ratio of e^12 is no effect that anybody could use."""
    evidence = side(queries=8)
    eight = sorted(set(evidence.times["query_id"]))[:8]
    rng = np.random.default_rng(0)
    times = evidence.times[evidence.times["query_id"].isin(eight)]
    times = times.assign(duration_ns=times["duration_ns"] * rng.lognormal(0, 0.4, len(times)))
    figures = evidence.figures[evidence.figures["query_id"].isin(eight)]
    lines = initial_gate(replace(evidence, figures=figures, times=times)).lines
    assert "no smallest detectable effect is known: 8 queries would not tell even a doubling (" in line_of(
        lines, "latency_p95:"
    )
    assert not [line for line in lines if line.startswith("warning: latency_p")]
    assert "8 queries would not tell even the loss of all of it (" in line_of(lines, "R@50:")


def test_a_number_of_queries_that_nobody_judges_is_no_advice() -> None:
    """20 queries whose figures are 5 or 9, beside a margin of 0.01: 298,000 of them would tell."""
    evidence = side()
    scattered = evidence.figures["value"].where(evidence.figures["name"] != "R@50", 5 + 4 * evidence.figures["value"])
    lines = initial_gate(replace(evidence, figures=evidence.figures.assign(value=scattered))).lines
    assert line_of(lines, "warning: R@50:").endswith(
        "exceeds the margin; more than 100,000 queries would be needed, so give it a wider margin"
    )
