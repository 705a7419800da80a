"""Methods that learn from past tasks: that they do, and what they do without."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from evolving import MIXED, SPHERE, report
from scipy.optimize import approx_fprime
from scipy.stats import mannwhitneyu

from hptbench import registry
from hptbench.errors import UserError
from hptbench.methods._past import Past
from hptbench.methods._surrogate import kept, transformed
from hptbench.methods.ablr import ABLR, Regressions
from hptbench.methods.bounding_box import BoundingBox, box_of
from hptbench.methods.quantile_transfer import Copula, QuantileTransfer, scores
from hptbench.methods.rgpe import RGPE, Ensemble, misranked, ranking_weights
from hptbench.models.embedding import Embedding
from hptbench.models.gp import GP, Inputs, fit
from hptbench.models.shared_features import SharedFeatures
from hptbench.protocol import Advice, Budget, Clock, Job, Outcome, PastTask, Point, Problem, Status
from hptbench.rng import entropy, stream
from hptbench.simulate import simulate
from hptbench.space import Space
from hptbench.spacefile import space_from_yaml
from hptbench.testing.methods import drive, past_bowls

LEARNING = {"ablr": ABLR(), "rgpe": RGPE(), "quantile_transfer": QuantileTransfer(), "bounding_box": BoundingBox()}
SPACE = space_from_yaml({name: {"type": "float", "lower": 0.0, "upper": 1.0} for name in "abcd"})


@dataclass(frozen=True)
class Shifted:
    """A valley with a narrow end, whose place and scale differ from task to task of a family."""

    seed: int
    space: Space = SPACE

    def loss(self, u: np.ndarray) -> np.ndarray:
        """(m,) at points (m, 4)."""
        rng = np.random.default_rng(self.seed)
        bottom, scale = np.array([0.8, 0.3, 0.65, 0.2]) + rng.uniform(-0.06, 0.06, 4), 10 ** rng.uniform(-2, 2)
        gap = u - bottom
        return scale * (np.log(1e-3 + (gap**2).sum(axis=1)) + 0.3 * np.sin(9 * gap).sum(axis=1))

    def evaluate(self, jobs: list[Job]) -> list[Outcome]:
        u = self.space.encode([job.proposal.config for job in jobs])
        return [Outcome(Status.OK, (Point(1.0, (float(v),)),), 1.0, {"test": float(v)}) for v in self.loss(u)]

    def past(self) -> PastTask:
        u = self.space.sample(stream(entropy("past", self.seed)), 30)
        return PastTask(str(self.seed), 0.25, tuple(self.space.decode(u)), tuple(self.loss(u).tolist()))


FAMILY = Advice(past=tuple(Shifted(seed).past() for seed in range(100, 104)))


def best_of(method: Any, seed: int, jobs: int, advice: Advice) -> float:
    """Lowest gap to the best of a dense sample, in units of the task's spread."""
    task = Shifted(seed)
    problem = Problem(SPACE, ("loss",), None, Budget(max_jobs=jobs), advice=advice)
    records = drive(simulate(method, problem, ("shifted", seed), Clock.UNITS), task)  # type: ignore[arg-type]
    grid = task.loss(np.random.default_rng(0).random((2000, 4)))
    return (min(r.outcome.curve[-1].values[0] for r in records) - grid.min()) / grid.std()


@pytest.fixture(scope="module")
def cold() -> list[float]:
    return [best_of(registry.find("method", "gp")(), seed, 8, Advice()) for seed in range(5)]


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNING)
def test_it_is_ahead_of_a_cold_process_on_a_family_of_functions(name: str, cold: list[float]) -> None:
    own = [best_of(LEARNING[name], seed, 8, FAMILY) for seed in range(5)]
    assert mannwhitneyu(own, cold, alternative="less").pvalue < 0.01
    assert np.median(own) < np.median(cold) - 0.3


@pytest.mark.parametrize("name", LEARNING)
def test_a_past_that_misleads_is_another_past(name: str) -> None:
    """What was good is bad: the first proposals lie elsewhere."""
    wrong = Advice(past=tuple(replace(t, losses=tuple(-v for v in t.losses)) for t in FAMILY.past))
    right, misled = (best_of(LEARNING[name], 1, 3, advice) for advice in (FAMILY, wrong))
    assert right < misled


@pytest.mark.parametrize("name", LEARNING)
def test_without_past_tasks_it_says_what_to_do(name: str) -> None:
    failed = PastTask("failed", 1.0, tuple(SPACE.decode(np.full((2, 4), 0.5))), (np.inf, 1.0))
    for past in ((), (failed,)):
        problem = Problem(SPACE, ("loss",), None, Budget(max_jobs=5), advice=Advice(past=past))
        with pytest.raises(UserError, match=f"{name} learns from past tasks, and was told of none; set meta=auto"):
            LEARNING[name].begin(problem, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("method", "wrong", "message"),
    [
        (ABLR, {"width": 0}, "ablr.width >= 1"),
        (RGPE, {"draws": 0}, "rgpe.draws >= 1"),
        (QuantileTransfer, {"floor": 0.0}, "quantile_transfer.floor > 0"),
        (QuantileTransfer, {"trees": 1}, "quantile_transfer.trees >= 2"),
        (BoundingBox, {"slack": -0.1}, r"slack in \[0, 1\]"),
        (BoundingBox, {"settings": 3}, "settings to be a mapping"),
    ],
)
def test_what_makes_no_sense_is_refused(method: Any, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        method(**wrong)


# ablr


def test_features_are_the_same_whatever_way_round_losses_are() -> None:
    """What is transferred are features: after three observations a past that is turned round says the same."""
    u = SPACE.sample(np.random.default_rng(1), 6)
    told = [report(c, float(v)) for c, v in zip(SPACE.decode(u), Shifted(1).loss(u), strict=True)]
    found = []
    for sign in (1, -1):
        x, y = Embedding(SPACE)(u), sign * np.linspace(-1.0, 1.0, 6)
        network = SharedFeatures(4, 1, np.random.default_rng(0), width=8)
        network.train([(x, y)], 20)
        found.append(network.features(x))
    assert found[0] == pytest.approx(found[1])
    problem = Problem(SPACE, ("loss",), None, Budget(max_jobs=99), advice=FAMILY)
    search = ABLR(iterations=5, refine=2).begin(problem, np.random.default_rng(0))
    search.tell(told[:2])
    assert len(search.believed()._regressions) == 4
    search.tell(told[2:])
    [own] = search.believed()._regressions
    assert own.y == pytest.approx(transformed(Shifted(1).loss(u)))


# rgpe


def test_pairs_in_the_wrong_order_are_counted() -> None:
    y = np.array([0.0, 1.0, 2.0])
    draws = np.array([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0]])
    assert misranked(draws, y).tolist() == [0, 6]
    assert misranked(np.array([[1.5], [1.0], [2.0]]), y, others_known=True).tolist() == [1]


def test_weights_are_shares_of_least_losses_and_bad_models_are_left_out() -> None:
    losses = np.array([[1.0, 3.0, 1.0, 3.0], [2.0, 2.0, 1.0, 2.0], [9.0, 9.0, 9.0, 0.0], [4.0, 4.0, 4.0, 1.0]])
    assert ranking_weights(losses).tolist() == [0.375, 0.375, 0.0, 0.25]


def test_gradients_are_slopes() -> None:
    rng = np.random.default_rng(0)
    inputs = Inputs(np.arange(2), np.arange(0))
    gps = [fit(x := rng.random((8, 2)), np.sin(5 * x[:, 0]) + x[:, 1] * k, inputs) for k in (1.0, -1.0)]
    copula = Copula(gps[0], lambda x: (np.full(len(x), 0.7), np.full(len(x), 2.0)))  # type: ignore[arg-type]
    ensemble = Ensemble([*gps, gps[0]], np.array([0.75, 0.25, 0.0]))
    network = SharedFeatures(2, 2, rng, width=6)
    belief = Regressions(network, [network.regression(x := rng.random((4, 2)), x[:, k], k) for k in (0, 1)])
    pending = np.array([[0.9, 0.9]])
    for process in (ensemble, copula, ensemble.expecting(pending), belief, belief.expecting(pending)):
        at = np.array([[0.4, 0.6]])
        _, _, by_mean, by_variance = process.gradients(at)
        for part, slope in ((0, by_mean[0, 0]), (1, by_variance[0])):
            numeric = approx_fprime(
                at[0], lambda p, part=part, process=process: float(process.predict(p[None])[part].ravel()[0]), 1e-6
            )
            assert slope == pytest.approx(numeric, abs=1e-4)
    known = ensemble.expecting(np.array([[0.4, 0.6]])).predict(np.array([[0.4, 0.6]]))
    assert known[0] == pytest.approx(ensemble.predict(np.array([[0.4, 0.6]]))[0], abs=1e-3)
    assert known[1][0] < ensemble.predict(np.array([[0.4, 0.6]]))[1][0]


def test_what_is_left_out_is_predicted_by_the_others() -> None:
    rng = np.random.default_rng(0)
    x, inputs = rng.random((7, 2)), Inputs(np.arange(2), np.arange(0))
    gp = fit(x, np.sin(5 * x[:, 0]), inputs)
    means, variances = gp.left_out()
    others = GP(x[1:], np.sin(5 * x[1:, :1]), inputs, gp.theta)
    mean, variance = others.predict(x[:1])
    assert means[0] == pytest.approx(mean[0])
    assert variances[0] == pytest.approx(variance[0] + gp.noise)


def test_a_past_task_with_the_wrong_order_loses_its_weight() -> None:
    tasks = FAMILY.past[:1]
    wrong = replace(tasks[0], losses=tuple(-v for v in tasks[0].losses))
    problem = Problem(SPACE, ("loss",), None, Budget(max_jobs=99), advice=Advice(past=(*tasks, wrong)))
    search = RGPE().begin(problem, np.random.default_rng(0))
    u = SPACE.sample(np.random.default_rng(1), 8)
    values = Shifted(100).loss(u)
    search.tell([report(config, float(value)) for config, value in zip(SPACE.decode(u), values, strict=True)])
    parts = dict(search.believed()._parts)
    assert search._past[1] not in parts
    assert parts[search._past[0]] > 0.2


# quantile_transfer


def test_normal_scores_are_of_ranks_and_cut_off() -> None:
    z = scores(np.array([1.0, 1e9, np.inf, 2.0, 3.0]))
    assert np.argsort(z).tolist() == [0, 3, 4, 1, 2]
    assert z[4] == pytest.approx(0.0)
    many = scores(np.arange(10_000.0))
    delta = 1 / (4 * 10 * np.sqrt(np.pi * np.log(10_000)))
    assert many[0] == pytest.approx(many[20])
    from scipy.stats import norm

    assert many[0] == pytest.approx(norm.ppf(delta))


def test_beyond_max_points_the_best_is_kept_though_it_was_expected() -> None:
    problem = Problem(SPACE, ("loss",), None, Budget(max_jobs=99), advice=FAMILY)
    search = QuantileTransfer(max_points=10, candidates=16, starts=1).begin(problem, np.random.default_rng(0))
    u = SPACE.sample(np.random.default_rng(1), 60)
    mean, std = search._prior(search._embed(u))
    best = int(mean[:30].argmin())
    values = np.argsort(np.argsort(-mean)).astype(float)  # all others surprise: what was expected to be bad is good
    values[best] = -1.0
    assert best not in kept((scores(values) - mean) / std, 10)
    search.tell([report(config, float(value)) for config, value in zip(SPACE.decode(u), values, strict=True)])
    next(search.promising(np.empty((0, 4))))
    assert len(search._fitted.u) == 10
    assert (search._fitted.u == u[best]).all(axis=1).any()


# bounding_box


def test_the_box_holds_the_best_of_every_past_task() -> None:
    space = MIXED
    u = space.sample(np.random.default_rng(0), 40)
    tasks = [Past(u[:20], np.arange(20.0)), Past(u[20:], np.arange(20.0))]
    box = box_of(space, tasks)
    best = space.decode(u[[0, 20]])
    for config in best:
        box.check(config)
    inside = space.encode(box.decode(box.sample(np.random.default_rng(1), 200)))
    for j, name in enumerate(space.names):
        there = [config for config in best if name in config]
        if there and not space.categorical[j]:
            ends, near = u[[0, 20], j], 1e-4 if isinstance(there[0][name], float) else 0.15
            assert np.nanmin(inside[:, j]) >= np.nanmin(ends) - near
            assert np.nanmax(inside[:, j]) <= np.nanmax(ends) + near
    wide = box_of(space, tasks, slack=1.0)
    numbers = [n for j, n in enumerate(space.names) if not space.categorical[j] and any(n in c for c in best)]
    for name in numbers:
        assert wide.configspace[name] == space.configspace[name]


def test_a_default_within_the_box_stays() -> None:
    space = space_from_yaml({
        "kernel": {"type": "categorical", "choices": ["linear", "poly", "rbf"], "default": "rbf"},
        "rate": {"type": "float", "lower": 0.0, "upper": 1.0, "default": 0.5},
    })  # fmt: skip
    configs = ({"kernel": "linear", "rate": 0.4}, {"kernel": "rbf", "rate": 0.6})
    box = box_of(space, [Past(space.encode([config]), np.zeros(1)) for config in configs])
    assert box.default() == space.default()
    assert len(box.levels("kernel")) == 2


def test_foreign_jobs_outside_the_box_are_not_passed_on() -> None:
    problem = Problem(SPHERE, ("loss",), None, Budget(max_jobs=9), advice=Advice(past=past_bowls(SPHERE)))
    search = BoundingBox(inner="gp").begin(problem, np.random.default_rng(0))
    outside, inside = dict.fromkeys(SPHERE.names, 0.99), search._box.default()
    search.tell([report(outside, 1.0), report(dict(inside), 2.0)])
    assert len(search._inner.history) == 1
    assert all(search._box.check(p.config) is None for p in search.ask(3, []))
