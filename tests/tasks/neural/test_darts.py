from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra neural is not installed")

import torch
import torch.nn.functional as F
from test_families import jobs

from hptbench import rng
from hptbench.errors import UserError
from hptbench.protocol import Job, Proposal
from hptbench.tasks.neural import _darts
from hptbench.tasks.neural._cells import EDGES, OPERATIONS, Cells
from hptbench.tasks.neural._darts import Mixture, Rows, pairs, slope, split
from hptbench.tasks.neural.cell import OPS, NeuralCell
from hptbench.tasks.neural.darts import NeuralDarts

SPACE: Any = {
    "stages": {"type": "constant", "value": 1},
    "order": {"type": "categorical", "choices": ["first", "second"]},
    "alpha_learning_rate": {"type": "float", "lower": 1e-3, "upper": 0.3, "log": True, "default": 0.1},
}
TASK = NeuralDarts("digits", space=SPACE, high=2, alone=1, max_rows=80)


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NeuralCell, "tile", 2)


def test_a_mixture_of_one_operation_on_each_edge_is_that_cell() -> None:
    draw = np.random.default_rng(0)
    operations = ("nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3", "skip_connect", "none", "nor_conv_3x3")
    mixture, cell = Mixture(4, 1, 3, 8, 2, 2), Cells(4, 1, 3, 8, 2, 2, operations)
    parts = [torch.tensor(part[None]) for part in mixture.initial(draw)]
    given, places, kept = iter(parts), iter(cell._placed), list[Any]()
    for _, edge in places:
        if edge is None:
            kept.append(next(given))
            continue
        _, _, both = next(places), next(places), [next(given) for _ in range(6)]
        kept += {"nor_conv_1x1": both[:3], "nor_conv_3x3": both[3:]}.get(operations[edge], [None] * 3)
    x = torch.tensor(draw.normal(size=(1, 5, 1, 4, 4)).astype(np.float32))
    shares = torch.tensor([[float(one == operation) for one in OPERATIONS] for operation in operations])
    said = replace(mixture.placed("cpu"), shares=shares).forward(parts, x, (), ())
    np.testing.assert_allclose(said, cell.of([cell], "cpu").forward(kept, x, (), ()), atol=1e-5)
    assert mixture.flops - replace(cell, operations=("none",) * 6).flops == 2 * 2 * 60 * (64 * 16 + 256 * 4)


AHEAD = 0.3
PLACES = [(0, 3), (1, 1), (2, 2), (4, 4), (5, 0)]
"""Edges and operations: one of each."""


class Tiny:
    """A mixture in double precision, and the loss of rows of made-up images."""

    def __init__(self) -> None:
        draw = np.random.default_rng(1)
        self.net = Mixture(4, 1, 3, 4, 1, 1).placed("cpu")
        self.weights = [torch.tensor(p[None].astype(float), requires_grad=True) for p in self.net.initial(draw)]
        self.alphas = torch.tensor(draw.normal(size=(6, 5)), requires_grad=True)
        self.X, self.y = torch.tensor(draw.normal(size=(24, 1, 4, 4))), torch.tensor(draw.integers(3, size=24))
        self.training, self.held = np.arange(12), np.arange(12, 24)

    def loss(self, weights: Sequence[Any], alphas: Any, rows: Rows) -> Any:
        net = replace(self.net, shares=alphas.softmax(dim=1))
        return F.cross_entropy(net.forward(weights, self.X[rows].unsqueeze(0), (), ())[0], self.y[rows])

    def after(self, alphas: Any, ahead: float) -> float:
        """The loss of the other half, with the weights one step down that of the first half."""
        down = torch.autograd.grad(self.loss(self.weights, alphas, self.training), self.weights)
        moved = [w - ahead * g for w, g in zip(self.weights, down, strict=True)]
        return float(self.loss(moved, alphas, self.held).detach())

    def numeric(self, ahead: float, h: float = 1e-5) -> np.ndarray[Any, Any]:
        """Central differences of it by the alphas at some places."""
        out = []
        for place in PLACES:
            aside = torch.zeros(6, 5, dtype=torch.float64)
            aside[place] = h
            out.append((self.after(self.alphas + aside, ahead) - self.after(self.alphas - aside, ahead)) / (2 * h))
        return np.array(out)


def test_the_derivative_by_the_alphas_is_that_of_differences() -> None:
    tiny = Tiny()
    given = tiny.loss, tiny.weights, tiny.alphas, tiny.training, tiny.held
    first, second = (np.array([float(slope(*given, ahead)[place]) for place in PLACES]) for ahead in (0.0, AHEAD))
    expected = tiny.numeric(0.0)
    np.testing.assert_allclose(first, expected, atol=1e-5 * np.abs(expected).max())
    expected = tiny.numeric(AHEAD)
    assert np.abs(second - expected).max() < 0.05 * np.abs(expected).max()
    assert np.abs(first - expected).max() > 0.2 * np.abs(expected).max(), "the second order has to count"


def test_halves_have_no_row_in_common_and_each_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, alphas = split(41, (1, 2))
    assert (len(weights), len(alphas)) == (20, 21)
    assert sorted([*weights, *alphas]) == list(range(41))
    steps = list(pairs((weights, alphas), 8, np.random.default_rng(0)))
    assert [len(held) for _, held in steps] == [8, 8, 5]
    assert sorted(np.concatenate([training for training, _ in steps])) == sorted(weights)
    assert set(np.concatenate([held for _, held in steps])) <= set(alphas)
    seen: list[tuple[set[int], set[int], list[Any]]] = []

    def watched(loss: Any, weights: Any, alphas: Any, training: Rows, held: Rows, ahead: float) -> Any:
        seen.append((set(training), set(held), [part.detach().clone() for part in (weights[0], alphas)]))
        return slope(loss, weights, alphas, training, held, ahead)

    monkeypatch.setattr(_darts, "slope", watched)
    found(TASK, 0)
    training, held = (set().union(*(one[i] for one in seen)) for i in (0, 1))
    assert not training & held
    assert len(training) == len(TASK.ready().trainer.data.X) // 2
    for (_, _, before), (_, _, after) in itertools.pairwise(seen):
        assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True)), "both are updated in each step"


def found(task: NeuralDarts, number: int, **config: Any) -> _darts.Found:
    [job] = jobs(task, 1)
    return task._search(task.ready(), _config(task) | config, replace(job, seed=rng.entropy("t", number)))


def _config(task: NeuralDarts) -> dict[str, Any]:
    return {**NeuralDarts("digits").space.default(), **task.space.default()}


def test_a_search_repeats_itself_and_depends_on_seed_and_order() -> None:
    one = found(TASK, 0)
    assert np.array_equal(one.alphas, found(TASK, 0).alphas)
    others = [found(TASK, 1), found(TASK, 0, order="second")]
    assert not any(np.array_equal(one.alphas, other.alphas) for other in others)
    assert others[1].flops == 5 / 2 * one.flops
    assert len(one.operations) == len(EDGES)
    assert set(one.operations) <= set(OPERATIONS)
    best = np.array([[0.0, 2.0, 1.0, 0.0, 0.0]] * 5 + [[0.0, 0.0, 0.0, 0.0, 9.0]])
    assert _darts.Found(best, 0.0).operations == ("skip_connect",) * 5 + ("avg_pool_3x3",)


def test_what_is_told_is_of_the_found_cell_trained_alone() -> None:
    [job] = [replace(one, proposal=Proposal({**one.proposal.config, "order": "second"})) for one in jobs(TASK, 1)]
    [outcome] = TASK.evaluate([job])
    cell = {op: OPERATIONS[int(outcome.hidden[op])] for op in OPS}
    alone = Job(0, 0, Proposal(cell | {"stages": 1}), 0.0, 1.0, job.seed)
    [own] = NeuralCell("digits", max_rows=80, high=1).evaluate([alone])
    assert outcome.curve[-1].values == own.curve[-1].values
    assert outcome.curve[-1].fidelity == job.stop
    assert outcome.hidden.items() >= own.hidden.items()
    assert outcome.hidden["skip_connect"] == list(cell.values()).count("skip_connect")
    [again] = TASK.evaluate([job])
    assert (again.curve, again.hidden) == (outcome.curve, outcome.hidden)


def test_a_search_that_diverges_is_nan() -> None:
    space = SPACE | {"learning_rate": {"type": "float", "lower": 1e-3, "upper": 1e30, "log": True}}
    [job] = jobs(TASK, 1)
    [outcome] = replace(TASK, space=space).evaluate([replace(job, proposal=Proposal({"learning_rate": 1e30}))])
    assert math.isnan(outcome.curve[-1].values[0])


def test_what_it_cannot_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no learning curve of its own"):
        replace(TASK, curves=True)
    with pytest.raises(UserError, match="expected order to be of first, second, got 'third'"):
        replace(TASK, space={"order": {"type": "categorical", "choices": ["first", "third"]}})  # type: ignore[arg-type]
    numbers = SimpleNamespace(trainer=SimpleNamespace(data=SimpleNamespace(outputs=1)))
    monkeypatch.setattr(NeuralDarts, "ready", lambda _: numbers)
    with pytest.raises(UserError, match="expected classes for DARTS, got numbers"):
        TASK.evaluate([])
    assert TASK.identity()["alone"] == 1
    assert TASK.name == "digits-darts"
