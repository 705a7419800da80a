"""Interactions of users and items: synthetic ones, and a file of one's own.

No library that hptbench needs brings ratings of real people, and nothing is fetched, so that the bundled data are
drawn from a model and called ``synthetic_...``. What is concluded from them holds for low-rank data with biases and
skewed popularity, not for people. Real data, e.g. MovieLens, go into a parquet file with the columns ``user``,
``item`` and ``rating``; other columns are not read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hptbench import rng
from hptbench.errors import UserError, unknown
from hptbench.recommenders import Feedback, Interactions
from hptbench.tasks._parquet import read_parquet

_FEWEST = 10
"""Interactions of a synthetic user."""


class Source(NamedTuple):
    """How a synthetic data set is drawn; see :func:`synthetic`."""

    feedback: Feedback
    users: int
    items: int
    rank: int
    per_user: float
    """Interactions of a user, on average."""
    skew: float
    """Exponent of the items' popularity, a power of their rank (Zipf's law)."""
    signal: float
    """Standard deviation of the low-rank part: in stars (explicit), or in the log odds of being chosen (implicit)."""
    noise: float = 0.0
    """Standard deviation of a rating around its expectation, in stars."""


BUNDLED: Mapping[str, Source] = {
    "synthetic_ratings": Source("explicit", 300, 200, rank=3, per_user=40, skew=0.7, signal=0.8, noise=0.5),
    "synthetic_ratings_sparse": Source("explicit", 600, 400, rank=5, per_user=25, skew=1.0, signal=0.8, noise=0.5),
    "synthetic_ratings_noisy": Source("explicit", 300, 200, rank=8, per_user=60, skew=0.7, signal=0.6, noise=1.0),
    "synthetic_choices": Source("implicit", 300, 200, rank=3, per_user=30, skew=0.5, signal=2.0),
    "synthetic_choices_sparse": Source("implicit", 600, 500, rank=5, per_user=18, skew=0.7, signal=2.0),
    "synthetic_choices_popular": Source("implicit", 400, 300, rank=8, per_user=25, skew=1.2, signal=1.0),
}


def feedback_of(data: str, path: str | None) -> Feedback | None:
    """What a synthetic data set holds, without drawing it; None for a file, which can hold either."""
    if path is not None:
        return None
    if data not in BUNDLED:
        raise unknown("interactions (synthetic; set path to a parquet file for others)", data, BUNDLED)
    return BUNDLED[data].feedback


@lru_cache(maxsize=16)
def load(data: str, path: str | None, feedback: Feedback) -> Interactions:
    """All interactions of a data set. UserError for a file that cannot be used."""
    return synthetic(data, BUNDLED[data]) if path is None else _read(Path(path).expanduser(), feedback)


@lru_cache(maxsize=64)
def fingerprint(data: str, path: str | None, feedback: Feedback) -> str:
    """The SHA-256 of all interactions."""
    found = load(data, path, feedback)
    digest = hashlib.sha256(repr((found.n_users, found.n_items)).encode())
    for part in (found.users.astype("<i8"), found.items.astype("<i8"), found.values.astype("<f8")):
        digest.update(part.tobytes())
    return digest.hexdigest()


def synthetic(name: str, source: Source) -> Interactions:
    """Draw a data set: the same for a name, for ever.

    Users and items have normal factors; their product is scaled to the deviation ``signal``. How many items a user
    chooses is log-normal around ``per_user``. Which: without replacement, with log odds of popularity
    (``-skew log(rank)``), plus the low-rank part for implicit feedback. A rating is 3.5 + biases of user and item
    (deviation 0.4 each) + low-rank part + noise, rounded to 1 .. 5 stars; the choice does not depend on it. An implicit
    value is 1 + a Poisson count whose rate is e to the low-rank part, at most e."""
    draw = rng.stream(rng.entropy("recommender", "data", name))
    shape = (source.users, source.items)
    users, items = (draw.standard_normal((n, source.rank)) for n in shape)
    taste = source.signal * np.einsum("uk,ik->ui", users, items) / np.sqrt(source.rank)
    popularity = -source.skew * np.log(1 + draw.permutation(source.items))
    activity = source.per_user * np.exp(0.5 * draw.standard_normal(source.users) - 0.125)
    many = np.clip(np.rint(activity), _FEWEST, source.items // 2).astype(np.int64)
    odds = popularity + draw.gumbel(size=shape) + (taste if source.feedback == "implicit" else 0.0)
    chosen = np.argsort(np.argsort(-odds, axis=1, kind="stable"), axis=1) < many[:, None]
    if source.feedback == "explicit":
        biases = 0.4 * draw.standard_normal((source.users, 1)) + 0.4 * draw.standard_normal(source.items)
        values = np.clip(np.rint(3.5 + biases + taste + source.noise * draw.standard_normal(shape)), 1, 5)
    else:
        values = 1.0 + draw.poisson(np.exp(np.minimum(taste, 1.0))).astype(np.float64)
    u, i = np.nonzero(chosen)
    return Interactions(u, i, values[u, i], *shape)


def _read(file: Path, feedback: Feedback) -> Interactions:
    import pandas as pd

    frame: Any = read_parquet(file, "set of interactions")
    needed = ["user", "item"] + ["rating"] * (feedback == "explicit")
    if missing := [name for name in needed if name not in frame]:
        raise UserError(f"{file}: expected the columns {', '.join(needed)}, found no {', '.join(missing)}")
    frame = frame[["user", "item", "rating"]] if "rating" in frame else frame[["user", "item"]].assign(rating=1.0)
    if holes := int(frame.isna().any(axis=1).sum()):
        raise UserError(f"{file}: expected no missing values, got {holes} rows with some; drop these rows")
    if not pd.api.types.is_numeric_dtype(frame["rating"].dtype):
        raise UserError(f"{file}: expected numbers in the column 'rating', got {frame['rating'].dtype}; convert them")
    values = frame["rating"].to_numpy(np.float64)
    if not np.isfinite(values).all() or (feedback == "implicit" and (values <= 0).any()):
        raise UserError(f"{file}: expected finite ratings{', above 0' * (feedback == 'implicit')}; drop the others")
    (users, u), (items, i) = (np.unique(frame[name].to_numpy(), return_inverse=True) for name in ("user", "item"))
    pairs, first, at = np.unique(u * len(items) + i, return_index=True, return_inverse=True)
    if feedback == "explicit" and len(pairs) < len(frame):
        raise UserError(f"{file}: expected each user to rate an item once, got {len(frame) - len(pairs)} rows too many")
    summed = np.bincount(at, weights=values, minlength=len(pairs)).astype(np.float64)  # implicit: how often, in all
    return Interactions(u[first], i[first], summed, len(users), len(items))
