"""YAHPO Gym's surrogates of trainings, as tasks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hptbench.errors import UserError, unknown
from hptbench.protocol import JSON, Fidelity, Job, Outcome, Point, Status
from hptbench.registry import task
from hptbench.space import Space
from hptbench.tasks import _yahpo
from hptbench.tasks._extras import folder_of

_OWN = "own"
_EPOCH = "epoch"
"""The one fidelity along which a training goes on."""
_LEAST_S = 1e-3
"""A time that the surrogate predicts may be next to nothing, or below."""


@task("yahpo")
@dataclass(frozen=True)
class YahpoTask:
    """Asks neural networks that were fitted to recorded trainings: YAHPO Gym, from folders of yahpo_data.

    Pfisterer, Schneider, Moosbauer, Binder & Bischl, AutoML-Conf 2022 (arXiv 2109.03670). The folders are read with
    onnxruntime, on one thread and one row at a time, so that a value does not depend on its batch; last bits may
    differ between processors. Inputs and search space are those of yahpo_gym 1.0.2: values on their own scale,
    categories by the codes of encoding.json, 0 for what is inactive; instance and fidelities are not in the space.

    All objectives are minimised: a score ``acc`` becomes ``acc_error`` = 1 - acc (percentages as fractions), other
    targets keep their names and units. ``f1`` is a score everywhere, although yahpo_gym minimises it for rbv2.
    Predictions are not clipped, and have no noise: equal configurations are equal.

    ``axis`` is the fidelity; others stay at their highest value. A training goes on along ``epoch`` only, and only from
    its own state. ``cost`` is the predicted time of training to the level reached, seconds (without such a target, 1
    per full evaluation). That time may fall as the fidelity rises, so a segment that goes on is not charged a
    difference but its share: from a to b the time to b, times (b - a) / b. ``hidden``: ``value``, the first objective
    at the highest fidelity, and ``test``: the same, or where the scenario has the target on test data (lcbench's
    ``test_…`` for ``val_…``), that, at the level reached.
    """

    scenario: str
    """A folder's name, e.g. rbv2_svm."""
    instance: str | int | None = None
    """E.g. the number of a data set of OpenML; None if the scenario has only one."""
    targets: tuple[str, ...] = ()
    """By their names in yahpo_gym; the first that is not the time of training if none is given."""
    axis: str | None = _OWN
    """The fidelity's name; own: the scenario's first; None: there is none, every training runs to the end."""
    path: str | None = None
    """Folder of yahpo_data; None: the environment variable HPTBENCH_YAHPO."""

    constraints: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1
    measured: ClassVar[bool] = False

    def __post_init__(self) -> None:
        folder_of("onnxruntime", "onnxruntime", "yahpo")
        path = self.path or os.environ.get("HPTBENCH_YAHPO")
        if not path:
            raise UserError("expected the folder of yahpo_data, got none; set path or HPTBENCH_YAHPO")
        object.__setattr__(self, "path", path)
        if not Path(path).is_dir():
            raise UserError(f"expected the folder of yahpo_data, got {path}, which is none; set path or HPTBENCH_YAHPO")
        if Path(self.scenario).name != self.scenario or not self._folder.is_dir():
            there = [model.parent.name for model in Path(path).glob("*/model.onnx")]
            raise unknown(f"scenario of {path}", self.scenario, there)
        layout, instances = self._read.layout, self._read.instances
        if isinstance(self.targets, str):
            raise UserError(f"expected a list of targets, e.g. [{self._read.default_target}], got {self.targets!r}")
        for name in self.targets:
            if name not in layout.targets:
                raise unknown(f"target of {self.scenario}", name, layout.targets)
        if len(set(self.targets)) < len(self.targets):
            raise UserError(f"expected each target once, got {list(self.targets)}")
        object.__setattr__(self, "targets", tuple(self.targets) or (self._read.default_target,))
        if self.axis not in (None, _OWN, *layout.fidelities):
            raise unknown(f"fidelity of {self.scenario}", self.axis, (_OWN, *layout.fidelities))
        if instances and str(self.instance) not in instances:
            raise unknown(f"instance of {self.scenario}", self.instance, instances)
        if not instances and self.instance is not None:
            raise UserError(f"expected no instance of {self.scenario}, which has only one, got {self.instance!r}")
        object.__setattr__(self, "instance", str(self.instance) if instances else None)

    # what the task is

    @property
    def name(self) -> str:
        targets = () if self.targets == (self._read.default_target,) else self.targets
        axis = {None: "full", _OWN: ""}.get(self.axis, self.axis)
        instance = "" if self.instance is None else str(self.instance)
        return "-".join(filter(None, ["yahpo", self.scenario, instance, *targets, axis]))

    @property
    def unit(self) -> str:
        column = self._read.layout.instance
        if column is None:
            return "cifar10" if self.scenario == "nb301" else self.scenario
        return {"task_id": "openml-", "OpenML_task_id": "openml-task-"}.get(column, "") + str(self.instance)

    @property
    def licence(self) -> str | None:
        return _yahpo.licence(Path(str(self.path)))

    @property
    def space(self) -> Space:
        return self._read.space

    @property
    def objectives(self) -> tuple[str, ...]:
        scores = self._read.layout.scores
        return tuple(f"{name}_error" if name in scores else name for name in self.targets)

    @property
    def fidelity(self) -> Fidelity | None:
        if self._axis is None:
            return None
        low, high, integer = self._read.bounds[self._axis]
        return Fidelity(low, high, self._axis, integer, continues=self._axis == _EPOCH, inherits=False)

    @property
    def optimum(self) -> None:
        """Not known."""

    def identity(self) -> dict[str, JSON]:
        return {
            "scenario": self.scenario,
            "instance": self.instance,
            "targets": list(self.targets),
            "axis": self._axis,
            "sha256": _yahpo.fingerprint(self._folder),
        }

    @property
    def _folder(self) -> Path:
        return Path(str(self.path)) / self.scenario

    @property
    def _read(self) -> _yahpo.Scenario:
        return _yahpo.scenario(str(self._folder))

    @property
    def _axis(self) -> str | None:
        return next(iter(self._read.layout.fidelities), None) if self.axis == _OWN else self.axis

    # evaluation

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome per job. UserError if the model is not what the folder says."""
        read, axis = self._read, self._axis
        full = {name: high for name, (_, high, _) in read.bounds.items()}
        return [self._outcome(job, read, axis, full) for job in jobs]

    def _outcome(self, job: Job, read: _yahpo.Scenario, axis: str | None, full: Mapping[str, float]) -> Outcome:
        reached = {**full, axis: job.stop} if axis else full
        config = job.proposal.config
        seen = read.losses(read.row(config, self.instance, reached))
        end = seen if reached == full else read.losses(read.row(config, self.instance, full))
        first = self.targets[0]
        tests = {name: seen.get(_on_test_data(name), end[name]) for name in self.targets}
        hidden = {"test": tests[first], "value": end[first]}
        if len(tests) > 1:
            hidden |= {f"test_{name}": test for name, test in tests.items()}
        if read.run_time is None:
            cost = (job.stop - job.start) / (full[axis] if axis else 1.0)
        else:
            cost = max(seen[read.run_time], _LEAST_S) * (job.stop - job.start) / job.stop
        curve = (Point(job.stop, tuple(seen[name] for name in self.targets)),)
        return Outcome(Status.OK, curve, cost, hidden)


def _on_test_data(target: str) -> str:
    """The name that the target of validation would have on test data."""
    return "test_" + target.removeprefix("val_")
