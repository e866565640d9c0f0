"""A seeded collection of 240 passages with repeats, chunks and graded judgements, and an eval over it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

WORDS = [
    "lamp", "signal", "harbour", "keeper", "storm", "rope", "engine", "valve", "fuel", "gauge", "night", "watch",
    "report", "failure", "repair", "notice", "permit", "closing", "hours", "visit", "guest", "meal", "garden", "wall",
    "paint", "ladder", "tower", "window", "glass", "lens", "clock", "spring", "winter", "ice", "boat", "oar",
]  # fmt: skip
EVAL = """
name = "growing"
metrics = ["nDCG@10", "P@5", "Judged@10"]

[corpus]
path = "collection"

[timing]
seconds = 0.5
rounds = 2
min_queries = 2
warmup = 1

[growth]
sizes = [60, 90, 150, 240]
orders = 3
depths = [3, 6, 12]
cutoffs = [3, 10]
foreign = "foreign.jsonl"
curves = ["all_judged", "proportional", "similar", "duplicate", "contradicting", "foreign"]

[growth.timing]
seconds = 0.4
rounds = 2
min_queries = 2
warmup = 1

[prices]
llm = "openai:gpt-4o-mini"
machine = "aws/m7i.large"
utilisation = 0.5

[[pipelines]]
name = "bm25"
store = "bm25s"
depth = 10
injector = { name = "top_k", k = 3 }

[[pipelines]]
name = "dense"
embedder = "hashing"
store = "faiss_flat"
depth = 10
injector = { name = "token_budget", k = 4, tokens = 120 }

[[pipelines]]
name = "dense+overlap"
embedder = "hashing"
store = "faiss_flat"
depth = 8
reranker = "overlap"
injector = { name = "top_k", k = 3 }

[[pipelines]]
name = "hybrid+overlap"
embedder = "hashing"
store = { name = "rrf", stores = ["bm25s", "faiss_flat"] }
depth = 10
reranker = "overlap"
injector = { name = "top_k", k = 3 }
"""


def sentence(rng: np.random.Generator, length: int) -> str:
    return " ".join(rng.choice(WORDS, length))


def write_collection(folder: Path) -> Path:
    """Write the collection and its eval; returns the eval's path."""
    rng = np.random.default_rng(11)
    place = folder / "collection"
    (place / "qrels").mkdir(parents=True)
    texts = [
        f"The {sentence(rng, 6)} is open for {rng.integers(2, 90)} days. It must not {sentence(rng, 4)}. "
        f"The {sentence(rng, 3)} has {rng.integers(2, 90)} {sentence(rng, 2)}."
        for _ in range(240)
    ]
    texts[101], texts[202] = texts[100], texts[100]
    docs = [{"_id": f"p{number:03d}", "title": "", "text": text} for number, text in enumerate(texts)]
    (place / "corpus.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    asked = [(f"q{number:02d}", int(rng.integers(0, 240))) for number in range(12)]
    asked[0] = ("p100", 100)
    queries = [{"_id": name, "text": f"when {' '.join(texts[of].split()[1:6])}"} for name, of in asked]
    (place / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries))
    rows = [f"{name}\tp{of if name != 'p100' else 101:03d}\t2" for name, of in asked]
    rows += [f"{name}\tp{(of + 7) % 240:03d}\t1" for name, of in asked]
    rows += [f"{name}\tp{(of + 31) % 240:03d}\t0" for name, of in asked]
    (place / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(rows) + "\n")
    foreign = [{"_id": f"f{number}", "title": "", "text": sentence(rng, 14)} for number in range(70)]
    (folder / "foreign.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in foreign))
    path = folder / "growing.toml"
    path.write_text(EVAL)
    return path
