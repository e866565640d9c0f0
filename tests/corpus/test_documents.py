"""Files as companies have them: text, title, headings, pages and tables are kept, and what cannot be read is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_files import LEAVE, handbook_pdf, page, pdf, scan

from ragprof.core.files import cache_folder
from ragprof.core.registry import PartSpec
from ragprof.corpus import Chunking, Corpus, ReadingRules, read_corpus
from ragprof.corpus.account import ParsedFiles
from ragprof.corpus.apart import ParsingProcess


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is there that was parsed before."""
    monkeypatch.setenv("RAGPROF_CACHE", str(tmp_path_factory.mktemp("cache")))


def folder_of(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def read(folder: Path, files: dict[str, bytes], *, size: int = 1200) -> Corpus:
    return read_corpus(folder_of(folder, files), chunking=Chunking(max_characters=size))


def told(corpus: Corpus) -> list[str]:
    return [str(each) for each in corpus.account.left_out]


def test_a_pdf_keeps_title_paragraphs_headings_and_pages(tmp_path: Path) -> None:
    corpus = read(tmp_path / "docs", {"handbook.pdf": handbook_pdf()}, size=200)
    assert [(doc.title, doc.text, doc.where) for doc in corpus.docs] == [
        ("Handbook 2026", f"Leave\n\n{LEAVE}", "handbook.pdf p. 1, § Leave"),
        (
            "Handbook 2026",
            "Leave that is not taken by March is lost.\n\nParents have a year more.\n\nTravel\n\nTrains are booked in "
            "second class.\n\nFlights need approval.\n\nHotels cost at most 120 EUR a night.",
            "handbook.pdf p. 1-5, § Leave",
        ),
    ]
    assert told(corpus) == [
        "8 lines (running title of the pages): handbook.pdf",
        "1 page (no text on it, such as a scan): handbook.pdf p. 4",
    ]
    (parsed,) = corpus.account.parsed
    assert (parsed.kind, parsed.files, parsed.pages, parsed.empty_pages, parsed.cached) == (".pdf", 1, 5, 1, 0)
    assert parsed.parsing_ns > 0


def test_the_outline_of_a_pdf_gives_its_headings(tmp_path: Path) -> None:
    pages = [page("Read this first.", heading="2 Acme"), page("Trains are booked.", heading="Chapter 2: Travel")]
    corpus = read(tmp_path, {"a.pdf": pdf(*pages, marks=[("Welcome", 0), ("Travel", 1)])}, size=20)
    assert [(doc.text, doc.where) for doc in corpus.docs] == [
        ("2 Acme", "a.pdf p. 1"),
        ("Read this first.", "a.pdf p. 1"),
        ("Chapter 2: Travel", "a.pdf p. 2, § Travel"),
        ("Trains are booked.", "a.pdf p. 2, § Travel"),
    ]
    assert {doc.title for doc in corpus.docs} == {"2 Acme"}


def test_pdfs_that_cannot_be_read_are_told_and_end_nothing(tmp_path: Path) -> None:
    files = {
        "good.pdf": pdf(page("Ducks swim.")),
        "locked.pdf": pdf(page("Secret."), locked_with="secret"),
        "half.pdf": b"%PDF-1.4\n1 0 obj",
        "scan.pdf": pdf(scan, scan),
    }
    corpus = read(tmp_path, files)
    assert [doc.text for doc in corpus.docs] == ["Ducks swim."]
    assert told(corpus) == [
        "1 .pdf (broken: no PDF that can be opened): half.pdf",
        "1 .pdf (encrypted; save it without a password): locked.pdf",
        "1 .pdf (no text on any page, such as a scan; it needs a reader with text recognition): scan.pdf",
    ]


def test_nothing_is_parsed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read(tmp_path, {"a.pdf": pdf(page("Ducks swim."))})

    def started(*_given: object, **_options: object) -> None:
        raise AssertionError("parsed again")

    monkeypatch.setattr(ParsingProcess, "read", started)
    again = read(tmp_path, {"b.pdf": (tmp_path / "a.pdf").read_bytes()})
    assert [doc.text for doc in again.docs] == ["Ducks swim.", "Ducks swim."]
    (before,) = first.account.parsed
    assert again.account.parsed == (
        ParsedFiles(kind=".pdf", files=2, pages=2, empty_pages=0, parsing_ns=2 * before.parsing_ns, cached=2),
    )
    for kept in (cache_folder() / "parsed").rglob("*.json"):
        kept.write_text(kept.read_text().replace("Ducks", "Geese"))
    with pytest.raises(AssertionError, match="parsed again"):
        read_corpus(tmp_path)


FRAGILE = '''"""A reader that crashes over some files and hangs over others."""

import os
import time

from ragprof.core.documents import ReadDocument, ReadFile, Segment


class FragileReader:
    """Whatever the file says."""

    identity = None
    isolated = True

    def load(self):
        """Nothing to load."""

    def read(self, content):
        print("noise on the output")
        if content == b"crash":
            os.abort()
        if content == b"hang":
            time.sleep(60)
        if content == b"greedy":
            bytearray(1 << 40)
        if content == b"odd":
            raise KeyError("no such part")
        return ReadFile((ReadDocument("", (Segment(content.decode()),)),))
'''


def test_a_file_that_crashes_or_hangs_its_parser_is_a_line_in_the_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = folder_of(tmp_path / "package", {"fragile_readers.py": FRAGILE.encode()})
    info = package / "fragile_readers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fragile-readers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ragprof.readers]\nfragile = fragile_readers:FragileReader\n")
    monkeypatch.syspath_prepend(package)
    monkeypatch.setattr("ragprof.corpus.folder.ParsingProcess", lambda: ParsingProcess(seconds=2))
    names = ("good", "crash", "hang", "greedy", "odd")
    corpus = read(tmp_path / "docs", {f"{name}.fragile": name.encode() for name in names})
    assert [doc.text for doc in corpus.docs] == ["good"]
    assert told(corpus) == [
        "1 .fragile (broken: KeyError: 'no such part'): odd.fragile",
        "1 .fragile (its parser crashed (SIGABRT)): crash.fragile",
        "1 .fragile (its parser needs more memory than it may have): greedy.fragile",
        "1 .fragile (not parsed within 2 s): hang.fragile",
    ]


def test_readers_are_named_by_suffix_and_large_files_left_out(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"a.log": b"started\n", "b.log": b"x" * 2_000})
    rules = ReadingRules({"log": PartSpec(name="txt")}, max_file_bytes=1_000)
    corpus = read_corpus(folder, rules=rules, format="folder")
    assert [(doc.document_id, doc.text) for doc in corpus.docs] == [("a.log", "started")]
    assert told(corpus) == ["1 .log (larger than 0 MB; [corpus] max_file_mb allows more): b.log"]
