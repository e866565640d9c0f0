"""What stands in one report is of one eval: the same questions, pipelines, tokens, prices and metrics all through."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from grown import Grown

from ragprof.core.registry import PartSpec
from ragprof.record.belonging import holds
from ragprof.session.again import redraw
from ragprof.session.run import grow, run
from ragprof.studies.growth.plan import fingerprint


@pytest.fixture
def dear(grown: Grown) -> Path:
    """The same eval at another price."""
    path = grown.eval_file.with_name("dear.toml")
    path.write_text(grown.eval_file.read_text().replace("gpt-4o-mini", "gpt-4o"))
    return path


def prompt_costs(summary: Mapping[str, Any]) -> tuple[float, float]:
    """USD for the prompts of 1,000 queries, of the recording and of the growth's largest size."""
    largest = summary["growth"]["pipelines"]["dense"]["all_judged"][-1]
    bills = (summary["pipelines"]["dense"], largest)
    main, growth = (float(each["cost_usd_per_1000_queries"]["inject"]) for each in bills)
    return main, growth


def manifests(folder: Path) -> dict[str, bytes]:
    """What was written of the main recording when it was made, which no later command edits."""
    return {name: (folder / name).read_bytes() for name in ("manifest.json", "usage.parquet", "spans.parquet")}


def changed(folder: Path, **values: Any) -> None:
    """Other values in a recording's manifest; those of `config` one by one."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    config = {**manifest["config"], **values.pop("config", {})}
    path.write_text(json.dumps({**manifest, **values, "config": config}))


@pytest.mark.slow
def test_growth_at_other_prices_prices_the_recording_too(grown: Grown, copy: Path, dear: Path) -> None:
    recorded = manifests(copy)
    cheap, now = prompt_costs(grown.summary), prompt_costs(grow(dear, out=copy).summary)
    assert now[0] > 10 * cheap[0]
    assert now[0] == pytest.approx(now[1], rel=1e-3)
    assert manifests(copy) == recorded


@pytest.mark.slow
def test_a_run_at_other_prices_prices_the_growth_too(copy: Path, dear: Path) -> None:
    sizes = {path: path.read_bytes() for path in (copy / "growth").rglob("manifest.json")}
    main, growth = prompt_costs(run(dear, out=copy).summary)
    assert main == pytest.approx(growth, rel=1e-3)
    assert sizes == {path: path.read_bytes() for path in sizes}


@pytest.mark.slow
def test_growth_with_other_metrics_compares_by_them(grown: Grown, copy: Path) -> None:
    other = grown.eval_file.with_name("other.toml")
    other.write_text(grown.eval_file.read_text().replace('["nDCG@10", "P@5", "Judged@10"]', '["nDCG@5"]'))
    recorded = manifests(copy)
    summary = grow(other, out=copy).summary
    assert {line["metric"] for line in summary["comparisons"]} == {"nDCG@5"}
    assert all(line["n"] == 12 for line in summary["comparisons"])
    assert manifests(copy) == recorded


def test_a_recording_of_other_questions_is_not_taken_as_it_is(grown: Grown, copy: Path) -> None:
    assert holds(copy, grown.prepared.subject)
    queries = grown.prepared.subject.queries
    asked = (replace(queries[0], text="something else"), *queries[1:])
    assert not holds(copy, replace(grown.prepared.subject, queries=asked))


@pytest.mark.parametrize("values", [{"questions": "others"}, {"config": {"tokenizer": "cl100k_base"}}])
def test_growth_of_other_questions_or_tokens_is_left_out(copy: Path, values: dict[str, Any]) -> None:
    changed(copy, **values)
    summary = redraw(copy).summary
    assert "growth" not in summary
    assert any("other questions, pipelines or judgements" in warning for warning in summary["warnings"])


def test_growth_to_another_depth_is_left_out(grown: Grown, copy: Path) -> None:
    pipelines = json.loads((copy / "manifest.json").read_text())["config"]["pipelines"]
    changed(copy, config={"pipelines": [{**pipeline, "depth": 9} for pipeline in pipelines]})
    assert "growth" not in redraw(copy).summary


def test_the_plan_holds_no_secret_and_no_folder(grown: Grown) -> None:
    subject = grown.growing.subject
    first, *others = subject.config.pipelines
    store = PartSpec.model_validate({"name": "bm25s", "api_key": "xyzzy", "path": "/home/somebody/index"})
    pipelines = (first.model_copy(update={"store": store}), *others)
    config = subject.config.model_copy(update={"pipelines": pipelines})
    written = json.dumps(fingerprint(replace(grown.growing, subject=replace(subject, config=config))))
    assert "xyzzy" not in written
    assert "somebody" not in written


@pytest.mark.slow
def test_a_growth_short_of_the_corpus_does_not_claim_that_its_orders_end_alike(grown: Grown, copy: Path) -> None:
    assert any("all orders are the same corpus" in note for note in grown.growth["notes"])
    path = copy / "growth" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "corpus_docs": 241}))
    assert not any("all orders are the same corpus" in note for note in redraw(copy).summary["growth"]["notes"])


@pytest.mark.slow
def test_the_loss_of_a_metric_that_cannot_reach_one_says_so(grown: Grown, copy: Path) -> None:
    notes = grow(grown.eval_file, out=copy, changes={"metric": "P@10"}).summary["growth"]["notes"]
    assert any(note.startswith("The best possible P@10 is below 1 for a question with fewer") for note in notes)
    assert not any(note.startswith("The best possible") for note in grown.growth["notes"])
