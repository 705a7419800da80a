from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hptbench.errors import UserError
from hptbench.methods.hebo import HEBO, kappa, mace, power_transformed
from hptbench.methods.random import RandomSearch
from hptbench.methods.sobol import Sobol
from hptbench.protocol import Budget, Method, Point, Problem, Proposal, Report, Search, Status
from hptbench.rng import entropy, stream
from hptbench.space import Space
from hptbench.spacefile import space_from_yaml
from hptbench.testing.methods import incumbent, records_of
from hptbench.testing.problems import SPACES, Bowl

SPHERE = space_from_yaml(SPACES["sphere"])


def begin(space: Space, workers: int = 1, **settings: Any) -> Search:
    problem = Problem(space, ("loss",), None, Budget(max_jobs=1000), workers)
    return HEBO(**settings).begin(problem, stream(entropy("hebo")))


def reports(proposals: Sequence[Proposal], values: Sequence[float]) -> list[Report]:
    return [
        Report(i, i, p, 1.0, Status.OK if math.isfinite(v) else Status.FAILED, (v,), (Point(1.0, (v,)),), 1.0)
        for i, (p, v) in enumerate(zip(proposals, values, strict=True))
    ]


@pytest.mark.slow
def test_it_is_far_better_than_random_search() -> None:
    task = Bowl(over="sphere", noise=0.0, fidelity=None)
    budget = Budget(max_jobs=28)

    def best(method: Method, seeds: range) -> list[float]:
        return [incumbent(records_of(method, task, seed, budget)) for seed in seeds]

    own, random = best(HEBO(generations=10), range(3)), best(RandomSearch(), range(30))
    assert stats.mannwhitneyu(own, random, alternative="less").pvalue < 0.01
    assert np.median(own) < np.median(random) / 10


def test_it_begins_with_one_point_more_of_a_sobol_sequence_than_there_are_parameters() -> None:
    problem = Problem(SPHERE, ("loss",), None, Budget(max_jobs=9))
    key = entropy("key", 1)
    search, sobol = HEBO().begin(problem, stream(key)), Sobol().begin(problem, stream(key))
    design = sobol.ask(5, [])
    assert search.ask(4, []) == design[:4]
    search.tell(reports(design[:4], [1.0, 2.0, 3.0, 4.0]))
    assert search.ask(1, []) != design[4:]


def test_acquisitions_are_what_integrals_say() -> None:
    mean, std, tau = np.array([0.3, -0.2, 1.0]), np.array([0.5, 0.1, 0.2]), 0.1
    out = mace(mean, std, tau, 2.0, np.zeros((2, 3)))
    y = mean + std * np.random.default_rng(0).standard_normal((2_000_000, 1))
    gain = np.maximum(tau - 1e-4 - y, 0)
    assert out[:, 0] == pytest.approx(mean - 2 * std)
    assert np.exp(-out[:2, 1]) == pytest.approx(gain.mean(axis=0)[:2], rel=0.01)
    assert np.exp(-out[:2, 2]) == pytest.approx((gain > 0).mean(axis=0)[:2], rel=0.01)
    assert np.isfinite(mace(np.array([1e3]), np.array([1e-6]), 0.0, 2.0, np.zeros((2, 1)))).all()
    noise = np.array([[0.1, 0, 0], [0, 0.2, 0]])
    perturbed = mace(mean, std, tau, 2.0, noise)
    assert perturbed[:, 0] == pytest.approx(out[:, 0] + noise[0])
    assert (perturbed[:, 1:] > out[:, 1:]).all(axis=1).tolist() == [False, True, False]


def test_the_confidence_bound_widens_with_the_logarithm_of_the_iterations() -> None:
    assert kappa(0, 6) == kappa(1, 6) == pytest.approx(math.sqrt(math.log(math.pi**2 / 0.01)))
    assert kappa(20, 6) == pytest.approx(math.sqrt(5 * math.log(20) + math.log(100 * math.pi**2)))


def test_targets_are_transformed_by_box_and_cox_if_positive() -> None:
    lognormal = np.exp(2 * np.random.default_rng(0).standard_normal(300))
    for values in (lognormal, -lognormal, lognormal - 1):
        y = power_transformed(values)
        assert (y.mean(), y.std()) == pytest.approx((0, 1), abs=1e-9)
        assert np.array_equal(np.argsort(y), np.argsort(values))
    assert np.abs(np.corrcoef(power_transformed(lognormal), np.log(lognormal))[0, 1]) > 0.999
    assert not power_transformed(np.full(5, 0.1)).any()
    assert power_transformed(np.array([1.0, 2.0, 1.0])) == pytest.approx(np.array([-1, 2, -1]) / math.sqrt(2))
    for extreme in ([1e300, -1e300, 0.0], [1e-300, 1e-200, 1.0], [1e-8, 1.0, 1e8, 2.0], [1.0, 1.0 + 1e-9, 1.0 + 2e-9]):
        assert np.isfinite(power_transformed(np.array(extreme))).all()


def test_batches_hold_the_most_uncertain_and_the_best_point_of_the_front() -> None:
    search: Any = begin(SPHERE)
    search.tell(reports(design := search.ask(8, []), [sum(p.config.values()) for p in design]))  # type: ignore[arg-type]
    search.ask(1, [])
    gp, front = search._fitted.gp, SPHERE.sample(np.random.default_rng(0), 50)
    mean, variance = gp.predict(search._embedding(front))
    for n in (3, 5):
        chosen = search._chosen(gp, front, n)
        assert sorted(chosen) == list(range(50))
        assert {variance.argmax(), mean[:, 0].argmin()} < set(chosen[:n])
    singles = {search._chosen(gp, front, 1)[0] for _ in range(40)}
    assert len(singles) > 15


def test_batches_and_pending_jobs_are_apart() -> None:
    search = begin(SPHERE, workers=6)
    search.tell(reports(design := search.ask(8, []), [float(i) for i in range(8)]))
    batch = search.ask(4, [])
    more = [*design, *batch, *search.ask(1, batch), *search.ask(1, batch)]
    u = SPHERE.encode([p.config for p in more])
    assert np.linalg.norm(u[:, None] - u[None], axis=2)[np.triu_indices(len(u), 1)].min() > 1e-4


def test_finite_spaces_are_walked_through_without_repetition() -> None:
    space = space_from_yaml({
        "a": {"type": "integer", "lower": 1, "upper": 4}, "b": {"type": "categorical", "choices": ["x", "y", "z"]}
    })  # fmt: skip
    search = begin(space, generations=10)
    seen: set[str] = set()
    for i in range(12):
        [proposal] = search.ask(1, [])
        seen.add(space.key(proposal.config))
        search.tell(reports([proposal], [float(i % 5)]))
    assert len(seen) == 12
    assert len(search.ask(1, [])) == 1


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UserError, match=r"hebo\.population >= 4, got 0"):
        HEBO(population=0)
    with pytest.raises(UserError, match=r"hebo\.initial >= 2, got 1"):
        HEBO(initial=1)
