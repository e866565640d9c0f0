from __future__ import annotations

import io
import itertools

import pytest
from main_runs import led_by, twelve, unpriced
from rich.console import Console

from ragprof.studies.profile.section import ProfileSection
from ragprof.studies.profile.tables import terminal_table


def _lines(run: ProfileSection, width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(terminal_table(run))
    return captured.get().splitlines()


def _row(lines: list[str], name: str) -> list[str]:
    return next(line.split() for line in lines if line.split()[:1] == [name] and "CI" not in line)


def test_pipelines_fit_into_eighty_columns_a_line_each(main_run: ProfileSection) -> None:
    lines = _lines(main_run)
    assert max(map(len, lines)) <= 80
    for name in main_run.pipelines:
        assert len([line for line in lines if line.split()[:1] == [name] and "%" in line and "CI" not in line]) == 1


def test_figures_are_whole(main_run: ProfileSection) -> None:
    row = _row(_lines(unpriced(main_run, "hybrid+overlap")), "hybrid+overlap")
    assert row[:4] == ["hybrid+overlap", "0.850", "0.694\u20130.966", "18.3%"]
    assert row[-1] == "UNPRICED"


def test_the_evals_first_metric_is_the_column(main_run: ProfileSection) -> None:
    above, below = next(
        pair for pair in itertools.pairwise(_lines(led_by(main_run, "P@5"))) if pair[1].split()[:1] == ["pipeline"]
    )
    assert above.split() == ["P@5", "judged", "USD", "per"]
    assert below.split() == ["pipeline", "95%", "interval", "@5", "p50", "p95", "1,000"]


@pytest.mark.parametrize("width", [80, 200])
def test_long_names_go_on_below_and_nothing_is_cut(main_run: ProfileSection, width: int) -> None:
    text = "\n".join(_lines(twelve(main_run), width))
    assert "…" not in text
    assert "variant" in text


def test_square_brackets_are_no_markup(main_run: ProfileSection) -> None:
    said = main_run.model_copy(update={"headline": ("[red]answer[/red] [/nothing]",)})
    assert "[red]answer[/red] [/nothing]" in "\n".join(_lines(said))
