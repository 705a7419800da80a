"""Jobs per CPU second, our simulator and Syne Tune's: python benchmarks/simulators.py [--trials 1000] [--workers 4 64]

Both run asynchronous successive halving (eta = 3, rungs at 1, 3, 9 and 27 epochs, random configurations) on one table
of 1,296 configurations with made-up learning curves and recorded times, which both hold in memory: ours in ``simulate``
with ``asha_stopping``, which is the rule of Syne Tune's ASHA, and with ``asha``; Syne Tune in its Tuner with its
simulator back-end for tables (UserBlackboxBackend), whose results are saved at the end only. A job is the training from
one rung to the next; every trial begins with one. Ours gets more trials, for its time to be measurable. Syne Tune's
back-end makes an event of every value in the table: it is timed with tables that hold all epochs, and with such as hold
the rungs only, which suits it best. Processor time of the run alone, without imports or the making of tables.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from itertools import product
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from hptbench import registry
from hptbench.protocol import Budget, Clock, Fidelity, Job, Outcome, Point, Problem, Status
from hptbench.simulate import simulate
from hptbench.spacefile import space_from_yaml
from hptbench.testing.methods import drive

ETA, LEVELS = 3, (1, 3, 9, 27)
NAMES, VALUES = ("width", "depth", "rate", "decay"), 6
SPACE = space_from_yaml({name: {"type": "integer", "lower": 0, "upper": VALUES - 1} for name in NAMES})
PER_TRIAL = 1.5
"""Jobs that a trial takes: one to begin with, a third of them another, and so on. For our budget in jobs."""


class Run(NamedTuple):
    jobs: int
    trials: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.jobs / self.seconds


@dataclass(frozen=True)
class Table:
    """``losses`` and ``elapsed``, (1296, epochs), after each of ``epochs``; ``elapsed`` is seconds from the start."""

    epochs: tuple[int, ...]
    losses: np.ndarray
    elapsed: np.ndarray

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        return [self._one(job) for job in jobs]

    def _one(self, job: Job) -> Outcome:
        row = 0
        for name in NAMES:
            row = row * VALUES + int(job.proposal.config[name])
        first = 0 if job.start == 0 else self.epochs.index(int(job.start)) + 1
        last = self.epochs.index(int(job.stop)) + 1
        values = self.losses[row, first:last].tolist()
        curve = tuple(Point(float(self.epochs[first + i]), (value,)) for i, value in enumerate(values))
        before = float(self.elapsed[row, first - 1]) if first else 0.0
        return Outcome(Status.OK, curve, float(self.elapsed[row, last - 1]) - before)


def table(epochs: tuple[int, ...]) -> Table:
    rng = np.random.default_rng(0)
    n, at = VALUES ** len(NAMES), np.array(epochs, float)
    floor, rate, pace = rng.random((n, 1)), rng.uniform(0.2, 1.5, (n, 1)), rng.uniform(20, 200, (n, 1))
    return Table(epochs, floor + (1.5 - floor) * at**-rate, pace * at)


def ours(name: str, held: Table, workers: int, trials: int) -> Run:
    method = registry.find("method", name)(eta=ETA)
    fidelity = Fidelity(LEVELS[0], LEVELS[-1], continues=True)
    problem = Problem(SPACE, ("loss",), fidelity, Budget(max_jobs=round(trials * PER_TRIAL)), workers)
    began = time.process_time()
    records = drive(simulate(method, problem, ("table", 0), Clock.COST), held)
    seconds = time.process_time() - began
    return Run(len(records), len({record.job.trial for record in records}), seconds)


def syne_tune(held: Table, workers: int, trials: int) -> Run:
    import pandas as pd
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
    from syne_tune.blackbox_repository.blackbox_tabular import BlackboxTabular
    from syne_tune.blackbox_repository.simulated_tabular_backend import UserBlackboxBackend
    from syne_tune.config_space import randint
    from syne_tune.optimizer.baselines import ASHA

    space = {name: randint(0, VALUES - 1) for name in NAMES}
    blackbox = BlackboxTabular(
        hyperparameters=pd.DataFrame(list(product(range(VALUES), repeat=len(NAMES))), columns=list(NAMES)),
        configuration_space=space,
        fidelity_space={"epoch": randint(LEVELS[0], LEVELS[-1])},
        fidelity_values=np.array(held.epochs),
        objectives_evaluations=np.stack([held.losses, held.elapsed], axis=-1)[:, None],
        objectives_names=["loss", "elapsed"],
    )
    scheduler = ASHA(
        space, "loss", "epoch", LEVELS[-1], random_seed=0, grace_period=LEVELS[0], reduction_factor=ETA, brackets=1
    )
    tuner = Tuner(
        trial_backend=UserBlackboxBackend(blackbox=blackbox, elapsed_time_attr="elapsed", seed=0),
        scheduler=scheduler,
        stop_criterion=StoppingCriterion(max_num_trials_started=trials),
        n_workers=workers,
        sleep_time=0,
        callbacks=[SimulatorCallback()],
        results_update_interval=1e9,
        print_update_interval=1e9,
        tuner_name="simulators",
        save_tuner=False,
    )
    began = time.process_time()
    with redirect_stdout(StringIO()):
        tuner.run()
    seconds = time.process_time() - began
    reached = [len(recorded) for _, recorded in scheduler.brackets[0].rungs if recorded]
    top = sum(result["epoch"] == LEVELS[-1] for result in tuner.last_seen_result_per_trial.values())
    below = len(scheduler.brackets[0].rungs) - (scheduler.brackets[0].rungs[0][0] == LEVELS[-1])
    return Run(sum(reached[-below:]) + top, trials, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--workers", type=int, nargs="+", default=[4, 64])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SYNETUNE_FOLDER"] = folder
        rungs_only, every = table(LEVELS), table(tuple(range(1, LEVELS[-1] + 1)))
        ours("asha", rungs_only, 4, 50)
        syne_tune(rungs_only, 4, 50)  # imports
        print(f"{'':40}{'workers':>8}{'jobs':>8}{'trials':>8}{'CPU s':>9}{'jobs / CPU s':>14}{'ours is':>12}")
        for workers in options.workers:
            for held, what in ((rungs_only, "rungs"), (every, "all epochs")):
                theirs = syne_tune(held, workers, options.trials)
                runs = {f"Syne Tune, {what}": theirs}
                for name in ("asha_stopping", "asha"):
                    runs[f"hptbench {name}, {what}"] = ours(name, held, workers, 10 * options.trials)
                for label, run in runs.items():
                    faster = "" if run is theirs else f"{run.rate / theirs.rate:10.1f} x"
                    print(
                        f"{label:40}{workers:8}{run.jobs:8}{run.trials:8}{run.seconds:9.2f}{run.rate:14.0f}{faster:>12}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
