"""The current settings of a recording: those that did not affect it may change after it was made.

A recording is never edited. Changed settings are kept beside its manifest, in settings.json, and override it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ragprof.core import files
from ragprof.core.errors import BadInput
from ragprof.core.recorded import write_sealed
from ragprof.evals.recorded import ANY, checked, manifest_of
from ragprof.evals.tables import Timing

UNRECORDED = (
    "growth", "injection", "reranker", "curate", "screen", "chunking", "stores", "load", "economics", "gate",
    "labels", "budget", "energy", "metrics", "prices", "traffic",
)  # fmt: skip
"""Settings that do not affect a recording; the pipelines' own prices do not either."""
TOLD_BY_TEXTS = ("passages", "readers", "max_file_mb", "source")
"""Settings of [corpus] that affect a recording by its texts alone."""
SETTINGS_FILE = "settings.json"


def unpriced(pipelines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Pipelines of a dumped configuration without their prices: what a recording of them rests on."""
    return [{key: value for key, value in pipeline.items() if key != "prices"} for pipeline in pipelines]


def lasting(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that affect the main recording. Keys of [timing] that it lacks have their defaults.

    `patience` is left out: how long a run may wait for a quiet moment affects no figure. So is what [corpus] says of
    which passages are searched and who reads the files: their fingerprint tells which ones there were.
    """
    kept = {key: value for key, value in config.items() if key not in UNRECORDED}
    timing = {**Timing().model_dump(mode="json"), **config.get("timing", {})}
    timing.pop("patience")
    corpus = {key: value for key, value in config.get("corpus", {}).items() if key not in TOLD_BY_TEXTS}
    return {**kept, "corpus": corpus, "timing": timing, "pipelines": unpriced(config["pipelines"])}


def settings_of(folder: Path) -> dict[str, Any]:
    """The whole configuration of a recording with the settings that it goes by now.

    Settings of another recording, which stood in the folder before, do not count. Raises BadInput for a folder without
    a recording and for settings that are none.
    """
    manifest, path = manifest_of(folder, ANY), folder / SETTINGS_FILE
    remedy = "delete the file and run again"
    kept = files.read_json(path, remedy=remedy) if path.exists() else {}
    if path.exists() and ("recording" not in kept or not isinstance(kept.get("pipelines", {}), dict)):
        raise BadInput(f"these are not the settings of a recording; {remedy}", file=path)
    if kept.get("recording") != manifest.recording:
        return dict(manifest.config)
    prices = kept.get("pipelines", {})
    whole = {
        **manifest.config,
        **{key: kept[key] for key in UNRECORDED if key in kept},
        "pipelines": [{**each, "prices": prices.get(each["name"], each.get("prices"))} for each in manifest.pipelines],
    }
    try:
        return checked(whole)
    except ValueError as failure:
        raise BadInput(f"these are not the settings of a recording ({failure}); {remedy}", file=path) from None


def keep_settings(folder: Path, config: Mapping[str, Any]) -> None:
    """Use the settings of `config` for a recording from now on; those that affected it stay unchanged."""
    if config != settings_of(folder):
        kept = {key: config[key] for key in UNRECORDED if key in config}
        prices = {pipeline["name"]: pipeline.get("prices") for pipeline in config["pipelines"]}
        recording = manifest_of(folder, ANY).recording
        write_sealed(folder / SETTINGS_FILE, {"recording": recording, **kept, "pipelines": prices})


def handed_down(part: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a study's recording, with the prices and the traffic of the recording that it lies in.

    A study of pipelines that the recording around it declares otherwise keeps its own prices.
    """
    own = settings_of(part)
    around = {pipeline["name"]: pipeline for pipeline in settings["pipelines"]}
    pipelines = [around.get(pipeline["name"], {}) for pipeline in own["pipelines"]]
    if unpriced(pipelines) != unpriced(own["pipelines"]):
        return own
    return {**own, "pipelines": pipelines, **{key: settings[key] for key in ("prices", "traffic") if key in settings}}
