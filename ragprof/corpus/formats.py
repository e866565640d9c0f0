"""Read every kind of corpus: BEIR folder, JSONL file, folder of files, recipe. Detects which one it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ragprof.core import Doc
from ragprof.core.clock import SILENT, Progress
from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.files import cache_folder
from ragprof.corpus import recipes, stored
from ragprof.corpus.account import Tally
from ragprof.corpus.collection import Chunking, Corpus, Outline, cut, fingerprint_of_docs
from ragprof.corpus.folder import ReadingRules, pages, read_folder, suffixes
from ragprof.corpus.jsonl import CORPUS_FILE, read_docs

JSONL_SUFFIXES = (".jsonl", ".ndjson", ".json")


def read_corpus(
    path: Path,
    *,
    format: str = "auto",
    chunking: Chunking | None = None,
    name: str | None = None,
    rules: ReadingRules | None = None,
    progress: Progress = SILENT,
) -> Corpus:
    """Read a corpus; `auto` tells the format by what is there. A recipe is built first, unless it was before.

    A folder of files is always cut into passages, the others only where `chunking` says how; `rules` are for such a
    folder. Raises BadInput.
    """
    if not path.exists():
        raise BadInput("there is no such file or folder; check the path", file=path)
    chosen = _detected(path) if format == "auto" else format
    if chosen not in FORMATS:
        raise UnknownName("corpus format", chosen, ["auto", *FORMATS])
    if chosen == "folder":
        return _read_folder(path, chunking, name, rules or ReadingRules(), progress)
    return FORMATS[chosen](path, chunking, name)


def _detected(path: Path) -> str:
    if path.is_file():
        if path.suffix.lower() in JSONL_SUFFIXES:
            return "jsonl"
        remedy = "give an unpacked .jsonl file, or the folder that the pages are in"
        raise BadInput(f"cannot tell the format of a '{path.suffix}' file; {remedy}", file=path)
    if (path / stored.TAKEN).is_file():
        return "store"
    if (path / recipes.RECIPE_FILE).is_file():
        raise BadInput('this is a recipe, which runs code; name it as [corpus] recipe = "..."', file=path)
    if (path / CORPUS_FILE).is_file():
        return "beir"
    if pages(path, Tally()):
        return "folder"
    sought = f"a {CORPUS_FILE} or files to read ({suffixes()})"
    raise BadInput(f"nothing to read in this folder; a corpus folder has {sought}", file=path)


def _read_jsonl(path: Path, chunking: Chunking | None, name: str | None) -> Corpus:
    unnamed = path.stem if path.name != CORPUS_FILE else path.resolve().parent.name
    tally = Tally()
    return _corpus(name or unnamed, read_docs(path, tally), chunking, {"format": "jsonl"}, tally)


def _read_beir(path: Path, chunking: Chunking | None, name: str | None) -> Corpus:
    tally = Tally()
    docs = read_docs(path / CORPUS_FILE, tally)
    return _corpus(name or path.resolve().name, docs, chunking, {"format": "beir"}, tally)


def _read_folder(
    path: Path,
    chunking: Chunking | None,
    name: str | None,
    rules: ReadingRules | None = None,
    progress: Progress = SILENT,
) -> Corpus:
    if not path.is_dir():
        raise BadInput("this is a file; the format 'folder' needs the folder that the pages are in", file=path)
    tally = Tally()
    text = read_folder(path, tally, rules=rules, progress=progress)
    named, cutting, manifest = name or path.resolve().name, chunking or Chunking(), {"format": "folder"}
    return _corpus(named, text.docs, cutting, manifest, tally, text.outlines)


def _read_recipe(path: Path, chunking: Chunking | None, name: str | None) -> Corpus:
    built, tally = recipes.build(path, cache=cache_folder()), Tally()
    manifest = {**recipes.manifest_of(built), "format": "recipe"}
    docs = read_docs(built / CORPUS_FILE, tally)
    return _corpus(name or recipes.info(path).name, docs, chunking, manifest, tally)


def _read_stored(path: Path, chunking: Chunking | None, name: str | None) -> Corpus:
    if chunking is not None:
        raise BadInput("what is taken from an index is cut already; leave [corpus.chunking] out")
    return stored.read_stored(path, name)


FORMATS: Mapping[str, Callable[[Path, Chunking | None, str | None], Corpus]] = {
    "beir": _read_beir,
    "folder": _read_folder,
    "jsonl": _read_jsonl,
    "recipe": _read_recipe,
    "store": _read_stored,
}


def _corpus(
    name: str,
    documents: Iterable[Doc],
    chunking: Chunking | None,
    manifest: Mapping[str, Any],
    tally: Tally,
    outlines: Mapping[str, Outline] | None = None,
) -> Corpus:
    docs = tuple(documents)
    noted = {**manifest, "documents": len(docs)}
    if chunking:
        docs = tuple(cut(docs, chunking, outlines))
        noted["chunking"] = chunking.model_dump()
    return Corpus(name, docs, fingerprint_of_docs(docs), noted, tally.account(), frozenset(tally.without_text))
