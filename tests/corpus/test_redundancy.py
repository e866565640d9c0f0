"""What is redundant in a corpus is found, with its kind, the document that stays, and the reason."""

from __future__ import annotations

import numpy as np
import pytest

from ragprof.core import Doc
from ragprof.corpus.redundancy import Limits, Redundancy, RedundantText, candidate_pairs, find_redundancy, version_of

SAID = (
    "the lamp keeper writes every night which valve was closed who rang the bell and how much fuel is left so that "
    "whoever takes the morning watch knows what to look after before the first boat leaves the harbour for the day"
)
WORDS = SAID.split()


def page(name: str, text: str, title: str = "") -> Doc:
    return Doc(name, title, text, document_id=name)


def text(seed: int, words: int = 60) -> str:
    """Words in a seeded order: two seeds share next to no sequence."""
    return " ".join(np.random.default_rng(seed).choice(WORDS, words))


def only(found: Redundancy) -> RedundantText:
    (finding,) = found.findings
    return finding


def test_the_same_text_is_a_copy_whatever_its_title_and_blanks() -> None:
    docs = [page("a", text(1), "One"), page("b", text(2)), page("c", text(1).replace(" ", "\n", 3), "Another")]
    found = only(find_redundancy(docs))
    assert (found.kind, found.document_id, found.kept, found.similarity) == ("exact", "c", "a", 1.0)
    assert (found.reason, found.places) == ("the same text under another title", (2,))


def test_all_passages_of_a_document_go_together() -> None:
    parts = [text(1), text(2)]
    docs = [Doc(f"{name}#{n}", "", part, document_id=name) for name in ("a", "b") for n, part in enumerate(parts)]
    assert only(find_redundancy(docs)).places == (2, 3)


def test_a_page_of_hardly_a_word_is_empty() -> None:
    found = only(find_redundancy([page("a", text(1)), page("b", "- ! -"), page("c", text(3))]))
    assert (found.kind, found.document_id, found.kept, found.reason) == ("empty", "b", "", "0 words")


def test_a_near_copy_has_the_exact_share_of_common_sequences() -> None:
    words = text(1).split()
    near = only(find_redundancy([page("a", " ".join(words)), page("b", " ".join([*words[:-1], "x"]))]))
    distinct = {tuple(words[at : at + 3]) for at in range(58)}
    assert (near.kind, near.kept) == ("near", "a")
    assert near.similarity == pytest.approx((len(distinct) - 1) / (len(distinct) + 1))


def test_the_older_version_goes_and_a_page_without_a_mark_is_the_current_one() -> None:
    body = text(1)
    docs = [
        page("guide/v1.9/install.md", f"{body} first", "Installation"),
        page("guide/v1.10/install.md", f"{body} second", "Installation"),
        page("setup-2019.md", f"{text(2)} then", "Setup"),
        page("setup.md", f"{text(2)} now", "Setup"),
    ]
    found = find_redundancy(docs).findings
    assert [(each.kind, each.document_id, each.kept) for each in found] == [
        ("stale", "guide/v1.9/install.md", "guide/v1.10/install.md"),
        ("stale", "setup-2019.md", "setup.md"),
    ]
    assert [each.reason for each in found] == [
        "version v1.9, and there is v1.10",
        "version 2019, and there is without a mark",
    ]


@pytest.mark.parametrize(
    ("name", "page_", "rank"),
    [
        ("guide/v1.10/install.md", "guide/#/install.md", (1.0, 10.0)),
        ("Rules of 2024-05-01", "rules of #", (2024.0, 5.0, 1.0)),
        ("Contract (draft)", "contract (#)", (-1.0,)),
        ("Step 2: connect", "step 2: connect", ()),
        ("4711", "4711", ()),
        ("ec2-s3.md", "ec2-s3.md", ()),
    ],
)
def test_what_tells_a_version(name: str, page_: str, rank: tuple[float, ...]) -> None:
    assert (version_of(name).page, version_of(name).rank) == (page_, rank)


def test_one_page_that_states_two_figures_contradicts_itself() -> None:
    claims = "{}. Logs of the last {} hours are retained. They are {}deleted afterwards."
    docs = [page("a", claims.format(text(1), 72, ""), "Logs"), page("b", claims.format(text(1), 24, ""), "Logs")]
    found = only(find_redundancy(docs))
    assert (found.kind, found.document_id, found.kept) == ("contradicting", "b", "a")
    assert found.reason == (
        "'Logs of the last 24 hours are retained.' against 'Logs of the last 72 hours are retained.'"
    )
    said_no = [docs[0], page("b", claims.format(text(1), 72, "not "), "Logs")]
    assert only(find_redundancy(said_no)).kind == "contradicting"


def test_alike_pages_of_other_subjects_that_state_other_figures_are_no_copies() -> None:
    claim = "{} The port of this service is {}."
    docs = [page("a", claim.format(text(1), 80), "Lamps"), page("b", claim.format(text(1), 443), "Boats")]
    assert find_redundancy(docs).findings == ()


def test_words_apart_but_vectors_together_is_reworded_unless_the_figures_differ() -> None:
    docs = [page("a", f"{text(1)} 28"), page("b", f"{text(2)} 28"), page("c", f"{text(3)} 30"), page("d", text(4))]
    vectors = np.array([[1, 0], [1, 0.01], [1, 0.02], [0, 1]], np.float32)
    found = only(find_redundancy(docs, vectors=vectors))
    assert (found.kind, found.document_id, found.kept) == ("reworded", "b", "a")
    assert found.similarity == pytest.approx(0.99995, abs=1e-5)
    assert find_redundancy(docs).findings == ()


def test_passages_of_repeated_lines_are_boilerplate_and_the_rest_of_their_document_stays() -> None:
    line = "For more information see the terms of use"
    docs = [
        part
        for number in range(4)
        for part in (
            Doc(f"{number}#1", "", text(number), document_id=str(number)),
            Doc(f"{number}#2", "", f"{line}\nEnd", document_id=str(number)),
        )
    ]
    found = find_redundancy(docs, limits=Limits(boilerplate_documents=4))
    assert found.places("boilerplate").tolist() == [1, 3, 5, 7]
    assert [(each.text, each.documents, each.words) for each in found.lines] == [(line.lower(), 4, 32)]
    assert find_redundancy(docs, limits=Limits(boilerplate_documents=5)).findings == ()


def test_repeated_lines_within_passages_of_more_are_told_and_cut() -> None:
    line = "For more information see the terms of use"
    docs = [page(str(number), f"{text(number)}\n  {line.upper()}\n\nEnd") for number in range(4)]
    found = find_redundancy(docs, limits=Limits(boilerplate_documents=4))
    assert {each.kind for each in found.findings} == {"lines"}
    assert [(each.document_id, each.kept, each.places) for each in found.findings[:2]] == [
        ("0", "0", (0,)), ("1", "1", (1,)),
    ]  # fmt: skip
    assert found.shortened == {number: f"{text(number)}\n\nEnd" for number in range(4)}


def test_copies_of_copies_lead_to_the_one_that_is_kept() -> None:
    words = text(1).split()
    near = " ".join([*words[:-1], "otherwise"])
    docs = [page("a", f"{' '.join(words)} and more"), page("b", near), page("c", near)]
    assert find_redundancy(docs, limits=Limits(near=0.8)).same_as == {"c": "a", "b": "a"}


def test_of_alike_signatures_hardly_a_pair_is_missed() -> None:
    """At a similarity of 0.6, 99 % of pairs agree in some band of four."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2**32, (500, 128), np.uint32)
    second = np.where(rng.random(first.shape) < 0.6, first, rng.integers(0, 2**32, first.shape, np.uint32))
    a, b = candidate_pairs(np.concatenate([first, second]))
    assert 485 <= np.count_nonzero(b - a == 500) <= 500
    assert len(a) < 520


@pytest.mark.slow
def test_edits_by_rule_are_told_apart() -> None:
    """Near-copies and contradictions as growth makes them of long passages, each among what it was made from."""
    from ragprof.studies.growth.contradictions import contradictions
    from ragprof.studies.growth.near_copies import near_copies

    body = " ".join(f"{text(seed, 14).capitalize()} and after {seed + 20} hours it ends." for seed in range(12))
    doc = page("rules", body, "Rules")
    for edits, kinds in ((near_copies([doc], variants=3, seed=0), {"near", "exact"}), (
        [each for each in contradictions([doc], variants=3, seed=0) if each.rule == "figure"], {"contradicting"}
    )):  # fmt: skip
        assert edits
        for edit in edits:
            assert only(find_redundancy([doc, edit.doc])).kind in kinds, edit
