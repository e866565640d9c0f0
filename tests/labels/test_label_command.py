"""From no judgements to a corrected verdict, with a real OpenAI-compatible server that fails as it is told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from pictures import blank
from speaking_server import Handler, SpeakingServer, Words, fails, hangs_up, says, speaking

import ragprof
from ragprof.core.errors import BadInput
from ragprof.corpus import read_qrels
from ragprof.evals.recorded import RANKING
from ragprof.judge.scores import measure, scores_of
from ragprof.labels.pool import read_pool
from ragprof.labels.records import DrawFile, LabelFile
from ragprof.session.labelling import label
from ragprof.session.next_draw import next_draw
from ragprof.session.people import judging_by_people

PROSE = "I would say it is rather good."
EVAL = """name = "e"
metrics = ["nDCG@5", "P@5", "AP"]
[corpus]
path = "corpus.jsonl"
[evaluation]
queries = "queries.jsonl"
qrels = "e.labels/qrels.tsv"
[timing]
seconds = 0.5
rounds = 2
min_queries = 4
warmup = 1
patience = 0
[labels]
depth = 4
price = "openai:gpt-4o-mini"
twice = 0.5
judge = {{ name = "openai_compatible", base_url = "{url}", model = "tiny-1", retries = 2 }}
[[pipelines]]
name = "bm25"
store = "bm25s"
depth = 6
[[pipelines]]
name = "reranked"
store = "bm25s"
depth = 6
reranker = "overlap"
"""


@pytest.fixture
def server() -> Iterator[SpeakingServer]:
    with speaking() as running:
        running.otherwise = grades
        yield running


def grades(handler: Handler, *, prose_about: int | None = None) -> None:
    """By the number in passage and question: 3 where they are one, 1 where they are near, else 0; or no grade."""
    data = json.loads(re.findall(r"DATA: (\{.*\})", handler.body["messages"][-1]["content"])[0])
    asked, told = (int(re.findall(r"\d+", data[key])[0]) for key in ("question", "passage"))
    grade = 3 if asked == told else int(abs(asked - told) < 2)
    words = PROSE if told == prose_about else f"##final score: {grade}"
    says(handler, Words([words], usage={"prompt_tokens": 400, "completion_tokens": 6}))


@pytest.fixture
def eval_file(tmp_path: Path, server: SpeakingServer, cache: Path) -> Path:
    return eval_of(tmp_path, server, rooms=7)


def eval_of(tmp_path: Path, server: SpeakingServer, *, rooms: int) -> Path:
    """Rooms, each with a page of its own, and a question after each."""
    words = ["the", "room", "has", "a", "table", "a", "lamp", "and", "a", "window", "to", "the", "street"]
    texts = [f"room {number} {' '.join(words[: 3 + number % 9])}" for number in range(rooms)]
    docs = [{"_id": f"d{number}", "text": text} for number, text in enumerate(texts)]
    (tmp_path / "corpus.jsonl").write_text("".join(f"{json.dumps(doc)}\n" for doc in docs))
    asked = [{"_id": f"q{number}", "text": f"what is in room {number} with a table"} for number in range(rooms)]
    (tmp_path / "queries.jsonl").write_text("".join(f"{json.dumps(query)}\n" for query in asked))
    (tmp_path / "e.toml").write_text(EVAL.format(url=server.url))
    return tmp_path / "e.toml"


def test_a_model_judges_through_faults_and_what_is_no_grade_is_asked_once_more_and_left_unjudged(
    eval_file: Path, server: SpeakingServer
) -> None:
    server.otherwise = partial(grades, prose_about=3)
    server.plan.extend([partial(fails, status=503, retry_after="0"), hangs_up])
    report = label(eval_file)
    assert report.model is not None
    assert (report.model.graded + report.model.unjudged, report.model.left) == (report.pairs, 0)
    labels = LabelFile(eval_file.with_suffix(".labels")).read()
    about = [each for each in labels if each.doc_id == "d3"]
    assert {(each.state, each.grade) for each in about} == {("unjudged", None)}
    assert len(about) == report.model.unjudged > 0
    assert report.model.examples[0] == PROSE
    reminded = [body for body in server.bodies if "Reply with nothing but" in body["messages"][-1]["content"]]
    # Once for each pair, and once more for each that was asked about twice.
    assert len(reminded) == report.model.asked_again >= len(about)
    assert "d3" not in (report.folder / "qrels.tsv").read_text()
    assert report.flips is not None
    assert report.flips[0] == 0
    asked = len(server.bodies)
    again = label(eval_file)
    assert (len(server.bodies), again.kept) == (asked, report.kept)
    assert "passages without a grade" in " ".join(again.notes)
    server.otherwise = grades
    anew = label(eval_file, again=True)
    assert anew.model is not None
    assert (anew.model.graded, anew.model.unjudged, anew.notes) == (len(about), 0, ())
    assert len(server.bodies) == asked + len(about) + anew.model.twice


def test_a_budget_stops_before_it_is_exceeded_and_the_next_call_goes_on(
    eval_file: Path, server: SpeakingServer
) -> None:
    first = label(eval_file, budget_usd="0.003")
    assert first.model is not None
    assert first.expected_usd is not None
    assert first.model.usd is not None
    assert 0 < first.model.usd <= first.expected_usd
    assert first.model.usd <= Decimal("0.003")
    assert first.model.left > 0
    asked = len(server.bodies)
    second = label(eval_file)
    assert second.model is not None
    assert (second.model.graded, second.model.left) == (first.model.left, 0)
    assert len({json.dumps(body) for body in server.bodies}) == len(server.bodies) > asked


def asks_of_rooms(handler: Handler) -> None:
    """A question about the passage that is to be asked about; else a grade."""
    prompt = handler.body["messages"][-1]["content"]
    if "Write one question" not in prompt:
        grades(handler)
        return
    number = re.findall(r"room (\d+)", prompt)[0]
    asked = f"What does word{number}3 mean beside word{number}7 where word{number}11 stands?"
    says(handler, Words([asked], usage={"prompt_tokens": 200, "completion_tokens": 20}))


def test_questions_by_a_model_are_paid_from_the_budget_and_go_on_where_it_ended(
    tmp_path: Path, server: SpeakingServer, cache: Path
) -> None:
    eval_file = eval_of(tmp_path, server, rooms=12)
    rooms = [f"room {number} {' '.join(f'word{number}{place}' for place in range(20))}" for number in range(12)]
    docs = [json.dumps({"_id": f"d{number}", "text": text}) for number, text in enumerate(rooms)]
    (tmp_path / "corpus.jsonl").write_text("\n".join(docs))
    (tmp_path / "queries.jsonl").unlink()
    server.otherwise = asks_of_rooms
    # A question costs 0.000042 USD at 0.15 and 0.60 USD a million tokens; eight are asked for at once.
    with pytest.raises(BadInput, match=r"the budget is reached: 10 questions are still to be written, and \$0\.0003"):
        label(eval_file, generate=True, count=12, budget_usd="0.0012")
    assert (len(server.bodies), (tmp_path / "e.labels" / "queries.jsonl").exists()) == (8, False)
    report = label(eval_file, generate=True, count=12, budget_usd="0.002")
    assert report.written_usd == 10 * Decimal("0.000042")
    assert len({json.dumps(body) for body in server.bodies}) == len(server.bodies)
    assert report.model is not None
    assert report.model.usd is not None
    assert report.model.left > 0
    assert report.written_usd + report.model.usd <= Decimal("0.002")


def test_a_budget_without_a_price_is_refused(eval_file: Path) -> None:
    eval_file.write_text(eval_file.read_text().replace('price = "openai:gpt-4o-mini"\n', ""))
    with pytest.raises(BadInput, match="a budget needs a price"):
        label(eval_file, budget_usd="1")


def test_what_would_be_in_vain_is_refused_before_anything_is_paid(eval_file: Path, server: SpeakingServer) -> None:
    queries = eval_file.with_name("queries.jsonl")
    with pytest.raises(
        BadInput, match=r"this eval has questions already \(queries.jsonl\); to make others, name them as"
    ):
        label(eval_file, questions=queries)
    queries.write_text('{"_id": "a\\tb", "text": "what is in room 1"}\n')
    with pytest.raises(BadInput, match="holds a tab or a line break, which no file of judgements can hold"):
        label(eval_file)
    assert server.bodies == []


def judged_by(eval_file: Path, person: str, grade: int | None = None) -> int:
    """A person judges all that waits: by the truth, or always alike. Returns how many passages."""
    work, judging = judging_by_people(eval_file)
    waiting = work.waiting_for(person)
    for each in waiting:
        right = 3 if each.query_id[1:] == each.doc_id[1:] else 0
        judging.grade(person, each.query_id, each.doc_id, right if grade is None else grade)
    return len(waiting)


def test_the_figure_by_the_model_is_the_one_that_its_qrels_give(eval_file: Path) -> None:
    """What was drawn from below the pool and found relevant lifts no ideal."""
    eval_file.write_text(eval_file.read_text().replace("depth = 4\n", "depth = 2\nbelow = 3\n").replace("@5", "@2"))
    report = label(eval_file)
    labels = LabelFile(report.folder).read()
    below = {(each.query_id, doc) for each in read_pool(report.folder / "pool.jsonl") for doc in each.below}
    assert sum(each.pair in below and each.grade == 1 for each in labels) == 7
    ranked = RANKING.read(report.folder / "rankings" / "bm25.parquet")
    qrels = read_qrels(report.folder / "qrels.tsv")
    scores = scores_of(ranked, qrels, [measure("nDCG@2")], stages=["search"])
    assert report.figures["bm25", "nDCG@2"].naive == pytest.approx(0.9503527591795885)
    assert scores["value"].mean() == report.figures["bm25", "nDCG@2"].naive


def test_questions_that_were_changed_are_told_with_what_to_do_and_judged_anew(eval_file: Path) -> None:
    label(eval_file, ask_model=False)
    next_draw(eval_file, 5)
    judged_by(eval_file, "anna")
    (draw,) = DrawFile(eval_file.with_suffix(".labels")).read()[:1]
    queries = eval_file.with_name("queries.jsonl")
    was = queries.read_text()
    queries.write_text(was.replace(f"room {draw.query_id[1:]} ", f"chamber {draw.query_id[1:]} "))
    with pytest.raises(BadInput, match="1 question added, removed or reworded since they were pooled; run"):
        next_draw(eval_file, 5)
    (note,) = label(eval_file, ask_model=False).notes
    assert note.startswith("no longer counted: 6 judgements of questions or passages that have other words now; these")
    assert judged_by(eval_file, "anna") == 6  # the same draw, in its new words
    corpus = eval_file.with_name("corpus.jsonl")
    corpus.write_text(corpus.read_text().replace(f"room {draw.query_id[1:]} the", f"room {draw.query_id[1:]} this"))
    label(eval_file, ask_model=False)
    assert judged_by(eval_file, "anna") == 1  # the one passage that says something else now
    queries.write_text(f'{was}{{"_id": "q9", "text": "what is in room 6 with a lamp"}}\n')
    report = label(eval_file, ask_model=False)
    assert report.drawn == 0
    assert report.notes[1].startswith("no longer counted: 1 draw for people, because questions were added or removed")
    next_draw(eval_file, 30)
    assert label(eval_file, ask_model=False).drawn > 0


@pytest.mark.slow
def test_people_correct_the_model_and_the_report_shows_both_side_by_side(
    server: SpeakingServer, tmp_path: Path, cache: Path
) -> None:
    eval_file = eval_of(tmp_path, server, rooms=24)
    label(eval_file)
    first = next_draw(eval_file, 20)
    assert first.half_width is None
    assert (first.until_interval or 0) > first.passages + first.waiting
    while len(DrawFile(eval_file.with_suffix(".labels")).read()) < 16:
        assert judged_by(eval_file, "anna") > 0
        drawn = next_draw(eval_file, 20)
    judged_by(eval_file, "anna")
    drawn = next_draw(eval_file, 5)
    assert not drawn.evenly
    assert drawn.half_width is not None
    assert drawn.half_width_after is not None
    assert 0 < drawn.half_width_after < drawn.half_width
    judged_by(eval_file, "anna")
    report = label(eval_file, ask_model=False)
    naive, corrected = (figure := report.figures["bm25", "nDCG@5"]).naive, figure.corrected
    # A person calls nothing related; the model's ones for near rooms lift its ideal and lower its nDCG.
    assert corrected.interval is not None
    assert corrected.mean != pytest.approx(naive, abs=0.01)
    assert [(each.first, each.second) for each in report.agreements] == [("anna", "model:tiny-1")]
    with blank():
        ragprof.run(eval_file, out=tmp_path / "out")
    labelled = json.loads((tmp_path / "out" / "summary.json").read_text())["labelled"]
    whats = [each["what"] for each in labelled["figures"]]
    assert whats == [*["bm25"] * 3, *["reranked"] * 3, "reranked - bm25", "gain of reranked"]
    assert labelled["figures"][0]["corrected"]["mean"] == pytest.approx(corrected.mean)
    assert labelled["people"] == 1
    page = (tmp_path / "out" / "report.md").read_text()
    assert "As the model judged, and corrected by people" in page
    ragprof.reranker(eval_file, out=tmp_path / "out")
    (gain,) = [each for each in labelled["figures"] if each["what"] == "gain of reranked"]
    # The verdict, whatever its word, rests on the figure that the report shows as corrected.
    depths = json.loads((tmp_path / "out" / "reranker" / "corrected.json").read_text())["depths"]
    (own,) = [each["gain"] for each in depths if each["depth"] == 6]
    assert [own["low"], own["high"]] == pytest.approx(gain["corrected"]["interval"])
    reason = f"{abs(own['mean']):.3f} nDCG@10 as corrected by people (95% CI"
    assert reason in (tmp_path / "out" / "summary.json").read_text()


def test_what_was_imported_stands_beside_and_two_draws_never_share_a_query(eval_file: Path, tmp_path: Path) -> None:
    (tmp_path / "old.trec").write_text("".join(f"q{number} 0 d{number} 1\n" for number in range(7)))
    report = label(eval_file, imported=tmp_path / "old.trec", ask_model=False)
    assert (report.graded, report.by_people, report.figures) == (7, 0, {})
    drawn = next_draw(eval_file, 15)
    assert drawn.evenly  # nobody knows what a model would say
    next_draw(eval_file, 45)
    queries = [each.query_id for each in DrawFile(report.folder).read()]
    assert len(queries) == len(set(queries)) > 4
    (tmp_path / "clicks.csv").write_text("query_id,doc_id,shown,clicked\nq1,d1,10,9\nq2,d2,8,0\nq3,d3,2,2\n")
    label(eval_file, imported=tmp_path / "clicks.csv", ask_model=False)
    clicked = {each.pair: each.grade for each in LabelFile(report.folder).read() if each.judge == "import:clicks.csv"}
    assert clicked == {("q1", "d1"): 1, ("q2", "d2"): 0}
    (tmp_path / "others.trec").write_text("q0 0 d0 7\nq1 0 d1 -3\nq2 0 gone 1\nq99 0 d1 1\n")
    others = label(eval_file, imported=tmp_path / "others.trec", ask_model=False)
    assert others.imported == (
        "2 of 4 judgements of others.trec; 2 of documents that are not in the pool of their question; 2 beyond 0 to 3, "
        "taken for the nearest of these"
    )
    (tmp_path / "clicks.csv").write_text("query_id,doc_id,shown,clicked\nq1,d1,10,12\n")
    with pytest.raises(BadInput, match="it was clicked 12 times and shown 10 times"):
        label(eval_file, imported=tmp_path / "clicks.csv", ask_model=False)


def test_a_document_that_is_added_waits_for_a_judgement_and_comes_before_new_draws(eval_file: Path) -> None:
    label(eval_file, ask_model=False)
    next_draw(eval_file, 5)
    assert judged_by(eval_file, "anna") > 0
    drawn = [each.query_id for each in DrawFile(eval_file.with_suffix(".labels")).read()]
    corpus = eval_file.with_name("corpus.jsonl")
    added = {"_id": "new", "text": f"what is in room {drawn[0][1:]} with a table"}
    corpus.write_text(f"{corpus.read_text()}{json.dumps(added)}\n")
    label(eval_file, ask_model=False)
    found = next_draw(eval_file, 1)
    assert (found.waiting, found.queries) == (len(drawn), 0)
    work, _ = judging_by_people(eval_file)
    assert {each.doc_id for each in work.waiting_for("ben")} >= {"new"}


def test_a_reranker_of_the_judges_family_is_not_kept_before_people_have_looked() -> None:
    from ragprof.studies.contract import EstimateValue
    from ragprof.studies.labelled import LabelledFigure, LabelledQuality, gain_words, keeps_open, labelled_warning

    def value(mean: float, low: float, high: float) -> EstimateValue:
        return EstimateValue(mean=mean, interval=(low, high), n=100)

    def quality(drawn: int, corrected: EstimateValue | None) -> LabelledQuality:
        gain = LabelledFigure(
            what="gain of p", metric="nDCG@10", naive=value(0.1, 0.05, 0.15), corrected=corrected, power=1.0
        )
        return LabelledQuality(
            models=("qwen3-32b",), people=1, queries=100, drawn=drawn, skipped=0, figures=(gain,), missed=None
        )

    related, other = "cross_encoder Qwen/Qwen3-Reranker-4B", "cross_encoder BAAI/bge-reranker"
    finding, decided_by = keeps_open(quality(3, None), "p", related) or ("", "")
    assert finding == "The grades are by qwen3-32b, of the reranker's family, and people judged 3 queries"
    assert decided_by.startswith("12 queries judged by people")
    assert keeps_open(quality(3, None), "p", other) is None
    assert keeps_open(quality(20, value(0.08, 0.01, 0.15)), "p", related) is None
    withdrawn, _ = keeps_open(quality(20, value(0.01, -0.04, 0.06)), "p", other) or ("", "")
    assert withdrawn == (
        "By the model it gains +0.100 nDCG@10, but corrected by people +0.010 (95% CI -0.040 to +0.060)"
    )
    assert keeps_open(None, "p", related) is None
    assert gain_words(quality(20, value(0.08, 0.01, 0.15)), "p") == (
        "On pooled passages it gains nDCG@10 +0.100 by the model, corrected +0.080 (95% CI +0.010 to +0.150). "
        "The verdict rests on the corrected gain; tables and charts of quality on the judgements as they are."
    )
    assert gain_words(quality(3, None), "p").endswith("by the model, not corrected yet (15 questions are needed).")
    assert gain_words(None, "p") == ""
    assert labelled_warning(quality(3, None).model_copy(update={"changed": 2})) == (
        "quality rests on grades by qwen3-32b; people judged 3 of 100 queries, too few to correct it: `ragprof label "
        "--next 20`, until 15 are judged; questions or passages were changed since: run `ragprof label` on the eval "
        "file, which says what no longer counts"
    )
