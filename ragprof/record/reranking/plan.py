"""What a study of rerankers asks: which rerankers over which candidates, from which depths. Loads no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ragprof.evals import Reranking
from ragprof.record.pipeline import Parts
from ragprof.record.recording import Subject
from ragprof.registry import PartSpec
from ragprof.stages import NestedStore, Reranker, Signal


@dataclass(frozen=True, slots=True)
class Arm:
    """One reranker over one pipeline's candidates. `student` is None for the pipeline's own reranker.

    `depths` rise and hold the pipeline's own; a student is looked at there alone. `against` is what a reader calls the
    same pipeline without its reranker.
    """

    name: str
    pipeline: str
    student: str | None
    spec: PartSpec
    parts: Parts
    depths: tuple[int, ...]
    own_k: int
    against: str

    @property
    def reranker(self) -> Reranker:
        """Raises ValueError for parts without one, of which no arm is made."""
        if self.parts.reranker is None:
            raise ValueError(f"'{self.name}' has no reranker")
        return self.parts.reranker

    @property
    def own_depth(self) -> int:
        return self.parts.depth

    @property
    def deepest(self) -> int:
        return self.depths[-1]

    @property
    def prefix(self) -> bool:
        """Whether the candidates of a smaller depth are the first of a greater one."""
        store = self.parts.store
        return isinstance(store, NestedStore) and store.shallower_is_prefix

    def at(self, depth: int) -> Parts:
        """The pipeline as it is with so many candidates."""
        return replace(self.parts, depth=depth)

    @property
    def plain(self) -> Parts:
        return replace(self.parts, reranker=None)


@dataclass(frozen=True)
class Weighing:
    """A study on its way. Pipelines' own arms come before those of their students."""

    subject: Subject
    settings: Reranking
    arms: tuple[Arm, ...]
    signals: Mapping[str, Signal]

    @property
    def own(self) -> tuple[Arm, ...]:
        return tuple(arm for arm in self.arms if arm.student is None)

    @property
    def max_k(self) -> int:
        """The most chunks that anything is said about: as many as the search alone could send."""
        return max(*self.settings.ks, *(arm.own_k for arm in self.arms), *(arm.own_depth for arm in self.arms))
