from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra neural is not installed")

import plain_training as plain
import torch

from hptbench.tasks.neural import _streams
from hptbench.tasks.neural._optimizers import Optimizer
from hptbench.tasks.neural._sequences import ARCHITECTURES, SequenceNet, stacked
from hptbench.tasks.neural._tile import Layout, Snapshot
from hptbench.tasks.neural._trainer import Data, Member, Recipe, Trainer

LENGTH, SYMBOLS, STEPS, N = 6, 5, 3, 20


def text(length: int = LENGTH) -> Data:
    rng = np.random.default_rng(0)
    rows = rng.integers(SYMBOLS, size=(N, length + 1))
    rows[:, 1::2] = rows[:, :-1:2]  # something to be learnt
    return Data(rows[:15, :-1], rows[:15, 1:], rows[15:, :-1], SYMBOLS, rows[15:, 1:])


def numbers() -> Data:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, LENGTH, 2)).astype(np.float32)
    return Data(X[:15], np.repeat(X[:15, :, :1], STEPS, 2).astype(np.float64), X[15:], 1)


DATA = {"text": text(), "numbers": numbers()}


def member(kind: str, of: str, number: int = 0, heads: int = 2, blocks: int = 2, **how: Any) -> Member:
    if of == "text":
        own = SequenceNet(kind, LENGTH, SYMBOLS, 8 * heads, (), SYMBOLS)
    else:
        own = SequenceNet(kind, LENGTH, 2, 8 * heads, (), STEPS, STEPS)
    net, within = stacked(own, blocks, 16)
    optimizer = Optimizer(how.pop("name", "adamw"), **{"learning_rate": 0.02, "weight_decay": 0.1, **how})
    drops = tuple(0.4 / (i + 1) for i in range(blocks))
    recipe = Recipe(net, within, optimizer, 7, 4, drops, 0.1 if of == "text" else 0.0)
    return Member(recipe, (1, 2, 3, number), 0, 2)


def mixed(of: str) -> list[Member]:
    return [
        member("transformer", of, 0),
        member("transformer", of, 1, heads=1, blocks=3),
        member("tcn", of, 2, blocks=1),
        member("tcn", of, 3, heads=4),
        member("gru", of, 4, heads=1),
        member("gru", of, 5, blocks=1, name="sgd", weight_decay=0.0),
    ]


def train(data: Data, members: list[Member], tile: int = 3) -> list[Snapshot]:
    return [one.snapshot for one in Trainer(data, tile=tile).train(members, lambda *_: None)]


def same(a: Snapshot, b: Snapshot) -> bool:
    return np.array_equal(a.parameters, b.parameters) and np.array_equal(a.first, b.first) and a.updates == b.updates


@pytest.mark.parametrize("of", DATA)
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_is_plain_training_of_the_same_network(kind: str, of: str) -> None:
    data, one = DATA[of], member(kind, of, name="sgd", learning_rate=0.1, weight_decay=0.01)
    said: list[Any] = []
    [trained] = Trainer(data, tile=1).train([one], lambda _, epoch, outputs: said.append(outputs))
    parameters, outputs = plain.train(data, one)
    net = one.recipe.net
    flat = Layout(net).spread(net, trained.snapshot.parameters)
    views = Layout(net).views(torch.from_numpy(flat[None]))
    mine = plain.weights(net, [view[0].numpy() for view in views])
    first = plain.weights(net, net.initial(_streams.initial(one.seed)))
    for a, b, begun in zip(mine, parameters, first, strict=True):
        moved = np.abs(b - begun.numpy()).max()
        assert moved > 0
        assert np.abs(a.numpy() - b).max() <= 1e-3 * moved + 1e-6
    np.testing.assert_allclose(said[-1], outputs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("of", DATA)
def test_neighbours_and_places_do_not_matter_and_two_segments_are_one(of: str) -> None:
    data, members = DATA[of], mixed(of)
    together = train(data, members)
    for a, b in zip(together, train(data, members[::-1])[::-1], strict=True):
        assert same(a, b)
    halves = train(data, [replace(one, stop=1) for one in members])
    for one, half, a in zip(members, halves, together, strict=True):
        [rest] = train(data, [replace(one, start=1, before=half)])
        assert same(a, rest)


def test_one_that_diverges_does_so_alone() -> None:
    data, fine = DATA["text"], member("gru", "text", 4)
    seen: dict[int, list[bool]] = {}
    [a, _] = Trainer(data, tile=3).train(
        [fine, member("gru", "text", 5, name="sgd", learning_rate=1e30)],
        lambda i, epoch, outputs: seen.setdefault(i, []).append(bool(np.isfinite(outputs).all())),
    )
    assert seen == {0: [True, True], 1: [False]}
    assert same(a.snapshot, train(data, [fine])[0])


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_what_is_said_does_not_depend_on_what_comes_later(kind: str) -> None:
    one = member(kind, "numbers")
    net, layout = one.recipe.net, Layout(one.recipe.net)
    rows = torch.from_numpy(layout.spread(net, one.begin().parameters)[None])
    x = torch.from_numpy(DATA["numbers"].held[None])
    later = x.clone()
    later[:, :, 4:] += 1.0
    counts = [1] * len(net.hidden)
    a, b = (
        net.forward(net.parts(rows, layout.views, counts), z, (), counts).view(5, LENGTH, STEPS) for z in (x, later)
    )
    assert torch.equal(a[:, :4], b[:, :4])
    assert not torch.allclose(a[:, 4:], b[:, 4:])


def test_sizes() -> None:
    net = member("transformer", "text").recipe.net
    per_place = 2 * (12 * 16**2 + 2 * 16 * LENGTH) + 16 * SYMBOLS
    assert net.flops == 2 * LENGTH * per_place
    net = member("gru", "numbers", blocks=1).recipe.net
    assert net.flops == 2 * LENGTH * (2 * 16 + 6 * 16**2 + 6 * 16 + 16 * STEPS)
    assert net.per_row == LENGTH * STEPS
