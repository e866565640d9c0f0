"""summary.json: all that a report or a machine reads of a recording. Documented in docs/summary.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, create_model
from threadpoolctl import threadpool_limits

from ragprof.core import files
from ragprof.core.clock import SILENT, Progress, step
from ragprof.core.errors import BadInput
from ragprof.core.recorded import of_recording
from ragprof.evals.recorded import JUDGEMENT, read_manifest
from ragprof.evals.settings import settings_of
from ragprof.evals.traced import is_trace_profile, traced_manifest
from ragprof.report.figures import day
from ragprof.report.palette import pipeline_colours
from ragprof.session import studies
from ragprof.session.drawn import AGAIN, SUMMARY
from ragprof.studies.contract import Context, Section, Study
from ragprof.studies.profile.analysis import RETRIEVAL_ONLY
from ragprof.studies.profile.headline import headline
from ragprof.studies.profile.section import FORMAT, PipelineFigures, ProfileSection

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ragprof.record.recording import Subject
    from ragprof.report.decision import PaidDecision

OF_PIPELINE = "pipelines."
WITH_ANSWERS = (
    "Money per stage covers retrieval and the prompt's tokens; what answers cost is under injection and economics."
)

STALE = (
    "The {name} study in this folder was recorded with an earlier recording than the one around it: its times, "
    "and what is billed by time, are of then, and may differ from those of the same pipeline elsewhere on this page; "
    "record it anew with 'ragprof {command}'."
)
COMMANDS = {"growth": "grow --fresh", "injection": "inject"}
"""Studies whose command is not named like the study."""


@dataclass(frozen=True)
class Analysis:
    """The analysis of a recording: the main profile, and the sections of its studies by name.

    `profile` is None for a study without a main recording; `about` then describes eval and corpus.
    """

    profile: ProfileSection | None
    sections: Mapping[str, Section]
    context: Context
    about: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def alone(cls, name: str, section: Section, subject: Subject) -> Analysis:
        """A study without a main recording."""
        config = subject.config
        about = {
            "eval": config.name,
            "title": config.title or config.name,
            "corpus": {
                "name": subject.corpus.name,
                "docs": len(subject.corpus.docs),
                "documents": subject.corpus.documents,
                **({} if subject.corpus.whole is None else {"whole": asdict(subject.corpus.whole)}),
            },
        }
        pipelines = tuple(parts.name for parts in subject.pipelines)
        return cls(None, {name: section}, context_of(pipelines, config.metrics[0], {}), about)

    def as_json(self) -> dict[str, Any]:
        """The document of summary.json."""
        document = dict(self.about) if self.profile is None else self.profile.as_json()
        for name, section in self.sections.items():
            section.place(document, name)
        return document

    def printed(self, study: str) -> RenderableType:
        """A study's figures for a terminal of 80 columns."""
        section = self.profile if study == studies.PROFILE else self.sections.get(study)
        if section is None:
            raise BadInput(f"there is no {study} in this recording")
        shown = studies.study(study).print(section, self.context)
        if study not in self.context.stale:
            return shown
        from rich.console import Group
        from rich.text import Text

        return Group(Text(f"! {self.context.stale[study]}", style="yellow"), shown)

    def shown(self) -> RenderableType:
        """All that was found, for a terminal: decisions, each study's figures under its name, and two charts."""
        from rich.console import Group
        from rich.rule import Rule

        from ragprof.report.terminal import decided
        from ragprof.studies.profile.glance_charts import charts

        profile = [] if self.profile is None else [self.printed(studies.PROFILE), "", charts(self.profile)]
        others = [
            part for name in self.sections for part in ("", Rule(name, align="left", style="dim"), self.printed(name))
        ]
        return Group(*map(decided, self.decisions()), *profile, *others)

    def decisions(self) -> list[PaidDecision]:
        """The answers of whoever pays, of all studies whose recording is of the main one around it."""
        current = [name for name in studies.STUDIES if name in self.sections and name not in self.context.stale]
        return [one for name in current for one in studies.study(name).decisions(self.sections[name], self.context)]


def analyse(folder: Path, progress: Progress = SILENT) -> Analysis:
    """Analyse a judged and priced recording with its studies. Raises BadInput where the recording is incomplete.

    A study's recording that is of something else is left out, with a warning.
    """
    if is_trace_profile(folder):
        with threadpool_limits(limits=1, user_api="blas"), step(progress, "analyse"):
            return of_traces(folder, studies.study(studies.TRACE).analyse(folder))
    # The products are small: a second thread of the linear algebra does nothing but wait, at the cost of a core.
    with threadpool_limits(limits=1, user_api="blas"):
        with step(progress, "analyse"):
            profile, own = studies.study(studies.PROFILE).analyse(folder), belonging(folder)
        sections: dict[str, Section] = {}
        for study in own:
            with step(progress, f"analyse {study.name}"):
                sections[study.name] = study.analyse(folder)
    strangers = [study for study in studies.present(folder) if study.is_recorded(folder) and study not in own]
    stale = stale_of(folder, sections)
    changes = {"warnings": (*profile.warnings, *(study.left_out for study in strangers), *stale.values())}
    current = [study for study in own if study.name not in stale]
    answers = {name: answer for study in current for name, answer in study.answers(sections[study.name]).items()}
    if answers:
        changes["headline"] = (*answers.values(), *headline(profile, answered=answers))
    if "injection" in sections:
        changes["limits"] = tuple(WITH_ANSWERS if line == RETRIEVAL_ONLY else line for line in profile.limits)
    return _of_recording(folder, profile.model_copy(update=changes), sections)


def of_traces(folder: Path, section: Section) -> Analysis:
    """A trace profile: it stands alone, and its document begins as that of every recording does."""
    manifest, config = traced_manifest(folder), settings_of(folder)
    about = {
        "format": FORMAT, "ragprof_version": manifest["ragprof_version"], "eval": config["name"],
        "title": config["title"], "created": manifest["created"],
    }  # fmt: skip
    names = tuple(pipeline["name"] for pipeline in config["pipelines"])
    made = f"ragprof {manifest['ragprof_version']}, {day(manifest['created'])}"
    context = replace(context_of(names, config["metrics"][0], {}), title=config["title"], origin=made)
    return Analysis(None, {studies.TRACE: section}, context, about)


def stale_of(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return study -> warning for the studies made with an earlier main recording of this folder."""
    if not (every := list(names)):
        return {}
    from ragprof.record.belonging import is_stale

    return {name: STALE.format(name=name, command=COMMANDS.get(name, name)) for name in every if is_stale(folder, name)}


def read_analysis(folder: Path) -> Analysis:
    """Read the last result of `analyse` from summary.json. `session/drawn.py` decides whether it is up to date."""
    document = files.read_json(folder / SUMMARY, remedy=AGAIN)
    if studies.TRACE in document:
        return of_traces(folder, studies.study(studies.TRACE).section.read(document, studies.TRACE))
    sections = {name: studies.study(name).section.read(document, name) for name in studies.STUDIES if name in document}
    return _of_recording(folder, ProfileSection.read(document), sections)


def _of_recording(folder: Path, profile: ProfileSection, sections: Mapping[str, Section]) -> Analysis:
    context = context_of(tuple(profile.pipelines), settings_of(folder)["metrics"][0], profile.final_stage)
    made = f"ragprof {profile.ragprof_version}, {day(profile.created)}, {profile.corpus.size}"
    return Analysis(
        profile, sections, replace(context, title=profile.title, origin=made, stale=stale_of(folder, sections))
    )


@of_recording
def belonging(folder: Path) -> list[Study[Any, Any]]:
    """The studies whose recordings lie in the folder and rest on what the main recording rests on."""
    recorded = [study for study in studies.present(folder) if study.is_recorded(folder)]
    if not recorded:
        return []
    manifest, judgement = read_manifest(folder), JUDGEMENT.read(folder / "judgement.json")
    return [study for study in recorded if study.belongs(folder, manifest, judgement)]


def context_of(pipelines: tuple[str, ...], metric: str, final_stage: Mapping[str, str]) -> Context:
    """Return what sections may know about the report that contains them."""
    return Context(pipelines, metric, final_stage, pipeline_colours(dict.fromkeys(pipelines)))


def schema() -> dict[str, Any]:
    """The JSON schema of summary.json, made from the typed sections. What only a study adds is not required."""
    places = {key: kind for study in studies.every() for key, kind in study.section.places(study.name).items()}
    each: dict[str, Any] = {
        key.removeprefix(OF_PIPELINE): (kind | None, None) for key, kind in places.items() if OF_PIPELINE in key
    }
    pipeline = create_model("PipelineSummary", __base__=PipelineFigures, **each)
    fields: dict[str, Any] = {key: (kind | None, None) for key, kind in places.items() if OF_PIPELINE not in key}
    return _published(create_model("Summary", __base__=ProfileSection, pipelines=(dict[str, pipeline], ...), **fields))


def trace_schema() -> dict[str, Any]:
    """The JSON schema of the summary.json of a trace profile."""
    from ragprof.studies.trace.section import TraceSummary

    return _published(TraceSummary)


def _published(model: type[BaseModel]) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema(mode="serialization")}


if __name__ == "__main__":
    for name, made in (("summary", schema()), ("trace", trace_schema())):
        Path(__file__).with_name(f"{name}.schema.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
