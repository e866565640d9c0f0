"""Pages per second of a folder of PDFs, read as `ragprof run` reads it, and the memory that takes.

    python evals/performance/documents.py [--pages 1000] [--files 40] [--folder SCRATCH]

The PDFs are made here: chapters, paragraphs, a table and a running title on each page. The rival is pypdf, on the same
files, in one process. Every reading of ours has a cache of its own, so that nothing was parsed before.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import tempfile
import textwrap
from pathlib import Path

from ragprof.core.clock import cpu_ns, now_ns
from ragprof.core.environment import describe
from ragprof.corpus import read_corpus

WORDS = (
    "leave",
    "travel",
    "laptop",
    "security",
    "manager",
    "policy",
    "request",
    "budget",
    "invoice",
    "contract",
    "customer",
)
LINES, WIDTH = 44, 88
ROUNDS = 3


def main() -> None:
    given = arguments()
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        folder = Path(scratch, "pdfs")
        folder.mkdir()
        for number in range(given.files):
            pages = given.pages // given.files + (number < given.pages % given.files)
            make_pdf(folder / f"{number:04d}.pdf", pages, seed=number)
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{given.pages:,} pages in {given.files} PDFs, {size / 1e6:.1f} MB; {describe()['cpu']}, {cores()} cores")
        for number in range(ROUNDS):
            os.environ["RAGPROF_CACHE"] = str(Path(scratch, f"cache{number}"))
            report("ragprof", folder, given.pages)
        report("ragprof, parsed before", folder, given.pages)
        if not given.no_rival:
            rival(folder, given.pages)
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"peak memory: {own / 1024:,.0f} MB here, {children / 1024:,.0f} MB in the largest parser process")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--pages", type=int, default=1_000, metavar="N")
    parser.add_argument("--files", type=int, default=40, metavar="N")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where to put the files; default: the system's")
    parser.add_argument("--no-rival", action="store_true")
    return parser.parse_args()


def make_pdf(path: Path, pages: int, *, seed: int) -> None:
    """About 500 words a page."""
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfgen.canvas import Canvas

    chosen, canvas = random.Random(seed), Canvas(str(path), pagesize=A4)
    for number in range(1, pages + 1):
        canvas.setFont("Helvetica", 9)
        canvas.drawString(60, 810, f"Acme handbook {seed}")
        canvas.drawString(60, 20, f"Page {number}")
        canvas.setFont("Helvetica-Bold", 18)
        canvas.drawString(60, 780, f"Chapter {number}")
        canvas.setFont("Helvetica", 11)
        lines = textwrap.wrap(" ".join(chosen.choices(WORDS, k=500)), WIDTH)[:LINES]
        for place, line in enumerate(lines):
            canvas.drawString(60, 750 - 14 * place, line)
        for row in range(3):
            canvas.drawString(60, 110 - 14 * row, chosen.choice(WORDS))
            canvas.drawString(260, 110 - 14 * row, f"{chosen.random():.4f}")
        canvas.showPage()
    canvas.save()


def report(name: str, folder: Path, pages: int) -> None:
    start, before = now_ns(), busy_ns()
    corpus = read_corpus(folder)
    wall, cpu = now_ns() - start, busy_ns() - before
    (parsed,) = corpus.account.parsed
    assert parsed.pages == pages, parsed
    print(f"{name}: {pages / wall * 1e9:,.0f} pages per second ({wall / 1e9:.2f} s, {cpu / 1e9:.2f} s on a core)")


def rival(folder: Path, pages: int) -> None:
    try:
        import pypdf
    except ImportError:
        print("pypdf is not installed: no rival")
        return
    start, before = now_ns(), busy_ns()
    for path in sorted(folder.iterdir()):
        for page in pypdf.PdfReader(path).pages:
            page.extract_text()
    wall, cpu = now_ns() - start, busy_ns() - before
    print(f"pypdf: {pages / wall * 1e9:,.0f} pages per second ({wall / 1e9:.2f} s, {cpu / 1e9:.2f} s on a core)")


def busy_ns() -> int:
    """Time on a core of this process and of those that it started and that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return cpu_ns() + int((children.ru_utime + children.ru_stime) * 1e9)


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    main()
