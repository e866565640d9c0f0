"""Which charts of growth there are, what each of them says and leaves out, and how they stand on the page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pictures
import pytest
from variants import HOSTILE, abstaining, changed, context_of, each_point, hostile, one_size, without_curves
from variants import without_intervals as stripped

from ragprof.report.html import Front, page
from ragprof.report.lines import Stack, bottom, gaps, mark, parts_of, pieces, top, whole
from ragprof.report.markdown import as_part
from ragprof.report.palette import pipeline_colours
from ragprof.report.theme import Chart
from ragprof.studies.contract import Context
from ragprof.studies.growth import charts
from ragprof.studies.growth.section import GrowthPoint, GrowthSection
from ragprof.studies.growth.study import STUDY

SIZES = [40, 60, 90, 130, 180, 240]
NAMES = ["bm25", "dense", "dense+overlap"]
PANELLED = ["growth-causes", "growth-kinds", "growth-context", "growth-loss", "growth-depth", "growth-time"]
ALL = ["growth-quality", *PANELLED, "growth-cost"]
DRAWN = [charts.quality, charts.causes, charts.kinds, charts.context_worth, charts.loss, charts.depth, charts.time]
DRAWN += [charts.cost]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1280,2000"),
    *("--virtual-time-budget=8000", "--enable-logging=stderr", "--v=0", "--dump-dom"),
)
_BAR = re.compile(r"(?<!\\)\|")


def drawn(section: GrowthSection) -> dict[str, Chart]:
    found = (draw(section, context_of(section)) for draw in DRAWN)
    return {chart.key: chart for chart in found if chart is not None}


def values(chart: Chart, name: str = "", field: str = "x") -> list[dict[str, Any]]:
    """The rows of all layers, of a pipeline's panel or of the whole chart."""
    spec = next(panel.spec for panel in chart.panels if panel.pipeline == name) if name else chart.spec
    return [row for found in spec["datasets"].values() for row in found if field in row]


def domain(spec: dict[str, Any], channel: str) -> list[float]:
    found = (layer["encoding"].get(channel, {}).get("scale", {}).get("domain") for layer in spec["layer"])
    return next(domain for domain in found if domain)


def of_part(chart: Chart, part: str, name: str) -> list[dict[str, Any]]:
    return [row for row in values(chart) if (row.get("part"), row.get("pipeline")) == (part, name)]


def at_stages(section: GrowthSection, name: str, cut: dict[str, Any]) -> GrowthSection:
    def change(mine: str, curve: str, point: GrowthPoint) -> GrowthPoint:
        return point.model_copy(update=cut) if (mine, curve) == (name, "all_judged") else point

    return each_point(section, change)


@pytest.fixture(scope="module")
def found(section: GrowthSection) -> dict[str, Chart]:
    return drawn(section)


@pytest.fixture(scope="module")
def whole_page(section: GrowthSection, context: Context) -> str:
    with pictures.real():
        return page(Front("Growth", "", [], [], [], "", "1"), STUDY.show(section, context), context.colours)


def test_every_chart_of_growth_says_what_it_rests_on(found: dict[str, Chart]) -> None:
    assert list(found) == ALL
    assert all("n = 12 queries, 3 orders" in found[key].caption for key in ALL[:-2])
    assert all("n = 4 to 24 timings per pipeline and size" in found[key].caption for key in ALL[-2:])
    assert all("95% interval" in chart.caption for chart in found.values())
    for key in ("growth-quality", "growth-causes", "growth-context"):
        assert "flatters the small sizes" in found[key].caption


def test_one_order_is_said_to_tell_nothing_of_the_order(section: GrowthSection) -> None:
    caption = drawn(section.model_copy(update={"orders": 1}))["growth-quality"].caption
    assert "n = 12 queries, 1 order of the documents" in caption
    assert "one order says nothing of how much the order matters" in caption


def test_a_pipeline_has_its_colour_of_the_rest_of_the_report(found: dict[str, Chart]) -> None:
    layers = found["growth-quality"].spec["layer"]
    scale = next(layer["encoding"]["color"]["scale"] for layer in layers if "color" in layer.get("encoding", {}))
    assert dict(zip(scale["domain"], scale["range"], strict=True)) == pipeline_colours(NAMES)


def test_the_legend_has_the_order_in_which_lines_end(found: dict[str, Chart]) -> None:
    layers = found["growth-quality"].spec["layer"]
    assert next(layer["encoding"]["color"]["scale"]["domain"] for layer in layers if "color" in layer["encoding"]) == [
        *("bm25", "dense+overlap", "dense")
    ]


def test_quality_is_that_of_the_final_ranking_at_every_size(found: dict[str, Chart]) -> None:
    rows = of_part(found["growth-quality"], "measured", "dense+overlap")
    assert [row["x"] for row in rows] == SIZES
    assert (rows[0]["value"], rows[0]["words"]) == (0.74039, "0.740 (0.667\u20130.805)")


def test_forecasts_set_out_from_the_last_measured_value(section: GrowthSection, found: dict[str, Chart]) -> None:
    chart = found["growth-quality"]
    rows = of_part(chart, "forecast", "bm25")
    assert [(row["x"], row["value"]) for row in rows[:2]] == [(240, 0.65008), (480, 0.6057)]
    assert "forecast (log-linear)." in chart.caption
    silent = section.forecast[0].model_copy(update={"abstained": True, "at": [], "preferred": False})
    caption = drawn(section.model_copy(update={"forecast": [silent, *section.forecast[1:]]}))["growth-quality"].caption
    assert "No forecast is drawn for bm25: the models abstain." in caption


def test_the_other_model_is_drawn_where_the_first_abstains(section: GrowthSection) -> None:
    cut = [
        one.model_copy(update={"abstained": True, "at": [], "preferred": False}) if one.model == "log-linear" else one
        for one in section.forecast
    ]
    rows = of_part(drawn(section.model_copy(update={"forecast": cut}))["growth-quality"], "forecast", "dense")
    assert [row["words"][:5] for row in rows[1:]] == ["0.445", "0.313", "0.268", "0.250"]


def test_without_any_forecast_nothing_is_marked_as_one(section: GrowthSection) -> None:
    chart = drawn(abstaining(section))["growth-quality"]
    assert not [row for row in values(chart) if row.get("part") == "forecast"]
    assert '"text": "forecast"' not in json.dumps(chart.spec)
    assert "Dashed" not in chart.caption


def test_a_forecast_band_never_leaves_the_plot(found: dict[str, Chart]) -> None:
    chart = found["growth-quality"]
    low, _ = domain(chart.spec, "y")
    farthest = of_part(chart, "forecast", "dense")[-1]
    assert farthest["low"] == pytest.approx(low, rel=1e-4)
    assert farthest["words"] == "0.117 (0.000\u20130.595)"
    assert "A forecast's band may leave the plot" in chart.caption
    assert '"text": "measured"' in json.dumps(chart.spec)


def test_an_absent_interval_is_no_band_of_no_width(section: GrowthSection) -> None:
    rows = of_part(drawn(stripped(section))["growth-quality"], "measured", "bm25")
    assert {(row["low"], row["high"]) for row in rows} == {(None, None)}
    assert rows[0]["words"] == "0.758 (n/a)"


def test_an_absent_value_breaks_the_line_and_is_not_zero(section: GrowthSection) -> None:
    def cut(name: str, _: str, point: GrowthPoint) -> GrowthPoint:
        return point.model_copy(update={"scores": {}}) if (name, point.size) == ("dense", 130) else point

    gap = of_part(drawn(each_point(section, cut))["growth-quality"], "measured", "dense")[3]
    assert (gap["x"], gap["value"], gap["low"], gap["high"], gap["words"]) == (130, None, None, None, "n/a")


def test_a_pipeline_without_any_value_is_named_and_not_drawn(section: GrowthSection) -> None:
    chart = drawn(at_stages(section, "dense", {"scores": {}}))["growth-quality"]
    assert chart.notes == ("dense: nDCG@10 n/a",)
    assert "dense" not in {row.get("pipeline") for row in values(chart)}


def test_an_unpriced_pipeline_is_listed_and_not_plotted(found: dict[str, Chart]) -> None:
    chart = found["growth-cost"]
    (note,) = chart.notes
    assert note.startswith("dense+overlap: UNPRICED (inject: ")
    assert "dense+overlap" not in json.dumps(chart.spec)


def test_without_prices_and_timings_their_charts_are_left_out(section: GrowthSection) -> None:
    cut = {"stages": {}, "end_to_end": None, "unaccounted": None, "cost_usd_per_1000_queries": None}
    left = drawn(each_point(section, lambda _, curve, point: point.model_copy(update=cut)))
    assert [key for key in ALL if key not in left] == ["growth-time", "growth-cost"]


def test_every_panel_is_a_pipeline_in_order_and_those_that_are_compared_share_their_axis(
    found: dict[str, Chart],
) -> None:
    for key in PANELLED:
        named = NAMES[-1:] if key == "growth-depth" else NAMES
        assert [panel.pipeline for panel in found[key].panels] == named
        assert list(found[key].pictures()) == [f"{key}-{place}" for place in range(1, len(named) + 1)]
        own = key == "growth-time"
        assert len({tuple(domain(panel.spec, "y")) for panel in found[key].panels}) == (len(named) if own else 1)


def test_causes_are_told_apart_without_colour(section: GrowthSection, found: dict[str, Chart]) -> None:
    rows = {row["name"]: row["words"][:5] for row in values(found["growth-causes"], "dense") if row["x"] == 40}
    assert rows == {"all_judged": "0.715", "proportional": "0.084"}
    solid, dashed = found["growth-causes"].legend
    assert (solid.dash, dashed.dash, solid.shape, dashed.shape) == ((), (6, 4), "circle", "square")
    alone = without_curves(section, "all_judged")
    assert charts.causes(alone, context_of(alone)) is None


def test_a_kind_ends_where_there_is_no_more_of_it(found: dict[str, Chart]) -> None:
    rows = values(found["growth-kinds"], "bm25")
    ends = {name: max(row["x"] for row in rows if row["name"] == name) for name in ("random", "duplicate")}
    assert ends == {"random": 240, "duplicate": 112}
    legend = found["growth-kinds"].legend
    assert [key.label for key in legend] == ["random", "similar", "duplicate", "contradicting", "foreign"]
    assert len({key.dash for key in legend}) == 5


def test_depths_are_drawn_for_the_smallest_the_middle_and_the_largest_corpus(found: dict[str, Chart]) -> None:
    chart = found["growth-depth"]
    assert [key.label for key in chart.legend] == ["40 passages", "130 passages", "240 passages"]
    rows = values(chart, "dense+overlap")
    assert [row["x"] for row in rows if row["name"] == "240 passages"] == [3, 6, 12]


def test_a_study_of_one_size_is_drawn_too(section: GrowthSection) -> None:
    single = drawn(one_size(section))
    assert list(single) == ALL
    kinds = {layer["mark"]["type"] for panel in single["growth-loss"].panels for layer in panel.spec["layer"]}
    assert "area" not in kinds


def test_charts_of_growth_name_no_address_and_clip_nothing(found: dict[str, Chart]) -> None:
    text = json.dumps([spec for chart in found.values() for spec in chart.pictures().values()])
    assert "http" not in text
    assert '"clip"' not in text


def test_what_is_won_lies_below_zero(found: dict[str, Chart]) -> None:
    stacks = [Stack(10, {"embedding": 0.3, "rerank": -0.1, "packing": 0.05})]
    assert [(row["part"], row["order"], row["side"], row["value"]) for row in pieces(stacks, str)] == [
        *(("embedding", 0, 1, 0.3), ("embedding", 0, -1, 0.0)),
        *(("rerank", 1, 1, 0.0), ("rerank", 1, -1, -0.1)),
        *(("packing", 2, 1, 0.05), ("packing", 2, -1, 0.0)),
    ]
    assert (top(stacks), bottom(stacks)) == (0.35, -0.1)
    won = [row for row in values(found["growth-loss"], "dense+overlap", "side") if row["part"] == "rerank"]
    assert [row["value"] for row in won if row["side"] == -1 and row["x"] == 240] == [-0.10306]
    assert {row["side"] for row in values(found["growth-loss"], "dense", "side")} == {1}


def test_a_size_with_a_missing_part_is_not_stacked() -> None:
    readings = {10: {"search": 1.0, "rerank": None}, 20: {"search": 2.0, "rerank": 4.0}}
    assert whole(readings) == [Stack(20, {"search": 2.0, "rerank": 4.0})]
    assert gaps(readings) == [10]


def test_a_part_that_is_missing_everywhere_is_no_part() -> None:
    readings = {10: {"embedding": 0.2, "index": None}, 20: {"embedding": 0.3, "index": None}}
    assert parts_of(readings) == ["embedding"]
    assert [stack.size for stack in whole(readings)] == [10, 20]
    assert gaps(readings) == whole({10: {"search": None}}) == gaps({10: {"search": None}}) == []


def test_a_mark_without_a_value_has_no_interval() -> None:
    nothing = mark(10, None, (0.1, 0.2), str)
    assert (nothing.value, nothing.low, nothing.high, nothing.words) == (None, None, None, "n/a")


def test_time_is_stacked_in_the_order_of_a_query(found: dict[str, Chart]) -> None:
    rows = [row for row in values(found["growth-time"], "dense+overlap", "part") if row["x"] == 240]
    assert [row["part"] for row in rows] == ["embed", "search", "rerank", "inject", "unaccounted"]
    first, *_ = values(found["growth-time"], "bm25", "low")
    assert (first["x"], first["words"]) == (40, "124 µs (51.8\u2013139 µs)")


def test_what_is_missing_in_a_stack_is_said(section: GrowthSection) -> None:
    def cut(document: dict[str, Any]) -> None:
        del document["pipelines"]["dense+overlap"]["all_judged"][2]["stages"]["rerank"]
        for point in document["pipelines"]["dense"]["all_judged"]:
            point.update(stages={}, end_to_end=None, unaccounted=None)

    chart = drawn(changed(section, cut))["growth-time"]
    assert chart.notes == ("dense: n/a", "dense+overlap at 90 passages: incomplete")
    assert 90 not in {row["x"] for row in values(chart, "dense+overlap", "part")}
    assert "dense" not in [panel.pipeline for panel in chart.panels]


def test_shares_of_the_context_are_those_of_the_summary(found: dict[str, Chart]) -> None:
    rows = {row["part"]: row for row in values(found["growth-context"], "dense", "part") if row["x"] == 40}
    assert rows["relevant"]["words"] == "45.8%"
    assert sum(row["value"] for row in rows.values()) == pytest.approx(1.0)
    assert [key.label for key in found["growth-context"].legend] == ["relevant", "duplicate", "unjudged", "irrelevant"]


def test_every_chart_is_on_the_page_as_a_still_too(whole_page: str) -> None:
    places = re.findall(r'id="chart-(growth-[\w-]+)"', whole_page)
    assert len(places) == 8 + 5 * 3 + 1
    assert whole_page.count('class="marks"') == whole_page.count('class="still"') == 2 + 5 * 3 + 1
    listed = re.search(r'id="chart-specifications">(.*?)</script>', whole_page, re.DOTALL)
    assert listed is not None
    keys = list(json.loads(listed.group(1)))
    assert set(places) == set(keys) | {key.rpartition("-")[0] for key in keys if key[-1].isdigit()}
    assert "clip-path" not in whole_page.partition("<main>")[2].partition("</main>")[0]
    names = re.findall(r'\bid="([^"]+)"', whole_page)
    assert len(names) == len(set(names))


def test_what_flatters_is_on_the_page_and_long_tables_are_folded(section: GrowthSection, whole_page: str) -> None:
    assert all(note in whole_page.replace("&#39;", "'") for note in section.notes)
    assert whole_page.count("flatters the small sizes") >= 4
    part, *folds = re.findall(r"<summary>(.*?)</summary>", whole_page)
    assert part.startswith("<h2>Growth</h2><p>From 40 to 240 passages nDCG@10 changes by ")
    assert folds == [
        *("Forecasts of p95, stages, builds, memory and tokens", "More distractors or more evidence"),
        *("Kinds of distractors", "What the injected tokens are worth", "Where quality is lost"),
        "Time, builds and memory",
    ]


@pytest.mark.usefixtures("real_pictures")
def test_hostile_texts_are_shown_and_never_run(section: GrowthSection) -> None:
    attack = hostile(section)
    context = context_of(attack)
    text = page(Front("", "", [], [], [], "", ""), STUDY.show(attack, context), context.colours)
    assert text.count("<script") == 4
    assert "<img" not in text.partition('<script type="application/json"')[0]
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") > 20


@pytest.mark.parametrize("change", [lambda section: section, hostile])
def test_markdown_unfolds_the_glance_and_folds_the_rest(
    section: GrowthSection, change: Callable[[GrowthSection], GrowthSection]
) -> None:
    shown = change(section)
    (part,) = STUDY.show(shown, context_of(shown))
    text = as_part(part)
    assert text.startswith("### Growth\n\n- ")
    assert text.index("**Growth at a glance**") < text.index("<details>")
    assert text.count("<details>") == text.count("</details>") == 10
    assert "<img" not in text
    assert "<summary>Where pipelines change places</summary>" in text
    for block in (block for block in text.split("\n\n") if block.startswith("|")):
        lines = block.split("\n")
        assert len({len(_BAR.findall(line)) for line in lines}) == 1
        assert re.fullmatch(r"\|( (:---|---:) \|)+", lines[1])
    if HOSTILE not in shown.pipelines:
        assert "| dense | 240 | 0.492 (0.343\u20130.630) | 9.3% | \u22120.223 (\u22120.348 to \u22120.106) |" in text


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on PATH to open the report in")
@pytest.mark.slow
def test_a_browser_draws_every_panel_and_complains_of_nothing(whole_page: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(whole_page, encoding="utf-8")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    opened = subprocess.run(
        [str(BROWSER), *FLAGS, profile, path.as_uri()], capture_output=True, text=True, timeout=90, check=True
    )
    assert len(re.findall(r'<div class="live[^>]*><svg[^>]*class="marks"', opened.stdout)) == 18
    assert opened.stdout.count('<div class="panel drawn"') == 16
    assert not [line for line in opened.stderr.splitlines() if "CONSOLE" in line]
