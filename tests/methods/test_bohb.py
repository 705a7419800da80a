from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import ConfigSpace as CS
import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.methods.bohb import BOHB, _Sampler, choose, split
from hptbench.methods.hyperband import Hyperband
from hptbench.methods.random import RandomSearch
from hptbench.models.parzen import Parzen
from hptbench.protocol import Budget, Fidelity, Method, Problem, Proposal, Report, Status
from hptbench.space import Config, Floats, Kind, Space
from hptbench.spacefile import space_from_yaml
from hptbench.testing.methods import incumbent, problem_of, records_of
from hptbench.testing.problems import Bowl

FIDELITY = Fidelity(1, 27)
MIXED = space_from_yaml(
    {
        "kernel": {"type": "categorical", "choices": ["linear", "poly", "rbf"]},
        "cost": {"type": "float", "lower": 1e-4, "upper": 1e4, "log": True},
        "gamma": {"type": "float", "lower": 1e-4, "upper": 1e4, "log": True, "when": {"kernel": "rbf"}},
        "degree": {"type": "integer", "lower": 2, "upper": 5, "when": {"kernel": "poly"}},
        "shape": {"type": "categorical", "choices": ["a", "b"], "when": {"kernel": ["poly", "rbf"]}},
        "size": {"type": "ordinal", "choices": ["s", "m", "l"]},
        "fixed": {"type": "constant", "value": 3},
    }
)
DIMENSIONS = 6
Loss = Callable[[Config], float]


def begin(method: BOHB, space: Space = MIXED, seed: int = 0) -> _Sampler:
    """The sampler alone, without brackets."""
    return _Sampler(method, space, FIDELITY, np.random.default_rng(seed))


def reports(configs: Sequence[Config], loss: Loss, fidelity: float = 27.0) -> list[Report]:
    out = []
    for job, config in enumerate(configs):
        value = loss(config)
        status = Status.OK if math.isfinite(value) else Status.FAILED
        out.append(Report(job, job, Proposal(config, fidelity), fidelity, status, (value,), (), 1.0))
    return out


def uniform(space: Space, n: int, seed: int = 1) -> list[Mapping[str, Any]]:
    return list(space.decode(space.sample(np.random.default_rng(seed), n)))


def cost_loss(config: Config) -> float:
    """Best at cost 1; one kernel is better; a few ties."""
    return round(abs(math.log10(float(config["cost"]))), 1) + (config["kernel"] != "rbf")


# against a slow, plain version


class Plain:
    """HpBandSter's config generator, one candidate, one row and one number at a time, with statsmodels' density.

    It shares with the tested code only the order of random numbers and the draws of candidates."""

    def __init__(self, space: Space, seed: int, minimum: int, top: int = 15) -> None:
        self.space, self.rng, self.minimum, self.top = space, np.random.default_rng(seed), minimum, top
        self.columns = [j for j in range(len(space)) if space.kinds[j] is not Kind.CONSTANT]
        self.levels = [int(space.sizes[j]) if space.kinds[j] is Kind.CATEGORICAL else 0 for j in self.columns]
        self.configs: dict[float, list[list[float]]] = {}
        self.losses: dict[float, list[float]] = {}
        self.parts: dict[float, tuple[list[int], list[int]]] = {}
        self.kdes: tuple[Any, Any] | None = None

    def new_result(self, report: Report) -> None:
        budget = report.fidelity
        if max([*self.parts, -math.inf]) > budget:
            return
        unit = self.space.encode([report.proposal.config])
        codes = self.space.codes(unit)
        row = [(codes if level else unit)[0, j] for j, level in zip(self.columns, self.levels, strict=True)]
        self.configs.setdefault(budget, []).append(row)
        self.losses.setdefault(budget, []).append(report.values[0])
        n = len(self.configs[budget])
        if n <= self.minimum - 1:
            return
        n_good = max(self.minimum, self.top * n // 100)
        n_bad = max(self.minimum, (100 - self.top) * n // 100)
        index = sorted(range(n), key=lambda i: self.losses[budget][i])
        good, bad = index[:n_good], index[n_good : n_good + n_bad]
        if min(len(good), len(bad)) <= len(self.columns):
            return
        self.parts[budget], self.kdes = (good, bad), None

    def kde(self, rows: list[list[float]]) -> Any:
        from statsmodels.nonparametric.kernel_density import KDEMultivariate

        u = self.rng.random((len(rows), len(self.columns)))
        data = np.array([self.imputed(rows, i, u[i]) for i in range(len(rows))])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            kde = KDEMultivariate(data, "".join("u" if level else "c" for level in self.levels), bw="normal_reference")
        kde.bw = np.clip(kde.bw, 1e-3, None)
        return kde

    def imputed(self, rows: list[list[float]], i: int, u: Floats) -> list[float]:
        datum = list(rows[i])
        while any(map(math.isnan, datum)):
            j = next(j for j, value in enumerate(datum) if math.isnan(value))
            donors = [row for row in rows if not math.isnan(row[j])]
            if donors:
                donor = donors[int(u[j] * len(donors))]
                datum = [d if math.isnan(v) else v for v, d in zip(datum, donor, strict=True)]
            else:
                datum[j] = int(u[j] * self.levels[j]) if self.levels[j] else u[j]
        return datum

    def get_config(self, fraction: float) -> tuple[Config, bool]:
        if self.rng.random() < fraction or not self.parts:
            return self.space.decode(self.space.sample(self.rng, 1))[0], False
        if self.kdes is None:
            budget = max(self.parts)
            good_rows, bad_rows = ([self.configs[budget][i] for i in part] for part in self.parts[budget])
            self.kdes = self.kde(good_rows), self.kde(bad_rows)
        good, bad = self.kdes
        candidates = Parzen(good.data, np.array(self.levels), 1e-3).near(64, 3.0, self.rng)
        best, vector = math.inf, None
        for candidate in candidates:
            with np.errstate(all="ignore"):
                val = max(1e-32, bad.pdf(candidate)) / max(good.pdf(candidate), 1e-32)
                if not np.isfinite(val) and np.isfinite(good.pdf(candidate)):
                    vector = candidate
                    break
            if val < best:
                best, vector = val, candidate
        if vector is None:
            return self.space.decode(self.space.sample(self.rng, 1))[0], False
        config: dict[str, Any] = {}
        for j, parameter in enumerate(self.space.names):
            if self.space.kinds[j] is Kind.CONSTANT:
                config[parameter] = self.space.configspace[parameter].value
                continue
            x = vector[self.columns.index(j)]
            hp = self.space.configspace[parameter]
            if self.space.kinds[j] is Kind.CATEGORICAL:
                config[parameter] = hp.choices[int(x)]
            elif self.space.kinds[j] is Kind.ORDINAL:
                config[parameter] = hp.sequence[min(int(x * 3), 2)]
            elif self.space.kinds[j] is Kind.INTEGER:
                config[parameter] = int(np.clip(np.rint(1.5 + x * 4), 2, 5))
            else:
                config[parameter] = 10 ** (-4 + 8 * x)
        return self.space.canonical(config), True


@pytest.mark.parametrize("seed", range(4))
def test_draws_are_those_of_a_plain_version(seed: int) -> None:
    """Draw for draw over 70 results at three fidelities, so that the model grows and moves up."""
    sampler, plain = begin(BOHB(), seed=seed), Plain(MIXED, seed, minimum=DIMENSIONS + 1)
    fidelities = np.random.default_rng(seed).choice([1.0, 3.0, 27.0], p=[0.5, 0.25, 0.25], size=70)
    by_model = 0
    for fidelity in fidelities:
        config, note = sampler.draw()
        expected, model = plain.get_config(1 / 3)
        assert note == {"model": model}
        assert config.keys() == expected.keys()
        for name, value in config.items():
            assert value == (pytest.approx(expected[name], rel=1e-9) if isinstance(value, float) else expected[name])
        by_model += model
        [told] = reports([config], cost_loss, float(fidelity))
        sampler.learn([told])
        plain.new_result(told)
    assert by_model > 15
    assert max(plain.parts) == 27, "the model has moved up to the highest fidelity"


@pytest.mark.parametrize(("n", "percent"), [(14, 15), (40, 15), (46, 15), (47, 15), (200, 15), (100, 50), (333, 10)])
def test_split(n: int, percent: int) -> None:
    losses = np.random.default_rng(n).integers(20, size=n).astype(float)
    losses[::7] = math.inf
    good, bad = split(losses, 7, percent)
    ranked = sorted(range(n), key=lambda i: losses[i])
    n_good = max(7, percent * n // 100)
    assert good.tolist() == ranked[:n_good]
    assert bad.tolist() == ranked[n_good : n_good + max(7, (100 - percent) * n // 100)]


def plain_choice(good: Sequence[float], bad: Sequence[float]) -> int | None:
    best, index = math.inf, None
    for i in range(len(good)):
        with np.errstate(all="ignore"):
            val = np.float64(max(1e-32, bad[i])) / np.float64(max(good[i], 1e-32))
        if not np.isfinite(val) and np.isfinite(good[i]):
            return i
        if val < best:
            best, index = val, i
    return index


def test_choice_among_candidates_with_strange_densities() -> None:
    rng = np.random.default_rng(0)
    strange = np.array([0.0, 1e-40, 0.5, 2.0, -1.0, math.inf, -math.inf, math.nan])
    kinds = set()
    for _ in range(3000):
        n = rng.integers(1, 5)
        good, bad = rng.choice(strange, n), rng.choice(strange, n)
        assert choose(good, bad) == plain_choice(good.tolist(), bad.tolist()), (good, bad)
        kinds.add(choose(good, bad))
    assert kinds == {None, 0, 1, 2, 3}
    assert choose(np.array([]), np.array([])) is None


# what the model is made of


def test_a_model_needs_more_good_and_more_bad_than_dimensions() -> None:
    sampler = begin(BOHB(random_fraction=0.0))
    told = reports(uniform(MIXED, 30), cost_loss)
    for n in range(20):
        assert sampler.draw()[1] == {"model": n >= 2 * (DIMENSIONS + 1)}
        sampler.learn([told[n]])


def test_more_points_can_be_demanded() -> None:
    sampler = begin(BOHB(random_fraction=0.0, min_points_in_model=12))
    told = reports(uniform(MIXED, 30), cost_loss)
    sampler.learn(told[:18])
    assert sampler.draw()[1] == {"model": False}
    sampler.learn(told[18:19])
    assert sampler.draw()[1] == {"model": True}


def test_the_model_is_that_of_the_highest_fidelity_with_enough_data() -> None:
    """Low fidelity says cost is to be small, high fidelity large: after the high has a model, the low is ignored."""
    sampler = begin(BOHB(random_fraction=0.0))

    def mean_cost() -> float:
        return float(np.mean([math.log10(float(sampler.draw()[0]["cost"])) for _ in range(30)]))

    configs = uniform(MIXED, 60)
    sampler.learn(reports(configs, lambda c: math.log10(float(c["cost"])), 1.0))
    assert mean_cost() < -1.5
    sampler.learn(reports(configs[:13], lambda c: -math.log10(float(c["cost"])), 27.0))
    assert mean_cost() < -1.5, "13 are one too few"
    sampler.learn(reports(configs[13:60], lambda c: -math.log10(float(c["cost"])), 27.0))
    assert mean_cost() > 1.5
    sampler.learn(reports(configs, lambda c: math.log10(float(c["cost"])), 9.0))
    assert mean_cost() > 1.5


def test_failures_count_as_bad() -> None:
    sampler = begin(BOHB(random_fraction=0.0))
    sampler.learn(reports(uniform(MIXED, 80), lambda c: math.inf if float(c["cost"]) > 1 else 1.0))
    costs = [float(sampler.draw()[0]["cost"]) for _ in range(40)]
    assert np.mean([cost <= 1 for cost in costs]) > 0.9


@pytest.mark.parametrize("loss", [lambda c: math.inf, lambda c: 0.5], ids=["all failed", "constant"])
def test_objectives_without_information_are_survived(loss: Loss) -> None:
    sampler = begin(BOHB(random_fraction=0.0))
    sampler.learn(reports(uniform(MIXED, 40), loss))
    for _ in range(20):
        config, note = sampler.draw()
        MIXED.check(config)
        assert note == {"model": True}


def test_random_fraction() -> None:
    sampler = begin(BOHB())
    sampler.learn(reports(uniform(MIXED, 40), cost_loss))
    by_model = sum(bool(sampler.draw()[1]["model"]) for _ in range(600))
    assert 360 < by_model < 440
    sampler = begin(BOHB(random_fraction=1.0))
    sampler.learn(reports(uniform(MIXED, 40), cost_loss))
    assert not any(sampler.draw()[1]["model"] for _ in range(50))


def test_the_density_is_fitted_once_for_equal_data(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = count()
    plain_init = Parzen.__init__
    monkeypatch.setattr(Parzen, "__init__", lambda self, *args: (next(fits), plain_init(self, *args))[1])
    sampler = begin(BOHB(random_fraction=0.0))
    told = reports(uniform(MIXED, 41), cost_loss)
    sampler.learn(told[:40])
    for _ in range(3):
        sampler.draw()
    sampler.learn(told[40:])
    sampler.draw()
    assert next(fits) == 4


# spaces


def test_forbidden_candidates_are_never_proposed() -> None:
    configspace = CS.ConfigurationSpace()
    a, b = CS.Float("a", (0, 1), default=0.9), CS.Float("b", (0, 1), default=0.1)
    configspace.add(a, b)
    configspace.add(CS.ForbiddenLessThanRelation(configspace["a"], configspace["b"]))
    space = Space(configspace)
    sampler = begin(BOHB(random_fraction=0.0), space)
    sampler.learn(reports(uniform(space, 60), lambda c: float(c["a"]) - float(c["b"])))  # best at the forbidden edge
    drawn = [sampler.draw() for _ in range(100)]
    assert all(config["a"] >= config["b"] for config, _ in drawn)
    assert sum(bool(note["model"]) for _, note in drawn) > 90


def test_a_one_point_space_has_no_model() -> None:
    task = Bowl(over="point")
    sampler = begin(BOHB(random_fraction=0.0), task.space)
    sampler.learn(reports(uniform(task.space, 30), lambda c: 1.0))
    assert sampler.draw() == ({"only": 1}, {"model": False})


def test_no_reports_are_no_news() -> None:
    sampler = begin(BOHB())
    sampler.learn([])
    assert sampler.draw()[1] == {"model": False}


# the whole method


def test_golden_sequence_with_one_worker() -> None:
    task = Bowl(over="sphere", noise=0.0, fidelity=Fidelity(1, 81, "epoch", continues=True))
    rungs = "81@1 27@3 9@9 3@27 1@81  27@3 9@9 3@27 1@81  9@9 3@27 1@81  6@27 2@81  5@81  81@1 27@3"
    golden = [float(r) for n, r in (rung.split("@") for rung in rungs.split()) for _ in range(int(n))]
    records = records_of(BOHB(), task, budget=Budget(max_jobs=len(golden)))
    assert [r.job.stop for r in records] == golden
    losses = {r.job.id: r.outcome.curve[-1].values[0] for r in records}
    best = sorted(range(81), key=lambda job: losses[job])[:27]
    assert [r.job.proposal.source for r in records[81:108]] == best
    assert {tuple(r.job.proposal.note) for r in records} == {("model", "bracket", "rung", "slot")}
    assert records[7].job.proposal.note == {"model": False, "bracket": 0, "rung": 0, "slot": 7}


def test_warm_starts_feed_the_model() -> None:
    task = Bowl(over="sphere", noise=0.0)
    search = BOHB(random_fraction=0.0).begin(problem_of(task), np.random.default_rng(0))
    search.tell(reports(uniform(task.space, 60), lambda c: float(c["a"])))
    asked = search.ask(30, [])
    assert all(p.note["model"] for p in asked)
    assert np.mean([float(p.config["a"]) for p in asked]) < 0.25


def test_model_based_draws_are_near_the_optimum() -> None:
    """At 0.3 in each of three dimensions; within 0.2 of it lie 3 % of the cube."""
    task = Bowl(over="sphere", noise=0.0)
    records = records_of(BOHB(), task, budget=Budget(max_jobs=250))
    last = [r.job.proposal for r in records[120:] if r.job.proposal.note["rung"] == 0]
    near = {
        model: np.mean([
            math.dist(task.space.encode([p.config])[0], [0.3] * 3) < 0.2 for p in last if p.note["model"] is model
        ])
        for model in (True, False)
    }  # fmt: skip
    assert near[True] > 0.35
    assert near[False] < 0.1


@pytest.mark.slow
def test_beats_random_search_and_hyperband() -> None:
    """On a bowl over a mixed, conditional space, 20 seeds, equal training."""
    from scipy.stats import mannwhitneyu

    task = Bowl(over="mixed", noise=0.0, fidelity=Fidelity(1, 9, "epoch", continues=True))

    def finals(method: Method) -> list[float]:
        budget = Budget(max_full_evals=40)
        return [incumbent(records_of(method, task, seed, budget)) for seed in range(20)]

    bohb = finals(BOHB())
    for other in (RandomSearch(), Hyperband()):
        assert mannwhitneyu(bohb, finals(other), alternative="less").pvalue < 0.001, other


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("top_n_percent", 0),
        ("top_n_percent", 100),
        ("num_samples", 0),
        ("random_fraction", 1.5),
        ("bandwidth_factor", 0.0),
        ("min_bandwidth", 0.0),
    ],
)
def test_impossible_settings_are_refused(field: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"bohb\.{field}"):
        BOHB(**{field: value})  # type: ignore[arg-type]


def test_a_missing_fidelity_is_refused() -> None:
    with pytest.raises(UserError, match="with a fidelity"):
        BOHB().begin(Problem(MIXED, ("loss",), None, Budget(max_jobs=1)), np.random.default_rng(0))
