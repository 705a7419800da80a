"""A learnt embedding of data sets: what a small network that reads any table learns to tell apart.

H. S. Jomaa, L. Schmidt-Thieme and J. Grabocka, "Dataset2Vec: learning dataset meta-features", Data Mining and Knowledge
Discovery 35, 2021, arXiv:1905.11063: a data set is the set of pairs of a column and a target, and each pair the set of
its values on the rows; so three networks with means between them, h(mean over pairs of g(mean over rows of f(x, y)))
(deep sets: Zaheer et al., NeurIPS 2017), know neither the order nor the number of rows and columns. They are trained so
that samples of rows and columns of one data set lie near one another, and those of two data sets do not: the similarity
is exp(-distance), and the loss the logarithmic one of "these two are of the same data set".

Deviations: two layers in each network without residual connections; all pairs of samples of a step are compared, not
drawn ones; samples have a fixed number of rows, columns and targets; columns of numbers are standardised and clipped, a
missing one is the mean; a category is an indicator, of the most frequent ones of a column.

Training needs torch (extra ``neural``) and is the same bit for bit for the same tables and seed on one machine; using
what was trained needs numpy only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.learners import Table
from hptbench.meta._view import View, view
from hptbench.rng import entropy, stream
from hptbench.space import Floats

Singles: TypeAlias = NDArray[np.float32]
PREFIX = "embedding_"
"""What the names of its numbers begin with, where they stand beside meta-features."""
FORMAT = 1
_WIDTH, _SIZE = 32, 16
"""Units of all layers but the last one, and the length of an embedding."""
_MOST, _CLIP = 8, 4.0
"""Categories of a column and classes that are looked at; and standard deviations of columns of numbers."""
_SAMPLE = (64, 8, 2)
"""Rows, columns and targets of a sample in training."""
_SEEN, _VIEWS = (256, 16, 4), 8
"""Those of one when a data set is embedded, and how many embeddings of such are averaged."""
_LAYERS = 6
"""Two each of f, g and h."""


class Columns(NamedTuple):
    """A data set as the networks read it."""

    x: Singles
    """(n, p) its columns."""
    y: Singles
    """(n, t) its targets."""


def columns_of(table: Table) -> Columns:
    """The columns and targets of a data set, of rows and columns drawn by a fixed seed if it is large."""
    seen: View = view(table)
    with np.errstate(all="ignore"):  # of numbers that are too large to compute with, 0 stands
        parts = [_standardised(seen.spread), *(_indicators(codes) for codes in seen.categories)]
        targets = np.nan_to_num(seen.targets, posinf=0.0, neginf=0.0)
    x = np.hstack([part for part in parts if part.shape[1]] or [np.zeros((len(seen.table), 1))])
    y = targets[:, np.argsort(-targets.sum(axis=0), kind="stable")[:_MOST]]
    return Columns(x.astype(np.float32), np.clip(y, -_CLIP, _CLIP).astype(np.float32))


def _standardised(x: Floats) -> Floats:
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    return np.clip(np.where(np.isfinite(scaled), scaled, 0.0), -_CLIP, _CLIP)


def _indicators(codes: Floats) -> Floats:
    values, counts = np.unique(codes, return_counts=True)
    frequent = values[np.argsort(-counts, kind="stable")[:_MOST]]
    return np.asarray(codes[:, None] == frequent, float)


def _sampled(columns: Columns, rng: np.random.Generator, shape: tuple[int, int, int]) -> Columns:
    """Rows without repetition if there are enough; columns and targets with, if there are too few."""
    n, p, t = len(columns.x), columns.x.shape[1], columns.y.shape[1]
    rows = rng.choice(n, shape[0], replace=n < shape[0])
    some = [rng.choice(m, k, replace=m < k) for m, k in ((p, shape[1]), (t, shape[2]))]
    return Columns(columns.x[rows[:, None], some[0]], columns.y[rows[:, None], some[1]])


def _forward(weights: Sequence[Any], x: Any, y: Any) -> Any:
    """(b, size) embeddings of samples ``x`` (b, n, p) and ``y`` (b, n, t): arrays of numpy, or tensors."""
    w, b = weights[::2], weights[1::2]
    pairs = x[:, :, :, None, None] * w[0][0] + y[:, :, None, :, None] * w[0][1] + b[0]
    row = (pairs.clip(min=0) @ w[1] + b[1]).clip(min=0).mean(1)
    pair = ((row @ w[2] + b[2]).clip(min=0) @ w[3] + b[3]).clip(min=0).mean(1).mean(1)
    return (pair @ w[4] + b[4]).clip(min=0) @ w[5] + b[5]


@dataclass(frozen=True, eq=False)
class Encoder:
    """The trained networks."""

    weights: tuple[Singles, ...]
    """Of each layer a matrix and a vector."""
    data: tuple[str, ...]
    """The data sets that it was trained on."""

    def __call__(self, table: Table) -> Floats:
        """(16,) the embedding of a data set with at least one row and column. The same rows give the same numbers."""
        columns = columns_of(table)
        rng = stream(entropy("embed", *columns.x.shape))
        parts = [_sampled(columns, rng, _SEEN) for _ in range(_VIEWS)]
        x, y = (np.stack([part[i] for part in parts]) for i in (0, 1))
        return np.asarray(_forward(self.weights, x, y).mean(axis=0), float)

    def named(self, table: Table) -> dict[str, float]:
        """The same by name."""
        return {f"{PREFIX}{i:02}": float(value) for i, value in enumerate(self(table))}


def train(
    tables: Mapping[str, Columns], steps: int = 2000, batch: int = 16, rate: float = 1e-3, seed: int = 0
) -> Encoder:
    """Train on data sets, in each step on two samples of ``batch`` of them, with Adam whose ``rate`` falls to 0 along a
    cosine. UserError without torch, and for fewer than two data sets."""
    try:
        import torch
    except ImportError as error:
        raise UserError("to train an embedding needs torch; pip install 'hptbench[neural]'") from error
    if len(tables) < 2:
        raise UserError(f"expected two data sets at least to tell apart, got {len(tables)}")
    rng = stream(entropy("train embedding", seed))
    names = sorted(tables)
    shapes = [(2, _WIDTH), *[(_WIDTH, _WIDTH)] * (_LAYERS - 2), (_WIDTH, _SIZE)]
    weights = []
    for fan_in, fan_out in shapes:  # He's, for rectifiers
        matrix = rng.normal(size=(fan_in, fan_out)) * math.sqrt(2 / fan_in)
        weights += [torch.tensor(matrix, dtype=torch.float32), torch.zeros(fan_out)]
    for weight in weights:
        weight.requires_grad_()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # or sums are in another order
    try:
        optimiser = torch.optim.Adam(weights, lr=rate)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
        for _ in range(steps):
            chosen = np.repeat(rng.choice(len(names), min(batch, len(names)), replace=False), 2)
            parts = [_sampled(tables[names[i]], rng, _SAMPLE) for i in chosen]
            x, y = (torch.from_numpy(np.stack([part[i] for part in parts])) for i in (0, 1))
            loss = _loss(_forward(weights, x, y), torch.from_numpy(chosen))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            falling.step()
    finally:
        torch.set_num_threads(threads)
    return Encoder(tuple(weight.detach().numpy() for weight in weights), tuple(names))


def _loss(embedded: Any, which: Any) -> Any:
    """Of all pairs of samples: those of the same data set count as much as those of different ones."""
    import torch

    i, j = torch.triu_indices(len(which), len(which), 1)
    distance = ((embedded[i] - embedded[j]) ** 2).sum(1).add(1e-12).sqrt()
    same = which[i] == which[j]
    different = torch.log(-torch.expm1(-distance[~same]) + 1e-12)
    return distance[same].mean() - different.mean()


def save(encoder: Encoder, path: Path) -> None:
    """Write the file: arrays and JSON in an npz, no pickle. The same encoder gives the same bytes."""
    card = json.dumps({"format": FORMAT, "data": encoder.data}).encode()
    arrays = {f"w{i:02}": weight for i, weight in enumerate(encoder.weights)}

    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.savez(file, card=np.frombuffer(card, np.uint8), **arrays)  # type: ignore[arg-type]

    write_whole(path, write)


def load(path: Path) -> Encoder:
    """Read what :func:`save` wrote. UserError for anything else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            card = json.loads(file["card"].tobytes())
            if card["format"] != FORMAT:
                raise ValueError(f"format {card['format']}")
            return Encoder(tuple(file[f"w{i:02}"] for i in range(2 * _LAYERS)), tuple(card["data"]))
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise UserError(f"{path}: expected a trained embedding, got: {error}; make it anew: meta embed") from error
