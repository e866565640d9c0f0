"""What two sides must have in common before their figures may stand beside each other, and what else differs.

Other documents, questions or judgements: nothing may be compared. Another machine, or another major version of what
runs on it: no latency, unless both were timed in one job, where such a difference is what is measured. Another
tokenizer: no token of a prompt, and no money made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from ragprof.errors import Incomparable
from ragprof.quantities import Quantity
from ragprof.studies.compare.evidence import Evidence

Blocks: TypeAlias = Literal["all", "latency", "tokens", "nothing"]
ALL = ("corpus.sha256", "questions", "qrels_sha256")
MACHINE = ("cpu", "gpu", "cores", "threads")
LIBRARIES = ("torch", "faiss-cpu", "sentence-transformers", "transformers", "bm25s", "numpy")
NOTED = ("eval", "eval_sha256", "seed", "ragprof_version", "priced_on")
PROMPT_STAGES = ("", "inject", "generate")
WIDTH = 40


@dataclass(frozen=True)
class Difference:
    """One field of the facts that differs, and which figures it keeps from being compared."""

    field: str
    base: Any
    candidate: Any
    blocks: Blocks

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.field} is {_short(self.base)} and {_short(self.candidate)}"


def same_job(base: Evidence, candidate: Evidence) -> bool:
    """Whether live queries of both sides were interleaved."""
    return bool(base.facts["job"] == candidate.facts["job"])


def differences(base: Evidence, candidate: Evidence) -> list[Difference]:
    """Every field that differs, those that block most first."""
    one_job = same_job(base, candidate)
    found = [
        *_facts(base, candidate, ALL, "all"),
        *_facts(base, candidate, ("tokenizer",), "tokens"),
        *_environment(base.facts["environment"], candidate.facts["environment"], one_job=one_job),
        *_facts(base, candidate, NOTED, "nothing"),
        *_each("rates", base.facts["rates"], candidate.facts["rates"], lambda _: "nothing"),
    ]
    return sorted(found, key=lambda each: ("all", "latency", "tokens", "nothing").index(each.blocks))


def check_comparable(base: Evidence, candidate: Evidence, found: Sequence[Difference]) -> None:
    """Raises Incomparable with every field that forbids any comparison."""
    forbidding = [str(each) for each in found if each.blocks == "all"]
    if forbidding:
        raise Incomparable(
            f"'{base.label}' and '{candidate.label}' cannot be compared: {'; '.join(forbidding)}; "
            "record both on the same corpus, questions and qrels"
        )


def blocked(quantity: Quantity, found: Sequence[Difference]) -> str | None:
    """Why a quantity may not be compared, naming the fields; None where it may."""
    kinds = {"latency": quantity.kind == "latency", "tokens": _counts_prompts(quantity)}
    fields = [str(each) for each in found if kinds.get(each.blocks, False)]
    return "; ".join(fields) or None


def _counts_prompts(quantity: Quantity) -> bool:
    if quantity.kind == "cost":
        return quantity.stage in PROMPT_STAGES
    return quantity.kind == "usage" and quantity.stage == "inject"


def _facts(base: Evidence, candidate: Evidence, fields: Sequence[str], blocks: Blocks) -> Iterator[Difference]:
    for field in fields:
        before, after = _fact(base.facts, field), _fact(candidate.facts, field)
        if before != after:
            yield Difference(field, before, after, blocks)


def _fact(facts: Mapping[str, Any], field: str) -> Any:
    outer, _, inner = field.partition(".")
    return facts[outer][inner] if inner else facts[outer]


def _environment(base: Mapping[str, Any], candidate: Mapping[str, Any], *, one_job: bool) -> Iterator[Difference]:
    def weight(name: str) -> Blocks:
        slower = name in MACHINE or (name == "python" and not _alike(base, candidate, name, parts=2))
        return "latency" if slower and not one_job else "nothing"

    def package_weight(name: str) -> Blocks:
        slower = name in LIBRARIES and not _alike(base["packages"], candidate["packages"], name, parts=1)
        return "latency" if slower and not one_job else "nothing"

    plain = [{name: value for name, value in side.items() if name != "packages"} for side in (base, candidate)]
    yield from _each("environment", plain[0], plain[1], weight)
    yield from _each("environment.packages", base["packages"], candidate["packages"], package_weight)


def _each(
    place: str, base: Mapping[str, Any], candidate: Mapping[str, Any], blocks: Callable[[str], Blocks]
) -> Iterator[Difference]:
    for name in dict.fromkeys([*base, *candidate]):
        if base.get(name) != candidate.get(name):
            yield Difference(f"{place}.{name}", base.get(name), candidate.get(name), blocks(name))


def _alike(base: Mapping[str, Any], candidate: Mapping[str, Any], name: str, *, parts: int) -> bool:
    """Whether two versions have the same first parts."""
    before, after = base.get(name), candidate.get(name)
    if before is None or after is None:
        return bool(before == after)
    return bool(str(before).split(".")[:parts] == str(after).split(".")[:parts])


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return f"'{text if len(text) <= WIDTH else text[: WIDTH - 3] + '...'}'"
