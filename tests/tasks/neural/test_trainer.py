from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra neural is not installed")

import plain_training as plain
import torch

from hptbench.errors import UserError
from hptbench.tasks.neural import _invariance, _streams, _trainer
from hptbench.tasks.neural._nets import CNN, MLP, Network, funnel, funnels, rung, up
from hptbench.tasks.neural._optimizers import OPTIMIZERS, SCHEDULES, Optimizer
from hptbench.tasks.neural._tile import Layout, Snapshot
from hptbench.tasks.neural._trainer import Data, Member, Recipe, Trained, Trainer

N, D, K = 70, 5, 3


def made(outputs: int = K, shape: tuple[int, ...] = (D,), n: int = N) -> Data:
    rng = np.random.default_rng(0)
    X, held = (rng.normal(size=(m, *shape)).astype(np.float32) for m in (n, 21))
    y = X.reshape(n, -1)[:, 0] > 0
    return Data(X, y.astype(np.int64) if outputs > 1 else X.reshape(n, -1)[:, 1].astype(np.float64), held, outputs)


def member(
    hidden: Sequence[int] = (12, 7), batch_size: int = 24, number: int = 0, outputs: int = K, stop: int = 2,
    dropout: float = 0.0, smoothing: float = 0.0, inputs: int = D, **optimizer: Any,
) -> Member:  # fmt: skip
    net = MLP(inputs, tuple(hidden), outputs)
    within = MLP(inputs, (32, 32, 24, 16), 16, shallow=True)
    drops = tuple(dropout / (i + 1) for i in range(len(net.hidden)))
    recipe = Recipe(net, within, Optimizer(**optimizer), batch_size, 4, drops, smoothing)
    return Member(recipe, (1, 2, 3, number), 0, stop)


MIXED = [
    member((), 16, 0),
    member((12,), 33, 1, dropout=0.5, weight_decay=0.01),
    member((30, 20, 10), 70, 2, dropout=1.0, smoothing=0.2, name="nesterov"),
    member((9, 9, 9, 9), 7, 3, name="sgd", schedule="cosine", momentum=0.0),
    member((12, 7), 20, 4, name="adam", schedule="step", learning_rate=0.01),
    member((12,), 64, 5, name="adamw", weight_decay=0.1, dropout=0.3),
    member((), 50, 6, name="rmsprop", learning_rate=0.003),
]


def train(trainer: Trainer, members: Sequence[Member]) -> list[Trained]:
    return trainer.train(members, lambda *_: None)


def same(a: Snapshot, b: Snapshot) -> bool:
    seconds = np.array_equal(*(np.zeros(0) if s.second is None else s.second for s in (a, b)))
    return np.array_equal(a.parameters, b.parameters) and np.array_equal(a.first, b.first) and seconds


def is_like_plain(data: Data, one: Member) -> None:
    said: list[Any] = []
    [trained] = Trainer(data).train([one], lambda _, epoch, outputs: said.append((epoch, outputs)))
    parameters, outputs = plain.train(data, one)
    flat = Layout(one.recipe.net).spread(one.recipe.net, trained.snapshot.parameters)
    views = Layout(one.recipe.net).views(torch.from_numpy(flat[None]))
    mine = plain.weights(one.recipe.net, [view[0].numpy() for view in views])
    first = plain.weights(one.recipe.net, one.recipe.net.initial(_streams.initial(one.seed)))
    for a, b, begun in zip(mine, parameters, first, strict=True):
        moved = np.abs(b - begun.numpy()).max()
        assert np.abs(a.numpy() - b).max() <= 2e-4 * moved + 1e-6
    assert [epoch for epoch, _ in said] == list(range(1, one.stop + 1))
    np.testing.assert_allclose(said[-1][1], outputs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_and_schedule_is_that_of_pytorch(name: str, schedule: str) -> None:
    rate = 0.05 if name in ("sgd", "nesterov") else 0.01
    is_like_plain(made(), member(name=name, schedule=schedule, weight_decay=0.02, learning_rate=rate))


@pytest.mark.parametrize("one", MIXED, ids=lambda one: f"{one.recipe.net.hidden}")
def test_is_plain_training_of_the_same_network(one: Member) -> None:
    is_like_plain(made(), one)


def test_regression_and_images_are_plain_training_too() -> None:
    is_like_plain(made(1), member(outputs=1, dropout=0.2))
    for side, colours, hidden in ((8, 1, (3, 5)), (5, 3, (4, 4, 4)), (4, 1, ())):
        net, within = CNN(side, colours, hidden, K), CNN(side, colours, (8, 8, 8), 16, shallow=True)
        recipe = Recipe(net, within, Optimizer(learning_rate=0.1), 30, 4, (0.3,) * len(hidden))
        is_like_plain(made(shape=(colours, side, side)), Member(recipe, (5, 6, 7, 8), 0, 2))


@pytest.mark.parametrize("tile", [3, 64])
def test_neighbours_and_places_do_not_matter(tile: int) -> None:
    data = made()
    trainer = Trainer(data, tile=tile)
    together = train(trainer, MIXED)
    turned = train(trainer, MIXED[::-1])[::-1]
    alone = [train(trainer, [one])[0] for one in MIXED]
    for a, b, c in zip(together, turned, alone, strict=True):
        assert same(a.snapshot, b.snapshot)
        assert same(a.snapshot, c.snapshot)
        assert a.snapshot.updates == c.snapshot.updates


def test_also_where_tiles_have_to_be_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_invariance, "same_in_any_tile", lambda *_: False)
    trainer = Trainer(made(), tile=4)
    members = [*MIXED, replace(MIXED[1], stop=1), replace(MIXED[1], seed=(9, 9, 9, 9))]
    together = train(trainer, members)
    monkeypatch.undo()
    for one, a in zip(members, together, strict=True):
        [alone] = train(Trainer(made(), tile=4), [one])
        assert same(a.snapshot, alone.snapshot)
    said = trainer.predict([a.snapshot for a in together], [m.recipe.within for m in members], made().held)
    assert all(outputs.shape == (21, K) for outputs in said)


def test_two_segments_are_one() -> None:
    trainer = Trainer(made())
    whole = train(trainer, [replace(one, stop=4) for one in MIXED])
    halves = train(trainer, [replace(one, stop=1) for one in MIXED])
    rest = [replace(one, start=1, stop=4, before=half.snapshot) for one, half in zip(MIXED, halves, strict=True)]
    for a, b in zip(whole, train(trainer, rest), strict=True):
        assert same(a.snapshot, b.snapshot)
        assert a.snapshot.updates == b.snapshot.updates


def test_another_network_begins_anew_and_other_settings_go_on() -> None:
    trainer = Trainer(made())
    [half] = train(trainer, [member(stop=1)])
    went_on = replace(member(stop=2, learning_rate=0.0), start=1, before=half.snapshot)
    [same_net] = train(trainer, [went_on])
    assert np.array_equal(same_net.snapshot.parameters, half.snapshot.parameters)
    [other] = train(trainer, [replace(member((5,), stop=2, learning_rate=0.0), start=1, before=half.snapshot)])
    first = member((5,)).recipe.net.initial(_streams.initial((1, 2, 3, 0)))
    assert np.array_equal(other.snapshot.parameters, np.concatenate([part.ravel() for part in first]))
    assert half.snapshot.updates == 3  # 70 rows in batches of 24


def test_one_that_diverges_does_so_alone() -> None:
    trainer = Trainer(made())
    wild = member((12, 7), number=7, learning_rate=1e30)
    seen: dict[int, list[int]] = {}
    outcomes = trainer.train(
        [MIXED[1], wild, MIXED[3]],
        lambda i, epoch, outputs: seen.setdefault(i, []).append(int(np.isfinite(outputs).all())),
    )
    assert seen == {0: [1, 1], 1: [0], 2: [1, 1]}
    for one, trained in ((MIXED[1], outcomes[0]), (MIXED[3], outcomes[2])):
        [alone] = train(trainer, [one])
        assert same(trained.snapshot, alone.snapshot)


def test_out_of_memory_halves_the_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    members = [replace(MIXED[1], seed=(1, 1, 1, i)) for i in range(5)]
    expected = train(Trainer(made()), members)
    step = _trainer.Tile.step

    def short_of_memory(tile: Any, *args: Any) -> None:
        if len(tile) > 2:
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"
            )
        step(tile, *args)

    trainer = Trainer(made())
    train(trainer, members)  # the check of the device does not count
    monkeypatch.setattr(_trainer.Tile, "step", short_of_memory)
    with pytest.warns(UserWarning, match="out of memory with 5 trainings at once on cpu: 2 from now on"):
        halved = train(trainer, members)
    assert all(same(a.snapshot, b.snapshot) for a, b in zip(expected, halved, strict=True))


def test_too_little_memory_for_one_and_other_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(made(), tile=1)

    def fail(error: BaseException) -> None:
        def step(*_: Any) -> None:
            raise error

        monkeypatch.setattr(_trainer.Tile, "step", step)

    fail(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(MemoryError, match="cpu cannot hold one training"):
        train(trainer, MIXED[:1])
    fail(RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes"):
        train(trainer, MIXED[:1])


def test_the_check_of_the_device_sees_a_dependence(monkeypatch: pytest.MonkeyPatch) -> None:
    key = (MLP(D, (32, 16), 16, shallow=True), False, (D,), K)
    assert _invariance.same_in_any_tile(*key, 5, "cpu")
    outputs = _trainer.Tile.outputs

    def by_number(tile: Any, *args: Any) -> Any:
        return outputs(tile, *args) + (len(tile) - 6)

    monkeypatch.setattr(_trainer.Tile, "outputs", by_number)
    assert not _invariance.same_in_any_tile(*key, 6, "cpu")

    def by_place(tile: Any, *args: Any) -> Any:
        return outputs(tile, *args) + torch.arange(len(tile)).view(-1, 1, 1)

    monkeypatch.setattr(_trainer.Tile, "outputs", by_place)
    with pytest.raises(RuntimeError, match="depends on its place among 7"):
        _invariance.same_in_any_tile(*key, 7, "cpu")


def test_threads_and_the_global_generator_stay() -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    train(Trainer(made()), MIXED[:1])
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_dropout_is_fair_and_independent() -> None:
    n, width = 4000, 64
    draws = _streams.epoch((1, 2, 3, 4), 0, n, (width, width))
    least, scale = _streams.threshold(0.3)
    kept = [rows[:, None] * units[0] + units[1] >= least for rows, units in zip(draws.rows, draws.units, strict=True)]
    assert scale == pytest.approx(1 / 0.7)
    for one in kept:
        assert one.mean() == pytest.approx(0.7, abs=0.005)
        assert np.abs(one.mean(axis=0) - 0.7).max() < 0.04  # 4 standard errors are 0.03
        assert np.abs(one.mean(axis=1) - 0.7).max() < 0.35
        between_units = np.corrcoef(one.T) - np.eye(width)
        assert np.abs(between_units).max() < 0.1
        assert np.sqrt((between_units**2).mean()) < 0.02  # 1 / sqrt(n) is 0.016
        assert np.sqrt(((np.corrcoef(one[:500]) - np.eye(500)) ** 2).mean()) < 0.15  # 1 / sqrt(width) is 0.125
    assert abs(np.corrcoef(kept[0].ravel(), kept[1].ravel())[0, 1]) < 0.01
    assert sorted(draws.order) == list(range(n))
    other = _streams.epoch((1, 2, 3, 4), 1, n, (width, width))
    assert not np.array_equal(other.order, draws.order)
    assert _streams.threshold(0.0) == (-(2**31), 1.0)
    assert _streams.threshold(1.0) == (2**31 - 1, 0.0)


def test_funnels_are_those_of_auto_pytorch_and_fit_where_they_are_trained() -> None:
    assert funnel(100, 3, 1) == (3,)
    assert funnel(100, 3, 4) == (100, 68, 36, 3)
    assert funnel(2, 10, 3) == (2, 2, 10)
    assert [rung(n) for n in (1, 32, 33, 64, 65, 96, 97, 129, 200, 385)] == [32, 32, 64, 64, 96, 96, 128, 192, 256, 512]
    for outputs in (1, 2, 10, 150):
        for widest in range(1, 140):
            most = funnels(widest, outputs, 5)
            for layers in range(1, 6):
                hidden = funnel(widest, outputs, layers)[:-1]
                assert all(a <= b for a, b in zip(hidden, most, strict=False)), (widest, outputs, layers)


def test_sizes() -> None:
    nets: list[Network] = [MLP(D, (12, 7), K), CNN(8, 2, (4, 6), K)]
    assert nets[0].flops == 2 * (D * 12 + 12 * 7 + 7 * K)
    assert nets[1].flops == 2 * (2 * 9 * 4 * 64 + 4 * 9 * 6 * 16 + 6 * K)
    for net in nets:
        vector = np.arange(sum(int(np.prod(shape)) for shape in net.tensors), dtype=np.float32)
        wider = replace(net, hidden=(40, 32, 32), outputs=up(K, 16), shallow=True)  # type: ignore[type-var]
        layout = Layout(wider)
        assert np.array_equal(layout.gather(net, layout.spread(net, vector)), vector)
        assert all(start % 16 == 0 for start in layout.starts)


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(UserError, match="Did you mean 'adam'"):
        Optimizer("adm")
    with pytest.raises(UserError, match="unknown schedule 'cosin'"):
        Optimizer(schedule="cosin")
    with pytest.raises(UserError, match="expected 0 <= momentum < 1, got 1"):
        Optimizer(momentum=1)


def test_costs_are_shares_of_the_time() -> None:
    narrow, wide = member((8,)), member((32, 32, 24, 16), number=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a, b = train(Trainer(made()), [narrow, wide])
    assert b.seconds / a.seconds == pytest.approx(wide.recipe.net.flops / narrow.recipe.net.flops)
