"""How an app's index is filled anew: by a function of the user's own, a service, or a vector store of LangChain.

Each takes all the documents that are to be there, and no others are there afterwards. A document is a plain mapping of
`id`, `title`, `text` and `metadata`, whatever the framework.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ragprof.core import Doc
from ragprof.core.errors import BadInput
from ragprof.parts.hits import member, what
from ragprof.parts.returned import is_count

Indexing: TypeAlias = Callable[[list[dict[str, Any]]], Any]
"""What is called with the documents; it may return a coroutine, and may tell `index_bytes` in what it returns."""
METHOD = "index"
STORE_METHODS = ("add_documents", "delete", "similarity_search")


def documents_of(docs: Sequence[Doc]) -> list[dict[str, Any]]:
    """The passages as an app is given them. `metadata` says which document a passage was cut from."""
    return [
        {"id": doc.doc_id, "title": doc.title, "text": doc.text, "metadata": {"document_id": doc.document_id}}
        for doc in docs
    ]


def own_indexing(app: Any) -> Indexing | None:
    """The method `index` of an app, or of the object that the app is a method of; None where there is none."""
    if isinstance(app, str):
        return None
    for each in (app, getattr(app, "__self__", None)):
        method = getattr(each, METHOD, None)
        if callable(method):
            return method  # type: ignore[no-any-return]  # code of the user's own
    return None


def indexing_of(given: Any, *, known_as: str, api_key_env: str | None, timeout_s: float) -> Indexing:
    """What `index` names: an address, a vector store of LangChain, or anything that can be called. Raises BadInput."""
    if isinstance(given, str):
        return PostedIndexing(given, api_key_env or "APP_API_KEY", timeout_s)
    if all(callable(getattr(given, name, None)) for name in STORE_METHODS):
        return StoreIndexing(given, known_as)
    if callable(given):
        return given  # type: ignore[no-any-return]  # code of the user's own
    raise BadInput(
        f"index = '{known_as}' is a {type(given).__name__}; name a function that is called with a list of documents, "
        "an address, or a vector store of LangChain"
    )


def index_bytes(returned: Any) -> int | None:
    """The size of the index, where the app tells it."""
    try:
        told = member(returned, "index_bytes")
    except Exception:  # a property of the app's own may raise anything; its size is not what it was asked for
        return None
    return int(told) if is_count(told) else None


class PostedIndexing:
    """Posts `{"documents": [...]}` to an address; a status of 2xx says that they, and no others, can be found now."""

    def __init__(self, address: str, api_key_env: str, timeout_s: float) -> None:
        from ragprof.parts.http.calls import Server

        try:
            self._server = Server(address, key_name=api_key_env, timeout_s=timeout_s, connections=1)
        except BadInput as problem:
            raise BadInput(problem.message.replace("base_url", "index")) from None

    def __call__(self, documents: list[dict[str, Any]]) -> Any:
        """What the service answered, if that is JSON. Raises ConnectionError."""
        from ragprof.parts.http.calls import CallFailed, parsed

        try:
            with self._server.exchange("POST", "", {"documents": documents}) as response:
                content = response.read()
        except CallFailed as failure:
            raise ConnectionError(failure.reason) from None
        try:
            return parsed(content)
        except CallFailed:
            return None


class StoreIndexing:
    """Puts documents into a vector store of LangChain in place of those that it put there before.

    Only a store that was empty is filled: what somebody else put there is never taken away.
    """

    def __init__(self, store: Any, known_as: str) -> None:
        self._store, self._known_as, self._ids = store, known_as, list[str]()

    def __call__(self, documents: list[dict[str, Any]]) -> None:
        """Raises BadInput where the store holds documents of others."""
        from langchain_core.documents import Document

        if self._ids:
            self._store.delete(ids=self._ids)
            self._ids = []
        elif found := self._store.similarity_search(documents[0]["text"], k=1):
            raise BadInput(
                f"index = '{self._known_as}' holds documents already ({what(found[0])}), which are not taken away; "
                "name an empty store, or a function that fills one"
            )
        ids = [each["id"] for each in documents]
        self._store.add_documents([_document(Document, each) for each in documents], ids=ids)
        self._ids = ids


def _document(kind: Any, document: Mapping[str, Any]) -> Any:
    """Text and title together, as ragprof's own embedders read them; `source` is the id."""
    content = f"{document['title']} {document['text']}".strip()
    metadata = {**document["metadata"], "title": document["title"], "source": document["id"]}
    return kind(page_content=content, metadata=metadata, id=document["id"])
