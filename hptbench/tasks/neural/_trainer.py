"""Training many networks at once: tiles of members that are padded to one size and advance epoch by epoch.

A batch of a member is worked off in passes of :data:`ROWS` rows whose gradients are added up, so that members with
different batch sizes share a tile, and each updates where its own batch ends. What a member comes to does not depend
on its neighbours, nor on how many they are, nor on its place: all that is shared is a product over a stack, whose
parts are computed alike. :meth:`Trainer._fits` makes sure of it on the device at hand; where the number of members
would change a bit, tiles always have the same number, with blanks.
"""

from __future__ import annotations

import itertools
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hptbench.tasks.neural import _streams
from hptbench.tasks.neural._nets import Network, Tensor
from hptbench.tasks.neural._optimizers import Coefficients, Optimizer
from hptbench.tasks.neural._tile import Drops, Floats32, Pass, Snapshot, Tile, layout_of, on

ROWS = 32
"""Of a pass."""
TILE = 64
"""Members trained at once at most."""
_TRAINING = 3
"""Operations of a training row in those of its way forward: the way back takes twice as many."""
Watch = Callable[[int, int, NDArray[np.float64]], None]
"""Told (which member, epochs trained so far, what it says of the validation rows)."""


@dataclass(frozen=True)
class Recipe:
    """One configuration, in the words of the trainer."""

    net: Network
    within: Network
    """The network as whose part it is trained, the same for similar ones: these share tiles."""
    optimizer: Optimizer
    batch_size: int
    epochs: int
    """Of the whole training, which the schedule is for."""
    dropout: tuple[float, ...] = ()
    """Of each of ``net.hidden``; none: nowhere."""
    smoothing: float = 0.0
    """Of labels: so much of the probability is spread over all classes."""


@dataclass(frozen=True)
class Member:
    """One segment of one training."""

    recipe: Recipe
    seed: tuple[int, ...]
    start: int
    """Epochs done."""
    stop: int
    before: Snapshot | None = None
    """What it goes on from. One of another network counts as none: nothing of it would fit."""

    def begin(self) -> Snapshot:
        """What the segment begins with."""
        net = self.recipe.net
        if self.before is not None and self.before.net == net:
            return self.before
        vector = np.concatenate([part.ravel() for part in net.initial(_streams.initial(self.seed))])
        return Snapshot(net, vector, np.zeros_like(vector), None, 0)


@dataclass(frozen=True, eq=False)
class Data:
    """What is trained on, and what is predicted after every epoch."""

    X: NDArray[Any]
    """(n, …) inputs of the training rows, finite; symbols are whole numbers."""
    y: NDArray[Any]
    """(n,) classes, or for one output standardised numbers; of sequences (n, said of a row), each with equal weight."""
    held: NDArray[Any]
    """(rows, …) inputs of the validation rows."""
    outputs: int
    """Classes; 1 for numbers."""
    asked: NDArray[np.int64] | None = None
    """(rows, said of a row) classes of ``held``, of which alone the probability is told; None: of all classes."""
    judged: int | None = None
    """So many of the first rows of ``held`` validate, None: all; others are scored beside them, and decide nothing."""


class Trained(NamedTuple):
    """What came of a member."""

    snapshot: Snapshot
    seconds: float
    """Its share of the time of its tile, by floating-point operations."""


class Trainer:
    """Trains members on ``data``. UserError or MemoryError if the device cannot hold a single one."""

    def __init__(self, data: Data, device: str | None = None, tile: int = TILE) -> None:
        self.data, self.device, self._tile = data, device or best_device(), tile
        held = {"X": data.X, "y": data.y.astype(np.int64 if data.outputs > 1 else np.float32), "held": data.held}
        held |= {} if data.asked is None else {"asked": data.asked}
        self._on = on(self.device, held)

    def train(self, members: Sequence[Member], watch: Watch) -> list[Trained]:
        """What each member came to; a diverged one ends with the epoch in which what it says of the
        validation rows ceased to be finite."""
        done: dict[int, Trained] = {}
        with alone():
            kinds = [(member.recipe.within, member.recipe.optimizer.adaptive) for member in members]
            for kind, group in self._alike(kinds, [member.recipe.net for member in members]):
                todo = sorted(group, key=lambda i: (members[i].recipe.batch_size, i))
                while todo:
                    now, todo = todo[: self._tile], todo[self._tile :]
                    now.sort(key=lambda i: -len(members[i].recipe.net.hidden))
                    try:
                        done |= self._together(*kind, {i: members[i] for i in now}, watch)
                    except (RuntimeError, MemoryError) as error:
                        self._tile = halved(len(now), self.device, error)
                        todo = now + todo
        return [done[i] for i in range(len(members))]

    def predict(
        self, snapshots: Sequence[Snapshot], within: Sequence[Network], X: NDArray[Any], asked: Any = None
    ) -> list[NDArray[np.float64]]:
        """What each says of the rows of ``X``: (said, classes) probabilities, or (said,) numbers, or probabilities of
        the classes ``asked`` (rows, said of a row)."""
        said: dict[int, NDArray[np.float64]] = {}
        there = on(self.device, {"X": X} if asked is None else {"X": X, "asked": asked})
        with alone():
            kinds = [(net, False) for net in within]
            for kind, group in self._alike(kinds, [snapshot.net for snapshot in snapshots]):
                group.sort(key=lambda i: -len(snapshots[i].net.hidden))
                for at in range(0, len(group), self._tile):
                    some = group[at : at + self._tile]
                    tile = self._of(*kind, [snapshots[i] for i in some])
                    said |= zip(some, self._say(tile, there["X"], len(some), there.get("asked")), strict=True)
        return [said[i] for i in range(len(snapshots))]

    def _together(
        self, within: Network, adaptive: bool, members: dict[int, Member], watch: Watch
    ) -> dict[int, Trained]:
        """Train one tile. ``members`` come with the deepest first."""
        began = time.perf_counter()
        left, worked = list(members), dict.fromkeys(members, 0.0)
        starts = {i: member.begin() for i, member in members.items()}
        updates = {i: start.updates for i, start in starts.items()}
        tile = self._of(within, adaptive, list(starts.values()))
        fixed = not self._fits(within, adaptive)
        snapshots: dict[int, Snapshot] = {}
        for epoch in itertools.count():
            for at, i in enumerate(left):
                if i not in snapshots and members[i].start + epoch >= members[i].stop:
                    snapshots[i] = tile.snapshot(at, members[i].recipe.net, updates[i])
            stay = [at for at, i in enumerate(left) if i not in snapshots]
            if not stay:
                break
            if len(stay) < len(left):
                left = [left[at] for at in stay]
                tile.keep(stay + stay[-1:] * (self._tile - len(stay)) if fixed else stay)
            now = [(members[i], members[i].start + epoch) for i in left]
            for i, more in zip(left, self._epoch(tile, now, [updates[i] for i in left]), strict=True):
                updates[i] += more
            held = self._say(tile, self._on["held"], len(left), self._on.get("asked"))
            for at, (i, outputs) in enumerate(zip(left, held, strict=True)):
                worked[i] += flops(members[i].recipe.net, len(self.data.X), len(self.data.held))
                watch(i, members[i].start + epoch + 1, outputs)
                if not np.isfinite(outputs[: self.data.judged]).all():
                    snapshots[i] = tile.snapshot(at, members[i].recipe.net, updates[i])
        took, total = time.perf_counter() - began, math.fsum(worked.values())
        return {i: Trained(snapshots[i], took * worked[i] / total) for i in members}

    def _epoch(self, tile: Tile, members: Sequence[tuple[Member, int]], before: Sequence[int]) -> list[int]:
        """Train each member for the epoch of its own that follows so many; returns how often each updated."""
        work = _Work(members, before, len(self.data.X), len(tile), tile.net)
        tensors = on(self.device, work.arrays)
        X, y = self._on["X"], self._on["y"]
        if (said := y[0].numel()) > 1:
            tensors["weights"] = tensors["weights"].repeat_interleave(said, 2) / said
        parts = {name: tensor.unbind(0) for name, tensor in tensors.items()}
        counts = tile.counts if work.dropping else []
        fixed = [
            (tensors[f"units{j}"][:k], tensors["least"][j, :k], tensors["scale"][j, :k]) for j, k in enumerate(counts)
        ]
        for s in range(work.passes):
            rows = parts["rows"][s]
            drops = [Drops(parts[f"keys{j}"][s][: len(rest[0])], *rest) for j, rest in enumerate(fixed)]
            numbers: list[Tensor | None] = list(tensors["coefficients"][:, work.at[s] : work.at[s + 1]].unbind(0))
            if not work.direct:
                numbers[Coefficients._fields.index("direct")] = None
            ending = tensors["ending"][work.at[s] : work.at[s + 1]]
            of_batch = parts["weights"][s], tensors["smoothing"]
            whole = None if len(ending) == len(tile) else ending
            tile.step(
                Pass(X[rows], y[rows].flatten(1), *of_batch, drops, whole, Coefficients(*numbers)), self.data.outputs
            )
        return work.updates

    def _say(self, tile: Tile, rows: Tensor, members: int, asked: Tensor | None) -> list[NDArray[np.float64]]:
        """What the first members of a tile say of rows."""
        blocks, size = [], tile.net.block
        for at in range(0, len(rows), size):
            block = tile.outputs(rows[at : at + size], self.data.outputs)[:members]
            if asked is not None:
                places = asked[at : at + size].flatten()
                block = block.gather(2, places.expand(members, -1).unsqueeze(2))
            blocks.append(block.cpu().numpy())
        said = np.concatenate(blocks, axis=1).astype(np.float64)
        return list(said if self.data.outputs > 1 and asked is None else said[..., 0])

    def _of(self, within: Network, adaptive: bool, members: Sequence[Snapshot]) -> Tile:
        """A tile of some members."""
        slots = len(members) if self._fits(within, adaptive) else self._tile
        return Tile(layout_of(within), members, slots, adaptive, self.device)

    def _alike(
        self, kinds: Sequence[tuple[Network, bool]], nets: Sequence[Network]
    ) -> list[tuple[tuple[Network, bool], list[int]]]:
        """The kinds and who is of each; where tiles have to have one size, also one kind of network."""
        groups: dict[Any, list[int]] = {}
        for i, (kind, net) in enumerate(zip(kinds, nets, strict=True)):
            groups.setdefault((kind, net.kind if not self._fits(*kind) else None), []).append(i)
        return [(kind, group) for (kind, _), group in groups.items()]

    def _fits(self, within: Network, adaptive: bool) -> bool:
        """Whether tiles of any number of members give the same bits on this device."""
        from hptbench.tasks.neural._invariance import same_in_any_tile

        shape = self.data.X.shape[1:]
        return self._tile == 1 or same_in_any_tile(within, adaptive, shape, self.data.outputs, self._tile, self.device)


class _Work:
    """An epoch of the members of a tile, pass by pass."""

    def __init__(
        self, members: Sequence[tuple[Member, int]], before: Sequence[int], n: int, slots: int, within: Network
    ) -> None:
        plans = [_plan(n, member.recipe.batch_size) for member, _ in members]
        self.passes = max(len(plan.places) for plan in plans)
        self.updates = [int(plan.ends.sum()) for plan in plans]
        self.direct = any(member.recipe.optimizer.name == "nesterov" for member, _ in members)
        dropping = any(any(member.recipe.dropout) for member, _ in members)
        self.dropping = len(within.hidden) if dropping else 0
        rows = np.zeros((self.passes, slots, ROWS), np.int64)
        weights = np.zeros((self.passes, slots, ROWS), np.float32)
        ends = np.zeros((self.passes, slots), bool)
        numbers = np.zeros((self.passes, slots, len(Coefficients._fields)), np.float32)
        keys = [np.zeros((self.passes, slots, ROWS), np.int32) for _ in range(self.dropping)]
        units = [np.zeros((slots, 2, within.hidden[j]), np.int32) for j in range(self.dropping)]
        least = np.full((self.dropping, slots, 1, 1), np.iinfo(np.int32).min, np.int32)
        scale = np.ones((self.dropping, slots, 1, 1), np.float32)
        smoothing = np.zeros((slots, 1, 1), np.float32)
        for t, ((member, epoch), plan) in enumerate(zip(members, plans, strict=True)):
            recipe, length = member.recipe, len(plan.places)
            drops = recipe.dropout if any(recipe.dropout) else ()
            draws = _streams.epoch(member.seed, epoch, n, recipe.net.hidden if drops else ())
            rows[:length, t], weights[:length, t] = draws.order[plan.places], plan.weights
            ends[:length, t] = plan.ends
            smoothing[t] = recipe.smoothing
            numbers[ends[:, t], t] = recipe.optimizer.coefficients(self.updates[t], before[t], epoch / recipe.epochs)
            for j, dropout in enumerate(drops):
                keys[j][:length, t] = draws.rows[j][plan.places]
                units[j][t, :, : recipe.net.hidden[j]] = draws.units[j]
                least[j, t], scale[j, t] = _streams.threshold(dropout)
        self.at = [0, *np.cumsum(ends.sum(axis=1)).tolist()]
        """Where the updates of a pass begin among all."""
        self.arrays = {
            "rows": rows, "weights": weights, "ending": np.nonzero(ends)[1],
            "coefficients": numbers[ends].T[..., None], "least": least, "scale": scale, "smoothing": smoothing,
        }  # fmt: skip
        self.arrays |= {f"keys{j}": part for j, part in enumerate(keys)}
        self.arrays |= {f"units{j}": part for j, part in enumerate(units)}


class _Plan(NamedTuple):
    """How a member goes through the rows of an epoch."""

    places: NDArray[np.intp]
    """(passes, ROWS) places in the epoch's order; 0 where there is none."""
    weights: Floats32
    """(passes, ROWS) 1 / rows of the batch; 0 where there is none."""
    ends: NDArray[np.bool_]
    """(passes,) whether a batch ends with the pass."""


@lru_cache(maxsize=1024)
def _plan(n: int, batch_size: int) -> _Plan:
    places, weights, ends = [], [], []
    for start in range(0, n, batch_size):
        stop = min(start + batch_size, n)
        for at in range(start, stop, ROWS):
            there = np.arange(at, at + ROWS)
            inside = there < stop
            places.append(np.where(inside, there, 0))
            weights.append(np.where(inside, 1 / (stop - start), 0))
            ends.append(at + ROWS >= stop)
    return _Plan(np.stack(places), np.stack(weights).astype(np.float32), np.array(ends))


def halved(members: int, device: str, error: BaseException) -> int:
    """How many trainings to try at once after an error with so many; MemoryError if it was one alone. Raises the error
    itself unless memory was short, which PyTorch says by OutOfMemoryError of a GPU, a RuntimeError of the processor."""
    if not isinstance(error, MemoryError) and "memory" not in str(error):
        raise error
    if members == 1:
        raise MemoryError(f"{device} cannot hold one training: {error}") from error
    warnings.warn(
        f"out of memory with {members} trainings at once on {device}: {members // 2} from now on", stacklevel=3
    )
    return members // 2


def flops(net: Network, training: int, held: int) -> float:
    """Floating-point operations of an epoch: of so many training rows, and of predicting those held out."""
    return net.flops * (_TRAINING * training + held)


def best_device() -> str:
    """``cuda`` where there is such a device, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def card_seconds(device: str, seconds: float) -> float | None:
    """What of ``seconds`` on ``device`` is a graphics card's: all, or None on a processor."""
    return None if device == "cpu" else seconds


@contextmanager
def alone() -> Iterator[None]:
    """One thread, so that sums do not depend on the number of cores; numbers too small for full precision count as
    0, which they nearly are: processors take a hundred times as long for them."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)
