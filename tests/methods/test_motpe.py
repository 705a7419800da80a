from __future__ import annotations

import itertools
import math
from dataclasses import replace

import moocore
import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.methods.motpe import MOTPE, contributions, first_fronts, largest_subset, reference_point
from hptbench.methods.random import RandomSearch
from hptbench.protocol import Budget, Method, Problem, Proposal, Report, Status
from hptbench.space import Config
from hptbench.spacefile import space_from_yaml
from hptbench.tasks._wrapper import wrap
from hptbench.tasks.multiobjective import MultiobjectiveTask
from hptbench.testing.methods import records_of

UNIT = space_from_yaml({"a": {"type": "float", "lower": 0, "upper": 1}, "b": {"type": "float", "lower": 0, "upper": 1}})


def volume(values, reference) -> float:
    """Of two objectives, by a sweep."""
    total, top = 0.0, reference[1]
    for x, y in sorted(map(tuple, values)):
        if x < reference[0] and y < top:
            total += (reference[0] - x) * (top - y)
            top = y
    return total


def test_whole_fronts_come_first() -> None:
    #        front 0            front 1       front 2
    values = [(0, 4), (2, 2), (4, 0), (1, 5), (3, 3), (5, 5), (math.inf, math.inf)]
    values = np.array(values, dtype=float)
    assert np.flatnonzero(first_fronts(values, 3)).tolist() == [0, 1, 2]
    assert np.flatnonzero(first_fronts(values, 5)).tolist() == [0, 1, 2, 3, 4]
    assert np.flatnonzero(first_fronts(values, 6)).tolist() == [0, 1, 2, 3, 4, 5]
    assert np.flatnonzero(first_fronts(values, 7)).tolist() == [0, 1, 2, 3, 4, 5]  # failed jobs are never good
    # Of (1, 5) and (3, 3), with the reference 1.1 (3, 5), (1, 5) spans 2.3 * 0.5 and (3, 3) 0.3 * 2.5.
    assert np.flatnonzero(first_fronts(values, 4)).tolist() == [0, 1, 2, 3]
    # Of front 0, with the reference (4.4, 4.4): the middle one spans 2.4 * 2.4.
    assert np.flatnonzero(first_fronts(values, 1)).tolist() == [1]


def test_reference_points() -> None:
    assert reference_point(np.array([[1.0, -2.0, 0.0], [3.0, -4.0, 0.0]])).tolist() == pytest.approx([3.3, -1.8, 1e-12])


def test_weights_are_contributions_to_the_hypervolume_over_the_largest() -> None:
    values = np.array([[0.0, 4.0], [2.0, 2.0], [4.0, 0.0], [2.5, 2.5]])  # the last is dominated by the second
    reference = (4.4, 4.4)
    lost = [volume(values, reference) - volume(np.delete(values, i, axis=0), reference) for i in range(4)]
    assert lost[3] == 0
    expected = np.maximum(np.array(lost) / max(lost), 1e-12)
    assert contributions(values).tolist() == pytest.approx(expected.tolist())


@pytest.mark.parametrize("unit", [1e-9, 1e200])
def test_units_of_the_objectives_do_not_matter(unit: float) -> None:
    t = np.linspace(0.05, np.pi / 2 - 0.05, 9)
    values = np.column_stack([np.cos(t), np.sin(t), 1 + np.cos(3 * t)])
    np.testing.assert_allclose(contributions(unit * values), contributions(values))
    assert largest_subset(unit * values, 4).tolist() == largest_subset(values, 4).tolist()


def test_equal_ones_and_a_single_one_weigh_1() -> None:
    assert contributions(np.array([[0.0, 0.0]])).tolist() == [1.0]
    assert contributions(np.full((3, 2), 7.0)).tolist() == [1.0] * 3
    assert contributions(np.array([[1.7e308, -1.7e308]])).tolist() == [1.0]


@pytest.mark.parametrize("seed", range(5))
def test_the_greedy_subset_is_that_of_a_plain_version(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for k in (2, 3):
        values = rng.random((30, k))
        values = values[moocore.is_nondominated(values)]
        reference = reference_point(values)
        chosen: list[int] = []
        for _ in range(min(5, len(values))):
            rest = [i for i in range(len(values)) if i not in chosen]
            chosen.append(max(rest, key=lambda i: moocore.hypervolume(values[[*chosen, i]], ref=reference)))
        assert largest_subset(values, len(chosen)).tolist() == chosen


def test_the_greedy_subset_is_nearly_the_best() -> None:
    t = np.linspace(0.05, np.pi / 2 - 0.05, 9)
    values = np.column_stack([np.cos(t), np.sin(t)])
    reference = reference_point(values)
    best = max(volume(values[list(c)], reference) for c in itertools.combinations(range(9), 3))
    assert volume(values[largest_subset(values, 3)], reference) >= (1 - 1 / math.e) * best


def told(method: MOTPE, values, seed: int = 0):
    problem = Problem(UNIT, ("f", "g"), None, Budget(max_jobs=99))
    search = method.begin(problem, np.random.default_rng(seed))
    configs = UNIT.decode(UNIT.sample(np.random.default_rng(1), 60))
    reports = []
    for config in configs:
        v = values(config)
        status = Status.OK if all(map(math.isfinite, v)) else Status.FAILED
        reports.append(Report(0, 0, Proposal(config), 1.0, status, v, (), 1.0))
    search.tell(reports)
    return search


def test_proposals_move_to_the_front() -> None:
    def values(c: Config) -> tuple[float, float]:
        return float(c["a"]) + float(c["b"]), 1 - float(c["a"]) + float(c["b"])  # optimal where b = 0

    proposals = told(MOTPE(), values).ask(30, [])
    assert np.mean([float(p.config["b"]) for p in proposals]) < 0.2
    assert np.std([float(p.config["a"]) for p in proposals]) > 0.15


def test_all_failed_and_pending_are_survived() -> None:
    search = told(MOTPE(), lambda c: (math.inf, math.inf))
    configs = [tuple(p.config.values()) for p in search.ask(5, [Proposal({"a": 0.5, "b": 0.5})])]
    assert len(set(configs)) == 5


def test_beats_random_search() -> None:
    """By the hypervolume of 60 evaluations on DTLZ2, 12 seeds, each with another shift."""
    from scipy.stats import mannwhitneyu

    tasks = [wrap(MultiobjectiveTask("dtlz2", 5), [{"shifted": {"seed": seed}}]) for seed in range(12)]

    def volumes(method: Method) -> list[float]:
        runs = [records_of(method, task, seed, Budget(max_jobs=60)) for seed, task in enumerate(tasks)]
        points = [np.array([r.outcome.curve[-1].values for r in run]) for run in runs]
        return [float(moocore.hypervolume(p, ref=[2.5, 2.5])) for p in points]

    assert mannwhitneyu(volumes(MOTPE()), volumes(RandomSearch()), alternative="greater").pvalue < 0.001


GOLDEN: list[list[object]] = [
    [0.0166231, 0.5261, 0.37192, 0.0683849, 0.0291684],
    [0.102047, 0.570386, 0.408559, 0.267533, 0.985249],
    [0.773673, 0.719988, 0.897183, 0.460557, 0.212382],
    [0.292915, 0.223696, 0.210978, 0.03356, 0.337925],
    [0.618045, 0.31479, 0.629408, 0.448256, 0.7925],
    [0.235275, 0.748195, 0.220703, 0.257659, 0.116886],
    [0.625691, 0.731303, 0.577437, 0.648121, 0.333828],
    [0.998512, 0.991458, 0.00609166, 0.708555, 0.579207],
]


def test_golden_trace() -> None:
    task = wrap(MultiobjectiveTask("dtlz2", 5), [{"shifted": {"seed": 1}}])
    records = records_of(MOTPE(startup=4), task, budget=Budget(max_jobs=12))
    assert [[float(f"{v:.6g}") for v in r.job.proposal.config.values()] for r in records[4:]] == GOLDEN


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(UserError, match=r"motpe\.beta"):
        MOTPE(beta=0.0)
    assert replace(MOTPE(), multivariate=True).rules.multivariate
