"""The families whose parameters are architectures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra neural is not installed")

from test_families import jobs

from hptbench.errors import UserError
from hptbench.methods.pbt import PBT
from hptbench.protocol import Budget, Problem, Task
from hptbench.spacefile import _packaged, space_from_yaml
from hptbench.tasks import _tables
from hptbench.tasks.neural._cells import EDGES, OPERATIONS, Cells
from hptbench.tasks.neural._trainer import Member
from hptbench.tasks.neural.cell import OPS, NeuralCell
from hptbench.tasks.neural.macro import NeuralMacro
from hptbench.tasks.neural.one_shot import NeuralOneShot, _supernet
from hptbench.testing import TASK_CHECKS


def space(**changed: Any) -> Any:
    """That of cells, with two stages of one cell and what is changed."""
    whole = dict(_packaged("neural_cell")) | {"stages": {"type": "constant", "value": 2}}
    return space_from_yaml(whole | {name: {"type": "constant", "value": value} for name, value in changed.items()})


SMALL: Any = {"high": 2, "max_rows": 80}
CELL = NeuralCell("digits", space=space(), **SMALL)
ONE_SHOT = NeuralOneShot("digits", space=space(), alone=1, **SMALL)
TASKS = [CELL, NeuralMacro("digits", **SMALL), ONE_SHOT]


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    for family in (NeuralCell, NeuralMacro):
        monkeypatch.setattr(family, "tile", 4)


@pytest.mark.slow
@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_conforms(task: Task, check: Callable[[Task], None]) -> None:
    check(task)


def test_the_space_is_that_of_the_table() -> None:
    table, own = _tables.BENCHMARKS["nasbench201"].parameters, _packaged("neural_cell")
    assert dict(table) == {op: own[op] for op in OPS}
    free = [n for n, size in zip(CELL.space.names, CELL.space.sizes, strict=True) if size != 1]
    assert free == list(OPS)
    assert tuple((a, b) for b in range(1, 4) for a in range(b)) == EDGES


def test_hyperparameters_can_be_searched_together_with_the_architecture() -> None:
    rate = {"type": "float", "lower": 0.01, "upper": 1.0, "log": True}
    task = replace(CELL, space=dict(_packaged("neural_cell")) | {"learning_rate": rate})  # type: ignore[arg-type]
    [default, drawn] = jobs(task, 2)
    a, b = (task.recipe(task.ready(), job) for job in (default, drawn))
    assert a.optimizer.learning_rate != b.optimizer.learning_rate == drawn.proposal.config["learning_rate"]
    assert a.within == b.within


def test_sizes_count() -> None:
    net = Cells(4, 1, 3, 8, 2, 1, ("nor_conv_3x3", "nor_conv_1x1", "none", "skip_connect", "avg_pool_3x3", "none"))
    stem, first = 9 * 8 * 16, (9 + 1) * 64 * 16
    reduction, second = (9 * 8 + 9 * 16 + 8) * 16 * 4, (9 + 1) * 256 * 4
    assert net.flops == 2 * (stem + first + reduction + second + 16 * 3)
    macro = NeuralMacro("digits").networks(NeuralMacro("digits").space.default(), (1, 8, 8), 10)[0]
    assert macro.flops == 2 * (64 * 9 * (8 + 64) + 16 * 9 * (8 * 16 + 256) + 4 * 9 * 256 + 160)


@pytest.mark.parametrize(("task", "message"), [
    (lambda: NeuralCell("digits", space={"Op0": {"type": "categorical", "choices": ["none", "conv"]}}),
     "expected Op0 to be of none, skip_connect, .*, got 'conv'"),
    (lambda: NeuralMacro("digits", space={"kernel_1": {"type": "ordinal", "choices": [1, 2]}}),
     "expected kernel_1 to be of 1, 3, 5, got 2"),
    (lambda: NeuralMacro("digits", space={"depth_1": {"type": "integer", "lower": 1, "upper": 4}}),
     "expected depth_1 to be of 1 to 3, got 4"),
    (lambda: NeuralOneShot("digits", space=dict(_packaged("neural_cell"))
                           | {"channels": {"type": "integer", "lower": 8, "upper": 16}}),
     "shared by operations only, but channels is a parameter"),
    (lambda: NeuralOneShot("digits", space=space(optimizer="adamw")), "trained with nesterov, got optimizer 'adamw'"),
])  # fmt: skip
def test_spaces_that_no_network_has(task: Callable[[], Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        task()


def test_images_that_cannot_be_halved() -> None:
    deep = NeuralCell("digits", space=space(stages=5), **SMALL)
    with pytest.raises(UserError, match="sides that can be halved 4 times for 5 stages, got 8 pixels"):
        deep.evaluate(jobs(deep, 1))


def test_what_is_told_is_of_the_shared_weights_and_what_is_hidden_of_a_training_alone() -> None:
    some = jobs(ONE_SHOT, 3)
    outcomes, alone = ONE_SHOT.evaluate(some), ONE_SHOT.cell.evaluate([replace(job, stop=1.0) for job in some])
    ready, shared = ONE_SHOT.ready(), _supernet(ONE_SHOT)
    for job, outcome, own in zip(some, outcomes, alone, strict=True):
        recipe = ONE_SHOT.recipe(ready, job)
        [said] = ready.trainer.predict(shared.snapshots([recipe.net], [2]), [recipe.within], ready.trainer.data.held)
        rows = np.arange(len(said))
        assert outcome.curve[-1].values[0] == pytest.approx(-np.log(said[rows, ready.validation.y]).mean())
        assert outcome.hidden["test"] == own.hidden["test"]
        assert outcome.hidden["alone_log_loss"] == own.curve[-1].values[0] != outcome.curve[-1].values[0]
        assert outcome.hidden["supernet_flops"] == shared.flops(2) > outcome.hidden["flops"]


def test_populations_have_nothing_to_inherit_from_a_supernet() -> None:
    assert ONE_SHOT.fidelity.continues
    with pytest.raises(UserError, match="another configuration left"):
        PBT().begin(
            Problem(ONE_SHOT.space, ONE_SHOT.objectives, ONE_SHOT.fidelity, Budget(9)), np.random.default_rng(0)
        )


def test_a_supernet_with_one_path_is_that_network() -> None:
    choice = {op: ("nor_conv_3x3", "nor_conv_1x1")[i % 2] for i, op in enumerate(OPS)}
    task = replace(ONE_SHOT, space=space(**choice))
    ready, shared = task.ready(), _supernet(task)
    recipe = task.recipe(ready, jobs(task, 1)[0])
    [begun, after] = shared.snapshots([recipe.net] * 2, [0, 2])  # type: ignore[list-item]
    [trained] = ready.trainer.train([Member(recipe, shared._seed, 0, 2, begun)], lambda *_: None)
    moved = np.abs(trained.snapshot.parameters - begun.parameters).max()
    np.testing.assert_allclose(after.parameters, trained.snapshot.parameters, atol=1e-3 * moved)


def test_a_batch_changes_the_weights_of_its_path_alone() -> None:
    task = replace(ONE_SHOT, space=space(batch_size=512), supernet=3)  # one batch an epoch
    shared = _supernet(task)
    net: Any = task.recipe(task.ready(), jobs(task, 1)[0]).net
    changed: dict[int, set[str]] = {e: set() for e in range(len(EDGES))}
    for operation in OPERATIONS[2:4]:
        same = replace(net, operations=(operation,) * len(EDGES))
        [a, b] = (shared._path(same.operations, shared._after(n).weights) for n in (0, 1))
        for place, edge in same.places:
            if not np.array_equal(a[place], b[place]):
                changed[edge].add(operation)
        assert not np.array_equal(a[0], b[0])  # the stem is on all paths
    assert all(len(operations) <= 1 for operations in changed.values())
    assert any(changed.values())
    assert task.name == "digits-one_shot-n3"
