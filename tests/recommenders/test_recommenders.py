from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hptbench import rng
from hptbench.errors import UserError
from hptbench.recommenders import Factors, Interactions, find_recommender, recommenders
from hptbench.recommenders._least_squares import solve, sparse
from hptbench.recommenders.implicit_als import excess_confidence
from hptbench.spacefile import packaged_space

SEED = rng.entropy("test")


def planted(rank: int = 2, share: float = 0.6, counts: bool = False) -> tuple[Interactions, Any]:
    """Pairs of a low-rank matrix with biases, without noise; the whole (40, 30) matrix."""
    draw = np.random.default_rng(0)
    users, items = draw.normal(size=(40, rank)), draw.normal(size=(30, rank))
    matrix = 3 + draw.normal(size=(40, 1)) + draw.normal(size=30) + users @ items.T
    u, i = np.nonzero(draw.random(matrix.shape) < share)
    values = draw.integers(1, 5, size=len(u)).astype(float) if counts else matrix[u, i]
    return Interactions(u, i, values, 40, 30), matrix


def rated_loss(data: Interactions, model: Factors, strength: float) -> float:
    """Equation 5 of Koren, Bell & Volinsky (2009)."""
    u, i = data.users, data.items
    size = (model.users**2).sum(1)[u] + (model.items**2).sum(1)[i] + model.user_bias[u] ** 2 + model.item_bias[i] ** 2
    return float(np.sum((data.values - model.of_pairs(u, i)) ** 2 + strength * size))


def implicit_loss(data: Interactions, model: Factors, config: Any) -> float:
    """Equation 3 of Hu, Koren & Volinsky (2008), over all pairs."""
    confidence, preference = np.ones((2, data.n_users, data.n_items))
    preference[:] = 0
    confidence[data.users, data.items] += excess_confidence(config, data.values)
    preference[data.users, data.items] = 1
    errors = confidence * (preference - model.users @ model.items.T) ** 2
    return float(errors.sum() + config["regularization"] * ((model.users**2).sum() + (model.items**2).sum()))


def test_least_squares_are_numpys() -> None:
    draw = np.random.default_rng(1)
    data, _ = planted()
    others, gram = draw.normal(size=(30, 3)), np.diag([1.0, 2.0, 3.0])
    shape, weight = (40, 30), draw.random(len(data.users))
    ridge = np.full(40, 0.5)
    found = solve(
        sparse(data.users, data.items, weight, shape),
        sparse(data.users, data.items, weight * data.values, shape),
        others, ridge, gram,
    )  # fmt: skip
    for user in range(40):
        mine = data.users == user
        X, w = others[data.items[mine]], np.sqrt(weight[mine])
        penalty = np.linalg.cholesky(gram + 0.5 * np.eye(3)).T
        A, b = np.vstack([w[:, None] * X, penalty]), np.concatenate([w * data.values[mine], np.zeros(3)])
        np.testing.assert_allclose(found[user], np.linalg.lstsq(A, b)[0], atol=1e-10)


def test_sweeps_never_raise_the_loss() -> None:
    data, _ = planted()
    config = {"factors": 3, "regularization": 0.05, "init_std": 0.3}
    explicit = find_recommender("biased_mf_als")
    models = [explicit.train(config, SEED, data, 0, n, None) for n in range(6)]
    losses = [rated_loss(data, model, 0.05) for model in models]
    assert all(np.diff(losses) < 0), losses
    assert losses[-1] < 0.2 * losses[0]

    data, _ = planted(counts=True, share=0.2)
    for config in (
        {"factors": 3, "regularization": 0.1, "alpha": 5.0, "confidence": "linear"},
        {"factors": 3, "regularization": 0.1, "alpha": 5.0, "confidence": "log", "epsilon": 0.1},
    ):
        models = [find_recommender("implicit_als").train(config, SEED, data, 0, n, None) for n in range(6)]
        losses = [implicit_loss(data, model, config) for model in models]
        assert all(np.diff(losses) < 0), losses


@pytest.mark.parametrize(("name", "config", "n", "error"), [
    ("biased_mf_als", {"factors": 2, "regularization": 1e-6}, 60, 0.01),
    ("biased_mf_sgd", {"factors": 2, "regularization": 1e-4, "learning_rate": 0.02}, 400, 0.2),
])  # fmt: skip
def test_a_planted_matrix_is_found(name: str, config: Any, n: int, error: float) -> None:
    data, matrix = planted()
    model = find_recommender(name).train(config, SEED, data, 0, n, None)
    hidden = np.ones(matrix.shape, bool)
    hidden[data.users, data.items] = False
    found = model.of_users(np.arange(40))
    assert np.sqrt(np.mean((found - matrix)[hidden] ** 2)) < error * matrix[hidden].std()


def test_one_step_of_gradients_by_hand() -> None:
    """One rating: the updates of Koren, Bell & Volinsky (2009)."""
    data = Interactions(np.array([0]), np.array([0]), np.array([5.0]), 1, 1)
    before = Factors(np.array([[1.0, 2.0]]), np.array([[0.5, -1.0]]), np.array([0.1]), np.array([0.2]), 3.0)
    config = {"factors": 2, "learning_rate": 0.1, "regularization": 0.5}
    after = find_recommender("biased_mf_sgd").train(config, SEED, data, 0, 1, before)
    error = 5 - (3 + 0.1 + 0.2 + 0.5 - 2)
    np.testing.assert_allclose(after.users, [[1 + 0.1 * (error * 0.5 - 0.5), 2 + 0.1 * (-error - 1)]])
    np.testing.assert_allclose(after.items, [[0.5 + 0.1 * (error - 0.25), -1 + 0.1 * (2 * error + 0.5)]])
    np.testing.assert_allclose(after.user_bias, 0.1 + 0.1 * (error - 0.05))
    assert before.users.tolist() == [[1.0, 2.0]], "the state stays as it is"


def test_bpr_follows_the_gradient_of_its_criterion() -> None:
    """One interaction and one other item: the gradient of ln sigma(x_ui - x_uj) - lambda |theta|^2 / 2."""
    data = Interactions(np.array([0]), np.array([0]), np.array([1.0]), 1, 2)
    before = Factors(np.array([[1.0]]), np.array([[0.5], [0.2]]), np.zeros(1), np.array([0.3, -0.1]), 0.0)

    def criterion(theta: Any) -> float:
        p, q, o, c, d = theta
        return float(-np.log1p(np.exp(-(c - d + p * (q - o)))) - 0.05 * (np.square(theta)).sum())

    theta = np.array([1.0, 0.5, 0.2, 0.3, -0.1])
    steps = np.eye(5) * 1e-6
    gradient = np.array([(criterion(theta + e) - criterion(theta - e)) / 2e-6 for e in steps])
    config = {"factors": 1, "learning_rate": 0.1, "regularization": 0.1}
    models = [find_recommender("bpr").sweep(config, SEED, data, number, before) for number in range(8)]
    changed = [m for m in models if not np.array_equal(m.users, before.users)]
    assert 0 < len(changed) < 8, "item 1 is drawn in some epochs, and item 0, which was chosen, is skipped in others"
    for model in changed:
        found = np.concatenate([model.users.ravel(), model.items.ravel(), model.item_bias])
        np.testing.assert_allclose(found - theta, 0.1 * gradient, atol=1e-8)


def test_confidence() -> None:
    values = np.array([1.0, 3.0])
    np.testing.assert_allclose(excess_confidence({"alpha": 40.0}, values), [40, 120])
    log = excess_confidence({"alpha": 2.0, "confidence": "log", "epsilon": 0.5}, values)
    np.testing.assert_allclose(log, [2 * np.log(3), 2 * np.log(7)])


@pytest.mark.parametrize("name", recommenders())
def test_segments_are_one_training_bit_for_bit(name: str) -> None:
    model = find_recommender(name)
    data, _ = planted(counts=model.feedback == "implicit", share=0.3)
    space = packaged_space(model.space)
    for config in [space.default(), *space.decode(space.sample(np.random.default_rng(2), 3))]:
        whole = model.train(config, SEED, data, 0, 6, None)
        first = model.train(config, SEED, data, 0, 2, None)
        second = model.train(config, SEED, data, 3, 6, model.train(config, SEED, data, 2, 3, first))
        for mine, theirs, early in zip(second, whole, first, strict=True):
            np.testing.assert_array_equal(mine, theirs)
            assert np.isfinite(early).all()
        assert not np.array_equal(first.users, whole.users)


@pytest.mark.parametrize("name", recommenders())
def test_parameters_that_are_not_there_are_the_defaults_of_the_space(name: str) -> None:
    model = find_recommender(name)
    data, _ = planted(counts=model.feedback == "implicit", share=0.3)
    one, other = (model.train(c, SEED, data, 0, 2, None) for c in ({}, packaged_space(model.space).default()))
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_users_and_items_without_interactions_stay_finite() -> None:
    data = Interactions(np.array([0, 0]), np.array([1, 2]), np.array([1.0, 4.0]), 3, 4)
    for name, model in recommenders().items():
        trained = model.train({"factors": 2}, SEED, data, 0, 3, None)
        assert np.isfinite(trained.of_users(np.arange(3))).all(), name


def test_unknown_recommender() -> None:
    with pytest.raises(UserError, match="Did you mean 'bpr'"):
        find_recommender("brp")
