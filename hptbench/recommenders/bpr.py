"""Bayesian personalised ranking (Rendle, Freudenthaler, Gantner & Schmidt-Thieme, UAI 2009) of matrix factorisation."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hptbench import rng
from hptbench.protocol import Fidelity
from hptbench.recommenders._base import Factors, Feedback, Interactions, Recommender
from hptbench.space import Config

_BATCH = 32


class BPR(Recommender):
    """Each item that a user chose above one that was not chosen; epochs of stochastic gradients on such triples.

    LearnBPR (figure 4 of the paper) with factors and item biases; how often a user chose an item does not count.
    Deviations: an epoch is one triple per interaction, in random order; the updates of 32 are computed at once and
    added up; a drawn item that the user did choose is skipped."""

    space: ClassVar[str] = "bpr"
    feedback: ClassVar[Feedback] = "implicit"
    fidelity: ClassVar[Fidelity] = Fidelity(2, 54, unit="epoch", continues=True)
    init_std: ClassVar[float] = 0.1

    def sweep(self, config: Config, seed: tuple[int, ...], data: Interactions, number: int, model: Factors) -> Factors:
        rate, shrink = float(config.get("learning_rate", 0.01)), float(config.get("regularization", 0.01))
        users, items, bias = model.users.copy(), model.items.copy(), model.item_bias.copy()
        draw = rng.stream(rng.entropy(*seed, "epoch", number))
        order = draw.permutation(len(data.users))
        others = draw.integers(data.n_items, size=len(order))
        pairs = np.sort(data.users * data.n_items + data.items)
        wanted = data.users[order] * data.n_items + others
        chosen = pairs[np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)] == wanted
        order, others = order[~chosen], others[~chosen]
        for at in range(0, len(order), _BATCH):
            rows = order[at : at + _BATCH]
            u, i, j = data.users[rows], data.items[rows], others[at : at + _BATCH]
            p, q, o = users[u], items[i], items[j]
            margin = bias[i] - bias[j] + np.einsum("nk,nk->n", p, q - o)
            pull = 1 / (1 + np.exp(margin))
            update_i, update_j = rate * (pull - shrink * bias[i]), rate * (-pull - shrink * bias[j])
            np.add.at(users, u, rate * (pull[:, None] * (q - o) - shrink * p))
            np.add.at(items, i, rate * (pull[:, None] * p - shrink * q))
            np.add.at(items, j, rate * (-pull[:, None] * p - shrink * o))
            np.add.at(bias, i, update_i)
            np.add.at(bias, j, update_j)
        return model._replace(users=users, items=items, item_bias=bias)
