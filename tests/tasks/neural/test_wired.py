"""Networks whose members differ in what they compute: the trainer's guarantees hold for them, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra neural is not installed")

from test_trainer import is_like_plain, made, same, train

from hptbench.tasks.neural import _invariance
from hptbench.tasks.neural._cells import OPERATIONS, Cells
from hptbench.tasks.neural._macro import Macro, Stage
from hptbench.tasks.neural._optimizers import Optimizer
from hptbench.tasks.neural._trainer import Data, Member, Recipe, Trainer

N, S, C1, C3, P = OPERATIONS
COLOURS, K = 2, 3


def cells(operations: Sequence[str], channels: int = 8, number: int = 0, stop: int = 2, **settings: Any) -> Member:
    net = Cells(4, COLOURS, K, channels, 2, 1, tuple(operations))
    within = Cells(4, COLOURS, 16, 8, 2, 1)
    batch_size, smoothing = settings.pop("batch_size", 24), settings.pop("smoothing", 0.0)
    optimizer = Optimizer(**{"learning_rate": 0.05, **settings})
    return Member(Recipe(net, within, optimizer, batch_size, 4, (), smoothing), (1, 2, 3, number), 0, stop)


CELLS = [
    cells((C3, C3, P, S, C3, S), name="nesterov", weight_decay=0.01),
    cells((C1, N, C3, P, N, C1), channels=5, number=1, batch_size=40, smoothing=0.1),
    cells((N, N, N, N, N, N), channels=8, number=2),
    cells((S, C1, S, N, P, C3), channels=8, number=3, batch_size=70, schedule="cosine"),
    cells((C3, C1, C3, C1, C3, C1), channels=3, number=4),
]


def macro(*path: Stage, number: int = 0, **optimizer: Any) -> Member:
    within = Macro(4, COLOURS, 16, 3, (Stage(3, 8, 5, True, "mean"),) * 2)
    net = Macro(4, COLOURS, K, 3, path)
    recipe = Recipe(net, within, Optimizer(**{"learning_rate": 0.05, **optimizer}), 24, 4)
    return Member(recipe, (1, 2, 3, number), 0, 2)


MACRO = [
    macro(Stage(3, 8, 3, True, "max"), Stage(1, 5, 5, False, "max"), name="nesterov"),
    macro(Stage(1, 3, 1, True, "mean"), Stage(3, 8, 3, True, "mean"), number=1, weight_decay=0.01),
    macro(Stage(2, 6, 5, False, "max"), Stage(2, 4, 1, True, "max"), number=2),
]
MIXED = {"cells": CELLS, "macro": MACRO}


def data() -> Data:
    return made(shape=(COLOURS, 4, 4))


@pytest.mark.parametrize("one", CELLS, ids=lambda one: "-".join(one.recipe.net.operations))
def test_cells_are_plain_training_of_the_same_network(one: Member) -> None:
    is_like_plain(data(), one)


@pytest.mark.parametrize("one", MACRO, ids=lambda one: "-".join(str(stage.depth) for stage in one.recipe.net.path))
def test_stages_are_plain_training_of_the_same_network(one: Member) -> None:
    is_like_plain(data(), one)


@pytest.mark.parametrize("kind", MIXED)
def test_neighbours_places_and_segments_do_not_matter(kind: str) -> None:
    trainer, members = Trainer(data(), tile=4), MIXED[kind]
    together = train(trainer, members)
    turned = train(trainer, members[::-1])[::-1]
    halves = train(trainer, [replace(one, stop=1) for one in members])
    rest = [replace(one, start=1, before=half.snapshot) for one, half in zip(members, halves, strict=True)]
    for one, a, b, c in zip(members, together, turned, train(trainer, rest), strict=True):
        [alone] = train(trainer, [one])
        assert same(a.snapshot, alone.snapshot)
        assert same(a.snapshot, b.snapshot)
        assert same(a.snapshot, c.snapshot)


@pytest.mark.parametrize("kind", MIXED)
def test_where_tiles_have_to_be_whole_they_hold_one_architecture(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    members = MIXED[kind][:2]
    expected = train(Trainer(data(), tile=3), members)
    monkeypatch.setattr(_invariance, "same_in_any_tile", lambda *_: False)
    trainer, seen = Trainer(data(), tile=3), []
    together = trainer._together

    def watched(within: Any, adaptive: bool, some: Any, watch: Any) -> Any:
        seen.append({one.recipe.net for one in some.values()})
        return together(within, adaptive, some, watch)

    monkeypatch.setattr(trainer, "_together", watched)
    whole = train(trainer, members)
    assert all(same(a.snapshot, b.snapshot) for a, b in zip(expected, whole, strict=True))
    assert [len(nets) for nets in seen] == [1, 1]


@pytest.mark.parametrize("kind", MIXED)
def test_one_that_diverges_does_so_alone(kind: str) -> None:
    fine, other = MIXED[kind][:2]
    wild = replace(other, recipe=replace(other.recipe, optimizer=Optimizer(learning_rate=1e38)))
    finite: dict[int, list[bool]] = {}
    trainer = Trainer(data())
    a, _ = trainer.train(
        [fine, wild], lambda i, _, said: finite.setdefault(i, []).append(bool(np.isfinite(said).all()))
    )
    assert finite == {0: [True, True], 1: [False]}
    [alone] = train(trainer, [fine])
    assert same(a.snapshot, alone.snapshot)
