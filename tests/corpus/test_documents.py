"""Files as companies have them: text, title, headings, pages and tables are kept, and what cannot be read is told."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest
from real_files import LEAVE, REAL, handbook_pdf, page, pdf, scan

from ragprof.core.errors import BadInput
from ragprof.core.files import cache_folder
from ragprof.core.registry import PartSpec, create, names
from ragprof.corpus import Chunking, Corpus, ReadingRules, read_corpus
from ragprof.corpus.account import ParsedFiles
from ragprof.corpus.apart import ParsingProcess
from ragprof.corpus.folder import NAMED_ONLY


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


@pytest.mark.slow
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


def test_every_kind_of_file_becomes_text_with_its_title_and_place(tmp_path: Path) -> None:
    files = {f"a.{kind}": make() for kind, make in REAL.items() if kind != "pdf"}
    corpus = read(tmp_path / "docs", {**files, "b.md.gz": gzip.compress(b"# Packed\n\nIn.\n"), "c.tar.gz": b""})
    assert {doc.where: (doc.title, doc.text) for doc in corpus.docs} == {
        "a.csv": ("a", "| Item | USD |\n| --- | --- |\n| Hotel | 120 |\n| Train | \u20ac 80 |"),
        "a.docx p. 1-2, § Leave": (
            "Handbook",
            "# Leave\n\nThirty days a year.\n\n## Parents\n\n- A year more.\n\n| Grade | Days |\n| --- | --- |\n"
            "| A\\|B | 30 |",
        ),
        "a.eml": (
            "Gr\u00fc\u00dfe",
            "From: Ann <ann@example.com>\nTo: bo@example.com\nDate: Mon, 30 Nov 2026 10:00:00 +0000\n\n"
            "The caf\u00e9 opens at nine.",
        ),
        "a.html, § Welcome": ("Welcome", "Welcome\n\nCome in.\n\nGarden\n\nDucks swim."),
        "a.ipynb, § Sums": ("Sums", "# Sums\n\nAdd up.\n\n```python\nx = 1\nx\n```"),
        "a.json": ("Pond", "name: Pond\nsize.m2: 40\nsize.deep: true\nfish: carp, pike"),
        "a.jsonl/q1": ("Leave", "Thirty days."),
        "a.jsonl/0002": ("Why?", "question: Why?\nanswer: So."),
        "a.md, § Guide": ("Guide", "# Guide\n\nRead it.\n\n## Rails\n\nTrains run."),
        "a.parquet/p1": ("Ponds", "Ducks swim."),
        "a.pptx p. 1-2, § Plan": (
            "Plan",
            "# Plan\n\nBuy rails\n- steel ones\n\nNotes: Say thanks.\n\n| Rail | USD |\n| --- | --- |\n| Steel | 120 |",
        ),
        "a.rst, § Guide": ("Guide", "Guide\n=====\n\nRead it.\n\nRails\n-----\n\nTrains run."),
        "a.txt": ("a", "Plain words."),
        "a.xlsx, § Prices": (
            "a",
            "Prices\n\n| Item | USD | Since |\n| --- | --- | --- |\n| Hotel | 120 | 2026-01-31 |",
        ),
        "a.xlsx, § Sheet2": ("a", "| Only words |\n| --- |"),
        "b.md.gz, § Packed": ("Packed", "# Packed\n\nIn."),
    }
    assert told(corpus) == [
        "1 .tar.gz (this kind of file is not read): c.tar.gz",
        "1 attachment (attachments of mails are not read): a.eml",
        "1 cell output (only Markdown and code are read): a.ipynb",
        "1 line (no JSON object): a.jsonl",
        "1 page (no text on it, such as a scan): a.pptx p. 3",
        "1 sheet (hidden): a.xlsx",
    ]
    assert corpus.account.read == {**dict.fromkeys((f".{kind}" for kind in REAL if kind != "pdf"), 1), ".md.gz": 1}
    assert {each.kind for each in corpus.account.parsed} == {".docx", ".parquet", ".pptx", ".xlsx"}


@pytest.mark.parametrize("name", [name for name in names("readers") if name not in NAMED_ONLY])
def test_a_reader_reads_its_kind_and_refuses_a_broken_file_in_one_line(name: str) -> None:
    reader = create("readers", PartSpec(name=name))
    reader.load()
    content = REAL[name]()
    found = reader.read(content)
    assert any(document.text.strip() for document in found.documents)
    assert (reader.read(content), create("readers", PartSpec(name=name)).identity) == (found, reader.identity)
    if reader.isolated:
        for broken in (b"", content[: len(content) // 2], b"\x00\xff" * 100):
            with pytest.raises(BadInput, match=r"\A[^\n]+\Z"):
                reader.read(broken)


def test_a_table_is_cut_between_rows_and_every_passage_has_its_head(tmp_path: Path) -> None:
    rows = "".join(f"Hotel {number},{number} EUR\n" for number in range(1, 6))
    corpus = read(tmp_path, {"a.csv": f"Item,Price\n{rows}".encode()}, size=75)
    head = "| Item | Price |\n| --- | --- |\n"
    assert [doc.text for doc in corpus.docs] == [
        f"{head}| Hotel 1 | 1 EUR |\n| Hotel 2 | 2 EUR |",
        f"{head}| Hotel 3 | 3 EUR |\n| Hotel 4 | 4 EUR |",
        f"{head}| Hotel 5 | 5 EUR |",
    ]
    places = [doc.position for doc in corpus.docs]
    assert [(place.start, place.end) for place in places if place] == [(0, 70), (71, 110), (111, 130)]


def test_what_office_files_may_do_is_bounded_and_told(tmp_path: Path) -> None:
    bomb = io.BytesIO()
    packed = zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with packed, packed.open("word/document.xml", "w") as member:
        for _ in range(301):
            member.write(bytes(1_000_000))
    files = {
        "a.txt": b"Ducks.",
        "bomb.docx": bomb.getvalue(),
        "locked.xlsx": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500),
        "half.pptx": REAL["pptx"]()[:9_000],
        "bomb.txt.gz": gzip.compress(bytes(2_000_000)),
        "cut.md.gz": gzip.compress(b"# A" * 500)[:20],
    }
    corpus = read_corpus(folder_of(tmp_path, files), rules=ReadingRules(max_file_bytes=1_900_000))
    assert [line.replace(f"{len(bomb.getvalue()) / 1e6:.1f}", "N") for line in told(corpus)] == [
        "1 .docx (unpacks to 301 MB from N: more than 300): bomb.docx",
        "1 .md.gz (broken gzip: Compressed file ended before the end-of-stream marker was reached): cut.md.gz",
        "1 .pptx (broken: File is not a zip file): half.pptx",
        "1 .txt.gz (holds more than 2 MB): bomb.txt.gz",
        "1 .xlsx (encrypted, or in the format of Office before 2007; save it anew without a password): locked.xlsx",
    ]


@pytest.mark.parametrize(
    ("kind", "module", "reader", "command"),
    [
        ("xlsx", "openpyxl", "xlsx", "pip install openpyxl"),
        ("docx", "docling", "docling", "pip install 'ragprof.docling.'"),
    ],
)
def test_a_reader_without_its_library_names_the_command_that_installs_it(
    kind: str, module: str, reader: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder_of(tmp_path / "absent", {f"{module}.py": b"raise ImportError"}))
    rules = ReadingRules(readers={kind: PartSpec(name=reader)})
    with pytest.raises(BadInput, match=rf"no page with text .* \(1 \.{kind} \(needs {module}: {command}\): a\.{kind}"):
        read_corpus(folder_of(tmp_path / "docs", {f"a.{kind}": REAL[kind]()}), rules=rules)


@pytest.mark.slow
def test_docling_reads_the_files_that_it_is_named_for(tmp_path: Path) -> None:
    """Word alone: its models for PDF come from a hub."""
    pytest.importorskip("docling")
    rules = ReadingRules(readers={"docx": PartSpec(name="docling")})
    (doc,) = read_corpus(folder_of(tmp_path, {"a.docx": REAL["docx"](), "a.png": b"\x89PNG"}), rules=rules).docs
    assert (doc.title, doc.where) == ("Leave", "a.docx, § Leave")
    assert doc.text.startswith("Leave\n\nThirty days a year.\n\nParents\n\n- A year more.\n\n| Grade")
