"""Small real files of every kind that is read, made by the libraries that make such files."""

from __future__ import annotations

import io
import json
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


def docx() -> bytes:
    """Two pages: headings, a list, a tracked insertion, a table, a text box's worth of nothing else."""
    import docx
    from docx.oxml import parse_xml

    document = docx.Document()
    document.core_properties.title = "Handbook"
    document.add_heading("Leave", 1)
    paragraph = document.add_paragraph("Thirty days")
    words = "xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'"
    paragraph._p.append(parse_xml(f"<w:ins {words}><w:r><w:t xml:space='preserve'> a year.</w:t></w:r></w:ins>"))
    document.add_heading("Parents", 2)
    document.add_paragraph("A year more.", style="List Bullet")
    document.add_page_break()
    table = document.add_table(2, 2)
    for row, cells in enumerate((("Grade", "Days"), ("A|B", "30"))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    return saved(document.save)


def pptx() -> bytes:
    """Three slides: title, lines and notes; a table; a picture's place without words."""
    import pptx

    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[1])
    slide.shapes.title.text = "Plan"
    frame = slide.placeholders[1].text_frame
    frame.text = "Buy rails"
    line = frame.add_paragraph()
    line.text, line.level = "steel ones", 1
    slide.notes_slide.notes_text_frame.text = "Say thanks."
    table = show.slides.add_slide(show.slide_layouts[6]).shapes.add_table(2, 2, 0, 0, 9_000_000, 900_000).table
    for row, cells in enumerate((("Rail", "USD"), ("Steel", "120"))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    show.slides.add_slide(show.slide_layouts[6])
    return saved(show.save)


def xlsx() -> bytes:
    """A sheet of prices, one without a name, one that is hidden."""
    import datetime

    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "Prices"
    for row in (("Item", "USD", "Since"), ("Hotel", 120.0, datetime.datetime(2026, 1, 31)), (None, None, None)):
        book.active.append(row)
    book.create_sheet("Sheet2").append(("Only words",))
    book.create_sheet("Old").sheet_state = "hidden"
    return saved(book.save)


def parquet() -> bytes:
    """A table with texts: a document a row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.table({"id": ["p1", "p2"], "title": ["Ponds", None], "text": ["Ducks swim.", " "]}), out)
    return out.getvalue()


def eml() -> bytes:
    """A mail with a plain text, HTML beside it, and an attachment."""
    from email.message import EmailMessage

    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "Gr\u00fc\u00dfe", "Ann <ann@example.com>", "bo@example.com"
    mail["Date"] = "Mon, 30 Nov 2026 10:00:00 +0000"
    mail.set_content("The caf\u00e9 opens at nine.\n")
    mail.add_alternative("<p>The caf\u00e9 opens at nine.</p>", subtype="html")
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="map.pdf")
    return mail.as_bytes()


def ipynb() -> bytes:
    """A notebook with Markdown, code and an output."""
    code = {"cell_type": "code", "source": ["x = 1\n", "x"], "outputs": [{"output_type": "stream", "text": "1"}]}
    cells = [{"cell_type": "markdown", "source": ["# Sums\n", "\n", "Add up."]}, code]
    return json.dumps({"metadata": {"kernelspec": {"language": "python"}}, "cells": cells}).encode()


def saved(save: Callable[[io.BytesIO], None]) -> bytes:
    out = io.BytesIO()
    save(out)
    return out.getvalue()


REAL: dict[str, Callable[[], bytes]] = {
    "csv": "Item;USD\nHotel;120\n;\nTrain;\u20ac 80\n".encode,
    "docx": docx,
    "eml": eml,
    "html": lambda: b"<title>Start</title><h1>Welcome</h1><p>Come in.</p><h2>Garden</h2><p>Ducks swim.</p>",
    "ipynb": ipynb,
    "json": lambda: b'{"name": "Pond", "size": {"m2": 40, "deep": true}, "fish": ["carp", "pike"]}',
    "jsonl": lambda: (
        b'{"_id": "q1", "title": "Leave", "text": "Thirty days."}\n{"question": "Why?", "answer": "So."}\ncut {'
    ),
    "md": lambda: b"# Guide\n\nRead it.\n\n## Rails\n\nTrains run.\n",
    "parquet": parquet,
    "pdf": handbook_pdf,
    "pptx": pptx,
    "rst": lambda: b"Guide\n=====\n\nRead it.\n\nRails\n-----\n\nTrains run.\n",
    "txt": lambda: b"Plain words.\n",
    "xlsx": xlsx,
}
"""A file for each reader."""
