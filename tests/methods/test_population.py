from __future__ import annotations

import json
from typing import Any

import ConfigSpace as CS
import numpy as np
import pytest
from evolving import MIXED, SMALL, SPHERE, begin, bowl, drive, report

from hptbench.methods._population import FOREIGN, Evolution, Generations, Individual, expressed, fitting, genotypes
from hptbench.methods.cmaes import CMAES
from hptbench.methods.coarse_to_fine import CoarseToFine
from hptbench.methods.de import DE
from hptbench.methods.genetic import Genetic
from hptbench.methods.local_search import LocalSearch
from hptbench.methods.nsga2 import NSGA2
from hptbench.methods.regularized_evolution import RegularizedEvolution
from hptbench.methods.simulated_annealing import SimulatedAnnealing
from hptbench.protocol import Budget, Fidelity, Method, Problem, Proposal
from hptbench.space import Floats, Space

METHODS: tuple[Method, ...] = (
    CMAES(), CoarseToFine(), DE(), Genetic(), LocalSearch(), NSGA2(), RegularizedEvolution(20, 5), SimulatedAnnealing()
)  # fmt: skip
each = pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)


def objectives(method: Method) -> int:
    return type(method).traits.min_objectives


class Script(Evolution):
    """Breeds what it is told to."""

    def __init__(self, space: Space, *rows: Floats, **more: Any) -> None:
        super().__init__(
            Problem(space, ("loss",), more.pop("fidelity", None), Budget(**more)), np.random.default_rng(0)
        )
        self.rows, self.learned = list(rows), list[Individual]()

    def _breed(self) -> Individual:
        u = self.rows.pop(0) if len(self.rows) > 1 else self.rows[0]
        return Individual(u, self._space.decode(u[None])[0], 7)

    def _learn(self, individual: Individual) -> None:
        self.learned.append(individual)


A, B, C = SPHERE.sample(np.random.default_rng(5), 3)


def test_what_is_known_is_told_at_once_and_not_evaluated() -> None:
    search = Script(SPHERE, A, A, B, max_jobs=9)
    [first] = search.ask(1, [])
    search.tell([report(first.config, 0.5)])
    [second] = search.ask(1, [])
    assert second.config == SPHERE.decode(B[None])[0]
    assert [(i.origin, i.values, i.u.tolist()) for i in search.learned] == [(7, (0.5,), A.tolist())] * 2


def test_what_is_running_is_told_with_it() -> None:
    search = Script(SPHERE, A, A, B, max_jobs=9)
    first, second = search.ask(2, [])
    assert second.config == SPHERE.decode(B[None])[0]
    search.tell([report(first.config, 0.5)])
    assert [individual.values for individual in search.learned] == [(0.5,), (0.5,)]


def test_proposals_of_others_that_are_running_are_not_made_again() -> None:
    search = Script(SPHERE, A, B, max_jobs=9)
    [proposal] = search.ask(1, [Proposal(SPHERE.decode(A[None])[0])])
    assert proposal.config == SPHERE.decode(B[None])[0]


def test_foreign_reports_are_learned_once_and_low_fidelities_never() -> None:
    search = Script(SPHERE, A, max_jobs=9, fidelity=Fidelity(1, 9))
    config = SPHERE.decode(B[None])[0]
    search.tell(
        [report(config, 0.1, fidelity=3.0), report(config, 0.2, fidelity=9.0), report(config, 0.3, fidelity=9.0)]
    )
    assert [(i.origin, i.values) for i in search.learned] == [(FOREIGN, (0.2,))]
    np.testing.assert_allclose(search.learned[0].u, B)


def test_failed_jobs_are_infinitely_bad_and_violate() -> None:
    search = Script(SPHERE, A, max_jobs=9)
    [proposal] = search.ask(1, [])
    search.tell([report(proposal.config, np.inf, constraints=(np.inf,))])
    assert (search.learned[0].values, search.learned[0].violation) == ((np.inf,), np.inf)
    search.tell([report(SPHERE.decode(B[None])[0], 1.0, constraints=(0.5, -3.0, 0.25))])
    assert search.learned[1].violation == 0.75


@pytest.mark.parametrize(
    ("limits", "share"), [({"max_jobs": 4}, 0.5), ({"max_full_evals": 8}, 0.25), ({"max_time": 2.0}, 1.0)]
)
def test_own_jobs_spend_the_budget(limits: dict[str, Any], share: float) -> None:
    search = Script(SPHERE, A, B, **limits)
    search.tell([report(SPHERE.decode(C[None])[0], 1.0)])
    assert search._spent == 0
    search.tell([report(proposal.config, 1.0) for proposal in search.ask(2, [])])
    assert search._spent == share


@each
def test_nothing_comes_twice_before_all_has_come(method: Method) -> None:
    """Twelve configurations, and three workers."""
    search = begin(method, SMALL, objectives=objectives(method), workers=3)
    running: list[Proposal] = []
    asked = []
    for _ in range(20):
        new = search.ask(3 - len(running), running)
        running += new
        asked += [json.dumps(dict(proposal.config)) for proposal in new]
        done = running.pop(0).config
        search.tell([report(done, *[float(done["n"])] * objectives(method))])
    assert len(set(asked[:12])) == 12
    assert len(asked) == 22


@each
def test_forbidden_configurations_are_never_proposed(method: Method) -> None:
    configspace = CS.ConfigurationSpace(seed=0)
    number = CS.Integer("n", (0, 9), default=9)
    configspace.add(number, CS.Float("x", (0, 1)), CS.Categorical("c", ["a", "b"]))
    configspace.add(CS.ForbiddenInClause(number, [0, 1, 2, 3, 4, 5]))
    space = Space(configspace)

    def loss(config: Any) -> list[float]:  # the bottom is forbidden
        return [float(config["n"]) + float(config["x"])] * objectives(method)

    for config in drive(begin(method, space, objectives=objectives(method)), loss, 80):
        space.check(config)


@each
def test_proposals_do_not_depend_on_how_many_are_asked_for_at_a_time(method: Method) -> None:
    one, many = (begin(method, MIXED, objectives=objectives(method)) for _ in range(2))
    singly: list[Proposal] = []
    for _ in range(40):
        singly += one.ask(1, singly)
    assert many.ask(40, []) == singly


class Counting(Generations):
    """Generations of three, whose members carry the number of their generation."""

    ended: list[list[int]]

    @property
    def _size(self) -> int:
        return 3

    def _offspring(self) -> Floats:
        return genotypes(self._space, 3, self._rng)

    def _select(self, told: list[Individual]) -> None:
        self.ended.append([individual.origin for individual in told])


def test_a_generation_ends_when_enough_have_been_told_whoever_bred_them() -> None:
    search = Counting(Problem(SPHERE, ("loss",), None, Budget(max_jobs=99), 5), np.random.default_rng(0))
    search.ended = []
    first = search.ask(5, [])  # no worker waits: two more than a generation
    search.tell([report(p.config, 1.0) for p in first[:3]])
    assert search.ended == [[0, 0, 0]]
    second = search.ask(1, first[3:])
    search.tell([report(p.config, 1.0) for p in [*second, first[4]]])
    search.tell([report(SPHERE.decode(A[None])[0], 1.0)])
    assert search.ended == [[0, 0, 0], [1, 0, FOREIGN]]


def test_silent_genes_are_drawn() -> None:
    rng = np.random.default_rng(0)
    u = genotypes(MIXED, 200, rng)
    assert u.shape == (200, 7)
    assert (u >= 0).all()
    assert (u < 1).all()
    row = np.array([[0.25, np.nan, 0.5]])
    filled = expressed(row, rng)
    assert filled[0, [0, 2]].tolist() == [0.25, 0.5]
    assert 0 <= filled[0, 1] < 1
    assert np.isnan(row[0, 1])


@pytest.mark.parametrize(
    ("budget", "size"),
    [
        (Budget(max_jobs=100), 10),
        (Budget(max_jobs=450), 15),
        (Budget(max_jobs=9000, max_full_evals=450.5), 15),
        (Budget(max_jobs=9000), 20),
        (Budget(max_time=1.0), 20),
    ],
)
def test_a_population_fits_its_budget(budget: Budget, size: int) -> None:
    assert fitting(budget, 30, 10, 20) == size


@pytest.mark.parametrize(
    "method",
    [CMAES(), CoarseToFine(), DE(), Genetic(), LocalSearch(), SimulatedAnnealing()],
    ids=lambda m: type(m).__name__,
)
def test_most_are_far_better_than_random_search_on_a_bowl(method: Method) -> None:
    """Whose median is 0.013."""
    configs = drive(begin(method, SPHERE, jobs=150), bowl, 150)
    assert min(map(bowl, configs)) < 2e-3
