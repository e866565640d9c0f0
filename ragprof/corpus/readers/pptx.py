"""PowerPoint by python-pptx: a slide is a page and its title a heading; texts, tables and the speaker's notes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any

from ragprof.core.documents import ReadDocument, ReadFile, Segment
from ragprof.core.errors import BadInput
from ragprof.core.stages import Reader
from ragprof.corpus.markup import table
from ragprof.corpus.texts import check_archive, need


class PptxReader:
    """Slides that show pictures alone are counted as pages without text."""

    isolated = True

    @property
    def identity(self) -> str:
        return f"pptx 1 python-pptx {version('python-pptx')}"

    def load(self) -> None:
        """Import the library. Raises MissingPackage where it is not installed."""
        need("pptx", "python-pptx")

    def read(self, content: bytes) -> ReadFile:
        import pptx
        from pptx.exc import PackageNotFoundError

        check_archive(content)
        try:
            show = pptx.Presentation(io.BytesIO(content))
        except (PackageNotFoundError, KeyError, ValueError) as failure:
            raise BadInput(f"broken: {failure}") from None
        segments, empty, first = list[Segment](), list[int](), ""
        for number, slide in enumerate(show.slides, 1):
            title = " ".join(slide.shapes.title.text_frame.text.split()) if slide.shapes.title is not None else ""
            shapes = (each for each in slide.shapes if each.shape_id != getattr(slide.shapes.title, "shape_id", None))
            texts = [*([f"# {title}"] if title else []), *texts_of(shapes)]
            if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) and frame.text.strip():
                texts.append(f"Notes: {frame.text.strip()}")
            if texts:
                segments.append(Segment("\n\n".join(texts) + "\n\n", title, number))
            else:
                empty.append(number)
            first = first or title
        title = " ".join((show.core_properties.title or "").split())
        title = first if not title or title == "PowerPoint Presentation" else title
        return ReadFile((ReadDocument(title, tuple(segments), is_markdown=True),), len(show.slides), tuple(empty))


def texts_of(shapes: Iterable[Any]) -> Iterator[str]:
    """Texts and tables from the top to the bottom, those of groups among them."""
    for shape in sorted(shapes, key=lambda each: (each.top or 0, each.left or 0)):
        if hasattr(shape, "shapes"):
            yield from texts_of(shape.shapes)
        elif getattr(shape, "has_table", False):
            yield "\n".join(filter(None, table([cell.text for cell in row.cells] for row in shape.table.rows)))
        elif shape.has_text_frame and shape.text_frame.text.strip():
            lines = (each for each in shape.text_frame.paragraphs if each.text.strip())
            yield "\n".join(
                f"{'  ' * (line.level - 1) + '- ' if line.level else ''}{line.text.strip()}" for line in lines
            )


plugin: type[Reader] = PptxReader
