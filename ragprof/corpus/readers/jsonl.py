"""JSON Lines: a document for each line; lines that are no objects are counted."""

from __future__ import annotations

import json
from typing import Any

from ragprof.core.documents import ReadFile, SkippedPart
from ragprof.core.errors import BadInput
from ragprof.core.stages import Reader
from ragprof.corpus.records import documents_of
from ragprof.corpus.texts import decoded


class JsonLinesReader:
    """Reads what it can of a file that was cut off."""

    identity = "jsonl 1"
    isolated = False

    def load(self) -> None:
        """Nothing to load."""

    def read(self, content: bytes) -> ReadFile:
        records, broken = list[dict[str, Any]](), 0
        for line in decoded(content).split("\n"):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                value = None
            if isinstance(value, dict):
                records.append(value)
            else:
                broken += 1
        if broken and not records:
            raise BadInput("no line of it is a JSON object")
        return ReadFile(
            documents_of(records), skipped=(SkippedPart("line", "no JSON object", broken),) if broken else ()
        )


plugin: type[Reader] = JsonLinesReader
