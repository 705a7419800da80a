"""The way to a Ray cluster: connecting, checking that all nodes are alike, who may use what of them."""

from __future__ import annotations

import os
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hptbench import machine, registry
from hptbench.errors import UserError, unknown
from hptbench.protocol import Task

TRIES = 3
"""What dies so often in a row without having done anything is given up."""
LATE_S = 60.0
"""What has not begun anywhere by then is asked after."""
_REACH_S = 5.0
"""A head that does not answer by then is not there."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_RESOURCES = {"num_cpus": "CPU", "num_gpus": "GPU"}


@dataclass(frozen=True)
class OnRay:
    """What all executors on Ray can be told."""

    address: str | None = None
    """Of the cluster: ``auto``, or host:port of its head. None: one on this machine, for the time of the study."""
    num_cpus: float = 1
    """Cores that one task or worker takes."""
    num_gpus: float = 0
    """Graphics cards, also parts of one (0.25)."""
    families: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Other resources for families of tasks: ``{neural_mlp: {num_gpus: 0.25}}``."""

    def __post_init__(self) -> None:
        _check("executor", {"num_cpus": self.num_cpus, "num_gpus": self.num_gpus})
        for family, resources in self.families.items():
            if family not in registry.tasks():
                raise unknown("family of tasks in executor.families", family, registry.tasks())
            _check(f"executor.families.{family}", resources)

    def resources(self, task: Task) -> dict[str, float]:
        """What a task or worker takes for trainings of ``task``."""
        while (inner := getattr(task, "inner", None)) is not None:  # within wrappers
            task = inner
        names = {cls: name for name, cls in registry.tasks().items()}
        own = self.families.get(names.get(type(task), ""), {})
        return {"num_cpus": self.num_cpus, "num_gpus": self.num_gpus} | dict(own)

    @contextmanager
    def connected(self) -> Generator[Any, None, None]:
        """The module ``ray``, connected. UserError if there is no such cluster, or one of another version."""
        for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
            os.environ.setdefault(name, "0")
        try:
            import ray
        except ImportError as error:
            raise UserError(f'executor=ray needs Ray ({error}): pip install "hptbench[ray]"') from error
        passed = {name: value for name, value in os.environ.items() if name in _THREADS or name.startswith("HPTBENCH_")}
        how: dict[str, Any] = {"address": self.address, "runtime_env": {"env_vars": passed}}
        if self.address is None:
            # "local", or RAY_ADDRESS would decide
            how |= {"address": "local", "num_cpus": max(machine.cores(), 1), "include_dashboard": False}
        try:
            self._reach()
            ray.init(**how, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, TimeoutError, RuntimeError, ValueError, OSError) as error:
            ray.shutdown()
            reason = " ".join(str(error).split())
            todo = (
                "install the same versions of Python and Ray here as on the cluster"
                if "mismatch" in reason.lower()
                else "start one (`ray start --head`), mend the address, or leave it out for a cluster on this machine"
            )
            raise UserError(f"executor.address={self.address}: no Ray cluster to work on ({reason}); {todo}") from error
        try:
            yield ray
        finally:
            ray.shutdown()

    def check_room(self, ray: Any, task: Task, n: int = 1) -> None:
        """UserError if the cluster's nodes have no room for ``n`` trainings of ``task`` at a time, even if nothing else
        runs there: they would wait for ever."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        wanted = self.resources(task)
        room = sum(
            min((int(node.get(_RESOURCES[name], 0) / each + 1e-9) for name, each in wanted.items() if each), default=n)
            for node in nodes
        )
        if room < n:
            have = [{name: node.get(of, 0) for name, of in _RESOURCES.items()} for node in nodes]
            raise UserError(
                f"expected nodes with room for {n} x {wanted} for {task.name}, got {have}: set executor.num_cpus, "
                "executor.num_gpus, executor.families or the number of workers to what there is"
            )

    def _reach(self) -> None:
        """OSError unless somebody listens at host:port; Ray itself would try for a minute."""
        host, _, port = (self.address or "").rpartition(":")
        if host and port.isdigit() and "/" not in host:
            socket.create_connection((host.strip("[]"), int(port)), _REACH_S).close()


def _check(where: str, resources: Mapping[str, float]) -> None:
    for name, n in resources.items():
        if name not in _RESOURCES:
            raise unknown(f"resource in {where}", name, _RESOURCES)
        if isinstance(n, bool) or not isinstance(n, int | float) or not 0 <= n < float("inf"):
            raise UserError(f"expected {where}.{name} to be a number >= 0, got {n!r}")


@dataclass(frozen=True)
class Home:
    """What a node has to have in common with the driver."""

    versions: Mapping[str, str | None] = field(default_factory=lambda: machine.versions())
    folder: str = field(default_factory=os.getcwd)

    def enter(self) -> None:
        """Make a process on a node work like the driver: in its folder, if the node has it (paths may be relative).

        UserError if libraries differ: results would, too."""
        here = machine.versions()
        odd = [name for name in {**self.versions, **here} if self.versions.get(name) != here.get(name)]
        if odd:
            texts = [f"{name} {self.versions.get(name)} here, {here.get(name)} there" for name in odd]
            raise UserError(
                f"the Ray node {socket.gethostname()} differs from the driver: {'; '.join(texts)}. Results would, too: "
                "install the same versions on all nodes"
            )
        if Path(self.folder).is_dir():
            os.chdir(self.folder)


def line(error: Exception) -> str:
    """An error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
