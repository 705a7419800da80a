"""Freeze-thaw search: its bookkeeping, its choices, and whether they find something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.methods._freeze_thaw import Curves, FreezeThaw, steps_of
from hptbench.methods.curve_prior import CurvePrior, normalised
from hptbench.methods.dyhpo import DyHPO, latest
from hptbench.methods.freeze_thaw import FreezeThawBO, information
from hptbench.methods.random import RandomSearch
from hptbench.protocol import Budget, Fidelity, Method, Point, Problem, Proposal, Report, Status
from hptbench.space import Floats
from hptbench.testing.methods import incumbent, problem_of, records_of
from hptbench.testing.problems import Bowl


class _Scripted(FreezeThaw):
    """Takes the frozen trial of the lowest row; keeps what it was shown."""

    def scores(self, curves: Curves, pool: Floats) -> Floats:
        self.shown = curves
        return -np.arange(len(curves.frozen) + len(pool), dtype=float)


def _problem() -> Problem:
    return problem_of(Bowl(over="sphere", fidelity=Fidelity(1, 4, continues=True)))


def _search(initial: int = 2, most: int = 100) -> _Scripted:
    return _Scripted(_problem(), np.random.default_rng(0), initial, 50, 8, most)


def _report(job: int, trial: int, proposal: Proposal, value: float) -> Report:
    status = Status.OK if np.isfinite(value) else Status.FAILED
    assert proposal.fidelity is not None
    return Report(job, trial, proposal, proposal.fidelity, status, (value,), (), 1.0)


def _tell(search: _Scripted, proposals: Sequence[Proposal], values: Sequence[float], first: int) -> None:
    search.tell([_report(first + i, i, p, v) for i, (p, v) in enumerate(zip(proposals, values, strict=True))])


def test_steps_are_even_and_end_at_the_highest_fidelity() -> None:
    assert steps_of(Fidelity(1, 4, continues=True), 50) == (1, 2, 3, 4)
    assert steps_of(Fidelity(1, 100, continues=True), 4) == (25, 50, 75, 100)
    assert steps_of(Fidelity(0.3, 1.0, integer=False, continues=True), 4) == (0.3, 0.5, 0.75, 1.0)
    assert steps_of(Fidelity(1, 1, continues=True), 50) == (1,)


def test_steps_are_rungs_where_trainings_begin_anew() -> None:
    assert steps_of(Fidelity(1, 81), 50) == (1, 3, 9, 27, 81)
    assert steps_of(Fidelity(1, 81), 2) == (27, 81)
    assert steps_of(Fidelity(0.05, 1.0, integer=False), 50) == (1 / 9, 1 / 3, 1)
    assert steps_of(Fidelity(1, 1), 50) == (1,)


def test_trials_go_on_from_their_latest_job_step_by_step() -> None:
    search = _search()
    first = search.ask(2, ())
    assert [(p.fidelity, p.source) for p in first] == [(1.0, None)] * 2
    _tell(search, first, [0.5, 0.4], 10)
    [second] = search.ask(1, ())
    assert (second.config, second.fidelity, second.source) == (first[0].config, 2.0, 10)
    [other] = search.ask(1, [second])
    assert (other.config, other.source) == (first[1].config, 11), "what is running is not frozen"
    assert search.shown.pending.tolist() == [[0, 2]]
    _tell(search, [second], [0.3], 12)
    [third] = search.ask(1, [other])
    assert (third.fidelity, third.source) == (3.0, 12)
    assert search.shown.trial.tolist() == [0, 0, 1]
    assert search.shown.value.tolist() == [0.5, 0.3, 0.4]


def test_failed_trials_count_as_the_worst_and_never_go_on() -> None:
    search = _search()
    first = search.ask(2, ())
    _tell(search, first, [0.5, np.inf], 0)
    for job, value in ((2, 0.4), (3, 0.3), (4, 0.2)):
        [proposal] = search.ask(1, ())
        assert proposal.config == first[0].config
        assert search.shown.value[-1] == 0.5
        _tell(search, [proposal], [value], job)
    [new] = search.ask(1, ())
    assert new.config not in [p.config for p in first], "one has ended, one has failed"


def test_foreign_reports_are_data_but_do_not_go_on() -> None:
    search = _search(initial=1)
    config = _problem().space.default()
    search.tell([_report(7, 3, Proposal(config, 2.0, note={"segment": 0, "step": 1}), 0.1)])
    [proposal] = search.ask(1, ())
    assert proposal.config != config
    assert proposal.source is None
    assert (search.shown.step.tolist(), search.shown.frozen.tolist()) == ([2], [])


def test_a_step_is_told_by_the_last_value_within_it() -> None:
    """Steps of 25 epochs: what comes after the first step's end does not replace its value."""
    problem = problem_of(Bowl(over="sphere", fidelity=Fidelity(1, 100, continues=True)))
    search = _Scripted(problem, np.random.default_rng(0), 1, 4, 8, 100)
    for job, start in enumerate((0, 25)):
        [proposal] = search.ask(1, ())
        curve = tuple(Point(float(e), (float(-e),)) for e in range(start + 1, start + 26))
        search.tell([Report(job, 0, proposal, start + 25.0, Status.OK, curve[-1].values, curve, 1.0)])
    search.ask(1, ())
    assert (search.shown.step.tolist(), search.shown.value.tolist()) == ([1, 2], [-25.0, -50.0])


def test_the_share_of_a_step_may_be_rounded() -> None:
    fidelity = Fidelity(0.1, 1.0, integer=False, continues=True)
    search = _Scripted(problem_of(Bowl(over="sphere", fidelity=fidelity)), np.random.default_rng(0), 1, 10, 8, 100)
    config = _problem().space.default()
    level = 3 * 0.1
    assert level > 0.3
    search.tell([Report(7, 3, Proposal(config, level), level, Status.OK, (0.5,), (Point(level, (0.5,)),), 1.0)])
    search.ask(1, ())
    assert search.shown.step.tolist() == [3]


def test_notes_of_others_may_hold_anything() -> None:
    search = _search(initial=1)
    other = Proposal(_problem().space.default(), 2.0, note={"segment": [0]})
    search.tell([_report(7, 3, other, 0.1)])
    assert len(search.ask(2, [other])) == 2


def test_what_the_model_does_not_see_counts_as_known() -> None:
    """Or a model that sees so many trials at most would never be fitted again."""
    search = _search(initial=6, most=4)
    first = search.ask(6, ())
    _tell(search, first, [0.1, 0.9, 0.8, 0.2, 0.7, np.inf], 0)
    [second] = search.ask(1, ())
    _tell(search, [second], [0.05], 6)
    assert (search.known, search.observed) == (6, 7)
    assert len(search.shown.value) == 4


@pytest.mark.parametrize("method", [FreezeThawBO(max_trials=4), DyHPO(max_points=10), CurvePrior(max_trials=4)])
def test_models_are_fitted_again_however_few_trials_they_see(method: Any) -> None:
    """They see 4 trials (10 of DyHPO), which have no more than 16 (40) values: what is due later follows more."""
    search = method.begin(_problem(), np.random.default_rng(0))
    config = _problem().space.default()
    told = [_report(i, i, Proposal({**config, "a": i / 99}, 4.0), 1 + i / 99) for i in range(60)]
    for some in (told[:30], told[30:]):
        search.tell(some)
        search.ask(1, ())
    assert search._anew > 60


def test_the_network_begins_anew_once_without_a_better_value_however_many_come_together() -> None:
    """Four steps: after int(1.2 * 4) = 4 of them, here told three at a time: 2, then 5."""
    search = DyHPO(first_steps=1, train_steps=10).begin(_problem(), np.random.default_rng(0))
    networks = []
    for turn in range(6):
        proposals = search.ask(3, ())
        search.tell([_report(3 * turn + i, 3 * turn + i, p, 1.0 + turn) for i, p in enumerate(proposals)])
        search.ask(1, ())
        networks.append(search._model)
    assert networks[0] is not networks[1]
    assert networks[1] is networks[5]


def test_the_model_sees_the_best_and_the_latest_trials_only() -> None:
    search = _search(initial=6, most=4)
    first = search.ask(6, ())
    _tell(search, first, [0.1, 0.9, 0.8, 0.2, 0.7, 0.6], 0)
    search.ask(1, ())
    assert search.shown.value.tolist() == [0.1, 0.2, 0.7, 0.6]


def test_information_prefers_what_decides_between_equals() -> None:
    """Two close rivals and one that is far behind: a precise value of a rival tells, one of the other does not, and a
    value of great noise tells nothing."""
    mean, covariance = np.array([0.0, 0.1, 9.0]), np.eye(3)
    normal = np.random.default_rng(0).standard_normal((4000, 3))
    gains = information(mean, covariance, [(0, 1.0, 0.01), (2, 1.0, 0.01), (0, 1.0, 1e6)], 5, normal)
    assert gains[0] > 0.1
    np.testing.assert_allclose(gains[1:], 0.0, atol=0.01)


def test_information_of_a_certain_value_is_that_of_conditioning() -> None:
    """With both asymptotes independent and one learnt exactly, P_min is a normal probability."""
    from scipy.special import ndtri
    from scipy.stats import norm

    normal = np.random.default_rng(1).standard_normal((40000, 2))
    [gain] = information(np.zeros(2), np.eye(2), [(0, 1.0, 1e-9)], 5, normal)
    shares = norm.cdf(ndtri((np.arange(5) + 0.5) / 5))  # that the other one is lower
    after = -(shares * np.log(shares) + (1 - shares) * np.log(1 - shares)).mean()
    assert gain == pytest.approx(np.log(2) - after, abs=0.01)


def test_scores_of_losses_have_the_best_at_a_half() -> None:
    score, best = normalised(np.array([4.0, 3.0, 2.0, 1.0, 99.0]), np.array([1, 1, 1, 2, 2]))
    assert best == 0.5
    np.testing.assert_allclose(score, [-0.25, 0.0, 0.25, 0.5, -1.0])
    assert normalised(np.ones(3), np.array([1, 1, 2]))[0].tolist() == [0, 0, 0]


def test_the_deep_kernel_sees_the_ends_of_curves() -> None:
    trial = np.array([0, 0, 0, 1, 1, 2])
    assert latest(trial, 6).tolist() == [0, 1, 2, 3, 4, 5]
    assert latest(trial, 4).tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("method", "evaluations"),
    [
        pytest.param(FreezeThawBO(draws=200), 20, marks=pytest.mark.slow),
        pytest.param(DyHPO(), 20, marks=pytest.mark.slow),
        (CurvePrior(), 6),
    ],
    ids=lambda value: type(value).__name__,
)
def test_finds_more_than_random_search(method: Method, evaluations: int) -> None:
    """Freeze-thaw looks for the lowest asymptote, and is in no hurry to finish a training: it gets more of them."""
    task = replace(Bowl(over="sphere", noise=0.001), fidelity=Fidelity(1, 9, continues=True))
    budget = Budget(max_full_evals=evaluations)
    own = [incumbent(records_of(method, task, seed=s, budget=budget)) for s in range(5)]
    random = [incumbent(records_of(RandomSearch(), task, seed=s, budget=budget)) for s in range(20)]
    assert np.median(own) < np.median(random)


@pytest.mark.parametrize("method", [FreezeThawBO, DyHPO, CurvePrior])
def test_refuses_settings_out_of_range(method: type) -> None:
    with pytest.raises(UserError, match="pool"):
        method(pool=0)
