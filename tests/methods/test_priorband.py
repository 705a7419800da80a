from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from evolving import MIXED, SMALL, SPHERE
from scipy.stats import truncnorm

from hptbench.errors import UserError
from hptbench.methods.hyperband import Hyperband
from hptbench.methods.priorband import PriorBand
from hptbench.protocol import Budget, Fidelity, Problem, Proposal, Report, Status
from hptbench.space import Config, Space
from hptbench.tasks.guessed import Guessed
from hptbench.tasks.synthetic import SyntheticTask
from hptbench.testing.methods import incumbent, records_of
from hptbench.testing.problems import Bowl

EPOCHS = Fidelity(1, 9, "epoch", continues=True)
TASK = Bowl(over="sphere", noise=0.0, fidelity=EPOCHS)


def begin(space: Space = SPHERE, seed: int = 0, fidelity: Fidelity = EPOCHS, **settings: Any) -> Any:
    problem = Problem(space, ("loss",), fidelity, Budget(max_jobs=1000))
    return PriorBand(**settings).begin(problem, np.random.default_rng(seed))


def told(search: Any, config: Config, fidelity: float, value: float, job: int) -> None:
    search.tell([Report(job, job, Proposal(config, fidelity), fidelity, Status.OK, (value,), (), 1.0)])


def test_the_mode_is_trained_to_the_end_first_then_hyperband_s_brackets() -> None:
    prior = {"a": {"mean": 0.2, "std": 0.1}}
    records = records_of(PriorBand(prior=prior), TASK, budget=Budget(max_jobs=23))
    assert records[0].job.proposal.config == {"a": pytest.approx(0.2), "b": 0.5, "c": 0.5}
    assert [r.job.stop for r in records[:14]] == [9, *[1] * 9, *[3] * 3, 9]
    assert [r.job.stop for r in records[14:]] == [*[3] * 5, 9, *[9] * 3]


def test_weights_before_the_incumbent_takes_part() -> None:
    ensemble = begin()._ensemble
    for rung, uniform in ((0, 1 / 2), (1, 1 / 4), (2, 1 / 10)):
        assert ensemble.weights(rung) == {"uniform": uniform, "prior": 1 - uniform, "incumbent": 0.0}


def test_the_shares_of_samplers_by_bracket() -> None:
    names: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for seed in range(40):
        for record in records_of(PriorBand(), TASK, seed, Budget(max_jobs=23))[1:]:
            note = record.job.proposal.note
            if note["rung"] == 0:
                names[note["bracket"]].append(note["sampler"])
    for rung, drawn in names.items():
        expected = 1 / (1 + 3**rung)
        assert abs(np.mean([n == "uniform" for n in drawn]) - expected) < 4 * math.sqrt(expected / len(drawn))
    assert "incumbent" not in names[0]
    assert "incumbent" in names[1]


def fill(search: Any) -> list[Config]:
    """A first bracket's worth: 9 at 1, 3 at 3 and 1 at 9 epochs (with the mode, 2), the mode not the best."""
    configs: list[Config] = [{"a": 0.1 * i, "b": 0.9, "c": 0.3} for i in range(1, 10)]
    for i, config in enumerate(configs):
        told(search, config, 1.0, float(i), i)
    for i, config in enumerate(configs[:3]):
        told(search, config, 3.0, [5.0, 4.0, 6.0][i], 10 + i)
    return configs


def test_the_incumbent_takes_part_after_a_bracket_s_training() -> None:
    search = begin()
    configs = fill(search)
    assert search._ensemble.weights(0)["incumbent"] == 0, "nothing has been trained to the end"
    told(search, configs[1], 9.0, 1.0, 20)
    assert search._ensemble.weights(0)["incumbent"] > 0, "9 + 3 * 2 + 6 epochs have been spent"
    other = begin()
    told(other, configs[0], 9.0, 1.0, 0)
    assert other._ensemble.weights(0)["incumbent"] == 0, "no bracket's training has been spent"


def density(x: float, mean: float, std: float) -> float:
    return float(truncnorm((0 - mean) / std, (1 - mean) / std, mean, std).pdf(x))


def test_the_score_of_the_incumbent_by_hand() -> None:
    """The highest rung with eta configurations is that of 3 epochs; of its three, one counts."""
    search = begin(prior={"a": {"mean": 0.6, "std": 0.2}})
    configs = fill(search)
    told(search, configs[0], 9.0, 1.0, 20)
    best = configs[1]  # 4.0 at 3 epochs
    about, prior = 1.0, density(0.2, 0.6, 0.2)
    for name in "abc":
        about *= density(float(best[name]), float(configs[0][name]), 0.25)
    for name in "bc":
        prior *= density(float(best[name]), 0.5, 0.25)
    weights = search._ensemble.weights(1)
    assert weights["incumbent"] == pytest.approx(0.75 * about / (about + prior))
    assert sum(weights.values()) == pytest.approx(1)
    told(search, configs[3], 3.0, 3.0, 30)
    told(search, configs[4], 3.0, 7.0, 31)
    told(search, configs[5], 3.0, 8.0, 32)  # six: the best two count, twice and once
    scores = [0.0, 0.0]
    for place, config in ((2, configs[3]), (1, configs[1])):
        u = SPHERE.encode([config])[0]
        scores[0] += place * math.prod(density(x, m, 0.25) for x, m in zip(u, (0.1, 0.9, 0.3), strict=True))
        scores[1] += place * density(u[0], 0.6, 0.2) * density(u[1], 0.5, 0.25) * density(u[2], 0.5, 0.25)
    assert search._ensemble.weights(1)["incumbent"] == pytest.approx(0.75 * scores[0] / sum(scores))


def test_mutants_of_the_incumbent() -> None:
    ensemble = begin(MIXED)._ensemble
    [config] = MIXED.decode(np.array([[0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]]))
    ensemble._told[-1].append((0.0, 0, config))
    mutants = [ensemble._drawn("incumbent") for _ in range(600)]
    for mutant in mutants:
        MIXED.check(mutant)
    for name in ("x", "flag"):
        changed = [m[name] != config[name] for m in mutants]
        assert 0.42 < np.mean(changed) < 0.58
    steps = np.array([MIXED.place("x", m["x"]) - 0.5 for m in mutants if m["x"] != config["x"]])
    assert abs(steps.std() - truncnorm(-2, 2, 0, 0.25).std()) < 0.03


def test_no_configuration_is_drawn_twice_until_all_have_been() -> None:
    search = begin(SMALL, prior={"n": {"mean": 1, "std": 0.01}, "c": {"a": 1.0}})
    configs = [frozenset(p.config.items()) for p in search.ask(10, [])]  # the mode, and the first rung
    assert len(set(configs)) == 10
    assert search.ask(200, [])


def test_a_good_prior_helps_and_a_bad_one_is_recovered_from() -> None:
    base = SyntheticTask("mf_hartmann6_good")
    good, bad = (Guessed(base, distance, 1) for distance in (0.02, 0.5))
    budget = Budget(max_full_evals=12)

    def regret(method: Any, task: Any, budget: Budget = budget) -> float:
        return float(np.median([incumbent(records_of(method, task, s, budget)) - base.optimum for s in range(4)]))

    assert regret(PriorBand(std=0.1), good) < 0.5 * regret(Hyperband(), good)
    assert regret(PriorBand(std=0.1), bad, Budget(max_full_evals=24)) < regret(
        PriorBand(std=0.1), bad, Budget(max_full_evals=3)
    )


@pytest.mark.parametrize("wrong", [{"prior": 3}, {"std": 0.0}, {"confidence": 2.0}, {"mutation_rate": 0.0},
                                   {"mutation_std": -1.0}])  # fmt: skip
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"priorband\.{next(iter(wrong))}"):
        PriorBand(**wrong)
