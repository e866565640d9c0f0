"""A server that answers as Elasticsearch and OpenSearch document it, for what our stores ask; exact, in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import numpy as np


class Engine:
    """Indexes by name: mapping and documents. `failing` requests are answered with 503 first."""

    def __init__(self) -> None:
        self.indexes: dict[str, dict[str, Any]] = {}
        self.failing = 0
        self.key = ""
        self.read_only = False
        self.scrolls: dict[str, list[Any]] = {}
        self.asked: dict[str, Any] = {}

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        path, _, options = path.partition("?")
        reads = ("_search", "_count", "_mapping", "_stats/store")
        if self.read_only and not path.startswith("/_search") and not path.endswith(reads):
            return 403, {"error": f"action [{method} {path}] is unauthorized for user"}
        if path == "/_search/scroll":
            scroll = json.loads(body)["scroll_id"]
            if method == "DELETE":
                return 200, {"succeeded": self.scrolls.pop(scroll, None) is not None}
            return 200, self._page(scroll)
        if path == "/":
            return 200, {"version": {"number": "9.9.9"}}
        if path == "/_cat/indices":
            return 200, [{"index": name} for name in self.indexes]
        name, _, verb = path.strip("/").partition("/")
        if method == "PUT":
            self.indexes[name] = {"properties": json.loads(body)["mappings"]["properties"], "docs": {}}
            return 200, {"acknowledged": True}
        if name not in self.indexes:
            return 404, {"error": f"no such index [{name}]"}
        if method == "DELETE":
            del self.indexes[name]
            return 200, {"acknowledged": True}
        docs = self.indexes[name]["docs"]
        if verb == "_bulk":
            self._bulk(docs, body)
            return 200, {"errors": False, "items": []}
        if verb == "_mapping":
            return 200, {name: {"mappings": {"properties": self.indexes[name]["properties"]}}}
        if verb == "_count":
            return 200, {"count": len(query(self.indexes[name], json.loads(body)["query"], 10**9))}
        if verb == "_search" and "scroll" in options:
            self.asked = json.loads(body)
            found = query(self.indexes[name], self.asked["query"], 10**9)
            self.scrolls["first"] = [self.asked["size"], [told(*hit) for hit in found]]
            return 200, self._page("first")
        if verb == "_search":
            self.asked = json.loads(body)
            return 200, self._search(self.indexes[name], self.asked)
        if verb == "_stats/store":
            return 200, {"_all": {"total": {"store": {"size_in_bytes": 1000 * len(docs)}}}}
        return 200, {}

    def _bulk(self, docs: dict[str, Any], body: bytes) -> None:
        lines = [json.loads(line) for line in body.splitlines()]
        while lines:
            action = lines.pop(0)
            if "delete" in action:
                docs.pop(action["delete"]["_id"], None)
            else:
                docs[action["index"]["_id"]] = lines.pop(0)

    def _page(self, scroll: str) -> dict[str, Any]:
        size, left = self.scrolls[scroll]
        self.scrolls[scroll][1] = left[size:]
        return {"_scroll_id": scroll, "hits": {"hits": left[:size]}}

    def _search(self, index: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        if "retriever" in asked:
            found = retrieved(index, asked["retriever"])
        elif "hybrid" in asked.get("query", {}):
            window = asked["query"]["hybrid"]["pagination_depth"]
            halves = [query(index, each, window) for each in asked["query"]["hybrid"]["queries"]]
            (processor,) = asked["search_pipeline"]["phase_results_processors"]
            found = fused(halves, **processor_settings(processor))
        else:
            found = query(index, {"knn": asked["knn"]} if "knn" in asked else asked["query"], asked["size"])
        return {"took": 3, "hits": {"hits": [told(*hit) for hit in found[: asked["size"]]]}}


Found = list[tuple[float, str, dict[str, Any]]]


def told(score: float, key: str, doc: dict[str, Any]) -> dict[str, Any]:
    return {"_id": key, "_score": score, "_source": doc}


def query(index: dict[str, Any], asked: dict[str, Any], depth: int) -> Found:
    """Scores as the documentation has them: `similarity` or `space_type`, or the script; words by how many match."""
    terms: list[Any] = []
    if "bool" in asked:
        terms, asked = asked["bool"].get("filter", []), asked["bool"].get("must", {"match_all": {}})
    score_of: Any = lambda doc: 1.0  # noqa: E731
    if "match" in asked:
        ((field, words),) = asked["match"].items()
        score_of = lambda doc: float(sum(word in doc[field].lower().split() for word in words.lower().split()))  # noqa: E731
    elif "knn" in asked:
        ((field, inner),) = ({asked["knn"]["field"]: asked["knn"]} if "field" in asked["knn"] else asked["knn"]).items()
        given = inner.get("filter", [])
        terms = given if isinstance(given, list) else given["bool"]["filter"]
        kind = index["properties"][field]
        kind = kind.get("similarity") or kind.get("method", {}).get("space_type", "cosine")
        vector = np.array(inner.get("query_vector") or inner["vector"])
        score_of = lambda doc: score(kind, vector, np.array(doc[field]), half=True)  # noqa: E731
    elif "script_score" in asked:
        script = asked["script_score"]["script"]
        terms = asked["script_score"]["query"].get("bool", {}).get("filter", [])
        vector = np.array(script["params"].get("q") or script["params"]["query_value"])
        field = script["params"].get("field") or re.search(r"'(\w+)'", script["source"])[1]  # type: ignore[index]
        kind, half = script["params"].get("space_type") or script["source"], "space_type" not in script["params"]
        score_of = lambda doc: score(kind, vector, np.array(doc[field]), half=half)  # noqa: E731
    found = [
        (score_of(doc), key, doc)
        for key, doc in index["docs"].items()
        if all(doc.get(name) == value for term in terms for name, value in term.get("term", {}).items())
        and all(term["exists"]["field"] in doc for term in terms if "exists" in term)
    ]
    return sorted((hit for hit in found if hit[0] > 0), key=lambda hit: -hit[0])[:depth]


def retrieved(index: dict[str, Any], retriever: dict[str, Any]) -> Found:
    ((kind, inner),) = retriever.items()
    if kind == "standard":
        return query(index, inner["query"], 10**9)
    if kind == "knn":
        return query(index, {"knn": inner}, inner["k"])
    window = inner["rank_window_size"]
    if kind == "rrf":
        return fused([retrieved(index, each)[:window] for each in inner["retrievers"]], constant=inner["rank_constant"])
    weights = [each["weight"] for each in inner["retrievers"]]
    return fused([retrieved(index, each["retriever"])[:window] for each in inner["retrievers"]], weights=weights)


def processor_settings(processor: dict[str, Any]) -> dict[str, Any]:
    ((kind, inner),) = processor.items()
    if kind == "score-ranker-processor":
        return {"constant": inner["combination"]["rank_constant"]}
    return {"weights": inner["combination"]["parameters"]["weights"]}


def fused(halves: list[Found], *, constant: int = 0, weights: list[float] | None = None) -> Found:
    """By reciprocal ranks, or by the sum of scores scaled to 0..1."""
    scores: dict[str, float] = {}
    docs = {key: doc for half in halves for _, key, doc in half}
    for number, half in enumerate(halves):
        values = [each for each, _, _ in half]
        for rank, (each, key, _) in enumerate(half, 1):
            spread = max(values) - min(values)
            added = (
                1 / (constant + rank)
                if weights is None
                else weights[number] * ((each - min(values)) / spread if spread else 1.0)
            )
            scores[key] = scores.get(key, 0.0) + added
    return sorted(((each, key, docs[key]) for key, each in scores.items()), key=lambda hit: -hit[0])


def score(kind: str, query: Any, vector: Any, *, half: bool) -> float:
    if re.search("dotProduct|inner", kind):
        product = float(query @ vector)
        return product + 1 if product >= 0 else 1 / (1 - product)
    if "cosine" in kind:
        cosine = float(query @ vector / np.linalg.norm(query) / np.linalg.norm(vector))
        return (1 + cosine) / 2 if half else 1 + cosine
    return 1 / (1 + float(((query - vector) ** 2).sum()))


@contextmanager
def serving() -> Iterator[tuple[str, Engine]]:
    """Its address, and the engine behind it."""
    engine = Engine()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if engine.key and self.headers.get("Authorization") != f"ApiKey {engine.key}":
                status, told = 401, {"error": f"unable to authenticate {self.headers.get('Authorization')}"}
            elif engine.failing and self.path.endswith("_search"):
                engine.failing -= 1
                status, told = 503, {"error": "starting"}
            else:
                status, told = engine.answer(self.command, self.path, body)
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = reply

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", engine
    server.shutdown()
    server.server_close()
