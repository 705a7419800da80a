from __future__ import annotations

from pathlib import Path

import pytest

from hptbench.methods.asha import ASHA
from hptbench.methods.default import Default
from hptbench.methods.pbt import PBT
from hptbench.methods.random import RandomSearch
from hptbench.methods.sobol import Sobol
from hptbench.protocol import Budget, Clock, Method, Task
from hptbench.run import Driver, Evaluator, Plan, execute
from hptbench.tasks.synthetic import SyntheticTask
from hptbench.tasks.training import TrainingTask
from hptbench.testing.problems import Bowl
from hptbench.workers import Limits


def do(
    folder: Path,
    tasks: tuple[Task, ...],
    methods: dict[str, Method],
    seeds: int = 2,
    workers: int = 1,
    budget: Budget = Budget(max_jobs=14),  # noqa: B008
) -> Path:
    for task in tasks:
        for label, method in methods.items():
            own = Budget(max_jobs=1) if label == "default" else budget
            for seed in range(seeds):
                plan = Plan(task, label, method, seed, own, workers, Clock.UNITS, Limits(None, None), folder)
                execute(plan, Driver(Evaluator(), lambda *_: None))
    return folder


METHODS: dict[str, Method] = {"random": RandomSearch(), "sobol": Sobol(), "default": Default()}


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two functions, two methods and the default configuration."""
    tasks = (SyntheticTask("branin"), SyntheticTask("hartmann3"))
    return do(tmp_path_factory.mktemp("results") / "small", tasks, METHODS)


@pytest.fixture(scope="session")
def population(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trainings that go on from others' states, some of them failing, on three workers."""
    methods: dict[str, Method] = {"random": RandomSearch(), "pbt": PBT(population=4), "asha": ASHA()}
    return do(
        tmp_path_factory.mktemp("results") / "population", (Bowl(fail=0.1),), methods, 2, 3, Budget(max_full_evals=10)
    )


@pytest.fixture(scope="session")
def one_parameter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training whose only hyperparameter is its rate."""
    return do(tmp_path_factory.mktemp("results") / "rate", (TrainingTask("noisy_quadratic"),), METHODS)
