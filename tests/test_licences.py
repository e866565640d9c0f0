"""What the plain installation brings along is under permissive licences."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[1]
PERMISSIVE = re.compile(
    r"\b(MIT|BSD|0BSD|Apache(2\.0)?|ISC|ISCL|PSF|Python Software Foundation|Zlib|CC0|Unlicense|HPND)\b", re.I
)
COPYLEFT = re.compile(r"\b(A?GPL|LGPL|GNU|EUPL|CDDL|EPL|SSPL|MPL|Mozilla)", re.IGNORECASE)
OF_THEIR_OWN_FILES = {"certifi", "tqdm"}
"""Under the Mozilla Public License, which asks nothing of a program that uses them."""


def plain_installation() -> set[str]:
    """Every package that the dependencies of pyproject.toml bring, as they are installed here."""
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    found: set[tuple[str, str]] = set()
    waiting = [(Requirement(line), "") for line in declared]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in ("", *requirement.extras):
            name = re.sub(r"[-_.]+", "-", requirement.name).lower()
            if (name, wanted) not in found:
                found.add((name, wanted))
                waiting += [(Requirement(line), wanted) for line in metadata.requires(name) or []]
    return {name for name, _ in found}


def licence_of(name: str) -> str:
    told = metadata.metadata(name)
    classifiers = [
        line.rpartition(" :: ")[2] for line in told.get_all("Classifier") or [] if line.startswith("License")
    ]
    return " ".join([told.get("License-Expression") or (told.get("License") or "")[:2000], *classifiers])


@pytest.mark.parametrize("name", sorted(plain_installation()))
def test_a_package_of_the_plain_installation_is_permissive(name: str) -> None:
    licence = licence_of(name)
    if name in OF_THEIR_OWN_FILES:
        assert "MPL-2.0" in licence
    else:
        assert PERMISSIVE.search(licence), licence
        assert not COPYLEFT.search(licence), licence
