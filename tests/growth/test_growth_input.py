"""What is wrong with a growth table ends in one message with file and line, before anything is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragprof.core.errors import BadInput
from ragprof.session.run import grow
from ragprof.studies.growth.plan import plan_growth
from ragprof.studies.preparation import prepare


def problem(eval_file: Path, before: str, after: str) -> str:
    text = eval_file.read_text()
    assert before in text
    eval_file.write_text(text.replace(before, after))
    with pytest.raises(BadInput) as raised:
        plan_growth(prepare(eval_file), eval_file)
    return str(raised.value).removeprefix(f"{eval_file}:")


def test_a_size_above_the_corpus(eval_file: Path) -> None:
    assert problem(eval_file, "240]", "241]") == "15: size 241 is above the corpus's 240 passages; lower it"


def test_sizes_that_fall(eval_file: Path) -> None:
    found = problem(eval_file, "60, 90,", "90, 60,")
    assert found == "15: growth: size 60 is smaller than the 90 before it; give rising sizes, each once"


def test_a_size_given_twice(eval_file: Path) -> None:
    assert problem(eval_file, "60, 90,", "60, 60,") == "15: growth: size 60 is repeated; give rising sizes, each once"


def test_a_size_that_cannot_hold_what_is_kept(eval_file: Path) -> None:
    found = problem(eval_file, "[60,", "[20,")
    assert (
        found
        == "15: size 20 is below the 24 passages of relevant documents, which every sub-corpus must hold; raise it"
    )


def test_a_size_below_the_depth(eval_file: Path) -> None:
    found = problem(
        eval_file, "sizes = [60, 90, 150, 240]\norders = 3\ndepths = [3, 6, 12]", "sizes = [60, 240]\ndepths = [99]"
    )
    assert found == "15: size 60 is below the depth of 99, which every sub-corpus must hold; raise it"


def test_two_sizes_asked_to_forecast(eval_file: Path) -> None:
    found = problem(eval_file, "sizes = [60, 90, 150, 240]", "forecast = [500]\nsizes = [60, 240]")
    assert found == "16: growth: a forecast needs at least three sizes, here are 2; add some or leave forecast out"


def test_two_points_asked_to_forecast(eval_file: Path) -> None:
    found = problem(eval_file, "sizes = [60, 90, 150, 240]", "points = 2\nforecast = [500]")
    assert found == "16: a forecast needs at least three sizes, here are 2; raise points or name sizes"


def test_a_forecast_within_the_measured_range(eval_file: Path) -> None:
    found = problem(eval_file, "orders = 3", "forecast = [500, 240]\norders = 3")
    assert found == "16: forecast 240 is not beyond the largest measured size, 240; raise it"


def test_no_foreign_passages_are_named(eval_file: Path) -> None:
    found = problem(eval_file, 'foreign = "foreign.jsonl"\n', "")
    assert found == "19: growth: the curve 'foreign' needs passages; set foreign = \"passages.jsonl\""


def test_no_distractor_of_the_asked_kind_can_be_made(eval_file: Path) -> None:
    corpus = eval_file.parent / "collection" / "corpus.jsonl"
    corpus.write_text("".join(f'{{"_id": "p{number:03d}", "title": "", "text": "x y"}}\n' for number in range(240)))
    with pytest.raises(BadInput, match=r"no (duplicate|contradicting) distractor could be made; leave"):
        plan_growth(prepare(eval_file), eval_file)


def test_foreign_passages_with_ids_of_the_corpus(eval_file: Path) -> None:
    (eval_file.parent / "foreign.jsonl").write_text('{"_id": "p003", "text": "another page"}\n')
    with pytest.raises(BadInput, match="the foreign passage 'p003' has the id of a passage of the corpus"):
        plan_growth(prepare(eval_file), eval_file)


def test_similar_without_an_embedder(eval_file: Path) -> None:
    text = eval_file.read_text()
    eval_file.write_text(text[: text.index('[[pipelines]]\nname = "dense"')])
    with pytest.raises(BadInput, match="'similar' compares vectors, and no pipeline has an embedder"):
        plan_growth(prepare(eval_file), eval_file)


def test_what_nobody_asked_for_is_left_out_with_its_reason(eval_file: Path) -> None:
    text = eval_file.read_text()
    start = text.index("curves = [")
    text = text[:start] + text[text.index("\n", start) + 1 :]
    eval_file.write_text(text[: text.index('[[pipelines]]\nname = "dense"')])
    growing = plan_growth(prepare(eval_file), eval_file)
    assert growing.growth.curves == ("all_judged", "proportional", "duplicate", "contradicting")
    assert list(growing.left_out) == ["similar"]
    assert "no pipeline has an embedder" in growing.left_out["similar"]


def test_an_unknown_metric_and_an_unknown_curve(eval_file: Path) -> None:
    found = problem(eval_file, "orders = 3", 'metric = "nDCG@7"\norders = 3')
    assert found.startswith("16: growth: no growth metric 'nDCG@7'; with these cutoffs there are: nDCG@3, nDCG@10, P@3")
    assert "'all_judged', 'proportional'" in problem(eval_file, '"similar"', '"simila"')


def test_a_corpus_that_is_all_evidence(eval_file: Path) -> None:
    eval_file.write_text(
        eval_file.read_text().replace("sizes = [60, 90, 150, 240]\n", "").replace("depth = 10", "depth = 220")
    )
    with pytest.raises(BadInput, match="24 of 240 passages belong to relevant documents, and 220 are asked for"):
        plan_growth(prepare(eval_file), eval_file)


def test_nothing_is_written_before_the_plan_is_checked(eval_file: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="size 999 is above"):
        grow(eval_file, out=tmp_path / "out", changes={"sizes": (60, 999)})
    assert not (tmp_path / "out").exists()


def test_a_size_of_the_command_line_does_not_blame_the_file(eval_file: Path) -> None:
    with pytest.raises(BadInput) as raised:
        plan_growth(prepare(eval_file), eval_file, changes={"sizes": (60, 999)})
    assert str(raised.value) == "size 999 is above the corpus's 240 passages; lower it"


def test_changes_are_checked_like_the_file(eval_file: Path) -> None:
    with pytest.raises(BadInput, match=r"\[growth\] orders: Input should be greater than or equal to 1"):
        plan_growth(prepare(eval_file), eval_file, changes={"orders": 0})
