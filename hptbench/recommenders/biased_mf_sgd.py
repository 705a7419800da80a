"""Matrix factorisation of ratings with biases (Koren, Bell & Volinsky, Computer 42(8), 2009), by gradients."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hptbench import rng
from hptbench.protocol import Fidelity
from hptbench.recommenders._base import Factors, Feedback, Interactions, Recommender
from hptbench.space import Config, Floats

_BATCH = 32


class BiasedMFSGD(Recommender):
    """Ratings as mean, biases and factors, regularised per rating; epochs of stochastic gradient descent.

    The updates are those of Koren, Bell & Volinsky (2009) for eq. 5, for factors and biases alike. Deviation: those of
    32 ratings are computed at once and added up, which is fast without a compiler. The rate decays per epoch, as in
    Koren (KDD 2008)."""

    space: ClassVar[str] = "biased_mf_sgd"
    feedback: ClassVar[Feedback] = "explicit"
    fidelity: ClassVar[Fidelity] = Fidelity(1, 27, unit="epoch", continues=True)
    init_std: ClassVar[float] = 0.1

    def start(self, data: Interactions) -> tuple[float, Floats]:
        return float(data.values.mean()), np.zeros(data.n_items)

    def sweep(self, config: Config, seed: tuple[int, ...], data: Interactions, number: int, model: Factors) -> Factors:
        rate = float(config.get("learning_rate", 0.005)) * float(config.get("learning_rate_decay", 1.0)) ** number
        shrink = float(config.get("regularization", 0.02))
        users, items = model.users.copy(), model.items.copy()
        user_bias, item_bias = model.user_bias.copy(), model.item_bias.copy()
        order = rng.stream(rng.entropy(*seed, "epoch", number)).permutation(len(data.values))
        for at in range(0, len(order), _BATCH):
            rows = order[at : at + _BATCH]
            u, i = data.users[rows], data.items[rows]
            p, q, b, c = users[u], items[i], user_bias[u], item_bias[i]
            error = data.values[rows] - model.mean - b - c - np.einsum("nk,nk->n", p, q)
            np.add.at(users, u, rate * (error[:, None] * q - shrink * p))
            np.add.at(items, i, rate * (error[:, None] * p - shrink * q))
            np.add.at(user_bias, u, rate * (error - shrink * b))
            np.add.at(item_bias, i, rate * (error - shrink * c))
        return Factors(users, items, user_bias, item_bias, model.mean)
