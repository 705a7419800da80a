from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hptbench.errors import UserError
from hptbench.methods.bore import BORE, labels
from hptbench.methods.random import RandomSearch
from hptbench.methods.sobol import Sobol
from hptbench.protocol import Budget, Clock, Problem, Proposal
from hptbench.rng import entropy, stream
from hptbench.simulate import simulate
from hptbench.spacefile import space_from_yaml
from hptbench.tasks.shifted import Shifted
from hptbench.tasks.synthetic import SyntheticTask
from hptbench.testing.methods import drive, incumbent, records_of
from hptbench.testing.problems import Bowl

SPHERE = Bowl(over="sphere", noise=0.0, fidelity=None)


def test_the_best_quarter_is_good_and_failures_are_not():
    assert labels(np.array([4.0, 1.0, 3.0, 2.0, 5.0]), 0.25).tolist() == [0, 1, 0, 1, 0]
    assert labels(np.array([4.0, 1.0, 3.0, 2.0, 5.0]), 0.2).tolist() == [0, 1, 0, 0, 0]
    assert labels(np.array([math.inf, 1.0, math.inf, 2.0]), 0.1).tolist() == [0, 1, 0, 0]
    assert labels(np.array([math.inf, 1.0]), 0.25).tolist() == [0, 1]


def test_it_is_far_better_than_random_search():
    task, budget = Shifted(SyntheticTask("branin"), 3), Budget(max_jobs=40)
    own, random = (
        [incumbent(records_of(m, task, s, budget)) - task.inner.optimum for s in range(n)]
        for m, n in ((BORE(), 4), (RandomSearch(), 20))
    )
    assert stats.mannwhitneyu(own, random, alternative="less").pvalue < 0.03
    assert np.median(own) < np.median(random) / 3


def test_it_begins_with_a_sobol_sequence():
    problem, key = Problem(SPHERE.space, ("loss",), None, Budget(max_jobs=40)), entropy("key", 1)
    first = BORE(initial=7).begin(problem, stream(key)).ask(7, [])
    assert [p.config for p in first] == [p.config for p in Sobol().begin(problem, stream(key)).ask(7, [])]


def test_its_proposals_are_these():
    records = records_of(BORE(initial=4, trees=5, candidates=200), SPHERE, 0, Budget(max_jobs=8))
    u = SPHERE.space.encode([r.job.proposal.config for r in records])
    assert u[4:] == pytest.approx(np.array(GOLDEN), abs=1e-6)


GOLDEN = [
    [0.522648, 0.096612, 0.763904], [0.050179, 0.678287, 0.273336], [0.14816, 0.176449, 0.318714],
    [0.17976, 0.521077, 0.32483],
]  # fmt: skip


def test_pending_jobs_are_kept_away_from():
    problem = Problem(SPHERE.space, ("loss",), None, Budget(max_jobs=40), workers=6)
    records = drive(simulate(BORE(), problem, ("pending", 0), Clock.UNITS), SPHERE)
    batch = SPHERE.space.encode([r.job.proposal.config for r in records[-6:]])
    apart = np.linalg.norm(batch[:, None] - batch[None], axis=2)[np.triu_indices(6, 1)]
    assert apart.min() > 1e-3


def test_finite_spaces_are_walked_through_without_repetition():
    space = space_from_yaml({
        "a": {"type": "integer", "lower": 1, "upper": 4}, "b": {"type": "categorical", "choices": ["x", "y", "z"]}
    })  # fmt: skip
    search = BORE(initial=1, trees=2).begin(Problem(space, ("loss",), None, Budget(max_jobs=20)), stream(entropy("f")))
    seen: list[Proposal] = []
    for _ in range(12):
        seen += search.ask(1, seen)
    assert len({space.key(p.config) for p in seen}) == 12
    assert len(search.ask(1, seen)) == 1


@pytest.mark.parametrize("wrong", [{"initial": 0}, {"gamma": 0.0}, {"gamma": 1.0}, {"candidates": 0}, {"trees": 0}])
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(UserError, match=f"expected bore.{next(iter(wrong))}"):
        BORE(**wrong)
