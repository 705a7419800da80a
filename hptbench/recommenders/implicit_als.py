"""Matrix factorisation of implicit feedback (Hu, Koren & Volinsky, ICDM 2008), by alternating least squares."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hptbench.protocol import Fidelity
from hptbench.recommenders._base import Factors, Feedback, Interactions, Recommender
from hptbench.recommenders._least_squares import solve, sparse
from hptbench.space import Config, Floats


class ImplicitALS(Recommender):
    """Preference 1 for what users did and 0 for all else, weighted by confidence; sweeps of alternating least squares.

    The loss is eq. 3 of Hu, Koren & Volinsky (2008), over all pairs, with the confidence ``1 + alpha r`` or
    ``1 + alpha log(1 + r / epsilon)`` (eq. 6). A sweep solves for all users (eq. 4), then for all items (eq. 5), and
    never raises the loss."""

    space: ClassVar[str] = "implicit_als"
    feedback: ClassVar[Feedback] = "implicit"
    fidelity: ClassVar[Fidelity] = Fidelity(1, 27, unit="sweep", continues=True)
    init_std: ClassVar[float] = 0.01

    def sweep(self, config: Config, seed: tuple[int, ...], data: Interactions, number: int, model: Factors) -> Factors:
        extra = excess_confidence(config, data.values)
        shape = (data.n_users, data.n_items)
        strength = float(config.get("regularization", 0.01))
        weights = sparse(data.users, data.items, extra, shape)
        targets = sparse(data.users, data.items, 1 + extra, shape)
        gram = model.items.T @ model.items
        users = solve(weights, targets, model.items, np.full(data.n_users, strength), gram)
        gram = users.T @ users
        items = solve(weights.T.tocsr(), targets.T.tocsr(), users, np.full(data.n_items, strength), gram)
        return model._replace(users=users, items=items)


def excess_confidence(config: Config, values: Floats) -> Floats:
    """(n,) how much more a pair weighs than one that was not observed, which weighs 1."""
    alpha = float(config.get("alpha", 1.0))
    if config.get("confidence", "linear") == "linear":
        return alpha * values
    return np.asarray(alpha * np.log1p(values / float(config.get("epsilon", 1.0))))
