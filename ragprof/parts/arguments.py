"""Arguments of the user's own pipeline, which may change what it is given."""

from __future__ import annotations

from typing import Any


def fresh(value: Any) -> Any:
    """A copy of what an eval file can say, lists and tables in it too; objects of the user's own stay themselves."""
    if type(value) is dict:
        return {name: fresh(inner) for name, inner in value.items()}
    return [fresh(each) for each in value] if type(value) is list else value
