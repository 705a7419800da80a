from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from evolving import MIXED, SPHERE
from scipy.stats import mannwhitneyu
from training import Jobs, begin

from hptbench.errors import UserError
from hptbench.methods.pb2 import PB2
from hptbench.methods.pbt import PBT
from hptbench.protocol import Budget, Fidelity
from hptbench.spacefile import space_from_yaml
from hptbench.tasks.training import TrainingTask
from hptbench.testing.methods import records_of

LINE = space_from_yaml({"x": {"type": "float", "lower": 0, "upper": 1}})
LONG = Fidelity(1, 40, "step", continues=True)


def test_growths_by_hand() -> None:
    jobs = Jobs(begin(PB2(population=4, interval=2), SPHERE))
    jobs.tell(dict(zip(jobs.ask(4), [4.0, 2.0, 3.0, 1.0], strict=True)))
    assert not jobs.search._growths, "nothing was there before"
    assert [jobs.shown(job) for job in jobs.ask(4)] == [(0, 4.0, 3), (1, 4.0, 1), (2, 4.0, 2), (3, 4.0, 3)]
    jobs.tell({4: 0.5, 5: 1.0, 6: 5.0})
    rows = [(g.time, g.before, g.growth) for g in jobs.search._growths]
    assert rows == [(1, 1.0, 0.25), (1, 2.0, 0.5), (1, 3.0, -1.0)], "member 0 grew from what it inherited, 1.0"
    np.testing.assert_allclose(jobs.search._growths[0].u, SPHERE.encode([jobs.proposals[4].config])[0])
    jobs.tell({7: math.inf})
    assert jobs.search._growths[-1].growth == -1.0


def grown(search: Any, peak: float, times: int = 6) -> Jobs:
    """Members grow the faster the nearer x is to ``peak``."""
    jobs = Jobs(search)
    values: dict[int, float] = {}
    for _ in range(4 * times):
        [job] = jobs.ask(1)
        proposal = jobs.proposals[job]
        before = 10.0 if proposal.source is None else values[proposal.source]
        values[job] = before - 1 + 4 * (float(proposal.config["x"]) - peak) ** 2
        jobs.tell({job: values[job]})
    return jobs


@pytest.mark.parametrize("peak", [0.2, 0.7])
def test_the_bandit_learns_what_makes_members_grow(peak: float) -> None:
    chosen = []
    for seed in range(3):
        jobs = grown(begin(PB2(interval=1), LINE, LONG, seed), peak, 10)
        chosen += [float(p.config["x"]) for p in jobs.proposals[20:] if "from" in p.note]
    assert abs(np.median(chosen) - peak) < 0.1


def test_what_is_pending_is_conditioned_on() -> None:
    """Three members of four fail together: each is given other hyperparameters than those before."""
    jobs = grown(begin(PB2(interval=1), LINE, LONG, 1), 0.5, 2)
    begun = jobs.ask(4)
    best = jobs.proposals[begun[-1]].note["member"]
    jobs.tell({job: 0.0 if jobs.proposals[job].note["member"] == best else math.inf for job in begun})
    chosen = [float(jobs.proposals[job].config["x"]) for job in jobs.ask(4) if "from" in jobs.proposals[job].note]
    assert len(set(chosen)) == len(chosen) == 3
    donor = jobs.search._members[best]
    process, value = jobs.search._process(donor)
    there = np.array([[value, x] for x in chosen])
    before = jobs.search._fitted.predict(there, len(donor.values))
    after = process.predict(there, len(donor.values))
    np.testing.assert_allclose(after[0], before[0])
    assert (after[1] < before[1]).all()


def test_conditions_and_categories() -> None:
    for seed in range(4):
        jobs = Jobs(begin(PB2(interval=1, truncation=0.5), MIXED, LONG, seed))
        rng = np.random.default_rng(seed)
        for _ in range(8):
            jobs.tell({job: float(rng.random()) for job in jobs.ask(4)})
        for proposal in jobs.proposals:
            MIXED.check(proposal.config)


@pytest.mark.parametrize("task", [TrainingTask("toy"), TrainingTask("noisy_quadratic", log=True)], ids=repr)
def test_better_than_pbt_with_four_members(task: TrainingTask) -> None:
    budget = Budget(max_full_evals=4)

    def finals(method: Any) -> list[float]:
        runs = [records_of(method, task, seed, budget, workers=4) for seed in range(4)]
        return [min(r.outcome.curve[-1].values[0] for r in run) for run in runs]

    ours, theirs = finals(PB2(interval=10)), finals(PBT(population=4, truncation=0.25, interval=10))
    assert np.median(ours) < np.median(theirs)
    assert mannwhitneyu(ours, theirs, alternative="less").pvalue < 0.2


def test_an_ask_stays_cheap() -> None:
    search = begin(PB2(population=60, interval=1), SPHERE, LONG)
    jobs, rng = Jobs(search), np.random.default_rng(0)
    for _ in range(4):
        jobs.tell({job: float(rng.random()) for job in jobs.ask(60)})
    begun = time.process_time()
    assert len(jobs.ask(60)) == 60
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("wrong", [{"population": 1}, {"truncation": 0.6}, {"window": 1}])
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"pb2\.{next(iter(wrong))}"):
        PB2(**wrong)
