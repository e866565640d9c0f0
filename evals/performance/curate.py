"""Time what `ragprof curate` looks for in many passages: signatures, alike pairs, everything.

The passages are those of a corpus, cut; where it has too few, seeded copies of them with one word in twenty changed are
added, so that there is something to find. The rival for the signatures is datasketch's `MinHash.bulk`, on a part of the
passages, where it is installed.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from ragprof.core import Doc
from ragprof.core.clock import cpu_ns, now_ns
from ragprof.corpus import Chunking, read_corpus
from ragprof.corpus.redundancy import alike_pairs, find_redundancy, sequences_of, whole_texts

PART = 2_000


def passages(corpus: Path, wanted: int, characters: int) -> list[Doc]:
    """So many passages, each a document of its own."""
    found = read_corpus(corpus, chunking=Chunking(max_characters=characters)).docs[:wanted]
    docs = [Doc(str(number), doc.title, doc.text, document_id=str(number)) for number, doc in enumerate(found)]
    shuffled = random.Random(0)
    while len(docs) < wanted:
        of = docs[shuffled.randrange(len(found))]
        words = ["changed" if shuffled.random() < 0.05 else word for word in of.text.split(" ")]
        docs.append(Doc(str(len(docs)), of.title, " ".join(words), document_id=str(len(docs))))
    return docs


def rival(docs: list[Doc]) -> float | None:
    """Seconds that datasketch would take for the signatures of all passages; None without it."""
    try:
        from datasketch import MinHash
    except ImportError:
        return None
    some = [text.words() for text in whole_texts(docs[:PART])]
    start = now_ns()
    sequences = [[" ".join(words[at : at + 3]).encode() for at in range(max(1, len(words) - 2))] for words in some]
    MinHash.bulk(sequences, num_perm=128)
    return (now_ns() - start) / 1e9 * len(docs) / len(some)


def main() -> None:
    """Print seconds by the clock and on all cores of each part of the search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--characters", type=int, default=1200)
    given = parser.parse_args()
    docs = passages(given.corpus, given.passages, given.characters)
    texts = whole_texts(docs)
    words = sum(len(text.words()) for text in texts)
    print(f"{len(docs):,} passages, {words:,} words")
    for name, work in {
        "signatures": lambda: sequences_of(texts),
        "signatures and alike pairs": lambda: list(alike_pairs(texts, 0.6)),
        "all that curate looks for, without vectors": lambda: find_redundancy(docs),
    }.items():
        clock, cores = now_ns(), cpu_ns()
        found = work()
        took = f"{(now_ns() - clock) / 1e9:.1f} s, {(cpu_ns() - cores) / 1e9:.1f} s of a core"
        many = f", {len(found):,} pairs" if isinstance(found, list) else ""
        print(f"{name}: {took}{many}")
    seconds = rival(docs)
    print("datasketch is not installed" if seconds is None else f"datasketch, signatures: about {seconds:.0f} s")


if __name__ == "__main__":
    main()
