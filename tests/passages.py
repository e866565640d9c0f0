"""A dozen short passages, no two alike, and ways to make queries and vectors for them."""

from __future__ import annotations

from ragprof.core import Doc, EmbeddedQuery, Query, Ranking, ScoredDoc, Vectors
from ragprof.parts.embedders.hashing import HashingEmbedder

TEXTS = (
    ("Kettles", "Fill the kettle with fresh water and boil it before pouring it over the leaves."),
    ("Bicycles", "A chain that squeaks needs oil; wipe it dry before you ride through rain again."),
    ("", "Owls turn their heads by up to 270 degrees because their eyes cannot move."),
    ("Bread", "Knead flour, salt, yeast and water for ten minutes and let the dough rise overnight."),
    ("Lighthouses", "The lamp of a lighthouse flashes in a pattern that sailors look up in a table."),
    ("Chess", "Castling moves king and rook at once, if neither has moved and no check is given."),
    ("Volcanoes", "Basalt lava flows fast and far; rhyolite is so stiff that it explodes instead."),
    ("Python", "A decorator is a callable that takes a function and returns another: @functools.cache."),
    ("Größe", "Die Länge des Rheins beträgt 1233 Kilometer, die der Donau 2857 Kilometer."),
    ("Tides", "Spring tides come when sun and moon pull along one line, twice in every month."),
    ("Violins", "Horsehair with rosin on it makes a string stick and slip hundreds of times a second."),
    ("Maps", "Mercator's projection keeps angles and makes Greenland as large as Africa."),
)
DOCS = tuple(Doc(f"d{number:02}", title, text, f"d{number:02}") for number, (title, text) in enumerate(TEXTS))
CONTENTS = [doc.content for doc in DOCS]
EMBEDDER = HashingEmbedder(4096)
VECTORS: Vectors = EMBEDDER.embed_documents(CONTENTS).vectors


def embedded(text: str) -> EmbeddedQuery:
    """A query with the vector that belongs to VECTORS."""
    return EmbeddedQuery(Query("q", text), EMBEDDER.embed_queries([text]).vectors[0])


def ranking_of(*numbers: int) -> Ranking:
    """These documents in this order, with falling scores."""
    return tuple(ScoredDoc(DOCS[number], 1.0 - place / 100) for place, number in enumerate(numbers))
