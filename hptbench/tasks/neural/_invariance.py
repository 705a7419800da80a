"""Does a member's result depend on its neighbours? Asked of the device itself, once per network and tile."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from hptbench.rng import entropy, stream
from hptbench.tasks.neural._nets import Network
from hptbench.tasks.neural._optimizers import Coefficients
from hptbench.tasks.neural._tile import Drops, Floats32, Layout, Pass, Snapshot, Tile, on

_ROWS = 32


@lru_cache(maxsize=256)
def same_in_any_tile(
    net: Network, adaptive: bool, shape: tuple[int, ...], outputs: int, tile: int, device: str
) -> bool:
    """Whether members of any kinds give the same bits alone, among few and in a whole tile, at any place.

    False: tiles need a fixed number of members of one kind. RuntimeError if even then they depend on their place:
    results would depend on who trains beside whom."""
    numbers = _Numbers(net, adaptive, shape, outputs, tile, device)
    kinds = net.variants()
    mixed = sorted(((i, kinds[i % len(kinds)]) for i in range(tile)), key=lambda member: -len(member[1].hidden))
    whole = dict(zip(mixed, numbers.run(mixed), strict=True))
    few = [mixed[:1], mixed[-1:], mixed[1:3], mixed[::2]]
    if all(np.array_equal(a, whole[i]) for some in few for i, a in zip(some, numbers.run(some), strict=True)):
        return True
    for kind in kinds:
        alike = [(i, kind) for i in range(tile)]
        if not np.array_equal(numbers.run(alike), numbers.run(alike[::-1])[::-1]):
            raise RuntimeError(f"{device}: a training of {net} depends on its place among {tile}")
    return False


class _Numbers:
    """Made-up members and rows."""

    def __init__(
        self, net: Network, adaptive: bool, shape: tuple[int, ...], outputs: int, tile: int, device: str
    ) -> None:
        rng = stream(entropy("invariance", tile))
        self._net, self._layout, self._adaptive = net, Layout(net), adaptive
        self._outputs, self._device = outputs, device
        self._vectors = rng.normal(size=(tile, self._layout.size)).astype(np.float32) / 8
        said = (tile, _ROWS * net.per_row)
        labels = rng.integers(outputs, size=said) if outputs > 1 else rng.normal(size=said)
        self._arrays: dict[str, Any] = {
            "x": net.rows(rng, (tile, _ROWS, *shape)),
            "y": labels.astype(np.int64 if outputs > 1 else np.float32),
            "weights": rng.random(said).astype(np.float32),
            "smoothing": rng.random((tile, 1, 1)).astype(np.float32),
            "numbers": rng.random((len(Coefficients._fields), tile, 1)).astype(np.float32),
            "least": np.zeros((tile, 1, 1), np.int32),
            "scale": np.full((tile, 1, 1), 2.0, np.float32),
        }
        self._held = net.rows(rng, (net.block, *shape))
        for j, width in enumerate(net.hidden):
            self._arrays[f"keys{j}"], self._arrays[f"units{j}"] = (
                rng.integers(-(2**31), 2**31, size, dtype=np.int32) for size in ((tile, _ROWS), (tile, 2, width))
            )

    def run(self, members: Sequence[tuple[int, Network]]) -> list[Floats32]:
        """Of some members (number, network): their numbers after a pass, and what they then say."""
        some = [i for i, _ in members]
        snapshots = [self._snapshot(*member) for member in members]
        tile = Tile(self._layout, snapshots, len(some), self._adaptive, self._device)
        arrays = {name: array[:, some] if name == "numbers" else array[some] for name, array in self._arrays.items()}
        t = on(self._device, arrays | {"held": self._held})
        drops = [
            Drops(t[f"keys{j}"][:k], t[f"units{j}"][:k], t["least"][:k], t["scale"][:k])
            for j, k in enumerate(tile.counts)
        ]
        work = Pass(t["x"], t["y"], t["weights"], t["smoothing"], drops, None, Coefficients(*t["numbers"]))
        tile.step(work, self._outputs)
        said = tile.outputs(t["held"], self._outputs).cpu().numpy().reshape(len(some), -1)
        return [np.concatenate([tile.p[i].cpu().numpy(), tile.m[i].cpu().numpy(), said[i]]) for i in range(len(some))]

    def _snapshot(self, i: int, net: Network) -> Snapshot:
        vector = self._layout.gather(net, self._vectors[i])
        return Snapshot(net, vector, np.abs(vector), vector * vector if self._adaptive else None, 3)
