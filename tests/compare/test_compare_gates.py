"""The gate: what fails, what holds, what is undecided, and how often equal sides fail by chance."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from compare_data import cost, environment, ndcg, rising, side, timings, tokens

from ragprof.core.errors import BadInput, Incomparable, UnknownName
from ragprof.evals import GateSettings
from ragprof.session.gating import judged
from ragprof.statistics.draws import Array
from ragprof.statistics.paired import Effect, Paired, holm, mean_effects
from ragprof.statistics.power import detectable
from ragprof.studies.gate.comparison import gate_of
from ragprof.studies.gate.document import GateResult, GateRow, plain
from ragprof.studies.gate.evidence import SideEvidence
from ragprof.studies.gate.verdicts import gate_verdict

BEFORE = rising(0.2, 0.05, 12)


def gated(
    base: SideEvidence, candidate: SideEvidence, *, strict: bool = False, **quantities: dict[str, Any]
) -> GateResult:
    """Gate of `quantities`; nDCG_10 stands for nDCG@10."""
    named = {name.replace("nDCG_", "nDCG@"): margin for name, margin in quantities.items()}
    return gate_of(base, candidate, GateSettings.model_validate({"quantities": named}), strict=strict)


def only(result: GateResult) -> GateRow:
    (gate,) = result.gates
    return gate


def shifted(by: float) -> list[float]:
    """Nearly the same for all; the same for all would leave open what no query showed."""
    return [each + by + 0.001 * (-1) ** at for at, each in enumerate(BEFORE)]


def test_a_worse_metric_is_a_regression() -> None:
    result = gated(side(ndcg(BEFORE)), side(ndcg(shifted(-0.05))), nDCG_10={"absolute": 0.01})
    assert (result.verdict, result.exit_code, result.family) == ("regression", 1, 1)
    gate = only(result)
    assert (gate.gate, gate.margin_absolute, gate.margin_relative, gate.confidence) == (
        "regression",
        0.01,
        0.0,
        0.95,
    )
    assert gate.message.startswith(
        "nDCG@10 of 'a' went from 0.475 to 0.425 (-0.05, 95 % interval -0.0505 to -0.0495, p 0.0"
    )
    assert gate.message.endswith("): worse by more than the margin of 0.01 (0.01)")


def test_a_better_metric_holds() -> None:
    result = gated(side(ndcg(BEFORE)), side(ndcg(shifted(0.05))), nDCG_10={})
    assert (result.verdict, result.exit_code) == ("holds", 0)


def test_a_worse_metric_within_the_margin_holds() -> None:
    result = gated(side(ndcg(BEFORE)), side(ndcg(shifted(-0.04))), nDCG_10={"absolute": 0.05})
    assert only(result).gate == "holds"


def test_no_difference_holds_without_any_margin() -> None:
    assert only(gated(side(ndcg(BEFORE)), side(ndcg(BEFORE)), nDCG_10={})).gate == "holds"


def test_too_few_queries_are_undecided_and_fail_only_a_strict_gate() -> None:
    base, candidate = side(ndcg([0.5, 0.6, 0.7, 0.8])), side(ndcg([0.1, 0.6, 0.8, 0.8]))
    for strict, code in ((False, 0), (True, 4)):
        result = gated(base, candidate, strict=strict, nDCG_10={"absolute": 0.01})
        assert (result.verdict, result.exit_code, result.strict) == ("undecided", code, strict)
    gate = only(result)
    assert gate.more_queries > 10
    assert "4 queries do not tell whether it is within the margin of 0.01 (0.01)" in gate.message
    assert gate.message.endswith(f"; about {gate.more_queries} more would be needed")


def test_dearer_prompts_are_a_regression() -> None:
    counts = rising(900, 20, 12)
    base = side(tokens(counts), cost([each / 1000 for each in counts]))
    candidate = side(tokens([each * 1.05 for each in counts]), cost([each * 1.05 / 1000 for each in counts]))
    named = {"inject.prompt_tokens": {"relative": 0.02}, "usd_per_1000_queries": {"relative": 0.02}}
    result = gate_of(base, candidate, GateSettings.model_validate({"quantities": named}), strict=False)
    assert [(each.quantity, each.gate, each.relative) for each in result.gates] == [
        ("inject.prompt_tokens", "regression", 0.05),
        ("usd_per_1000_queries", "regression", 0.05),
    ]


def test_unpriced_fails_a_gate_on_money() -> None:
    candidate = side(cost([1.0] * 9), unpriced={"a": ["rerank: no rate"]})
    result = gated(side(cost([1.0] * 9)), candidate, usd_per_1000_queries={"relative": 0.1})
    assert (result.verdict, result.exit_code, only(result).gate) == ("regression", 1, "unpriced")
    assert "UNPRICED (candidate: rerank: no rate)" in only(result).message


def test_what_one_side_did_not_record_cannot_be_compared() -> None:
    result = gated(side(ndcg(BEFORE)), side(tokens([1.0] * 12)), nDCG_10={})
    assert (result.verdict, result.exit_code) == ("incomparable", 3)
    assert only(result).message == "nDCG@10 of 'a' cannot be compared: the candidate did not record it"


def test_latency_of_another_machine_cannot_be_compared() -> None:
    times = [timings([rising(10, 1, 12)])]
    candidate = side(times=times, job="j2", environment=environment(cpu="Xeon"))
    result = gated(side(times=times), candidate, latency_p95={"relative": 0.1})
    assert (result.exit_code, only(result).gate) == (3, "incomparable")


def test_other_qrels_are_refused() -> None:
    with pytest.raises(Incomparable, match="other relevance judgements"):
        gated(side(ndcg(BEFORE)), side(ndcg(BEFORE), qrels_sha256="l2"), nDCG_10={})


def test_what_neither_side_recorded_is_an_unknown_name() -> None:
    with pytest.raises(UnknownName, match=r"no quantity named 'nDCG@5'; did you mean 'nDCG@10'\?"):
        gate_of(
            side(ndcg(BEFORE)),
            side(ndcg(BEFORE)),
            GateSettings.model_validate({"quantities": {"nDCG@5": {}}}),
            strict=False,
        )


def test_a_gate_without_quantities_is_refused() -> None:
    with pytest.raises(BadInput, match=r"\[gate\] names no quantity"):
        gate_of(side(ndcg(BEFORE)), side(ndcg(BEFORE)), GateSettings(), strict=False)


def test_a_quantity_is_gated_in_every_pipeline_that_has_it() -> None:
    rows = [ndcg(BEFORE), ndcg(BEFORE, "b"), tokens([9.0] * 12, "b")]
    sides = [side(*rows, pipelines=["a", "b"]) for _ in range(2)]
    named = {"inject.prompt_tokens": {}, "nDCG@10": {}}
    result = gate_of(*sides, GateSettings.model_validate({"quantities": named}), strict=False)
    assert [(each.pipeline, each.quantity) for each in result.gates] == [
        ("a", "nDCG@10"),
        ("b", "inject.prompt_tokens"),
        ("b", "nDCG@10"),
    ]


def test_a_quantity_must_be_in_every_pipeline_that_is_named_for_it() -> None:
    sides = [side(ndcg(BEFORE), ndcg(BEFORE, "b"), tokens([9.0] * 12, "b"), pipelines=["a", "b"]) for _ in range(2)]
    named = {"pipelines": ["b"], "quantities": {"nDCG@10": {"pipelines": ["a"]}, "inject.prompt_tokens": {}}}
    assert [each.pipeline for each in gate_of(*sides, GateSettings.model_validate(named), strict=False).gates] == [
        "a",
        "b",
    ]
    named = {"pipelines": ["a", "b"], "quantities": {"inject.prompt_tokens": {}}}
    with pytest.raises(UnknownName, match=r"pipeline 'a' named 'inject.prompt_tokens'.* There are: nDCG@10"):
        gate_of(*sides, GateSettings.model_validate(named), strict=False)


def test_a_gate_on_a_pipeline_that_nobody_has_is_an_unknown_name() -> None:
    with pytest.raises(UnknownName, match="no pipeline named 'aa'; did you mean 'a'"):
        gated(side(ndcg(BEFORE)), side(ndcg(BEFORE)), nDCG_10={"pipelines": ["aa"]})


def test_a_stage_may_be_named_though_its_ranking_is_the_last() -> None:
    named = GateSettings.model_validate({"quantities": {"search.nDCG@10": {"absolute": 0.01}}})
    assert only(gate_of(side(ndcg(BEFORE)), side(ndcg(BEFORE)), named, strict=False)).base == 0.475


def test_the_margin_says_which_direction_is_good() -> None:
    base, candidate = side(tokens([10.0] * 12)), side(tokens([8.0] * 12))
    named = GateSettings.model_validate({"quantities": {"inject.prompt_tokens": {"better": "higher"}}})
    gate = only(gate_of(base, candidate, named, strict=False))
    assert (gate.gate, gate.better, gate.verdict) == ("regression", "higher", "worse")


def test_noise_raises_a_margin_and_is_told() -> None:
    base, candidate = side(times=[timings([[10.0] * 12])]), side(times=[timings([[11.0] * 12])])
    named = GateSettings.model_validate({"quantities": {"latency_p50": {"relative": 0.05}}})
    assert only(gate_of(base, candidate, named, strict=False)).gate == "regression"
    noise = {"a": {"latency_p50": 0.12}}
    gate = only(gate_of(base, candidate, named, strict=False, noise=noise))
    assert (gate.gate, gate.margin, gate.noise) == ("holds", 1.2, 0.12)
    assert gate.margin_why == "12 % of the base, the noise of this machine"


def test_looks_make_latency_in_one_job_harder_to_tell_and_nothing_else() -> None:
    rng = np.random.default_rng(3)
    base = side(ndcg(BEFORE), times=[timings([list(10 + rng.random(12))])])
    candidate = side(ndcg(list(rng.random(12))), times=[timings([list(10.5 + rng.random(12))])])
    named = GateSettings.model_validate({"quantities": {"latency_p50": {}, "nDCG@10": {}}})
    once, four = (gate_of(base, candidate, named, strict=False, looks=looks).gates for looks in (1, 4))
    assert [(each.quantity, each.confidence) for each in four] == [("latency_p50", 0.9875), ("nDCG@10", 0.95)]
    assert four[0].interval[0] < once[0].interval[0] < once[0].interval[1] < four[0].interval[1]
    assert once[0].p == four[0].p
    assert once[0].p_holm == pytest.approx(2 * once[0].p)
    assert four[0].p_holm == pytest.approx(2 * 4 * once[0].p)
    assert four[1].interval == once[1].interval


def test_holm_counts_the_gates_alone() -> None:
    sides = [side(ndcg(BEFORE), tokens([9.0] * 12), cost([1.0] * 12)) for _ in range(2)]
    assert gated(*sides, nDCG_10={}).family == 1


def test_the_alpha_of_the_gate_is_that_of_its_intervals() -> None:
    named = GateSettings.model_validate({"alpha": 0.2, "quantities": {"nDCG@10": {}}})
    assert only(gate_of(side(ndcg(BEFORE)), side(ndcg(BEFORE)), named, strict=False)).confidence == 0.8


def test_a_gate_is_plain_json() -> None:
    result = gated(side(ndcg([0.5]), cost([0.0])), side(ndcg([0.4]), cost([0.0])), nDCG_10={}, usd_per_1000_queries={})
    document = plain(result)
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def told(bases: list[Array], candidates: list[Array], *, margin: float, gates: int) -> float:
    """The share of simulated builds, each of `gates` metrics in a row, that fail, as gate_of judges them."""
    sides = zip(bases, candidates, strict=True)
    columns = [Paired(base.reshape(-1, 1), candidate.reshape(-1, 1)) for base, candidate in sides]
    effects = mean_effects(columns, seed=0, confidences=[0.95] * len(columns))
    builds = [effects[at : at + gates] for at in range(0, len(effects), gates)]
    return sum(fails(build, margin=margin) for build in builds) / len(builds)


def fails(build: list[Effect], *, margin: float) -> bool:
    corrected = holm({str(at): effect.p or 0.0 for at, effect in enumerate(build)})
    verdicts = [
        gate_verdict(effect.interval, margin=margin, p=corrected[str(at)], better="higher", alpha=0.05)
        for at, effect in enumerate(build)
    ]
    return "regression" in verdicts


@pytest.mark.parametrize("n", [6, 20])
def test_equal_sides_fail_a_build_no_more_often_than_alpha(n: int) -> None:
    rng, builds, gates = np.random.default_rng(n), 200, 3
    metric, tied = rng.random((builds, gates, 2, n)), rng.choice([0.0, 0.0, 0.63, 1.0], (builds, gates, 2, n))
    metric[:, 2:] = tied[:, 2:]
    drawn = list(metric.reshape(-1, 2, n))
    alarms = told([each[0] for each in drawn], [each[1] for each in drawn], margin=0.0, gates=gates)
    assert alarms <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / builds)


@pytest.mark.parametrize(("n", "gates", "margin"), [(12, 1, 0.02), (40, 1, 0.02), (40, 4, 0.0)])
def test_a_regression_of_detectable_size_beyond_the_margin_is_found_four_times_in_five(
    n: int, gates: int, margin: float
) -> None:
    """One metric of each build got worse, the others did not."""
    rng, builds = np.random.default_rng(n), 200
    effect = margin + detectable(0.1, n, alpha=0.05 / gates)
    losses = np.zeros((builds, gates, 1))
    losses[:, 0] = effect
    base = rng.uniform(0.4, 0.9, (builds, gates, n))
    noise = rng.normal(0, 0.1, base.shape) * (losses > 0)
    found = told(list(base.reshape(-1, n)), list((base - losses + noise).reshape(-1, n)), margin=margin, gates=gates)
    assert found == pytest.approx(0.8, abs=0.04 + 3 * math.sqrt(0.8 * 0.2 / builds))


def test_without_a_clock_a_bill_that_only_the_base_pays_by_time_is_left_out() -> None:
    billed = cost([1.0] * 20, "rerank", "machine time"), cost([1.0] * 20), tokens([100] * 20)
    base = side(*billed, clocked={"a": ["rerank"]})
    candidate = side(cost([3.0] * 20), tokens([100] * 20), label="candidate")
    gate = GateSettings.model_validate({"quantities": {"usd_per_1000_queries": {}, "inject.prompt_tokens": {}}})
    document = judged(base, candidate, gate, clock=False)
    assert [row.quantity for row in document.gate.gates] == ["inject.prompt_tokens"]
    assert "left out: usd_per_1000_queries" in document.notes[-1]


def test_a_p95_of_too_few_queries_says_how_many_it_lacks() -> None:
    rng = np.random.default_rng(5)
    base = side(ndcg(BEFORE), times=[timings([list(10 + rng.random(12))])])
    candidate = side(ndcg(BEFORE), times=[timings([list(90 + rng.random(12))])])
    gate = only(
        gate_of(base, candidate, GateSettings.model_validate({"quantities": {"latency_p95": {}}}), strict=False)
    )
    assert (gate.gate, gate.interval, gate.p) == ("undecided", None, None)
    assert gate.more_queries == 8
    assert "a p95 of fewer than 20 queries has no interval" in gate.message
