from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from hptbench.errors import UserError
from hptbench.methods.random import RandomSearch
from hptbench.methods.sobol import Sobol
from hptbench.methods.turbo import TuRBO
from hptbench.protocol import Budget, Method, Point, Problem, Proposal, Report, Search, Status
from hptbench.rng import entropy, stream
from hptbench.space import Space
from hptbench.spacefile import space_from_yaml
from hptbench.tasks.shifted import Shifted
from hptbench.tasks.synthetic import SyntheticTask
from hptbench.testing.methods import incumbent, records_of
from hptbench.testing.problems import SPACES


def floats(d: int) -> Space:
    return space_from_yaml({f"x{i}": {"type": "float", "lower": 0, "upper": 1} for i in range(d)})


def begin(space: Space, workers: int = 1, key: str = "turbo") -> Search:
    problem = Problem(space, ("loss",), None, Budget(max_jobs=1000), workers)
    return TuRBO().begin(problem, stream(entropy(key)))


def reports(proposals: Sequence[Proposal], values: Sequence[float]) -> list[Report]:
    return [
        Report(i, i, p, 1.0, Status.OK if math.isfinite(v) else Status.FAILED, (v,), (Point(1.0, (v,)),), 1.0)
        for i, (p, v) in enumerate(zip(proposals, values, strict=True))
    ]


def step(search: Search, value: float, n: int = 1) -> None:
    search.tell(reports(search.ask(n, []), [value] * n))


def past_the_design(space: Space, workers: int = 1) -> Search:
    search = begin(space, workers=workers)
    design = search.ask(2 * len(space), [])
    search.tell(reports(design, [10.0 + i for i in range(len(design))]))
    return search


def length(search: Search) -> float:
    return float(search._length)  # type: ignore[attr-defined]


def test_it_is_far_better_than_random_search() -> None:
    task = Shifted(SyntheticTask("levy", 4), 3)
    budget = Budget(max_jobs=30)

    def best(method: Method, seeds: range) -> list[float]:
        return [incumbent(records_of(method, task, seed, budget)) for seed in seeds]

    own, random = best(TuRBO(), range(3)), best(RandomSearch(), range(30))
    assert stats.mannwhitneyu(own, random, alternative="less").pvalue < 0.01
    assert np.median(own) < np.median(random) / 2


def test_it_begins_with_two_points_per_parameter_of_a_sobol_sequence() -> None:
    space = floats(3)
    problem = Problem(space, ("loss",), None, Budget(max_jobs=9))
    key = entropy("key", 1)
    search = TuRBO().begin(problem, stream(key))
    first = search.ask(6, [])
    assert [p.config for p in first] == [p.config for p in Sobol().begin(problem, stream(key)).ask(6, [])]


def test_the_box_doubles_after_three_successes_and_halves_after_d_failures() -> None:
    search = past_the_design(floats(5))
    for value in (9.0, 8.0):
        step(search, value)
    assert length(search) == 0.8
    step(search, 7.0)
    assert length(search) == 1.6
    for value in (6.0, 5.0, 4.0):
        step(search, value)
    assert length(search) == 1.6  # never more
    for value in (3.999, 4.0, 5.0, math.inf):  # 3.999 is not better by a thousandth
        step(search, value)
    assert length(search) == 1.6
    step(search, 4.0)
    assert length(search) == 0.8


def test_as_many_results_as_workers_make_one_success_or_failure() -> None:
    search = past_the_design(floats(6), workers=3)  # tau_fail = 2
    for _ in range(2):
        search.tell(reports(search.ask(3, []), [11.0, 12.0, 13.0]))
    assert length(search) == 0.4
    for value in (9.0, 8.0, 7.0):
        search.tell(reports(search.ask(3, []), [20.0, value, 30.0]))
    assert length(search) == 0.8


def test_a_region_that_has_shrunk_gives_way_to_a_new_design_without_the_old_data() -> None:
    search = past_the_design(floats(2))
    [late] = search.ask(1, [])
    for _ in range(4 * 7):
        step(search, 50.0)
    assert length(search) == 0.8
    search.tell(reports([late], [-1.0]))  # of the old region
    design = begin(floats(2)).ask(8, [])  # four of them in the first region
    assert search.ask(4, []) == design[4:]
    search.tell(reports(design[4:], [1.0, 2.0, 3.0, 4.0]))
    step(search, 0.5)
    step(search, 0.25)
    assert length(search) == 0.8
    step(search, 0.125)
    assert length(search) == 1.6


def test_foreign_results_are_data_but_neither_success_nor_failure() -> None:
    space = floats(2)
    donors = begin(space, key="donor").ask(4, []) + begin(space, key="another").ask(4, [])
    search = begin(space)
    search.tell(reports(donors, [float(i) for i in range(8)]))
    search.tell(reports(donors[:1], [-3.0]))
    assert length(search) == 0.8
    [proposal] = search.ask(1, [])  # the design is filled: this is the first of the trust region
    assert proposal not in begin(space).ask(64, [])


def test_batches_and_pending_jobs_are_all_different() -> None:
    search = past_the_design(floats(3))
    batch = search.ask(5, [])
    more = [*batch, *search.ask(1, batch), *search.ask(1, batch)]
    assert len({tuple(p.config.values()) for p in more}) == 7


def test_finite_spaces_are_walked_through_without_repetition() -> None:
    space = space_from_yaml({
        "a": {"type": "integer", "lower": 1, "upper": 4}, "b": {"type": "categorical", "choices": ["x", "y", "z"]}
    })  # fmt: skip
    search = begin(space)
    seen: set[str] = set()
    for i in range(12):
        [proposal] = search.ask(1, [])
        seen.add(space.key(proposal.config))
        search.tell(reports([proposal], [float(i % 5)]))
    assert len(seen) == 12
    assert len(search.ask(1, [])) == 1


def test_constants_alone_leave_nothing_to_search() -> None:
    search = begin(space_from_yaml(SPACES["point"]))
    for _ in range(3):
        step(search, 1.0)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UserError, match=r"turbo\.design >= 1, got 0"):
        TuRBO(design=0)
    with pytest.raises(UserError, match="length_min"):
        TuRBO(length_init=2.0)
