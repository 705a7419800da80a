"""Recommendations that follow what the first ones were worth."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import hptbench
from hptbench.errors import UserError
from hptbench.meta._recommender import ordered
from hptbench.meta.adaptive import Adaptive, adapted
from hptbench.meta.artefact import Trained
from hptbench.meta.past import Past
from hptbench.meta.recommend import Advisor
from hptbench.meta.similar import Similar


@pytest.fixture
def past(trained: Trained) -> Past:
    return trained.past("knn", "classification")


def test_results_tell_what_meta_features_do_not(past: Past) -> None:
    """Planted: the best configuration depends on a number that no meta-feature of the new data set shows."""
    unknown, best = np.full(len(past.names), np.nan), {"fixed": [], "adaptive": []}
    for i in range(0, len(past), 2):
        rest = past.without([str(past.families[i])])
        fixed = Similar().order(rest, unknown, 6)
        adaptive = Adaptive().replay(rest, Similar(), unknown, past.validation[i], 6)
        assert adaptive[0] == fixed[0]
        assert len(set(adaptive.tolist())) == 6
        for name, order in (("fixed", fixed), ("adaptive", adaptive)):
            best[name].append(past.test[i, order].min() - past.test[i].min())
    better = np.array(best["adaptive"]) < np.array(best["fixed"])
    assert np.mean(best["adaptive"]) < 0.5 * np.mean(best["fixed"]), best
    assert better.sum() >= 5


def test_without_a_say_the_order_is_fixed(past: Past) -> None:
    x = past.features[7]
    expected = Similar().order(past, x, 12)
    assert Adaptive(0.0).replay(past, Similar(), x, past.validation[7], 12).tolist() == expected.tolist()
    with pytest.raises(UserError, match="strength >= 0"):
        Adaptive(-1.0)


def test_past_data_sets_in_the_same_order_count_more(past: Past) -> None:
    even = np.full(len(past), 1 / len(past))
    tried = [0, 5, 11]
    weights = adapted(past, even, tried, past.validation[3, tried].tolist(), 1.0)
    assert weights.sum() == pytest.approx(1)
    assert weights[3] == weights.max()
    turned = np.argmin(weights)
    assert weights[3] / weights[turned] == pytest.approx(math.exp(3.0))  # all three pairs the other way round
    assert adapted(past, even, [4], [0.3], 1.0) is even
    failed = adapted(past, even, tried, [0.1, math.inf, math.inf], 1.0)
    assert np.isfinite(failed).all()


def test_only_the_order_of_losses_counts(past: Past) -> None:
    even, losses = np.full(len(past), 1 / len(past)), [0.3, 0.1, 0.9]
    scaled = [1e6 * math.exp(loss) for loss in losses]
    assert adapted(past, even, [0, 5, 11], losses, 1.0) == pytest.approx(adapted(past, even, [0, 5, 11], scaled, 1.0))


def test_an_order_goes_on_after_what_was_tried() -> None:
    rng = np.random.default_rng(0)
    losses, weights = rng.random((9, 8)), np.full(9, 1 / 9)
    for k in range(9):
        tried = rng.permutation(8)[:k]
        order = ordered(losses, weights, 8, tried=tried)
        assert order[:k].tolist() == tried.tolist()
        assert sorted(order.tolist()) == list(range(8))
        if k == 2:
            least = losses[:, tried].min(axis=1)
            after = [weights @ np.minimum(least, losses[:, c]) for c in order[k:]]
            assert after[0] == min(after)


def test_recommendations_follow_results() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(150, 4)), columns=list("abcd"))
    y = np.where(X["a"] + X["b"] ** 2 > 0.7, "yes", "no")
    found = hptbench.recommend(X, y, learner="svm", n=6)
    # the worse, the sooner: the past data sets that count after that are others
    results = [(one, 1.0 - i / 10) for i, one in enumerate(found.ranked)]
    then = hptbench.recommend(X, y, learner="svm", n=4, results=results)
    assert not [config for config in then.configs if config in found.configs]
    assert then.nearest != found.nearest
    with pytest.raises(UserError, match="one result of each"):
        hptbench.recommend(X, y, learner="svm", results=[*results, results[0]])
    with pytest.raises(UserError, match="numbers, or inf"):
        hptbench.recommend(X, y, learner="svm", results=[(found.ranked[0], math.nan)])
    with pytest.raises(UserError, match="configurations that were recommended"):
        hptbench.recommend(X, y, learner="knn", results=results)


def test_the_same_results_give_the_same_answer() -> None:
    from hptbench.meta.frames import cleaned

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(80, 3)), columns=list("abc")).assign(y=rng.choice(["u", "v"], 80))
    advisor = Advisor(cleaned(frame, "y"))
    results = [(one, 0.5 - i) for i, one in enumerate(advisor.recommend(3).ranked)]
    assert advisor.recommend(3, results).to_json() == Advisor(cleaned(frame, "y")).recommend(3, results).to_json()
