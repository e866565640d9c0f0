"""Small real files of every kind that is read, made by the libraries that make such files."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

LEAVE = (
    "Every employee has thirty days of paid leave a year, which are taken in agreement with the team and entered in "
    "the calendar at least two weeks before the first day of it."
)


def pdf(
    *pages: Callable[[object], None], title: str = "", locked_with: str = "", marks: Sequence[tuple[str, int]] = ()
) -> bytes:
    """A PDF whose pages are drawn by functions of a canvas; `marks` are its outline: words and page from 0."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    lock = StandardEncryption(locked_with, ownerPassword="owner") if locked_with else None
    canvas = Canvas(out, pagesize=A4, encrypt=lock)
    canvas.setTitle(title)
    for number, draw in enumerate(pages):
        for words, page in marks:
            if page == number:
                canvas.bookmarkPage(words)
                canvas.addOutlineEntry(words, words, level=0)
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def page(*paragraphs: str, heading: str = "", header: str = "", footer: str = "") -> Callable[[object], None]:
    """A page of a handbook: a running title, a heading in larger letters, paragraphs broken at 80 characters."""
    import textwrap

    def draw(canvas: object) -> None:
        top = 800
        for words, size, gap in ((header, 9, 40), (heading, 18, 30)):
            if words:
                canvas.setFont("Helvetica", size)  # type: ignore[attr-defined]
                canvas.drawString(60, top, words)  # type: ignore[attr-defined]
                top -= gap
        canvas.setFont("Helvetica", 11)  # type: ignore[attr-defined]
        for paragraph in paragraphs:
            for line in textwrap.wrap(paragraph, 80) or [""]:
                canvas.drawString(60, top, line)  # type: ignore[attr-defined]
                top -= 13
            top -= 13
        if footer:
            canvas.setFont("Helvetica", 9)  # type: ignore[attr-defined]
            canvas.drawString(60, 30, footer)  # type: ignore[attr-defined]

    return draw


def scan(canvas: object) -> None:
    """A page that shows a grey field and has no text."""
    canvas.rect(60, 60, 400, 600, fill=1)  # type: ignore[attr-defined]


def handbook_pdf() -> bytes:
    """Five pages: two chapters with a running title and page numbers, the fourth a scan."""
    around = [{"header": "Acme handbook", "footer": f"Page {number}"} for number in range(1, 6)]
    return pdf(
        page(LEAVE, "Leave that is not taken by March is lost.", heading="Leave", **around[0]),
        page("Parents have a year more.", **around[1]),
        page("Trains are booked in second class.", "Flights need approval.", heading="Travel", **around[2]),
        scan,
        page("Hotels cost at most 120 EUR a night.", **around[4]),
        title="Handbook 2026",
    )
