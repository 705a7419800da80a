"""Matrix factorisation of ratings with biases (Koren, Bell & Volinsky, Computer 42(8), 2009), by least squares."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hptbench.protocol import Fidelity
from hptbench.recommenders._base import Factors, Feedback, Ids, Interactions, Recommender
from hptbench.recommenders._least_squares import solve, sparse
from hptbench.space import Config, Floats


class BiasedMFALS(Recommender):
    """Ratings as mean, biases and factors, regularised per rating; sweeps of alternating least squares.

    The loss is eq. 5 of Koren, Bell & Volinsky (2009): the sum over the ratings of ``(r - mean - b_u - b_i - p_u q_i)^2
    + regularization (p_u^2 + q_i^2 + b_u^2 + b_i^2)``, which is the weighted regularisation of Zhou et al. (AAIM 2008).
    A sweep solves for all users (factors and bias), then for all items, and never raises the loss."""

    space: ClassVar[str] = "biased_mf_als"
    feedback: ClassVar[Feedback] = "explicit"
    fidelity: ClassVar[Fidelity] = Fidelity(1, 27, unit="sweep", continues=True)
    init_std: ClassVar[float] = 0.1

    def start(self, data: Interactions) -> tuple[float, Floats]:
        return float(data.values.mean()), np.zeros(data.n_items)

    def sweep(self, config: Config, seed: tuple[int, ...], data: Interactions, number: int, model: Factors) -> Factors:
        strength = float(config.get("regularization", 0.065))
        centred = data.values - model.mean
        residual = centred - model.item_bias[data.items]
        users, user_bias = _half(data.users, data.items, residual, model.items, data.n_users, strength)
        residual = centred - user_bias[data.users]
        items, item_bias = _half(data.items, data.users, residual, users, data.n_items, strength)
        return Factors(users, items, user_bias, item_bias, model.mean)


def _half(rows: Ids, others: Ids, residual: Floats, factors: Floats, n: int, strength: float) -> tuple[Floats, Floats]:
    """Factors and biases of the rows, given those of the others; 0 for a row without ratings."""
    shape = (n, len(factors))
    ridge = strength * np.maximum(np.bincount(rows, minlength=n), 1)
    columns = np.hstack([factors, np.ones((len(factors), 1))])
    there, target = sparse(rows, others, np.ones(len(rows)), shape), sparse(rows, others, residual, shape)
    solved = solve(there, target, columns, ridge)
    return solved[:, :-1], solved[:, -1]
