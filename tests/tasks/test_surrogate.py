"""The shipped surrogates as tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.paths import surrogates_dir
from hptbench.protocol import Job, Outcome, Proposal, Task
from hptbench.rng import entropy
from hptbench.space import Config
from hptbench.tasks._surrogates import load
from hptbench.tasks.surrogate import SurrogateTask
from hptbench.testing import TASK_CHECKS

SVM = SurrogateTask("ionosphere", "svm")


def run(task: SurrogateTask, config: Config, stop: float = 1.0, trial: int = 0) -> Outcome:
    [outcome] = task.evaluate([Job(0, 0, Proposal(config, stop), 0.0, stop, entropy("trial", trial))])
    return outcome


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("task", [SVM, SurrogateTask("boston", "elastic_net", noise=False)], ids=lambda task: task.name)
def test_conforms(task: SurrogateTask, check: Callable[[Task], None]) -> None:
    check(task)


@pytest.mark.parametrize("task", [SVM, SurrogateTask("boston", "elastic_net")], ids=lambda task: task.name)
def test_noise_has_the_covariance_of_the_table(task: SurrogateTask) -> None:
    root = task.surface._root
    covariance = task._group.noise[task._group.metrics.index(task.metric)]
    np.testing.assert_allclose(root @ root.T, covariance, atol=5e-4)  # which was rounded to four digits


def test_a_row_does_not_depend_on_the_others() -> None:
    """Bit for bit, in any order and company."""
    space, rng = SVM.space, np.random.default_rng(0)
    u, levels = space.sample(rng, 300), rng.uniform(1 / 9, 1, 300)
    normal = rng.standard_normal((300, SVM.surface.draws))
    whole = SVM.surface(u, levels, normal)
    order = rng.permutation(300)
    for rows in (order, order[:1], order[100:177]):
        some = SVM.surface(u[rows], levels[rows], normal[rows])
        assert all(np.array_equal(part[rows], own) for part, own in zip(whole, some, strict=True))


@pytest.mark.parametrize(
    ("data", "learner"), [("vehicle", "knn"), ("boston", "elastic_net"), ("wind", "random_forest")]
)
def test_it_ranks_the_trainings_of_its_table(data: str, learner: str) -> None:
    """At the recorded levels, for validation and test; and nothing is better or worse than what was recorded."""
    from scipy.stats import spearmanr

    group = next(g for g in load(surrogates_dir() / learner / "model.npz").values() if data in g.data)
    task = SurrogateTask(data, learner, noise=False)
    u, i = task.space.encode(group.configs), group.data.index(data)
    for at, level in enumerate(group.levels):
        found = task.surface(u, np.full(len(u), level))
        for part, told in enumerate((found.validation, found.test)):
            measured = group.losses[i, 0, part, at]
            assert spearmanr(told, measured).statistic > 0.9
            assert measured.min() <= told.min() <= told.max() <= measured.max()
        assert spearmanr(found.cost, group.costs[i, at]).statistic > 0.5


def test_noise_is_the_trial_s_own_and_the_value_has_none() -> None:
    config = SVM.space.default()
    first, again, other = run(SVM, config), run(SVM, config), run(SVM, config, trial=1)
    assert first == again
    assert first.curve != other.curve
    exact = run(SurrogateTask("ionosphere", "svm", noise=False), config)
    assert first.hidden["value"] == other.hidden["value"] == exact.hidden["value"] == exact.curve[-1].values[0]
    jobs = [Job(i, i, Proposal(config, 1.0), 0.0, 1.0, entropy("trial", i)) for i in range(200)]
    drawn = np.array([outcome.curve[-1].values[0] for outcome in SVM.evaluate(jobs)])
    assert np.median(drawn) == pytest.approx(exact.curve[-1].values[0], rel=0.1)
    assert drawn.min() < exact.curve[-1].values[0] < drawn.max()


def test_between_levels_losses_are_interpolated_in_the_logarithm() -> None:
    task = SurrogateTask("ionosphere", "svm", noise=False)
    low, high = task.fidelity.low, 3 * task.fidelity.low
    ends = [run(task, task.space.default(), stop).curve[-1].values[0] for stop in (low, high)]
    middle = run(task, task.space.default(), float(np.sqrt(low * high))).curve[-1].values[0]
    assert middle == pytest.approx(np.mean(ends), rel=1e-5)


def test_other_metrics_have_their_own_name_and_loss() -> None:
    error = SurrogateTask("ionosphere", "svm", metric="error", noise=False)
    assert (error.name, error.objectives) == ("surrogate-ionosphere-svm-exact", ("error",))
    assert 0 <= run(error, error.space.default()).curve[-1].values[0] <= 1
    assert SurrogateTask("ionosphere", "svm", metric="auc_error").name == "surrogate-ionosphere-svm-auc_error"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"learner": "svmm"}, "unknown surrogate of .*'svm'"),
        ({"data": "ionosfere"}, "unknown data set of the surrogate svm.*'ionosphere'"),
        ({"metric": "rmse"}, "unknown metric of ionosphere"),
        ({"noise": 0.1}, "noise to be true or false"),
        ({"path": "nowhere"}, "unknown surrogate of nowhere"),
    ],
)
def test_what_is_not_there_is_told(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SurrogateTask(**{"data": "ionosphere", "learner": "svm", **fields})
