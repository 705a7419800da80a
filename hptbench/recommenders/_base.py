"""What a recommender is: factors of users and items, trained sweep by sweep on what users did with items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hptbench import rng
from hptbench.protocol import Fidelity
from hptbench.space import Config, Floats

Feedback: TypeAlias = Literal["explicit", "implicit"]
Ids: TypeAlias = NDArray[np.int64]


class Interactions(NamedTuple):
    """Pairs of users and items, each pair once."""

    users: Ids
    """(n,) in 0 .. n_users - 1."""
    items: Ids
    values: Floats
    """(n,) ratings (explicit), or how often or how strongly, > 0 (implicit)."""
    n_users: int
    n_items: int

    def take(self, rows: NDArray[np.bool_]) -> Interactions:
        """Some of the pairs, of the same users and items."""
        return self._replace(users=self.users[rows], items=self.items[rows], values=self.values[rows])


class Factors(NamedTuple):
    """A trained model: ``mean + user_bias + item_bias + users @ items.T``. Never changed in place."""

    users: Floats
    """(n_users, k)"""
    items: Floats
    """(n_items, k)"""
    user_bias: Floats
    item_bias: Floats
    mean: float

    def of_pairs(self, users: Ids, items: Ids) -> Floats:
        """(n,) predictions for pairs."""
        dots = np.einsum("nk,nk->n", self.users[users], self.items[items])
        return np.asarray(self.mean + self.user_bias[users] + self.item_bias[items] + dots)

    def of_users(self, users: Ids) -> Floats:
        """(len(users), n_items) predictions for every item."""
        dots = self.users[users] @ self.items.T
        return np.asarray(self.mean + self.user_bias[users, None] + self.item_bias + dots)


class Recommender(ABC):
    """A family of matrix factorisations. Stateless."""

    space: ClassVar[str]
    """The name of its search space."""
    feedback: ClassVar[Feedback]
    fidelity: ClassVar[Fidelity]
    init_std: ClassVar[float]
    """Standard deviation of the first factors, for a configuration that lacks it."""

    @abstractmethod
    def sweep(self, config: Config, seed: tuple[int, ...], data: Interactions, number: int, model: Factors) -> Factors:
        """The model after sweep (or epoch) ``number``, counted from 0: a function of its arguments alone."""

    def start(self, data: Interactions) -> tuple[float, Floats]:
        """The mean and the (n_items,) biases that training begins with."""
        return 0.0, np.zeros(data.n_items)

    def train(
        self, config: Config, seed: tuple[int, ...], data: Interactions, start: int, stop: int, before: Factors | None
    ) -> Factors:
        """Train from sweep ``start`` to ``stop``, from nothing (``before`` is None) or from a model, which stays as it
        is. Two segments give what one gives, bit for bit.

        With another number of factors than before, the last ones are left out, or random ones are added."""
        model = self._begun(config, seed, data, before)
        for number in range(start, stop):
            model = self.sweep(config, seed, data, number, model)
        return model

    def _begun(self, config: Config, seed: tuple[int, ...], data: Interactions, before: Factors | None) -> Factors:
        k = int(config.get("factors", 32))
        if before is not None and before.users.shape[1] == k:
            return before
        draw = rng.stream(rng.entropy(*seed, "factors"))
        scale = float(config.get("init_std", self.init_std))
        users = scale * draw.standard_normal((data.n_users, k))
        items = scale * draw.standard_normal((data.n_items, k))
        if before is None:
            mean, item_bias = self.start(data)
            return Factors(users, items, np.zeros(data.n_users), item_bias, mean)
        kept = min(before.users.shape[1], k)
        users[:, :kept], items[:, :kept] = before.users[:, :kept], before.items[:, :kept]
        return before._replace(users=users, items=items)
