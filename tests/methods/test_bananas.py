from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.methods._paths import Encoding, cell, paths
from hptbench.methods.bananas import Bananas
from hptbench.methods.random import RandomSearch
from hptbench.models.perceptrons import Perceptrons
from hptbench.protocol import Budget, Clock, Outcome, Point, Problem, Status
from hptbench.simulate import simulate
from hptbench.space import Space
from hptbench.spacefile import packaged_space, space_from_yaml
from hptbench.tasks import _tables

OPERATIONS = ["none", "skip", "one", "three"]
CATEGORY = {"type": "categorical", "choices": OPERATIONS}
CELL = space_from_yaml({f"Op{i}": CATEGORY for i in range(6)})
ONES = {"a": {"type": "categorical", "choices": ["x", "y"]}, "b": {"type": "float", "lower": 0, "upper": 1}}
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


def ways(config: dict[str, Any]) -> set[tuple[str, ...]]:
    """The sequences of operations of the paths through a cell of four nodes, one by one."""
    found = set()
    for inner in itertools.chain.from_iterable(itertools.combinations((1, 2), n) for n in range(3)):
        path = tuple(config[f"Op{EDGES.index(edge)}"] for edge in itertools.pairwise((0, *inner, 3)))
        if "none" not in path:
            found.add(path)
    return found


def worth(config: dict[str, Any]) -> float:
    """A loss that depends on paths."""
    return sum(float(np.random.default_rng([len(o) for o in path]).normal()) for path in ways(config))


def run(method: Any, space: Space, jobs: int, seed: int = 0, workers: int = 1, f: Any = worth) -> list[float]:
    problem = Problem(space, ("loss",), None, Budget(max_jobs=jobs), workers)
    course = simulate(method, problem, ("t", seed), Clock.UNITS)
    asked = next(course)
    while True:
        try:
            values = [f(dict(job.proposal.config)) for job in asked]
            asked = course.send([Outcome(Status.OK, (Point(1.0, (v,)),), 1.0, {"test": v}) for v in values])
        except StopIteration as end:
            return [record.outcome.curve[-1].values[0] for record in end.value]


def test_cells_with_the_same_paths_are_encoded_alike_and_others_are_not() -> None:
    u = CELL.sample(np.random.default_rng(0), 400)
    features, configs = Encoding(CELL)(u), CELL.decode(u)
    assert features.shape == (400, 3 + 3**2 + 3**3)
    by_paths: dict[frozenset[tuple[str, ...]], set[bytes]] = {}
    for row, config in zip(features, configs, strict=True):
        found = ways(config)
        assert row.sum() == len(found)
        by_paths.setdefault(frozenset(found), set()).add(row.tobytes())
    assert all(len(encodings) == 1 for encodings in by_paths.values())
    assert len({next(iter(e)) for e in by_paths.values()}) == len(by_paths) > 50


def test_which_spaces_are_cells() -> None:
    assert cell(CELL) == list(range(6))
    for space in (packaged_space("neural_cell"), _tables.space("nasbench201")):
        assert [space.names[j] for j in cell(space)] == [f"Op{i}" for i in range(6)]
    assert paths(6) == [[3], [0, 4], [1, 5], [0, 2, 5]]
    assert len(paths(10)) == 8
    assert cell(space_from_yaml(ONES)) == []
    assert cell(space_from_yaml({f"Op{i}": CATEGORY for i in range(5)})) == []
    other = {"type": "categorical", "choices": ["none", "skip"]}
    assert cell(space_from_yaml({"Op0": CATEGORY, "Op1": CATEGORY, "Op2": other})) == []
    conditional = {"a": ONES["a"], "Op0": CATEGORY | {"when": {"a": "x"}}}
    assert cell(space_from_yaml(conditional)) == []


def test_what_is_no_cell_has_a_column_per_level_and_number() -> None:
    space = space_from_yaml({**ONES, "c": ONES["b"] | {"when": {"a": "y"}}, "Op0": CATEGORY})
    u = space.encode([{"a": "x", "b": 0.25, "Op0": "none"}, {"a": "y", "b": 0.5, "c": 1.0, "Op0": "three"}])
    assert space.names == ("Op0", "a", "b", "c")
    expected = [[0, 0, 0, 1, 0, 0.25, -1], [0, 0, 1, 0, 1, 0.5, 1]]
    np.testing.assert_array_equal(Encoding(space)(u), expected)


def test_the_perceptrons_descend_the_mean_absolute_error() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 4)), rng.normal(size=7)
    model = Perceptrons(x, y, rng, networks=2, layers=2, width=5, epochs=1, rate=0.0)
    for tensor in model._tensors:
        tensor += 0.1 * rng.normal(size=tensor.shape)  # else units without input are at their kink
    slopes = [np.zeros_like(tensor) for tensor in model._tensors]
    model._back(np.broadcast_to(x, (2, *x.shape)), np.broadcast_to(y, (2, 7)), slopes)
    for tensor, slope in zip(model._tensors, slopes, strict=True):
        place = tuple(0 if size == 1 else 1 for size in tensor.shape)
        losses = []
        for step in (1e-6, -1e-6):
            tensor[place] += step
            losses.append(np.abs(model.predict(x) - y).mean(axis=1)[1])
            tensor[place] -= step
        assert slope[place] == pytest.approx((losses[0] - losses[1]) / 2e-6, abs=1e-6)


def test_the_perceptrons_learn_and_differ() -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(2, size=(150, 12)).astype(float)
    y = x[:, 0] - x[:, 1] + x[:, 2] * x[:, 3]
    model = Perceptrons(x[:100], y[:100], rng, epochs=60)
    said = model.predict(x[100:])
    assert np.corrcoef(said.mean(axis=0), y[100:])[0, 1] > 0.8
    assert said.std(axis=0).min() > 0


def test_better_than_random_on_cells() -> None:
    own, random = ([min(run(method, CELL, 40, seed)) for seed in range(3)] for method in (Bananas(), RandomSearch()))
    assert np.mean(own) < np.mean(random) - 0.3


def test_a_model_serves_for_a_batch_and_several_workers_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = []
    from hptbench.methods import bananas

    def fitted(x: Any, *args: Any) -> Perceptrons:
        fits.append(len(x))
        return Perceptrons(x, *args[:-1], 1)

    monkeypatch.setattr(bananas, "Perceptrons", fitted)
    run(Bananas(), CELL, 40)
    assert fits == [10, 20, 30]
    fits.clear()
    values = run(Bananas(batch=4), CELL, 30, workers=8)
    assert len(values) == 30
    assert len(fits) >= 4


def test_all_architectures_of_a_small_space_are_found_once() -> None:
    space = space_from_yaml({f"Op{i}": {"type": "categorical", "choices": ["none", "skip"]} for i in range(3)})
    seen = []

    def f(config: dict[str, Any]) -> float:
        seen.append(tuple(config.values()))
        return float(len(seen))

    run(Bananas(initial=3, batch=2, epochs=1), space, 8, f=f)
    assert len(set(seen)) == 8


@pytest.mark.parametrize(("settings", "message"), [
    ({"batch": 0}, "expected bananas.batch >= 1, got 0"),
    ({"changes": 0}, "expected bananas.changes > 0, got 0"),
])  # fmt: skip
def test_settings(settings: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Bananas(**settings)
