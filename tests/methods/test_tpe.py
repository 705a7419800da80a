from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import ConfigSpace as CS
import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from hptbench.errors import UserError
from hptbench.methods._tpe import decayed, improvements, number_of_good
from hptbench.methods.random import RandomSearch
from hptbench.methods.tpe import TPE, best
from hptbench.models.tpe_density import Densities
from hptbench.paths import conf_dir
from hptbench.protocol import Budget, Method, Problem, Proposal, Report, Status
from hptbench.space import Config, Floats, Space
from hptbench.spacefile import space_from_yaml
from hptbench.testing.methods import incumbent, problem_of, records_of
from hptbench.testing.problems import Bowl

UNIT = space_from_yaml({"a": {"type": "float", "lower": 0, "upper": 1}, "b": {"type": "float", "lower": 0, "upper": 1}})
SMALL = space_from_yaml(
    {"n": {"type": "integer", "lower": 1, "upper": 4}, "c": {"type": "categorical", "choices": ["x", "y", "z"]}}
)
TASK = Bowl(noise=0.0, fidelity=None)


def problem(space: Space) -> Problem:
    return Problem(space, ("loss",), None, Budget(max_jobs=100))


def report(config: Config, value: float) -> Report:
    status = Status.OK if math.isfinite(value) else Status.FAILED
    return Report(0, 0, Proposal(config), 1.0, status, (value,), (), 1.0)


def told(method: TPE, space: Space, configs: Sequence[Config], loss: Callable[[Config], float], seed: int = 0):
    search = method.begin(problem(space), np.random.default_rng(seed))
    search.tell([report(config, loss(config)) for config in configs])
    return search


def uniform(space: Space, n: int, seed: int = 0) -> list[dict[str, object]]:
    return space.decode(space.sample(np.random.default_rng(seed), n))


def a(config: Config) -> float:
    return float(config["a"])


# the pieces


@pytest.mark.parametrize(
    ("rule", "beta", "n", "good"),
    [
        ("linear", 0.15, 1, 1), ("linear", 0.15, 10, 2), ("linear", 0.15, 20, 3), ("linear", 0.15, 21, 4),
        ("linear", 0.15, 1000, 25), ("sqrt", 0.25, 10, 1), ("sqrt", 0.25, 100, 3), ("sqrt", 0.75, 100, 8),
        ("sqrt", 1.0, 10_000, 25), ("linear", 0.15, 0, 0),
    ],
)  # fmt: skip
def test_how_many_are_good(rule: str, beta: float, n: int, good: int) -> None:
    assert number_of_good(rule, beta, n) == good


def test_weights_by_age_are_those_of_hyperopt() -> None:
    assert decayed(0).tolist() == []
    assert decayed(25).tolist() == [1.0] * 25
    assert decayed(28).tolist() == pytest.approx([1 / 28, (1 / 28 + 1) / 2, 1.0, *[1.0] * 25])


def test_weights_by_improvement() -> None:
    assert improvements(np.array([1.0, 2.5, 3.0]), 3.0).tolist() == [2.0, 0.5, 1e-12]
    assert improvements(np.array([1.0, 2.5]), math.inf).tolist() == [1.0, 1.0]
    assert improvements(np.array([-1.7e308, 1.0]), 1.7e308).tolist() == [1e300, 1e300]


def test_huge_losses_are_no_error() -> None:
    search = told(TPE(), UNIT, uniform(UNIT, 40), lambda c: 1.7e308 * (2 * a(c) - 1))
    assert np.mean([a(p.config) for p in search.ask(20, [])]) < 0.3


def test_the_best_are_finite_and_the_earlier_of_equal_ones() -> None:
    losses = np.array([3.0, 1.0, math.inf, 1.0, 2.0, 1.0])
    assert np.flatnonzero(best(losses, 2)).tolist() == [1, 3]
    assert np.flatnonzero(best(losses, 9)).tolist() == [0, 1, 3, 4, 5]
    assert not best(np.full(3, math.inf), 2).any()


class Spy(Densities):
    """Remembers what it is fitted to."""

    def fit(self, u: Floats, good, weights, priors) -> None:
        self.seen = (u.copy(), good.copy(), weights.copy(), priors)
        super().fit(u, good, weights, priors)


def seen_by(method: TPE, losses: Sequence[float], running: Sequence[Config] = ()):
    configs = uniform(UNIT, len(losses))
    values = dict(zip([a(c) for c in configs], losses, strict=True))
    search = told(method, UNIT, configs, lambda c: values[a(c)])
    search._densities = Spy(UNIT, method.rules)
    search.ask(1, [Proposal(c) for c in running])
    return search._densities.seen


def test_split_and_weights_of_the_recommended_setting() -> None:
    losses = [5.0, 1.0, 9.0, 2.0, math.inf, 4.0, 8.0, 7.0, 6.0, 3.0, 10.0, 11.0, 12.0, 13.0]  # ceil(0.15 * 14) = 3
    u, good, weights, priors = seen_by(TPE(), losses)
    assert u.shape == (14, 2)
    assert np.flatnonzero(good).tolist() == [1, 3, 9]
    assert weights[good].tolist() == [3.0, 2.0, 1.0]  # 4 is the best of the others
    assert weights[~good].tolist() == [1.0] * 11
    assert priors == (2.0, 1.0)


def test_pending_jobs_are_bad() -> None:
    config = {"a": 0.25, "b": 0.75}
    u, good, weights, _ = seen_by(TPE(), [float(i) for i in range(12)], [config, config])
    assert u[12:].tolist() == [[0.25, 0.75]] * 2
    assert len(good) == len(weights) == 14
    assert not good[12:].any()
    assert good.sum() == 2  # pending ones are not counted among the observations


def test_failed_jobs_are_never_good() -> None:
    _, good, weights, _ = seen_by(TPE(beta=0.9), [math.inf] * 9 + [1.0, 2.0])
    assert np.flatnonzero(good).tolist() == [9, 10]
    assert weights.tolist() == [1.0] * 11
    _, good, _, priors = seen_by(TPE(), [math.inf] * 12)
    assert not good.any()
    assert priors == (1.0, 1.0)


def test_old_observations_weigh_less() -> None:
    _, good, weights, priors = seen_by(TPE(weights="old_decay"), [float(i) for i in range(40)])
    assert weights[good].tolist() == [1.0] * 6
    assert weights[~good].tolist() == pytest.approx(decayed(34).tolist())
    assert priors == (1.0, 1.0)


# the choice


@pytest.mark.parametrize("multivariate", [True, False])
def test_the_candidate_of_the_largest_ratio_is_taken(multivariate: bool) -> None:
    method = TPE(multivariate=multivariate)
    configs = uniform(UNIT, 30)
    search = told(method, UNIT, configs, a, seed=3)
    [proposal] = search.ask(1, [])
    again = told(method, UNIT, configs, a, seed=3)
    ranked = again._ranked(np.empty((0, 2)))
    assert UNIT.decode(ranked[:1])[0] == proposal.config
    good, others = again._densities.logpdf(ranked)
    assert len(ranked) == 24
    if multivariate:
        assert (np.diff(good - others) <= 1e-9).all()
    else:  # every parameter by itself: the first is the best in each
        good, others = again._densities.logpdfs(ranked)
        assert (np.diff(good - others, axis=0) <= 1e-9).all()


def test_proposals_move_to_good_values() -> None:
    proposals = told(TPE(), UNIT, uniform(UNIT, 40), a).ask(20, [])
    assert np.mean([a(p.config) for p in proposals]) < 0.2
    assert 0.3 < np.mean([float(p.config["b"]) for p in proposals]) < 0.7


def test_a_prior_of_an_expert_shifts_the_choice() -> None:
    calls: list[int] = []

    def belief(u: Floats, n: int) -> Floats:
        calls.append(n)
        return np.where(u[:, 1] > 0.5, 0.0, -1e6)

    search = TPE().begin(problem(UNIT), np.random.default_rng(0), log_prior=belief)
    search.tell([report(c, a(c)) for c in uniform(UNIT, 40)])
    assert all(float(p.config["b"]) > 0.5 for p in search.ask(15, []))
    assert calls == [40] * 15


def test_the_first_are_random_and_foreign_reports_count() -> None:
    drawn = TPE().begin(problem(UNIT), np.random.default_rng(5)).ask(3, [])
    assert [p.config for p in drawn] == [
        p.config for p in RandomSearch().begin(problem(UNIT), np.random.default_rng(5)).ask(3, [])
    ]
    search = told(TPE(startup=30), UNIT, uniform(UNIT, 29), a)
    search._densities = Spy(UNIT, TPE().rules)
    search.ask(1, [])
    assert not hasattr(search._densities, "seen")
    search.tell([report({"a": 0.5, "b": 0.5}, 1.0)])
    search.ask(1, [])
    assert len(search._densities.seen[0]) == 30


def test_lower_fidelities_are_left_out() -> None:
    task = Bowl(over="sphere", noise=0.0)
    search = TPE().begin(problem_of(task), np.random.default_rng(0))
    search.tell([Report(0, 0, Proposal(c), 9.0, Status.OK, (0.0,), (), 1.0) for c in uniform(task.space, 30)])
    assert len(search._history) == 0


# spaces


def test_a_finite_space_is_exhausted_before_anything_is_repeated() -> None:
    search = TPE(startup=3).begin(problem(SMALL), np.random.default_rng(0))
    seen = []
    for _ in range(14):
        [proposal] = search.ask(1, [])
        seen.append(tuple(proposal.config.values()))
        search.tell([report(proposal.config, float(proposal.config["n"]))])
    assert len(set(seen[:12])) == 12
    assert len(search.ask(5, [])) == 5


def test_parallel_workers_get_different_configurations() -> None:
    search = told(TPE(startup=0), SMALL, uniform(SMALL, 4), lambda c: float(c["n"]))
    configs = [tuple(p.config.values()) for p in search.ask(6, [])]
    assert len(set(configs)) == 6


def test_forbidden_candidates_are_left_out() -> None:
    configspace = CS.ConfigurationSpace()
    configspace.add(CS.Float("a", (0, 1)), CS.Float("b", (0, 1), default=0.1))
    configspace.add(CS.ForbiddenLessThanRelation(configspace["a"], configspace["b"]))
    space = Space(configspace)
    search = told(TPE(), space, uniform(space, 30), lambda c: a(c) - float(c["b"]))
    assert all(a(p.config) >= float(p.config["b"]) for p in search.ask(20, []))


@pytest.mark.parametrize("multivariate", [True, False])
def test_branches_are_learned(multivariate: bool) -> None:
    """The best values lie under ``kind: deep``, at a depth that other branches lack."""

    def loss(config: Config) -> float:
        return abs(float(config["depth"]) - 7) if config["kind"] == "deep" else 5.0

    search = told(TPE(multivariate=multivariate), TASK.space, uniform(TASK.space, 60), loss)
    proposals = search.ask(20, [])
    for proposal in proposals:
        TASK.space.check(proposal.config)
    deep = [p.config for p in proposals if p.config["kind"] == "deep"]
    assert len(deep) >= 15
    assert np.mean([abs(float(c["depth"]) - 7) for c in deep]) < 1.5


# the whole method


def rounded(config: Config) -> list[object]:
    return [float(f"{v:.6g}") if isinstance(v, float) else v for v in config.values()]


GOLDEN: dict[str, list[list[object]]] = {
    "tpe": [
        [True, "deep", 1, 0.00143989, 4.97271, 2, 6.67884],
        [True, "deep", 2, 0.0256748, 2.10596, 4, 1.82783],
        [True, "deep", 2, 0.00011349, 1.8691, 6, 2.04129],
        [False, "deep", 2, 1.26318e-05, 1.32194, 7, 1.05513],
        [True, "deep", 2, 0.000338944, 2.45567, 9, 2.63951],
        [True, "deep", 2, 8.80889e-05, -1.70174, 6, 5.14047],
        [True, "deep", 2, 2.89778e-05, -2.11543, 5, 6.86699],
        [True, "deep", 2, 1.52446e-05, -3.45883, 5, 7.77042],
    ],
    "tpe_hyperopt": [
        [True, "deep", 1, 0.322173, 4.41125, 2, 2.13883],
        [False, "deep", 1, 0.0144962, 2.84491, 2, 3.01507],
        [True, "deep", 2, 0.00169993, 0.603341, 9, 11.5051],
        [True, "wide", 3, 0.0192213, 4.32218, 6.36313],
        [False, "deep", 2, 1.16455e-05, 2.76978, 5, 47.2059],
        [True, "deep", 4, 0.000164216, -1.56279, 1, 1.12192],
        [False, "wide", 4, 0.000307969, -4.93785, 1.13314],
        [True, "plain", 4, 0.000121859, -1.61863],
    ],
}


@pytest.mark.parametrize("name", ["tpe", "tpe_hyperopt"])
def test_golden_trace(name: str) -> None:
    method = TPE(startup=4) if name == "tpe" else TPE(startup=4, multivariate=False, weights="old_decay", gamma="sqrt")
    records = records_of(method, TASK, budget=Budget(max_jobs=12))
    assert [rounded(r.job.proposal.config) for r in records[4:]] == GOLDEN[name]


@pytest.mark.slow
@pytest.mark.parametrize("method", [TPE(), TPE(multivariate=False)], ids=["multivariate", "univariate"])
def test_beats_random_search(method: Method) -> None:
    """On a bowl over a mixed, conditional space, 15 seeds."""
    from scipy.stats import mannwhitneyu

    def finals(of: Method) -> list[float]:
        return [incumbent(records_of(of, TASK, seed, Budget(max_jobs=50))) for seed in range(15)]

    assert mannwhitneyu(finals(method), finals(RandomSearch()), alternative="less").pvalue < 0.01


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("startup", -1), ("candidates", 0), ("gamma", "cubic"), ("beta", 0.0), ("weights", "heavy"),
        ("bandwidth", "silverman"), ("min_bandwidth", 0.0), ("min_bandwidth", 1.5), ("magic_exponent", 0.0),
        ("categorical_bandwidth", 0.6), ("categorical_bandwidth", 0.0), ("prior_weight", -1.0),
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(field: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"tpe\.{field}"):
        TPE(**{field: value})  # type: ignore[arg-type]


def test_the_variant_of_hyperopt_composes() -> None:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        from hptbench.registry import add_to_hydra

        add_to_hydra()
        node = compose("config", ["+method=[tpe,tpe_hyperopt]"]).method
    assert node.tpe_hyperopt._target_ == node.tpe._target_
    assert (node.tpe.multivariate, node.tpe_hyperopt.multivariate) == (True, False)
