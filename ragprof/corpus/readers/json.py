"""JSON: a document for each object of a list, or one document of a single object, with a line for each value."""

from __future__ import annotations

import json

from ragprof.core.documents import ReadDocument, ReadFile, Segment
from ragprof.core.errors import BadInput
from ragprof.core.stages import Reader
from ragprof.corpus.records import documents_of, lines_of
from ragprof.corpus.texts import decoded


class JsonReader:
    """Objects within an object are lines `outer.inner: value`."""

    identity = "json 1"
    isolated = False

    def load(self) -> None:
        """Nothing to load."""

    def read(self, content: bytes) -> ReadFile:
        try:
            value = json.loads(decoded(content))
        except json.JSONDecodeError as failure:
            raise BadInput(f"not valid JSON: {failure}") from None
        except RecursionError:
            raise BadInput("not valid JSON: brackets within brackets, too deep to be read") from None
        except ValueError:
            raise BadInput("not valid JSON: a number of thousands of digits") from None
        if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            return ReadFile(documents_of(value))
        if isinstance(value, dict):
            (document,) = documents_of([value]) or (ReadDocument("", ()),)
            return ReadFile((ReadDocument(document.title, document.segments),))
        return ReadFile((ReadDocument("", (Segment("\n".join(lines_of(value))),)),))


plugin: type[Reader] = JsonReader
