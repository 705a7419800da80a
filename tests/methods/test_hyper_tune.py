"""Hyper-Tune's weights, brackets and delayed promotions by hand; and what they bring."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.methods._mfes import ensemble_weights, ordered
from hptbench.methods.hyper_tune import HyperTune
from hptbench.methods.random import RandomSearch
from hptbench.protocol import Budget, Proposal, Report, Status
from hptbench.testing.methods import incumbent, problem_of, records_of
from hptbench.testing.problems import Bowl


def _report(job: int, proposal: Proposal, value: float) -> Report:
    assert proposal.fidelity is not None
    return Report(job, job, proposal, proposal.fidelity, Status.OK, (value,), (), 1.0)


def test_ordered_pairs() -> None:
    assert ordered(np.array([1.0, 2, 3]), np.array([10.0, 30, 20])) == pytest.approx(2 / 3)
    assert ordered(np.array([3.0, 2, 1]), np.array([1.0, 2, 3])) == 0


def test_weights_of_the_ensemble() -> None:
    assert ensemble_weights(None, 4, 3).tolist() == [1 / 3, 1 / 3, 1 / 3, 0]
    learnt = np.array([0.2, 0.3, 0.5, 0.0])
    assert ensemble_weights(learnt, 4, 9).tolist() == learnt.tolist()
    at_ten = ensemble_weights(learnt, 4, 10)
    np.testing.assert_allclose(at_ten, [0.2 * 2 / 3, 0.3 * 2 / 3, 0.5 * 2 / 3, 1 / 3])
    assert ensemble_weights(learnt, 4, 50)[-1] == pytest.approx(0.5 / (0.5 + np.exp(-1)))
    assert ensemble_weights(np.array([0.0, 1.0]), 2, 12).tolist() == [0.0, 1.0]


def test_configurations_begin_at_the_rungs_of_hyperbands_brackets_in_turn() -> None:
    """For rungs 1, 3, 9, 27: 27, 12, 6 and 4 begin there. Nothing is promoted before 27 have ended in the lowest."""
    search = HyperTune().begin(problem_of(Bowl(over="sphere")), np.random.default_rng(0))
    begun = search.ask(49, ())
    assert [p.fidelity for p in begun] == [1.0] * 27 + [3.0] * 12 + [9.0] * 6 + [27.0] * 4
    search.tell([_report(i, p, float(i)) for i, p in enumerate(begun[:26])])
    [fresh] = search.ask(1, ())
    assert fresh.source is None
    search.tell([_report(26, begun[26], 26.0)])
    promoted = search.ask(10, ())
    assert [p.source for p in promoted[:9]] == list(range(9)), "a third of 27, the best first"
    assert [p.fidelity for p in promoted[:9]] == [3.0] * 9
    assert promoted[9].source is None


def test_later_promotions_keep_to_the_share_that_was_promoted() -> None:
    """After 9 of 27 were promoted, better newcomers wait until the rung has 30."""
    search = HyperTune().begin(problem_of(Bowl(over="sphere")), np.random.default_rng(0))
    begun = search.ask(98, ())  # two rounds of brackets
    lowest = [p for p in begun if p.fidelity == 1.0]
    search.tell([_report(i, p, float(i)) for i, p in enumerate(lowest[:27])])
    search.ask(9, ())
    search.tell([_report(100 + i, p, -1.0 - i) for i, p in enumerate(lowest[27:29])])
    assert search.ask(1, ())[0].source is None
    search.tell([_report(102, lowest[29], 50.0)])
    assert search.ask(1, ())[0].source == 101


def test_trees_are_imported_before_the_first_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time may be measured, and imports take longer than hundreds of asks."""
    monkeypatch.delitem(sys.modules, "sklearn.tree", raising=False)
    HyperTune().begin(problem_of(Bowl(over="sphere")), np.random.default_rng(0))
    assert "sklearn.tree" in sys.modules


def test_finds_more_than_random_search() -> None:
    task, budget = Bowl(over="sphere", noise=0.001), Budget(max_full_evals=12)
    own = [incumbent(records_of(HyperTune(), task, seed=s, budget=budget)) for s in range(4)]
    random = [incumbent(records_of(RandomSearch(), task, seed=s, budget=budget)) for s in range(20)]
    assert np.median(own) < np.median(random)


def test_refuses_settings_out_of_range() -> None:
    with pytest.raises(UserError, match="random_fraction"):
        HyperTune(random_fraction=1.5)
