"""What a corpus holds twice or for nothing: copies, old and contradicting versions, boilerplate, empty pages.

Finds and says why; removes nothing. The unit is the document, of boilerplate the passage. Pairs of alike documents come
from MinHash (Broder, On the resemblance and containment of documents, 1997) by rensa, with locality-sensitive hashing;
what is said of a pair rests on the exact Jaccard similarity of its three-word sequences, never on the estimate.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ragprof.core import Doc, Vectors
from ragprof.core.clock import SILENT, Progress, step
from ragprof.core.counting import counted

Redundant: TypeAlias = Literal["exact", "empty", "stale", "contradicting", "near", "reworded", "boilerplate", "lines"]
REDUNDANT: tuple[Redundant, ...] = (
    "exact", "empty", "stale", "contradicting", "near", "reworded", "boilerplate", "lines",
)  # fmt: skip
"""In the order in which they are looked for: a document that is one of them is none of those behind it.

Only of those that are left are passages boilerplate, and do the other passages have `lines` that many documents repeat.
"""
COPIES: tuple[Redundant, ...] = ("exact", "near", "reworded")
"""Kinds whose document says the same as the one that is kept."""
Places: TypeAlias = NDArray[np.int64]
Hashes: TypeAlias = NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """From where on something counts as redundant.

    `near` and `related` are Jaccard similarities of copies and of versions of one page, `reworded` a cosine. A line is
    boilerplate that stands in `boilerplate_documents`, a passage where such lines have `boilerplate_share` of its
    words.
    A document with fewer than `least_words` words is empty.
    """

    near: float = 0.9
    related: float = 0.6
    reworded: float = 0.97
    boilerplate_documents: int = 20
    boilerplate_share: float = 0.8
    least_words: int = 3


@dataclass(frozen=True)
class WholeText:
    """A document as its passages give it; `places` are theirs, `order` is its own number."""

    order: int
    document_id: str
    title: str
    text: str
    places: tuple[int, ...]

    def words(self) -> list[str]:
        """Lower-case words, in order. Not kept: those of a whole corpus take more memory than its texts."""
        return WORD.findall(self.text.lower())

    @cached_property
    def versions(self) -> tuple[Version, Version]:
        """Of its path and of its title."""
        return version_of(self.document_id), version_of(self.title)

    @cached_property
    def claims(self) -> Mapping[str, Claim | None]:
        """Sentence without its figures and negations -> both; None where it stands in several forms."""
        return claims_of(self.text)

    @property
    def rank(self) -> tuple[float, ...]:
        """The higher, the newer; a document that bears no mark is the current one."""
        path, title = self.versions
        return path.rank or title.rank or CURRENT


@dataclass(frozen=True)
class RedundantText:
    """Passages that could go, and the document that stays in their stead; empty where none does.

    Of the kind `lines` the passages stay, without these lines.
    """

    kind: Redundant
    document_id: str
    title: str
    kept: str
    similarity: float | None
    reason: str
    places: tuple[int, ...]


@dataclass(frozen=True)
class RepeatedLine:
    """A line that stands in many documents, and how many words all of its copies have."""

    text: str
    documents: int
    words: int


@dataclass(frozen=True)
class Redundancy:
    """All that was found, by kind and in the order of the corpus."""

    findings: tuple[RedundantText, ...]
    lines: tuple[RepeatedLine, ...]
    shortened: Mapping[int, str]
    """Place of a passage -> its text without the lines that many documents repeat, where other words are left."""

    def places(self, *kinds: Redundant) -> Places:
        """Positions of the passages of these kinds, rising."""
        found = {place for each in self.findings if each.kind in kinds for place in each.places}
        return np.array(sorted(found), np.int64)

    @cached_property
    def same_as(self) -> dict[str, str]:
        """Document -> the kept one that says the same, through chains of copies."""
        kept = {each.document_id: each.kept for each in self.findings if each.kind in COPIES}
        for name, original in kept.items():
            last = original
            while last in kept:
                last = kept[last]
            kept[name] = last
        return kept


def find_redundancy(
    docs: Sequence[Doc], *, limits: Limits | None = None, vectors: Vectors | None = None, progress: Progress = SILENT
) -> Redundancy:
    """Look for every kind in a corpus. Without `vectors`, one a passage, nothing is found to be reworded."""
    limits = limits or Limits()
    texts = whole_texts(docs)
    search = _Search(limits, {each.order: each for each in texts})
    search.exact()
    for each in search.left:
        if len(each.text) < EMPTY and len(each.words()) < limits.least_words:
            search.drop("empty", each, None, None, counted(len(each.words()), "word"))
    search.alike(progress)
    if vectors is not None:
        search.reworded(vectors, progress)
    shortened: dict[int, str] = {}
    with step(progress, "find repeated lines"):
        lines = repeated_lines(docs, [each.places for each in search.left], limits.boilerplate_documents)
        for each in search.left:
            places = tuple(place for place in each.places if is_boilerplate(docs[place].text, lines, limits))
            if places:
                reason = f"{len(places)} of {len(each.places)} passages repeat lines of many documents"
                gone = RedundantText("boilerplate", each.document_id, each.title, "", None, reason, places)
                search.findings.append(gone)
            shorter = {
                place: text
                for place in each.places
                if place not in places and (text := without_lines(docs[place].text, lines)) is not None
            }
            if shorter:
                shortened |= shorter
                reason = f"{len(shorter)} of {len(each.places)} passages have lines of many documents"
                found = RedundantText(
                    "lines", each.document_id, each.title, each.document_id, None, reason, tuple(shorter)
                )
                search.findings.append(found)
    order = sorted(search.findings, key=lambda each: (REDUNDANT.index(each.kind), each.places))
    return Redundancy(tuple(order), tuple(sorted(lines.values(), key=lambda line: -line.words)), shortened)


def whole_texts(docs: Sequence[Doc]) -> list[WholeText]:
    """The documents of a corpus, in the order of their first passages."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, doc in enumerate(docs):
        places[doc.document_id].append(place)
    return [
        WholeText(order, name, docs[mine[0]].title, "\n".join(docs[place].text for place in mine), tuple(mine))
        for order, (name, mine) in enumerate(places.items())
    ]


WORD = re.compile(r"\w+")
EMPTY = 1000
"""Characters: whether a longer document has words need not be asked."""
SEQUENCE = 3
"""Words in a sequence: one changed word changes three of them."""
PERMUTATIONS, BANDS = 128, 32
"""Four rows a band: of pairs with a similarity of 0.6, 99 % meet in some band; of 0.9, all but one in 10**14."""
AT_ONCE = 1024
CROWD = 30
"""In a band where more documents meet than this, each is compared with the first and with its neighbour only."""
UNSURE = 0.15
"""An estimate from 128 permutations errs by less than that, 3.4 standard deviations at worst."""


class _Search:
    """What is left of the documents while one kind after the other is taken out of them."""

    def __init__(self, limits: Limits, texts: dict[int, WholeText]) -> None:
        self.limits, self._texts = limits, texts
        self.findings: list[RedundantText] = []

    @property
    def left(self) -> list[WholeText]:
        return list(self._texts.values())

    def drop(
        self, kind: Redundant, gone: WholeText, kept: WholeText | None, similarity: float | None, reason: str
    ) -> None:
        stays = "" if kept is None else kept.document_id
        self.findings.append(RedundantText(kind, gone.document_id, gone.title, stays, similarity, reason, gone.places))
        del self._texts[gone.order]

    def exact(self) -> None:
        """The same text, blanks apart: the newest stays, else the first."""
        same: dict[str, list[WholeText]] = defaultdict(list)
        for each in self.left:
            same[" ".join(each.text.split())].append(each)
        for copies in same.values():
            kept = min(copies, key=_preferred)
            for each in copies:
                if each is not kept:
                    title = "the same text" if each.title == kept.title else "the same text under another title"
                    self.drop("exact", each, kept, 1.0, title)

    def alike(self, progress: Progress) -> None:
        """Old versions, then contradicting ones, then near copies, all among pairs of alike documents."""
        pairs = list(alike_pairs(self.left, self.limits.related, progress))
        versions = [pair for pair in pairs if are_versions(*pair[:2])]
        self._take("stale", versions, lambda old, new: f"version {_shown(old)}, and there is {_shown(new)}")
        others = [pair for pair in pairs if not are_versions(*pair[:2])]
        # What one page says otherwise, and what keeps two alike pages from being copies; of others nobody asks.
        asked = [(a, b) for a, b, alike in others if alike >= self.limits.near or _one_page(a, b)]
        disputes = {}
        with step(progress, "look for contradictions", max(2, len(asked))):
            for a, b in asked:
                disputes[a.order, b.order] = disputed(a, b)
                progress.advance(1)
        self._take(
            "contradicting",
            [(a, b, alike) for a, b, alike in others if _one_page(a, b) and disputes[a.order, b.order]],
            lambda gone, kept: disputed(gone, kept)[0],
        )
        near = [(a, b, alike) for a, b, alike in others if alike >= self.limits.near and not disputes[a.order, b.order]]
        self._take("near", near, lambda _gone, _kept: "almost the same words")

    def reworded(self, vectors: Vectors, progress: Progress) -> None:
        """The same in other words: neighbours in the vectors that state the same figures and are about as long."""
        pairs = [
            (a, b, alike)
            for a, b, alike in neighbours(self.left, vectors, self.limits.reworded, progress)
            if figures_of(a.text) == figures_of(b.text) and 0.5 <= len(a.text) / len(b.text) <= 2
        ]
        self._take("reworded", pairs, lambda _gone, _kept: "neighbours in the vectors, with the same figures")

    def _take(self, kind: Redundant, pairs: Iterable[Pair], reason: Reason) -> None:
        """Best first, whatever is like a document that stays goes: each has its own, no chain leads away from it."""
        near: dict[int, dict[int, float]] = defaultdict(dict)
        for a, b, alike in pairs:
            near[a.order][b.order] = near[b.order][a.order] = alike
        for order in sorted((each for each in near if each in self._texts), key=self._preference):
            kept = self._texts.get(order)
            for other, alike in sorted(near[order].items()) if kept else ():
                gone = self._texts.get(other)
                if gone is not None and kept is not None:
                    self.drop(kind, gone, kept, alike, reason(gone, kept))

    def _preference(self, order: int) -> tuple[object, ...]:
        return _preferred(self._texts[order])


def _preferred(text: WholeText) -> tuple[object, ...]:
    """The newest, then the longest, then the first."""
    return tuple(-part for part in text.rank), -len(text.text), text.order


def _shown(text: WholeText) -> str:
    path, title = text.versions
    return path.text or title.text or "without a mark"


def _one_page(a: WholeText, b: WholeText) -> bool:
    """Whether both bear one title, which is not empty."""
    return bool(a.title.strip()) and a.title.casefold().split() == b.title.casefold().split()


Pair: TypeAlias = tuple[WholeText, WholeText, float]
"""Two documents, the earlier one first, and how alike they are."""
Reason: TypeAlias = Callable[[WholeText, WholeText], str]
"""Why the first goes and the second stays."""


def alike_pairs(texts: Sequence[WholeText], least: float, progress: Progress = SILENT) -> Iterator[Pair]:
    """Yield pairs whose three-word sequences have a Jaccard similarity of at least `least`, with that similarity."""
    hashes, signatures = sequences_of(texts, progress)
    first, second = candidate_pairs(signatures)
    if not len(first):
        return
    progress.start("compare alike documents", len(first))
    for start in range(0, len(first), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        estimates = (signatures[first[some]] == signatures[second[some]]).mean(axis=1)
        for a, b, estimate in zip(first[some].tolist(), second[some].tolist(), estimates.tolist(), strict=True):
            if estimate >= least - UNSURE and (alike := jaccard(hashes[a], hashes[b])) >= least:
                yield texts[a], texts[b], alike
        progress.advance(len(estimates))
    progress.done()


def sequences_of(texts: Sequence[WholeText], progress: Progress = SILENT) -> tuple[list[Hashes], NDArray[np.uint32]]:
    """Hashes of each document's three-word sequences, sorted and distinct, and signatures (documents, PERMUTATIONS)."""
    from rensa import RMinHash

    hashes: list[Hashes] = []
    signatures = np.zeros((len(texts), PERMUTATIONS), np.uint32)
    progress.start("find copies", len(texts))
    for start in range(0, len(texts), AT_ONCE):
        words = RMinHash.hash_token_sets([each.words() for each in texts[start : start + AT_ONCE]])
        some = [_sequences(np.array(each, np.uint64)) for each in words]
        hashes += some
        rows = RMinHash.digest_matrix_from_token_hash_sets([each.tolist() for each in some], PERMUTATIONS, 1).to_rows()
        signatures[start : start + len(some)] = np.array(rows, np.uint64).astype(np.uint32)
        progress.advance(len(some))
    progress.done()
    return hashes, signatures


FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
"""Odd, so that no word is lost; different, so that the order of words counts."""


def _sequences(words: Hashes) -> Hashes:
    """From hashes of words, in order; a text that is shorter than a sequence is one itself."""
    if len(words) < SEQUENCE:
        return np.unique(words.sum(keepdims=True, dtype=np.uint64))
    mixed = sum(words[place : len(words) - SEQUENCE + 1 + place] * factor for place, factor in enumerate(FACTORS))
    return np.unique(mixed)


def candidate_pairs(signatures: NDArray[np.uint32]) -> tuple[Places, Places]:
    """Rows that agree in a whole band: (first, second), each pair once, first below second."""
    rows = PERMUTATIONS // BANDS
    mixed = np.random.default_rng(0).integers(1, 2**63, (BANDS, rows), np.uint64) | np.uint64(1)
    found = [np.empty(0, np.int64)]
    for band, factors in enumerate(mixed):
        keys = (signatures[:, band * rows : (band + 1) * rows].astype(np.uint64) * factors).sum(axis=1)
        order = np.argsort(keys, kind="stable")
        ends = np.flatnonzero(np.diff(keys[order])) + 1
        for members in np.split(order, ends):
            if len(members) > 1:
                found.append(_codes(members, len(signatures)))
    codes = np.unique(np.concatenate(found))
    return codes // len(signatures), codes % len(signatures)


def _codes(members: Places, total: int) -> Places:
    """Pairs of members as one number each."""
    if len(members) <= CROWD:
        a, b = (members[side] for side in np.triu_indices(len(members), 1))
    else:
        a = np.concatenate([np.full(len(members) - 1, members[0]), members[1:-1]])
        b = np.concatenate([members[1:], members[2:]])
    return np.asarray(np.minimum(a, b) * total + np.maximum(a, b))


def jaccard(a: Hashes, b: Hashes) -> float:
    """Return the share of the sequences of either that both have."""
    both = len(np.intersect1d(a, b, assume_unique=True))
    return both / (len(a) + len(b) - both)


BLOCK = 2048


def neighbours(
    texts: Sequence[WholeText], vectors: Vectors, least: float, progress: Progress = SILENT
) -> Iterator[Pair]:
    """Yield pairs of documents whose mean vectors have a cosine of at least `least`."""
    if len(texts) < 2:
        return
    means = np.stack([np.asarray(vectors[list(each.places)], np.float32).mean(axis=0) for each in texts])
    sizes = np.linalg.norm(means, axis=1, keepdims=True)
    means = np.divide(means, sizes, out=np.zeros_like(means), where=sizes > 0)
    progress.start("compare vectors of documents", len(texts))
    for start in range(0, len(means), BLOCK):
        rows = means[start : start + BLOCK]
        alike = rows @ means[start:].T
        for a, b in np.argwhere(alike >= least).tolist():
            if b > a:
                yield texts[start + a], texts[start + b], min(1.0, float(alike[a, b]))
        progress.advance(len(rows))
    progress.done()


MARK = re.compile(
    r"(?<![a-z0-9])(?:(?:version|ver|release|rev|v)[ ._-]?)?(?P<number>\d{1,4}(?:[._-]\d{1,4}){0,3})(?![a-z0-9])"
    r"|(?<![a-z])(?P<word>old|older|outdated|archived?|deprecated|legacy|draft|backup|copy|final|latest|current)(?![a-z])",
    re.IGNORECASE,
)
ORDINAL = re.compile(
    r"\b(?:step|part|chapter|section|lesson|figure|table|volume|page|phase|level|tier|no)[ ._-]*$", re.IGNORECASE
)
"""A number behind such a word names a place and no version."""
CURRENT, NEWEST, OLDEST = (1e9,), 1e9, -1.0
LETTERS = re.compile(r"[^\W\d_]")
LEAST_LETTERS = 3


@dataclass(frozen=True)
class Version:
    """A path or title without what tells its version, and that: as written, and as numbers to compare by."""

    page: str
    text: str
    rank: tuple[float, ...] = field(default=())


def version_of(name: str) -> Version:
    """Version numbers, dates and words such as `old` or `draft`; a name of little else has none.

    >>> version_of("docs/v2.1/install.md")
    Version(page='docs/#/install.md', text='v2.1', rank=(2.0, 1.0))
    """
    marks = [mark for mark in MARK.finditer(name) if not ORDINAL.search(name, max(0, mark.start() - 12), mark.start())]
    page = name
    for mark in reversed(marks):
        page = f"{page[: mark.start()]}#{page[mark.end() :]}"
    page = " ".join(page.casefold().split())
    if not marks or len(LETTERS.findall(page)) < LEAST_LETTERS:
        return Version(" ".join(name.casefold().split()), "")
    rank: list[float] = []
    for mark in marks:
        if mark["number"]:
            rank += [float(part) for part in re.split(r"[._-]", mark["number"])]
        else:
            rank.append(NEWEST if mark["word"].lower() in ("final", "latest", "current") else OLDEST)
    return Version(page, ", ".join(mark[0] for mark in marks), tuple(rank))


def are_versions(a: WholeText, b: WholeText) -> bool:
    """Whether path and title of two alike documents differ in nothing but their marks, and do differ in these."""
    both = list(zip(a.versions, b.versions, strict=True))
    return all(_bare(one) == _bare(other) for one, other in both) and any(one.rank != other.rank for one, other in both)


def _bare(version: Version) -> str:
    """The page, with nothing where the marks were, since a current page may have none; empty for a bare number."""
    page = re.sub(r"[#\W_]+", " ", version.page).strip()
    return page if len(LETTERS.findall(page)) >= LEAST_LETTERS else ""


FIGURE = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)*")
NEGATION = re.compile(r"\b(?:not|never|no|cannot|without)\b|n['\u2019]t\b", re.IGNORECASE)
CONTRACTED = re.compile(r"\bcan['\u2019]t\b", re.IGNORECASE)
ADDRESS = re.compile(r"\]\([^)\s]*\)|https?://\S+")
ENUMERATED = re.compile(r"^\W*\d+[.)]\s+")
SENTENCE_END = re.compile(r"(?<=[.!?:])\s+|\n+")
LEAST_SAID = 3
"""Words of a sentence besides its figures: with fewer, two sentences are alike by chance."""


@dataclass(frozen=True)
class Claim:
    """What a sentence states in figures, how often it says no, and the sentence."""

    figures: tuple[str, ...]
    negations: int
    sentence: str

    def agrees(self, other: Claim) -> bool:
        return (self.figures, self.negations) == (other.figures, other.negations)


def disputed(a: WholeText, b: WholeText) -> list[str]:
    """Sentences that both texts have but for their figures or negations: `... 28 days ...` / `... 30 days ...`.

    A sentence that either text has in several forms says nothing.
    """
    return [
        f"'{_cut(ours.sentence)}' against '{_cut(theirs.sentence)}'"
        for said, ours in a.claims.items()
        if ours is not None and (theirs := b.claims.get(said)) is not None and not ours.agrees(theirs)
    ]


def claims_of(text: str) -> dict[str, Claim | None]:
    """Sentence without its figures, negations, addresses and its number in a list -> what it claims."""
    claims: dict[str, Claim | None] = {}
    for sentence in SENTENCE_END.split(text):
        said = CONTRACTED.sub("cannot", ADDRESS.sub("]", ENUMERATED.sub("", sentence)))
        plain = FIGURE.sub(" 0 ", NEGATION.sub(" ", said))
        words = [word for word in WORD.findall(plain.lower()) if word not in ("do", "does", "did", "is", "are")]
        if sum(word != "0" for word in words) < LEAST_SAID:
            continue
        claim = Claim(tuple(FIGURE.findall(said)), len(NEGATION.findall(said)), " ".join(sentence.split()))
        key = " ".join(words)
        known = claims.setdefault(key, claim)
        if known is not None and not known.agrees(claim):
            claims[key] = None
    return claims


LONGEST = 160


def _cut(sentence: str) -> str:
    return sentence if len(sentence) <= LONGEST else f"{sentence[:LONGEST]}..."


def figures_of(text: str) -> Counter[str]:
    """The figures that a text states, and how often."""
    return Counter(FIGURE.findall(text))


LEAST_OF_LINE = 4
"""Words: shorter lines are headings and cells, which many documents share for good reason."""


def repeated_lines(docs: Sequence[Doc], documents: Sequence[Sequence[int]], least: int) -> dict[str, RepeatedLine]:
    """Line, blanks and case apart -> what it is, for those that stand in at least `least` documents (and in two)."""
    found: Counter[str] = Counter()
    copies: Counter[str] = Counter()
    for places in documents:
        lines = Counter(line for place in places for line in _lines(docs[place].text))
        found.update(lines.keys())
        copies.update(lines)
    return {
        line: RepeatedLine(line, count, copies[line] * len(line.split()))
        for line, count in found.items()
        if count >= max(2, least)
    }


def _lines(text: str) -> list[str]:
    lines = (line.split() for line in text.casefold().splitlines())
    return [" ".join(words) for words in lines if len(words) >= LEAST_OF_LINE]


def without_lines(text: str, repeated: Mapping[str, RepeatedLine]) -> str | None:
    """The text without these lines; None where it has none of them, or has nothing else."""
    lines = text.splitlines()
    kept = [line for line in lines if " ".join(line.casefold().split()) not in repeated]
    shorter = "\n".join(kept).strip()
    return shorter if shorter and len(kept) < len(lines) else None


def is_boilerplate(text: str, repeated: Mapping[str, RepeatedLine], limits: Limits) -> bool:
    """Whether repeated lines have so large a share of a passage's words."""
    words = len(text.split())
    known = sum(len(line.split()) for line in _lines(text) if line in repeated)
    return bool(known) and known >= math.ceil(limits.boilerplate_share * words - 1e-9)
