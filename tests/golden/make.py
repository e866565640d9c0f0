"""Makes the golden summaries anew: what the product itself records, kept so that tests of reports need no run.

`python tests/golden/make.py audit comparison` writes audit.json and comparison.json beside this file. A change of a
study's section asks for it; the difference then shows in review what users of summary.json will see. Timings are those
of the machine on which they were made: a test that quotes one is edited along.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import ragprof

TESTS = Path(__file__).parents[1]
sys.path += [
    str(TESTS),
    *(str(TESTS / name) for name in ("audit", "growth", "injection", "curate", "chunking", "screen")),
]


def profile(handbook: Path) -> dict[str, Any]:
    """The main run of the handbook: the whole of its summary.json."""
    from ragprof.session.run import run

    return run(handbook, out=handbook.parent / "recording").summary


def audit(handbook: Path) -> dict[str, Any]:
    """The handbook's hybrid+overlap with parts that each have one reason not to give the same every time."""
    from restless import BatchBoundEmbedder, CountingGenerator, PlaceBoundReranker, audited

    parts = {"embedder": BatchBoundEmbedder(256), "reranker": PlaceBoundReranker(), "generator": CountingGenerator()}
    return audited(handbook, handbook.parent / "cache", times=5, queries=12, **parts).as_json()


LLM = 'prices = { llm = "openai:gpt-4o-mini" }'


def growth(handbook: Path) -> dict[str, Any]:
    """240 seeded passages at six sizes, along every curve. Of three pipelines dense+overlap has no price."""
    from growing_collection import write_collection

    from ragprof.session.run import grow

    eval_file = write_collection(handbook.parent)
    text = eval_file.read_text().partition('[[pipelines]]\nname = "hybrid+overlap"')[0]
    changes = {
        **{
            "sizes = [60, 90, 150, 240]": "sizes = [40, 60, 90, 130, 180, 240]",
            "cutoffs = [3, 10]": "cutoffs = [5, 10]",
        },
        **{'llm = "openai:gpt-4o-mini"\n': "", 'store = "bm25s"': f'store = "bm25s"\n{LLM}'},
        "tokens = 120 }": f"tokens = 120 }}\n{LLM}",
    }
    for before, after in changes.items():
        text = text.replace(before, after)
    eval_file.write_text(text)
    section: dict[str, Any] = grow(eval_file, out=handbook.parent / "grown").summary["growth"]
    return section | {"environment": {}}


def injection(handbook: Path) -> dict[str, Any]:
    """The handbook's answers, judged by a model too, with stated watts: the section and what stands with pipelines."""
    from answerers import ANSWERERS

    from ragprof.core import registry
    from ragprof.session.run import inject

    find = registry.find
    registry.find = lambda kind, name: ANSWERERS[name] if name in ANSWERERS else find(kind, name)  # type: ignore[assignment]
    text = handbook.read_text(encoding="utf-8")
    table, bm25 = "[injection]\n", 'name = "bm25"\n'
    text = text.replace(table, f'{table}judge = "literal_judge"\nsensitivities = [0.7]\n')
    text = text.replace(bm25, f'{bm25}generator = "extractive"\n')
    handbook.write_text(f"{text}\n[energy]\nwatts = 28\n", encoding="utf-8")
    summary = inject(handbook, out=handbook.parent / "recording").summary
    beside = {
        name: {"economics": one["economics"], "stages": {"generate": one["stages"].get("generate", {})}}
        for name, one in summary["pipelines"].items()
    }
    return {"pipelines": beside, "injection": summary["injection"]}


RERANKER = """
[reranker]
depths = [4, 7, 20]
ks = [1, 3, 5]
llms = ["openai:gpt-4o"]
signals = ["margin", "top_score"]
price_trend = 30
worth_usd_per_point = 0.5
[reranker.timing]
seconds = 2
min_queries = 12
[growth]
sizes = [15, 16, 18]
orders = 2
depths = [5]
[growth.timing]
seconds = 1

[[pipelines]]
name = "dense+overlap"
embedder = { name = "hashing", dimensions = 2 }
store = "faiss_flat"
depth = 15
reranker = "overlap"
injector = { name = "top_k", k = 3 }
prices = { rerank = "cohere/rerank-v3.5" }

[[pipelines]]
name = "wide"
embedder = { name = "hashing", dimensions = 32 }
store = "faiss_flat"
depth = 10
injector = { name = "top_k", k = 3 }
"""


def reranker(handbook: Path) -> dict[str, Any]:
    """Rerankers over two searches, one billed by the hour and one by the search, beside two embedders and growth."""
    from ragprof.session.run import grow, weigh

    handbook.write_text(handbook.read_text() + RERANKER)
    out = handbook.parent / "recording"
    grow(handbook, out=out)
    summary = weigh(handbook, out=out).summary
    return {"verdicts": summary["reranker"], "study": summary["reranker_study"]}


COMPARED = """
name = "handbook"
title = "Handbook: which pipeline finds the rule?"
metrics = ["nDCG@10", "R@10"]
corpus = {{ path = "handbook" }}
timing = {{ seconds = 1, rounds = 2, min_queries = 12, warmup = 1 }}
prices = {{ machine = "aws/m7i.large", utilisation = 0.5 }}

[[pipelines]]
name = "bm25"
store = "bm25s"
depth = 10
injector = {{ name = "top_k", k = {bm25_k} }}
prices = {{ llm = "openai:gpt-4o-mini" }}

[[pipelines]]
name = "dense"
embedder = {{ name = "hashing", dimensions = {dim} }}
store = "faiss_flat"
depth = 10
injector = {{ name = "top_k", k = {dense_k} }}
prices = {{ {dense_llm} }}

[[pipelines]]
name = "hybrid+overlap"
embedder = "hashing"
store = {{ name = "rrf", stores = ["bm25s", "faiss_flat"] }}
depth = 10
reranker = "{reranker}"
injector = {{ name = "top_k", k = {hybrid_k} }}
prices = {{ llm = "openai:gpt-4o-mini" }}
{gate}
"""
BEFORE = {
    "bm25_k": 3, "dim": 256, "dense_k": 3, "dense_llm": 'llm = "openai:gpt-4o-mini"', "hybrid_k": 3,
    "reranker": "overlap", "gate": "",
}  # fmt: skip
AFTER = {**BEFORE, "bm25_k": 5, "dim": 2, "dense_k": 1, "dense_llm": "", "reranker": "none", "hybrid_k": 5}
TIMED = """
[gate]
budget_seconds = 6
[gate.quantities]
"nDCG@10" = { absolute = 0.01 }
"latency_p50" = { relative = 9 }
"""
GATED = {
    "across_jobs": True,
    "quantities": {
        "nDCG@10": {"absolute": 0.01},
        "R@10": {"absolute": 0.01, "pipelines": ["hybrid+overlap"]},
        "latency_p50": {"relative": 9.0},
        "rerank.latency_p50": {"relative": 0.1, "pipelines": ["hybrid+overlap"]},
        "inject.prompt_tokens": {"relative": 0.05},
        "usd_per_1000_queries": {"relative": 9.0},
    },
}


def comparison(handbook: Path) -> dict[str, Any]:
    """Documents of `compare` and `gate`: `compared` on two machines, `gated` in two jobs, `interleaved` in one.

    The candidate's bm25 puts more into a prompt; its dense pipeline has two dimensions, less in its prompts and no
    price for them; its third one has lost its reranker and puts more into a prompt, too.
    """
    from ragprof.evals import GateSettings
    from ragprof.session.gating import gate, judged
    from ragprof.session.run import run
    from ragprof.studies.gate.comparison import compare
    from ragprof.studies.gate.sides import read_side

    here = handbook.parent
    gated = {**BEFORE, "bm25_k": 2, "gate": TIMED}
    for name, settings in {"before": BEFORE, "after": AFTER, "gated": gated}.items():
        (here / f"{name}.toml").write_text(COMPARED.format(**settings))
    before, after = (
        replace(read_side(run(here / f"{name}.toml", out=here / name).folder), label=f"reports/{name}")
        for name in ("before", "after")
    )
    machine = {**after.facts["environment"], "cpu": "another"}
    elsewhere = replace(after, facts={**after.facts, "environment": machine})
    live = gate(here / "gated.toml", against=str(here / "before.toml"), out=here / "live")
    return {
        "compared": compare(before, elsewhere).document,
        "gated": judged(before, after, GateSettings.model_validate(GATED)).document,
        "interleaved": live.document,
    }


def curate(handbook: Path) -> dict[str, Any]:
    """The handbook with a copy, an older version and an empty page."""
    from test_curate import edit, with_copies

    eval_file = edit(handbook, with_copies)
    section: dict[str, Any] = ragprof.curate(eval_file, out=handbook.parent / "out", changes={"related": 0.5}).summary[
        "curate"
    ]
    return section


def screen(handbook: Path) -> dict[str, Any]:
    """Twelve of 41 documents, some a former wording of the handbook's."""
    from test_screen import write_source

    source, changes = write_source(handbook.parent / "former"), {"seed": 3}
    text = handbook.read_text().replace("seconds = 2", "seconds = 0.1\npatience = 0")
    handbook.write_text(text)
    section: dict[str, Any] = ragprof.screen(
        handbook, source, sample=12, changes=changes, out=handbook.parent / "out"
    ).summary["screen"]
    return section


def chunking(handbook: Path) -> dict[str, Any]:
    """Twelve pages cut in four ways; the answers cross a border."""
    from test_chunking import write_pages

    eval_file = write_pages(handbook.parent)
    section: dict[str, Any] = ragprof.chunking(eval_file, out=handbook.parent / "out").summary["chunking"]
    return section


def make(study: str) -> None:
    """Write <study>.json, from a copy of the handbook and with a cache of its own."""
    import shutil

    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(TESTS / "data" / "handbook", Path(folder) / "handbook")
        handbook = Path(shutil.copy(TESTS / "data" / "handbook.toml", folder))
        os.environ["RAGPROF_CACHE"] = str(Path(folder) / "cache")
        found = globals()[study](handbook)
    text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
    for innermost in (r"\[[^\[\]{}]*\]", r"\{[^{}]{,140}\}"):
        text = re.sub(innermost, lambda found: " ".join(found[0].split()), text)
    (TESTS / "golden" / f"{study}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        make(name)
