"""From a prepared eval to something that can grow: sizes, what is kept, distractors. Finds what is wrong before work.

Loads no model. What only vectors can tell (which passages are similar) is settled while recording. Here is also what
is recorded of the pool of passages and of the sub-corpora, and the fingerprint that a recording goes by.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from ragprof.core import Doc, Layout, environment, files
from ragprof.core.caches import digest
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput
from ragprof.corpus import read_corpus
from ragprof.corpus.layouts import Ground, log_sizes, relevant_places
from ragprof.evals import Curve, GrowthSettings, complaint
from ragprof.parts.adapters import FunctionStore
from ragprof.record.indexed import with_indexes
from ragprof.record.pipeline import Parts
from ragprof.record.recording import Subject, fingerprint_of, identities, redacted
from ragprof.studies.growth.contradictions import contradictions
from ragprof.studies.growth.near_copies import Edit, near_copies
from ragprof.studies.growth.recorded import PLAN
from ragprof.studies.preparation import Places as EvalPlaces
from ragprof.studies.preparation import Prepared

FORMAT = 1
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """Every passage that some sub-corpus holds. `corpus` is how many of the first are the corpus itself.

    `kinds` has the places of the passages that came from elsewhere: duplicate, contradicting, foreign.
    """

    docs: tuple[Doc, ...]
    corpus: int
    kinds: Mapping[str, Places]
    edits: Mapping[int, Edit]

    def kind_of(self) -> list[str]:
        names = ["corpus"] * len(self.docs)
        for kind, places in self.kinds.items():
            for place in places.tolist():
                names[place] = kind
        return names


@dataclass(frozen=True)
class Growing:
    """A subject and how it grows. The record pass is told which passages to keep; it does not know why."""

    subject: Subject
    growth: GrowthSettings
    pool: Pool
    ground: Ground
    left_out: Mapping[str, str] = field(default_factory=dict)
    fresh: bool = False
    apps_left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def declared(self) -> tuple[Parts, ...]:
        """The pipelines that are made of parts."""
        return tuple(parts for parts in self.subject.pipelines if parts.app is None)

    @property
    def depth(self) -> int:
        """How deep is searched: what the deepest pipeline or the deepest step of the depth curve wants."""
        return max([*self.growth.depths, *(parts.depth for parts in self.subject.pipelines)])

    @property
    def depths(self) -> tuple[int, ...]:
        return tuple(sorted(self.growth.depths))

    @property
    def query_ids(self) -> list[str]:
        return [query.query_id for query in self.subject.queries]


def fingerprint(growing: Growing) -> dict[str, Any]:
    """What a growth recording rests on, in an order in which differences are best told. JSON all through."""
    growth, subject = growing.growth, growing.subject
    return {
        "format": FORMAT,
        "seed": growth.seed,
        "orders": growth.orders,
        "sizes": list(growing.ground.sizes),
        "curves": list(growth.curves),
        "depths": list(growing.depths),
        "depth": growing.depth,
        "variants": growth.variants,
        "corpus": subject.corpus.sha256,
        "questions": fingerprint_of(subject.queries),
        "relevant passages": _sha([growing.pool.docs[place].doc_id for place in growing.ground.kept.tolist()]),
        "distractors": _sha([(doc.doc_id, doc.content) for doc in growing.pool.docs[growing.pool.corpus :]]),
        "pipelines": redacted([each.model_dump(mode="json", exclude={"prices"}) for each in subject.config.pipelines]),
        "identities": redacted(identities(subject.pipelines)),
        "tokenizer": subject.config.tokenizer,
        "timing": growth.timing.model_dump(mode="json"),
        "seed of the timed queries": subject.config.seed,
        "processor": environment.cpu_name(),
    }


def claim(folder: Path, growing: Growing) -> None:
    """Begin a recording or continue the same one. Raises BadInput where another one is in the folder."""
    path, wanted = folder / "plan.json", fingerprint(growing)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(path, wanted)
        return
    recorded = PLAN.read(path)
    for key, value in wanted.items():
        if recorded.get(key) != value:
            both = (recorded.get(key), value)
            shown = [json.dumps(one) if isinstance(one, int | list) else "" for one in both]
            short = all(0 < len(text) < 90 for text in shown)
            found = f"{key} {shown[0]}, not {shown[1]}" if short else f"other {key}"
            raise BadInput(
                f"a growth recording with {found} is in this folder; "
                "give another one with --out, or --fresh to record it anew and lose this one",
                file=path,
            )


def sweep(folder: Path) -> None:
    """Take away what a killed run left half-written. Only for who has the folder to itself."""
    for left in folder.rglob("*.partial"):
        left.unlink()


def docs_table(growing: Growing, tokens: Mapping[int, int]) -> pd.DataFrame:
    """docs.parquet: one row per place. `tokens` is null for what no prompt holds; equal `content` is the same text.

    `source`, `rule`, `start` and `end` say of an edited passage where it was made from and what was changed.
    """
    pool = growing.pool
    edits = [pool.edits.get(place) for place in range(len(pool.docs))]
    contents = (digest(" ".join(doc.content.casefold().split())) for doc in pool.docs)
    codes: dict[bytes, int] = {}
    return pd.DataFrame(
        {
            "place": np.arange(len(pool.docs)),
            "doc_id": [doc.doc_id for doc in pool.docs],
            "document_id": [doc.document_id for doc in pool.docs],
            "kind": pool.kind_of(),
            "source": [edit and edit.source for edit in edits],
            "rule": [edit and edit.rule for edit in edits],
            "start": pd.array([edit.start if edit else None for edit in edits], dtype="Int64"),
            "end": pd.array([edit.end if edit else None for edit in edits], dtype="Int64"),
            "content": [codes.setdefault(text, len(codes)) for text in contents],
            "tokens": pd.array([tokens.get(place) for place in range(len(pool.docs))], dtype="Int64"),
        }
    )


def entry_table(growing: Growing, curves: Mapping[str, Sequence[Layout]]) -> pd.DataFrame:
    """entry.parquet: at which position each kept passage enters, in every order of every curve."""
    tables = []
    for curve, layouts in curves.items():
        for order, layout in enumerate(layouts):
            positions = np.flatnonzero(np.isin(layout.members, growing.ground.kept))
            place = layout.members[positions]
            tables.append(pd.DataFrame({"curve": curve, "order": order, "place": place, "position": positions}))
    return pd.concat(tables, ignore_index=True)


def _sha(values: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(values, ensure_ascii=True).encode()).hexdigest()


EDITING: Mapping[str, Callable[..., list[Edit]]] = {"duplicate": near_copies, "contradicting": contradictions}
LARGEST_OVER_SMALLEST = 16
ROOM_BESIDE_KEPT = 1.2
"""The smallest sub-corpus holds at least so many times the passages that are kept."""


def plan_growth(
    prepared: Prepared, eval_file: Path, *, changes: Mapping[str, Any] | None = None, fresh: bool = False
) -> Growing:
    """Check and lay out how an eval grows. `changes` go before the file's [growth]. Raises BadInput."""
    prepared, apps_left_out = _with_indexes(prepared)
    asks_apps = any(parts.app is not None for parts in prepared.subject.pipelines)
    try:
        settings = {**prepared.subject.config.growth.model_dump(exclude_unset=True), **(changes or {})}
        if asks_apps:
            settings.setdefault("orders", 1)
        growth = GrowthSettings.model_validate(settings)
    except ValidationError as failure:
        raise BadInput(f"[growth] {complaint(failure)}") from None
    places, docs, pipelines = EvalPlaces(eval_file), prepared.subject.corpus.docs, prepared.subject.pipelines
    # All passages of all documents that are relevant to some query are in every sub-corpus.
    kept = relevant_places(docs, prepared.evaluation.qrels)
    deepest = max([*growth.depths, *(parts.depth for parts in pipelines)])
    with nullcontext() if "sizes" in (changes or {}) else places.put_before("growth", "sizes"):
        if prepared.evaluation.is_judged and not len(kept):
            raise BadInput("no relevant document is in this corpus, so there is nothing to keep while it grows")
        sizes = _sizes(growth, total=len(docs), kept=len(kept), deepest=deepest)
    with places.put_before("growth", "forecast"):
        if growth.forecast and len(sizes) < 3:
            raise BadInput(f"a forecast needs at least three sizes, here are {len(sizes)}; raise points or name sizes")
        within = next((size for size in growth.forecast if size <= sizes[-1]), None)
        if within is not None:
            raise BadInput(f"forecast {within:,} is not beyond the largest measured size, {sizes[-1]:,}; raise it")
    with places.put_before("growth", "curves"):
        own = next((parts.name for parts in pipelines if isinstance(parts.store, FunctionStore)), None)
        if own is not None:
            raise BadInput(f"pipeline '{own}' searches with a function of its own, which cannot be given a sub-corpus")
        wanted = FEW if asks_apps and "curves" not in growth.model_fields_set else growth.curves
        pool, left_out = _pool(prepared, [docs[place] for place in kept.tolist()], growth, eval_file, wanted)
    growth = growth.model_copy(update={"curves": tuple(curve for curve in wanted if curve not in left_out)})
    ground = Ground(docs, kept, sizes, growth.seed)
    return Growing(prepared.with_growth(growth).subject, growth, pool, ground, left_out, fresh, apps_left_out)


FEW: tuple[Curve, ...] = ("all_judged", "proportional")
"""The curves that are drawn where nobody names any and an app is asked anew in every sub-corpus; in one order."""


def _with_indexes(prepared: Prepared) -> tuple[Prepared, dict[str, str]]:
    """The eval with the pipelines that can grow, and why others cannot. Raises BadInput where none is left."""
    subject = prepared.subject
    bases = {each.name: each.variant_of or each.name for each in subject.config.pipelines}
    kept, left_out = with_indexes(subject.pipelines, bases)
    if not kept:
        raise BadInput(
            f"{next(iter(left_out.values()))}; name one with index = 'module:function', or a pipeline of parts "
            "beside it"
        )
    own = tuple(each for each in subject.config.pipelines if each.name not in left_out)
    config = subject.config.model_copy(update={"pipelines": own})
    return replace(prepared, subject=replace(subject, config=config, pipelines=kept)), left_out


def _sizes(growth: GrowthSettings, *, total: int, kept: int, deepest: int) -> tuple[int, ...]:
    least = max(kept, deepest)
    if not growth.sizes:
        smallest = max(int(least * ROOM_BESIDE_KEPT), total // LARGEST_OVER_SMALLEST)
        if smallest >= total:
            raise BadInput(
                f"{kept:,} of {counted(total, 'passage')} {'belongs' if kept == 1 else 'belong'} to relevant "
                f"documents, and {deepest} {'is' if deepest == 1 else 'are'} asked for: "
                "no smaller sub-corpus could hold them; grow a larger corpus"
            )
        return log_sizes(smallest, total, growth.points)
    if growth.sizes[-1] > total:
        raise BadInput(f"size {growth.sizes[-1]:,} is above the corpus's {counted(total, 'passage')}; lower it")
    if growth.sizes[0] < least:
        what = f"the {counted(kept, 'passage')} of relevant documents" if kept >= deepest else f"the depth of {deepest}"
        raise BadInput(f"size {growth.sizes[0]:,} is below {what}, which every sub-corpus must hold; raise it")
    return growth.sizes


def _pool(
    prepared: Prepared, kept: Sequence[Doc], growth: GrowthSettings, eval_file: Path, curves: Sequence[Curve]
) -> tuple[Pool, dict[str, str]]:
    """The corpus and whatever is added to it, and which curves cannot be drawn with the reason.

    Only curves that nobody asked for by name are left out; one that was asked for raises BadInput.
    """
    docs = prepared.subject.corpus.docs
    pool: list[Doc] = list(docs)
    kinds: dict[str, NDArray[np.int64]] = {}
    edits: dict[int, Edit] = {}
    left_out: dict[str, str] = {}

    def add(kind: str, added: Sequence[Doc]) -> None:
        if not added:
            raise BadInput(f"no {kind} distractor could be made; leave '{kind}' out of curves")
        taken = {doc.doc_id for doc in pool} | {doc.document_id for doc in pool}
        clash = next((doc.doc_id for doc in added if {doc.doc_id, doc.document_id} & taken), None)
        if clash is not None:
            raise BadInput(f"the {kind} passage '{clash}' has the id of a passage of the corpus; rename one of them")
        kinds[kind] = np.arange(len(pool), len(pool) + len(added))
        pool.extend(added)

    for curve in curves:
        try:
            if curve != "all_judged" and not prepared.evaluation.is_judged:
                raise BadInput("it shows what happens to quality, and there are no relevance judgements")
            if curve == "similar" and all(parts.embedder is None for parts in prepared.subject.pipelines):
                raise BadInput(
                    "the curve 'similar' compares vectors, and no pipeline has an embedder; leave it out of curves"
                )
            if curve == "foreign":
                add(curve, read_corpus(files.written_path(growth.foreign or "", beside=eval_file)).docs)
            if curve in EDITING:
                made = EDITING[curve](kept, variants=growth.variants, seed=growth.seed)
                add(curve, [edit.doc for edit in made])
                edits.update(zip(kinds[curve].tolist(), made, strict=True))
        except BadInput as problem:
            if "curves" in growth.model_fields_set:
                raise
            left_out[curve] = problem.message
    return Pool(tuple(pool), len(docs), kinds, edits), left_out
