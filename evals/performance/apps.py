"""One pipeline declared in ragprof, as a function, and in LangChain, LlamaIndex and Haystack: stages side by side.

    python evals/performance/apps.py FOLDER [--questions 100] [--depth 20] [--seconds 60]

FOLDER is a collection in BEIR's format, such as xquad-en. All five embed with the packaged all-MiniLM-L6-v2, search an
exact FAISS index for 20 candidates, rerank them with MaxSim and keep the first 5. What differs is who calls whom.
Rankings must be the same, to the last document; what a framework takes is a line of its own. The profiler's overhead
rests on as many pairs as questions are timed: `--depth 5 --seconds 300` times all hundred within a quarter of an hour
on two cores.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import ragprof
from ragprof.core import Doc, EmbeddedQuery, Query, Vectors
from ragprof.core.environment import describe
from ragprof.core.ranking import ranked
from ragprof.corpus import read_beir_folder_paths, read_corpus
from ragprof.evals.recorded import RANKING
from ragprof.parts.embedders.sentence_transformers import SentenceTransformersEmbedder
from ragprof.parts.rerankers.maxsim import MaxSimReranker
from ragprof.parts.stores.faiss_flat import FaissFlatStore
from ragprof.report import figures

K = 5
DECLARED = "declared"


class Parts:
    """The parts that all five share: the same models and one index in memory."""

    def __init__(self, docs: Sequence[Doc], depth: int) -> None:
        self.depth = depth
        self.docs = {doc.doc_id: doc for doc in docs}
        self._embedder, self._store, self._reranker = SentenceTransformersEmbedder(), FaissFlatStore(), MaxSimReranker()
        for part in (self._embedder, self._store, self._reranker):
            part.load()
        self._store.add(docs, self._embedder.embed_documents([doc.content for doc in docs]).vectors)

    def embed(self, question: str) -> Vectors:
        return self._embedder.embed_queries([question]).vectors[0]

    def search(self, question: str, vector: Vectors) -> list[tuple[Doc, float]]:
        found = self._store.search(EmbeddedQuery(Query("", question), vector), self.depth).ranking
        return [(item.doc, item.score) for item in found]

    def rerank(self, question: str, docs: Sequence[Doc]) -> list[tuple[Doc, float]]:
        scores = self._reranker.score(Query("", question), docs).scores
        return [(item.doc, item.score) for item in ranked(zip(docs, scores, strict=True))]


def function(parts: Parts) -> Any:
    """With marks."""

    def rag(question: str) -> dict[str, Any]:
        with ragprof.span("embed"):
            vector = parts.embed(question)
        with ragprof.span("search") as search:
            search.documents = found = [(doc.doc_id, score) for doc, score in parts.search(question, vector)]
        with ragprof.span("rerank") as rerank:
            rerank.documents = best = [
                (doc.doc_id, score) for doc, score in parts.rerank(question, [parts.docs[name] for name, _ in found])
            ]
        return {"documents": best[:K]}

    return rag


def langchain(parts: Parts) -> Any:
    """A retriever with embeddings, and a step that reranks."""
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.runnables import RunnableLambda, RunnableParallel, RunnablePassthrough

    class MiniLM(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            raise NotImplementedError

        def embed_query(self, text: str) -> Any:
            return parts.embed(text)

    embeddings = MiniLM()

    class Index(BaseRetriever):
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            found = parts.search(query, embeddings.embed_query(query))
            return [Document(doc.content, id=doc.doc_id) for doc, _ in found]

    def rerank(given: dict[str, Any]) -> list[Document]:
        docs = {each.id: each for each in given["found"]}
        return [docs[doc.doc_id] for doc, _ in parts.rerank(given["question"], [parts.docs[name] for name in docs])]

    def best(documents: list[Document]) -> list[Document]:
        return documents[:K]

    found = RunnableParallel(found=Index(), question=RunnablePassthrough())
    return found | RunnableLambda(rerank) | RunnableLambda(best, name="inject")


def llamaindex(parts: Parts) -> Any:
    """A retriever with an embedding, and a node postprocessor, in a query engine that puts the texts together."""
    from llama_index.core import Settings
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.llms import MockLLM
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.query_engine import RetrieverQueryEngine
    from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeWithScore, TextNode

    class MiniLM(BaseEmbedding):
        def _get_text_embedding(self, text: str) -> Any:
            return parts.embed(text)

        def _get_query_embedding(self, query: str) -> Any:
            return parts.embed(query)

        async def _aget_query_embedding(self, query: str) -> Any:
            return parts.embed(query)

    embedding = MiniLM()

    def node(doc: Doc, score: float) -> NodeWithScore:
        return NodeWithScore(node=TextNode(id_=doc.doc_id, text=doc.content), score=score)

    class Index(BaseRetriever):
        def _retrieve(self, query_bundle: Any) -> list[NodeWithScore]:
            question = query_bundle.query_str
            return [node(*each) for each in parts.search(question, embedding.get_query_embedding(question))]

    class MaxSim(BaseNodePostprocessor):
        def _postprocess_nodes(self, nodes: list[Any], query_bundle: Any = None) -> list[Any]:
            docs = [parts.docs[each.node.node_id] for each in nodes]
            return [node(*each) for each in parts.rerank(query_bundle.query_str, docs)]

    class First(BaseNodePostprocessor):
        def _postprocess_nodes(self, nodes: list[Any], query_bundle: Any = None) -> list[Any]:
            return nodes[:K]

    Settings.llm = MockLLM()  # the synthesizer wants one, and never asks it
    synthesizer = get_response_synthesizer(response_mode=ResponseMode.NO_TEXT)
    return RetrieverQueryEngine(Index(), synthesizer, node_postprocessors=[MaxSim(), First()])


def haystack(parts: Parts) -> Any:
    """Three components."""
    from haystack import Document, Pipeline, component

    @component
    class MiniLMTextEmbedder:
        @component.output_types(embedding=list[float])
        def run(self, text: str) -> dict[str, Any]:
            return {"embedding": parts.embed(text)}

    @component
    class IndexRetriever:
        @component.output_types(documents=list[Document])
        def run(self, query: str, query_embedding: list[float]) -> dict[str, Any]:
            found = parts.search(query, query_embedding)  # type: ignore[arg-type]  # it is an array here
            return {"documents": [Document(id=doc.doc_id, content=doc.content, score=score) for doc, score in found]}

    @component
    class MaxSimRanker:
        @component.output_types(documents=list[Document])
        def run(self, query: str, documents: list[Document]) -> dict[str, Any]:
            docs = {each.id: each for each in documents}
            best = parts.rerank(query, [parts.docs[name] for name in docs])
            return {"documents": [docs[doc.doc_id] for doc, _ in best]}

    @component
    class First:
        @component.output_types(documents=list[Document])
        def run(self, documents: list[Document]) -> dict[str, Any]:
            return {"documents": documents[:K]}

    made = Pipeline()
    for name, each in (("embedder", MiniLMTextEmbedder()), ("retriever", IndexRetriever()), ("ranker", MaxSimRanker()),
                       ("inject", First())):  # fmt: skip
        made.add_component(name, each)
    made.connect("embedder.embedding", "retriever.query_embedding")
    made.connect("retriever.documents", "ranker.documents")
    made.connect("ranker.documents", "inject.documents")
    return made


def main() -> None:
    given = arguments()
    queries, qrels = read_beir_folder_paths(given.folder, "test")
    parts = Parts(read_corpus(given.folder).docs, given.depth)
    pipelines = [
        ragprof.Pipeline(
            DECLARED, embedder="sentence_transformers", store="faiss_flat", depth=given.depth, reranker="maxsim",
            injector={"name": "top_k", "k": K},
        ),
        ragprof.Pipeline("function", app=function(parts)),
        ragprof.Pipeline("LangChain", app=langchain(parts)),
        ragprof.Pipeline("LlamaIndex", app=llamaindex(parts)),
        ragprof.Pipeline("Haystack", app=haystack(parts)),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        asked = Path(place) / "questions.jsonl"
        asked.write_text("".join(queries.read_text(encoding="utf-8").splitlines(keepends=True)[: given.questions]))
        made = ragprof.profile(
            pipelines, corpus=given.folder / "corpus.jsonl", queries=asked, qrels=qrels, out=Path(place) / "report",
            timing=ragprof.Timing(seconds=given.seconds),
        )  # fmt: skip
        summary = json.loads((made.folder / "summary.json").read_text(encoding="utf-8"))
        same = {each.name: rankings(made.folder, each.name) for each in pipelines}
    console = Console(width=140)
    console.print(table(summary["pipelines"], same))
    facts = describe()
    console.print(
        f"{facts['cpu']}, {facts['cores']} cores; {summary['queries']} questions", style="dim", highlight=False
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path, help="a collection in BEIR's format")
    parser.add_argument("--questions", type=int, default=100, metavar="N", help="default 100")
    parser.add_argument("--depth", type=int, default=20, metavar="N", help="candidates, at least 5; default 20")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="of live rounds; default 60")
    return parser.parse_args()


def rankings(folder: Path, name: str) -> dict[tuple[str, str], list[str]]:
    """Documents of each question at each stage."""
    found = RANKING.read(folder / "rankings" / f"{name}.parquet").sort_values("rank")
    return {
        (str(stage), str(query)): rows["doc_id"].tolist()
        for (stage, query), rows in found.groupby(["stage", "query_id"])
    }


def alike(mine: Sequence[str], declared: Sequence[str]) -> bool:
    """As far as both reach, at least K: the last postprocessor of LlamaIndex, which cuts, is of its rerank stage."""
    length = min(len(mine), len(declared))
    return length >= K and mine[:length] == declared[:length]


def table(found: Mapping[str, Any], same: Mapping[str, Mapping[tuple[str, str], list[str]]]) -> Table:
    """p50 of each stage, what else there is, and how far it can be trusted."""
    stages = list(dict.fromkeys(stage for one in found.values() for stage in one["stages"]))
    drawn = Table(box=SIMPLE_HEAD)
    for name in ("", *found):
        drawn.add_column(name, justify="right" if name else "left")
    for stage in stages:
        drawn.add_row(stage, *(figures.duration(one["stages"].get(stage, {}).get("p50_ns")) for one in found.values()))
    drawn.add_row("end to end", *(figures.duration(one["end_to_end"]["p50_ns"]) for one in found.values()))
    drawn.add_row("stages add up to", *(figures.share(one["closure"]) for one in found.values()))
    drawn.add_row("profiler overhead", *(figures.share(one["overhead"]) for one in found.values()))
    drawn.add_row(
        "... 95% interval", *(figures.span(one["overhead_interval"], figures.share) for one in found.values())
    )
    declared = same[DECLARED]
    equal = [sum(alike(mine.get(key, []), docs) for key, docs in declared.items()) for mine in same.values()]
    drawn.add_row("equal rankings", *(f"{count:,} of {len(declared):,}" for count in equal))
    return drawn


if __name__ == "__main__":
    main()
