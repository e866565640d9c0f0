"""Near-copies and contradictions: what each rule makes of literal text, what it leaves alone, what can be traced."""

from __future__ import annotations

import difflib
import importlib
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragprof.core import Doc
from ragprof.studies.growth.contradictions import contradictions
from ragprof.studies.growth.near_copies import Edit, near_copies

PAGE = Path(__file__).parents[2] / "docs" / "distractors.md"
ALL = 50
MODULES = [
    "json", "os.path", "collections", "datetime", "logging", "asyncio", "re", "string", "shutil", "subprocess",
    "pathlib", "csv", "argparse", "functools", "itertools", "socket", "threading", "statistics", "fractions", "heapq",
    "textwrap", "tempfile", "urllib.parse",
]  # fmt: skip
FACTS = re.compile(r"\d+|\b(?:no|not|never|none|nothing|without|cannot|unless)\b|n['\u2019]t\b", re.IGNORECASE)


def passage(text: str, *, doc_id: str = "page", title: str = "") -> Doc:
    return Doc(doc_id, title, text, doc_id)


def contradicted(text: str, rule: str | None = None, *, seed: int = 0) -> list[str]:
    """Every contradiction of a passage that stands alone, by one rule or by all."""
    edits = contradictions([passage(text)], variants=ALL, seed=seed)
    return [edit.doc.text for edit in edits if rule in (None, edit.rule)]


def copied(text: str, rule: str) -> list[str]:
    return [edit.doc.text for edit in near_copies([passage(text)], variants=ALL, seed=0) if edit.rule == rule]


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def is_traceable(edit: Edit, source: Doc) -> bool:
    """Whether the edit is its source with text[start:end] replaced by something else."""
    text, new = source.text, edit.doc.text
    behind = len(text) - edit.end
    middle = new[edit.start : len(new) - behind]
    return new == text[: edit.start] + middle + text[edit.end :] and middle != text[edit.start : edit.end]


def shown_examples() -> Iterator[tuple[str, str, str]]:
    for row in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)]
        if len(cells) == 5 and cells[1] in {"figure", "negation", "antonym", "type"}:
            yield cells[1], cells[2], cells[3]


@pytest.fixture(scope="module")
def docstrings() -> list[Doc]:
    """Distinct docstrings of 80 characters and more, as a Python installation has them."""
    found: dict[str, Doc] = {}
    for module in MODULES:
        for name, thing in sorted(vars(importlib.import_module(module)).items()):
            text = getattr(thing, "__doc__", None)
            if callable(thing) and not name.startswith("_") and isinstance(text, str) and len(text) >= 80:
                found.setdefault(text, passage(text, doc_id=f"{module}.{name}", title=f"{module}.{name}"))
    return list(found.values())


# Contradictions, rule by rule


@pytest.mark.parametrize(("rule", "before", "after"), list(shown_examples()))
def test_the_examples_that_the_documentation_shows(rule: str, before: str, after: str) -> None:
    assert after in {text for seed in range(30) for text in contradicted(before, rule, seed=seed)}


@pytest.mark.parametrize(
    ("before", "figure", "others"),
    [
        ("Waits {} seconds.", "30", {"15", "45", "60"}),
        ("Up to {} items.", "1,000", {"500", "1,500", "2,000"}),
        ("Needs Core v{} or later\\.", "1\\.10", {"1\\.11", "1\\.12", "1\\.13"}),
        ("Takes {}-bit numbers.", "32", {"16", "64", "128"}),
        ("Files of {}KB go first.", "64", {"32", "128", "256"}),
        ("Takes {} or a key.", "0", {"1", "2"}),
        ("Reads {} pages.", "three", {"two", "four"}),
        ("The default is `{}`.", "0.05", {"0.06", "0.07", "0.08"}),
    ],
)
def test_a_figure_becomes_another_of_its_kind_and_keeps_its_unit(before: str, figure: str, others: set[str]) -> None:
    found = {tuple(contradicted(before.format(figure), "figure", seed=seed)) for seed in range(40)}
    assert found == {(before.format(other),) for other in others}


@pytest.mark.parametrize(
    ("before", "after"), [("It is an 8-bit port.", "It is a 7-bit port."), ("An 18 s rest.", "A 15 s rest.")]
)
def test_the_article_follows_the_figure(before: str, after: str) -> None:
    assert after in {text for seed in range(40) for text in contradicted(before, "figure", seed=seed)}


@pytest.mark.parametrize(
    "text",
    [
        "Encoded with utf8, sha256 and int64.",
        "Follows RFC 2616, PEP 8 and ISO 8601.",
        "Released on 2024-01-02 by https://example.org/30/x?y=3.",
        "Shown in section 4.",
        "Since 2006.",
        "1. Choose a name.",
        "Call `sleep(3)` or ``x = 3``.",
        ">>> sleep(3)\n3",
        "```\nsleep 3\n```",
        "For example, 3 is a prime.",
        "Reads 10.0.0.1 as it is.",
        "# Version 3",
    ],
)
def test_numbers_that_are_names_places_code_or_examples_stay(text: str) -> None:
    assert contradicted(text, "figure") == []


def test_a_percentage_stays_at_100_or_below() -> None:
    edits = contradictions([passage("Up to 90% of it.", doc_id=str(n)) for n in range(40)], variants=1, seed=0)
    figures = [int(re.findall(r"\d+", edit.doc.text)[0]) for edit in edits]
    assert len(figures) == 40
    assert max(figures) <= 100


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("The key is stored.", "The key is not stored."),
        ("The key is not stored.", "The key is stored."),
        ("Keys can't be shared.", "Keys can be shared."),
        ("It doesn't wait.", "It does wait."),
        ("Keys must be strings.", "Keys must not be strings."),
        ("A key may be omitted.", "A key can never be omitted."),
        ("The key is no longer used.", "The key is still used."),
        ("Always blocks.", "Never blocks."),
        ("Fails unless it is set.", "Fails if it is set."),
        ("The default is `false`.", "The default is `true`."),
        ("Defaults to None.", "Defaults to False."),
    ],
)
def test_a_statement_is_turned_round(before: str, after: str) -> None:
    assert after in contradicted(before, "negation")


def test_true_and_false_change_together_so_that_the_sentence_stays_whole() -> None:
    source = passage("Now: return True if it is there, else False. Done.")
    edit = next(e for e in contradictions([source], variants=ALL, seed=0) if "return False if" in e.doc.text)
    assert edit.doc.text == "Now: return False if it is there, else True. Done."
    assert source.text[edit.start : edit.end] == "True if it is there, else False"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Enable the cache.", "Disable the cache."),
        ("Enables it.", "Disables it."),
        ("Keys are added.", "Keys are removed."),
        ("Runs before closing.", "Runs after closing."),
        ("In ascending order.", "In descending order."),
        ("Takes an optional key.", "Takes a required key."),
        ("The port is public.", "The port is private."),
        ("On the left side.", "On the right side."),
        ("Removes all\nof the keys.", "Removes none\nof the keys."),
    ],
)
def test_a_word_becomes_its_opposite_in_the_same_case(before: str, after: str) -> None:
    assert [text.split() for text in contradicted(before, "antonym")].count(after.split()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "From first to last.",
        "Set *first* to skip the first key.",
        "Call `first` or first_key or do.first().",
        "first : int\n    Where it begins.",
        "Bessel function of first kind.",
        "Keys are not added.",
        "The left-most is left.",
    ],
)
def test_opposites_side_by_side_names_and_fixed_terms_stay(text: str) -> None:
    assert contradicted(text, "antonym") == []


def test_a_name_becomes_one_of_the_same_shape_from_another_passage_everywhere() -> None:
    own = passage("Raises ValueError. The ValueError has a code.", doc_id="a")
    others = [passage("Raises TypeError.", doc_id="b"), passage("Gives a BigNumber.", doc_id="c")]
    edit = next(e for e in contradictions([own, *others], variants=ALL, seed=0) if e.rule == "name")
    assert edit.doc.text == "Raises TypeError. The TypeError has a code."
    assert (edit.source, own.text[edit.start : edit.end]) == ("a", "ValueError. The ValueError")


def test_dotted_and_capitalised_names_stay_within_their_module_and_maker() -> None:
    docs = [
        passage("Calls os.path.join for that.", doc_id="a"),
        passage("Calls os.path.split, os.dup for that.", doc_id="b"),
        passage("It is stored in Amazon S3 buckets.", doc_id="c"),
        passage("It runs on Amazon EC2 or on Google Cloud.", doc_id="d"),
    ]
    texts = {e.source: e.doc.text for e in contradictions(docs, variants=ALL, seed=0) if e.rule == "name"}
    assert texts["a"] == "Calls os.path.split for that."
    assert texts["c"] == "It is stored in Amazon EC2 buckets."


def test_a_name_in_the_title_stays() -> None:
    docs = [passage("Raises ValueError.", doc_id="a", title="ValueError"), passage("Raises TypeError.", doc_id="b")]
    assert [edit.source for edit in contradictions(docs, variants=ALL, seed=0) if edit.rule == "name"] == ["b"]


@pytest.mark.parametrize("text", ["", " \n", "x = 1", ">>> f(3)", "Widget factory.", "https://example.org/first"])
def test_no_rule_applies_no_edit(text: str) -> None:
    assert contradicted(text) == []


def test_facts_at_the_beginning_come_first_and_rules_vary() -> None:
    text = "Waits 30 seconds. The key is stored. " + "Nothing else. " * 80 + "Enable it before 40 days."
    edits = contradictions([passage(text)], variants=3, seed=0)
    assert {edit.rule for edit in edits[:2]} == {"figure", "negation"}
    assert edits[2].rule == "antonym"


# Near-copies, rule by rule

FOUR = (
    "The queue keeps its keys in the order in which they came from the outside world. "
    "Keys are plain strings of letters. Readers take the oldest key and hand it to whoever asked for it. "
    "Writers put keys behind all those that wait there."
)


def test_a_line_of_boilerplate_stands_in_front_or_behind() -> None:
    found = copied("Short.", "boilerplate")
    assert len(found) == 8
    assert all(text.startswith("Short.\n\n") or text.endswith("\n\nShort.") for text in found)
    assert {text.startswith("Short.") for text in found} == {True, False}


def test_a_short_sentence_is_dropped_but_never_the_first() -> None:
    assert FOUR.replace(" Keys are plain strings of letters.", "") in copied(FOUR, "sentence dropped")
    assert all(text.startswith("The queue keeps") for text in copied(FOUR, "sentence dropped"))


def test_a_sentence_with_a_figure_or_a_negation_is_not_dropped() -> None:
    for fact in ("Keys are 20 plain letters.", "Keys are not plain letters.", "Keys are two plain letters."):
        text = FOUR.replace("Keys are plain strings of letters.", fact)
        assert all(fact in copy for copy in copied(text, "sentence dropped"))


def test_of_two_sentences_none_is_dropped() -> None:
    assert copied("A long sentence of many words stands here first. And one behind it.", "sentence dropped") == []


def test_two_neighbours_change_places_unless_the_second_leans_on_the_first() -> None:
    first, second, rest = FOUR.split(". ", 2)
    swapped = f"{second}. {first}. {rest}"
    assert swapped in copied(FOUR, "sentences swapped")
    leaning = FOUR.replace("Keys are plain", "They are plain").replace("Readers", "These").replace("Writers", "It also")
    assert copied(leaning, "sentences swapped") == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('A "big house" here.', "A “big house” here."),
        ("It isn't here.", "It isn\u2019t here."),
        ("Here - as there.", "Here — as there."),
        ("One ends.  One begins.", "One ends. One begins."),
        ("One ends. One begins.", "One ends.  One begins."),
        ("The line is\nbroken here.", "The line is broken here."),
        ("- first item\n- Second item", "- First item\n- second item"),
    ],
)
def test_typography_changes_signs_and_no_word(before: str, after: str) -> None:
    assert after in copied(before, "typography")


def test_typography_leaves_code_alone() -> None:
    assert copied('Use `a = "x y"` here\n>>> print("a b - c")', "typography") == []


# What holds for all edits


def test_an_edit_is_a_document_of_its_own_under_the_same_title() -> None:
    source = Doc("page#0001", "Queues", "The key is stored.", "page")
    assert [edit.doc for edit in contradictions([source], variants=1, seed=0)] == [
        Doc("page#0001~contradicting1", "Queues", "The key is not stored.", "page#0001~contradicting1")
    ]
    assert near_copies([source], variants=2, seed=0)[1].doc.document_id == "page#0001~duplicate2"


def test_the_same_seed_gives_the_same_edits_and_another_seed_others(docstrings: list[Doc]) -> None:
    some = docstrings[:60]
    for make in (near_copies, contradictions):
        assert make(some, variants=2, seed=1) == make(some, variants=2, seed=1)
        assert make(some, variants=2, seed=1) != make(some, variants=2, seed=2)


def test_edits_do_not_depend_on_other_passages_but_for_names(docstrings: list[Doc]) -> None:
    together = near_copies(docstrings[:30], variants=3, seed=0)
    assert [edit for doc in docstrings[:30] for edit in near_copies([doc], variants=3, seed=0)] == together
    no_names = [passage(text, doc_id=text) for text in ("Waits 30 seconds.", "The key is stored.", "Enable it.")]
    apart = [edit for doc in no_names for edit in contradictions([doc], variants=3, seed=0)]
    assert apart == contradictions(no_names, variants=3, seed=0)


def test_edits_come_in_the_order_of_the_passages_numbered_from_1() -> None:
    docs = [passage("Waits 30 seconds and is stored.", doc_id=name) for name in ("b", "a")]
    ids = [edit.doc.doc_id for edit in contradictions(docs, variants=2, seed=0)]
    assert ids == ["b~contradicting1", "b~contradicting2", "a~contradicting1", "a~contradicting2"]


@pytest.mark.parametrize("make", [near_copies, contradictions])
def test_real_edits_can_be_traced_and_all_differ(make: type, docstrings: list[Doc]) -> None:
    by_id = {doc.doc_id: doc for doc in docstrings}
    edits = make(docstrings, variants=4, seed=0)
    assert all(is_traceable(edit, by_id[edit.source]) for edit in edits)
    texts = Counter((edit.source, edit.doc.text) for edit in edits)
    assert set(texts.values()) == {1}
    assert all(by_id[edit.source].title == edit.doc.title for edit in edits)


def test_four_of_five_docstrings_can_be_contradicted_and_all_copied(docstrings: list[Doc]) -> None:
    assert len(docstrings) >= 200
    contradicting = {edit.source for edit in contradictions(docstrings, variants=1, seed=0)}
    assert len(contradicting) >= 0.8 * len(docstrings)
    assert {edit.source for edit in near_copies(docstrings, variants=1, seed=0)} == {doc.doc_id for doc in docstrings}


def test_near_copies_keep_four_fifths_of_the_words_and_every_figure_and_negation(docstrings: list[Doc]) -> None:
    by_id = {doc.doc_id: doc for doc in docstrings}
    for edit in near_copies([doc for doc in docstrings if len(doc.text) < 3000], variants=5, seed=0):
        old, new = by_id[edit.source].text, edit.doc.text
        blocks = difflib.SequenceMatcher(None, words(old), words(new), autojunk=False).get_matching_blocks()
        assert sum(block.size for block in blocks) >= 0.8 * len(words(old)), edit
        facts = [Counter(fact.lower().replace("\u2019", "'") for fact in FACTS.findall(text)) for text in (old, new)]
        assert facts[0] <= facts[1] if edit.rule == "boilerplate" else facts[0] == facts[1], edit


@given(st.text(alphabet=st.sampled_from("ab13 .,\n\t`*'\"|[](){}<>=#-_:/\\éß中🙂\0") | st.characters(), max_size=80))
def test_any_text_gives_edits_that_can_be_traced(text: str) -> None:
    source = passage(text)
    for edit in [*near_copies([source], variants=3, seed=0), *contradictions([source], variants=3, seed=0)]:
        assert is_traceable(edit, source)


def test_unicode_around_a_fact_stays() -> None:
    assert contradicted("Größe 🙂 中文: wartet 30 Sekunden… naïve.") == ["Größe 🙂 中文: wartet 15 Sekunden… naïve."]


@pytest.mark.parametrize(
    "unit", ["The default is 10. It is used when items are there. ", "[a](", "a_", "1,", "\\-", "> "]
)
def test_long_texts_are_edited_within_seconds(unit: str) -> None:
    source = passage(unit * (20_000 // len(unit)))
    started = time.perf_counter()
    contradictions([source], variants=3, seed=0)
    near_copies([source], variants=3, seed=0)
    assert time.perf_counter() - started < 3
