"""One account of what was read and left out, in check, terminal, summary and report; both sizes of a corpus, named."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from real_files import page, pdf, scan
from rich.console import Console

import ragprof
from ragprof.corpus.account import LeftOut, ReadingAccount
from ragprof.session.again import redraw
from ragprof.session.forecast import forecast_eval

EVAL = """name = "pages"
metrics = ["nDCG@10"]

[corpus]
path = "pages"

[evaluation]
queries = "queries.tsv"
qrels = "qrels.txt"

[timing]
seconds = 0.2
rounds = 2
min_queries = 1
warmup = 1

[[pipelines]]
name = "bm25"
store = "bm25s"
depth = 3
injector = { name = "top_k", k = 1 }
"""


BY_THE_PAGE = """[[rates]]
name = "acme/parse"
shape = "per_page"
usd = "1.5"
per = 1000
since = 2026-01-01
source = "a contract"
"""


@pytest.fixture
def pages(tmp_path: Path, cache: Path) -> Path:
    """An eval of a folder with two pages, five passages, and things that are no pages."""
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "long.md").write_text("# Ponds\n\n" + "\n\n".join(f"Ducks swim in pond {n}. " * 40 for n in range(4)))
    (folder / "short.txt").write_text("Trains run on rails.\n")
    (folder / "empty.txt").write_text(" \n")
    (tmp_path / "queries.tsv").write_text("q1\tducks in ponds\nq2\ttrains on rails\nq3\t\n")
    (tmp_path / "qrels.txt").write_text("q1 0 long.md 1\nq2 0 short.txt 1\nq3 0 long.md 1\n")
    (tmp_path / "pages.toml").write_text(EVAL)
    return tmp_path / "pages.toml"


def printed(table: object) -> str:
    out = io.StringIO()
    Console(file=out, width=80).print(table)
    return " ".join(out.getvalue().split())


def test_what_was_left_out_and_parsed_is_said_in_check_terminal_summary_and_report(pages: Path) -> None:
    (pages.parent / "pages" / "ponds.pdf").write_bytes(pdf(page("Ponds are deep."), page("Pikes swim."), scan))
    (pages.parent / "book.toml").write_text(BY_THE_PAGE)
    pages.write_text(EVAL.replace("[[pipelines]]", '[prices]\nparse = "acme/parse"\n\n[[pipelines]]'))
    rows = dict(forecast_eval(pages, books=[pages.parent / "book.toml"]).rows)
    assert rows["read"] == "1 .md, 1 .pdf, 1 .txt"
    assert rows["left out"] == "1 page (no text on it, such as a scan): ponds.pdf p. 3"
    assert rows["parsed"].startswith("1 .pdf, 3 pages (1 without text): ")
    result = ragprof.run(pages, out=pages.parent / "out", books=[pages.parent / "book.toml"])
    (parsed,) = result.summary["corpus"]["reading"].pop("parsed")
    assert (parsed["kind"], parsed["files"], parsed["pages"], parsed["empty_pages"]) == (".pdf", 1, 3, 1)
    assert result.summary["corpus"]["parsing"] == {"pages": 3, "rate": "acme/parse", "usd": "0.0045", "reason": ""}
    assert result.summary["corpus"]["reading"] == {
        "read": {".md": 1, ".pdf": 1, ".txt": 1},
        "left_out": [
            {"kind": ".txt", "reason": "no text", "count": 1, "examples": ["empty.txt"], "files": None},
            {
                "kind": "page",
                "reason": "no text on it, such as a scan",
                "count": 1,
                "examples": ["ponds.pdf p. 3"],
                "files": 1,
            },
        ],
    }
    assert "left out: 1 .txt (no text): empty.txt" in printed(result.table())
    assert "parsed: 1 .pdf, 3 pages (1 without text): " in printed(result.table())
    html = result.report.read_text(encoding="utf-8")
    assert "What was read" in html
    assert "It cost $0.00450 once for 3 pages by &#39;acme/parse&#39;, $1.50 per 1,000 pages." in html
    assert "empty.txt" in html
    redraw(result.folder, full=True)
    assert "empty.txt" in (result.folder / "report-full.md").read_text(encoding="utf-8")
    assert "1 query has no text and is left out: q3" in result.summary["warnings"]


def test_both_sizes_of_a_corpus_are_named_everywhere(pages: Path) -> None:
    assert any(
        what == "corpus" and "pages: 5 passages of 2 documents" in much for what, much in forecast_eval(pages).rows
    )
    result = ragprof.run(pages, out=pages.parent / "out")
    assert (result.summary["corpus"]["docs"], result.summary["corpus"]["documents"]) == (5, 2)
    assert "n = 2 queries, 5 passages of 2 documents" in printed(result.table())
    page = result.report.read_text(encoding="utf-8")
    assert "5 passages of 2 documents" in page
    assert json.loads((result.folder / "manifest.json").read_text())["corpus"]["documents"] == 2


def test_a_terminal_lists_five_kinds_and_counts_the_others() -> None:
    kinds = [LeftOut(kind=f".k{n}", reason="no kind of page", count=n, examples=("a",)) for n in range(9, 1, -1)]
    lines = ReadingAccount(left_out=tuple(kinds)).lines(5)
    assert lines[0] == "9 .k9 (no kind of page): a, ..."
    assert lines[5:] == ["9 more of 3 kinds: see the report"]
    assert ReadingAccount(left_out=tuple(kinds[:6])).lines(5)[5:] == ["4 .k4 (no kind of page): a, ..."]


def test_documents_that_were_read_are_counted_in_words() -> None:
    counts = {"document": 1}, {"document": 24}, {".md": 4, "document": 2}
    assert [str(ReadingAccount(read=read)) for read in counts] == ["1 document", "24 documents", "4 .md, 2 documents"]
