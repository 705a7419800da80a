from __future__ import annotations

import math

import numpy as np

from hptbench.methods._history import History
from hptbench.protocol import Budget, Fidelity, Problem, Proposal, Report, Status
from hptbench.testing.problems import Bowl

SPACE = Bowl().space
CONFIGS = SPACE.decode(SPACE.sample(np.random.default_rng(0), 300))


def problem(fidelity: Fidelity | None = None) -> Problem:
    return Problem(SPACE, ("a", "b"), fidelity, Budget(max_jobs=1), constraints=("c",))


def report(i: int, fidelity: float = 1.0, values: tuple[float, float] = (1.0, 2.0), c: float = 0.0) -> Report:
    status = Status.OK if math.isfinite(c) else Status.FAILED
    return Report(i, i, Proposal(CONFIGS[i]), fidelity, status, values, (), 1.0, (c,))


def test_rows_are_kept_in_the_order_of_the_reports() -> None:
    history = History(problem())
    for i in range(0, 300, 3):
        history.add([report(j, values=(j, -j), c=j / 100 - 1) for j in range(i, i + 3)])
    assert len(history) == 300
    assert np.array_equal(history.u, SPACE.encode(CONFIGS), equal_nan=True)
    assert history.values[:, 0].tolist() == list(range(300))
    assert (-history.values[:, 1]).tolist() == list(range(300))
    assert np.array_equal(history.feasible, np.arange(300) <= 100)


def test_lower_fidelities_are_left_out() -> None:
    history = History(problem(Fidelity(1, 9)))
    history.add([report(0, 3.0), report(1, 9.0), report(2, 1.0)])
    assert np.array_equal(history.u, SPACE.encode([CONFIGS[1]]), equal_nan=True)


def test_failures_are_infeasible() -> None:
    history = History(problem())
    history.add([report(0, values=(math.inf, math.inf), c=math.inf), report(1, c=-1.0), report(2, c=1e-9)])
    assert history.feasible.tolist() == [False, True, False]


def test_the_first_new_configuration_is_neither_finished_nor_running() -> None:
    history = History(problem())
    history.add([report(0)])
    again = dict(reversed(CONFIGS[1].items()))
    assert history.first_new(CONFIGS, [Proposal(again)]) == CONFIGS[2]
    assert history.first_new(CONFIGS[:1], []) is None
