"""Does a recording belong to what is asked, or a study's recording to the one that it lies in? One rule for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from ragprof.core import Manifest, environment, files
from ragprof.core.recorded import RecordedJson
from ragprof.corpus import Corpus, Passages
from ragprof.evals import unpriced
from ragprof.evals.recorded import read_manifest
from ragprof.evals.settings import lasting
from ragprof.record.recording import Subject, fingerprint_of, identities, redacted

BESIDE = "beside.json"


class MadeBeside(TypedDict):
    """beside.json: ids of a study's recording and of the main one that it was made with."""

    study: str
    main: str


class NamedRecording(TypedDict):
    """Of any manifest.json."""

    recording: str


MADE = RecordedJson(MadeBeside, "delete the file: then nothing is said of which recordings were made together")
NAMED = RecordedJson(NamedRecording)


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a recording rests on. None is what it does not rest on, or was recorded before that was written down.

    `pipelines` are declared without their prices, `identities` are what the parts call themselves, by pipeline and
    stage. A study that takes in `every_pipeline` does not belong to a recording that has more of them.
    """

    corpus: str
    questions: str | None
    pipelines: Sequence[Mapping[str, Any]]
    identities: Mapping[str, Mapping[str, str | None]] | None = None
    tokenizer: str | None = None
    cpu: str | None = None
    every_pipeline: bool = True


def basis_of(own: Mapping[str, Any]) -> Basis:
    """Of a study's manifest that names all of it: corpus, questions, pipelines and parts."""
    return Basis(
        corpus=own["corpus"]["sha256"],
        questions=own["questions"],
        pipelines=unpriced(own["config"]["pipelines"]),
        identities=own["identities"],
    )


def rests_alike(basis: Basis, manifest: Mapping[str, Any]) -> bool:
    """Whether the recording of this manifest rests on the same corpus, questions, pipelines and parts."""
    theirs = Manifest.of(manifest)
    declared = unpriced(theirs.pipelines)
    # Studies of ragprof's parts leave out a pipeline that is an app.
    taken = [each for each in declared if each.get("app") is None or each in basis.pipelines]
    alike = [
        (basis.questions, theirs.questions),
        (basis.tokenizer, theirs.config.get("tokenizer")),
        (basis.cpu, theirs.cpu),
    ]
    return (
        basis.corpus == theirs.corpus_sha256
        and all(stated == found for stated, found in alike if stated is not None and found is not None)
        and all(pipeline in declared for pipeline in basis.pipelines)
        and (len(taken) == len(basis.pipelines) or not basis.every_pipeline)
        and all(
            parts and parts.items() <= theirs.identities.get(name, {}).items()
            for name, parts in (basis.identities or {}).items()
        )
    )


def belongs(
    basis: Basis,
    *,
    recording: str,
    judged: Mapping[str, Any],
    manifest: Mapping[str, Any],
    judgement: Mapping[str, Any],
) -> bool:
    """Whether a study rests on what the recording around it rests on, and was judged, by the same judgements.

    `recording` is the study's own id, `judged` its judgement; `manifest` and `judgement` are those of the recording.
    """
    return (
        judged["recording"] == recording
        and judged["qrels_sha256"] == judgement["qrels_sha256"]
        and rests_alike(basis, manifest)
    )


def join(home: Path, study: str, *, continued: bool) -> None:
    """Write down beside a study's recording that it was made with the main recording that is in `home` now.

    One that was `continued` kept its times, and so stays with the recording that it was begun with.
    """
    path = home / study / BESIDE
    main = MADE.read(path)["main"] if continued and path.exists() else recording_of(home)
    files.write_json(path, {"study": recording_of(home / study), "main": main})


def recording_of(folder: Path) -> str:
    """The id of the recording in a folder."""
    return str(NAMED.read(folder / "manifest.json")["recording"])


def is_stale(home: Path, study: str) -> bool:
    """Whether the main recording around a study is another one than that which it was made with.

    False where it is not known: then nothing is said of it.
    """
    place = home / study
    if not (place / BESIDE).exists():
        return False
    made = MADE.read(place / BESIDE)
    return bool(made["study"] == recording_of(place) and made["main"] != recording_of(home))


def passages_at_hand(folder: Path, corpus: Corpus) -> Passages | None:
    """How much of this corpus the recording in the folder searched; None where there is none, or one of another."""
    if not (folder / "manifest.json").exists():
        return None
    searched = read_manifest(folder)["corpus"]
    if searched["sha256"] == corpus.sha256:
        return "all"
    of_it = (searched.get("whole") or {}).get("sha256") == corpus.sha256
    return int(searched["docs"]) if of_it else None


def holds(folder: Path, subject: Subject) -> bool:
    """Whether a finished recording of just this subject, made on this machine and timed, is in the folder."""
    if not (folder / "manifest.json").exists():
        return False
    manifest, config = read_manifest(folder), lasting(redacted(subject.config.model_dump(mode="json")))
    basis = Basis(
        corpus=subject.corpus.sha256,
        questions=fingerprint_of(subject.queries),
        pipelines=config["pipelines"],
        identities=redacted(identities(subject.pipelines)),
        cpu=environment.cpu_name(),
    )
    whole = "questions" in manifest and not manifest.get("untimed")
    return whole and lasting(manifest["config"]) == config and rests_alike(basis, manifest)
