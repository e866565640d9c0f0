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

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        path = path.partition("?")[0]
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
        if verb == "_search":
            return 200, self._search(self.indexes[name], json.loads(body))
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

    def _search(self, index: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        """Scores as the documentation has them: `similarity` or `space_type`, or the script."""
        field = index["properties"]["embedding"]
        if "knn" in asked:
            query, terms = asked["knn"]["query_vector"], asked["knn"]["filter"]
            kind, half = field["similarity"], True
        elif "knn" in asked["query"]:
            inner = asked["query"]["knn"]["embedding"]
            query, terms = inner["vector"], inner.get("filter", {}).get("bool", {}).get("filter", [])
            kind, half = field["method"]["space_type"], True
        else:
            script = asked["query"]["script_score"]["script"]
            terms = asked["query"]["script_score"]["query"].get("bool", {}).get("filter", [])
            query = script["params"].get("q") or script["params"]["query_value"]
            kind, half = script["params"].get("space_type") or script["source"], "space_type" not in script["params"]
        found = []
        for key, doc in index["docs"].items():
            if all(doc.get(name) == value for term in terms for name, value in term["term"].items()):
                found.append((score(kind, np.array(query), np.array(doc["embedding"]), half=half), key, doc))
        found.sort(key=lambda item: -item[0])
        hits = [{"_id": key, "_score": told, "_source": {"content": doc["content"]}} for told, key, doc in found]
        return {"took": 3, "hits": {"hits": hits[: asked["size"]]}}


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
