"""Each recommender on a past of which one knows what is best."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.meta._likeness import unlikeness
from hptbench.meta._recommender import greedy, ordered, places
from hptbench.meta.artefact import Trained
from hptbench.meta.auto import MEMBERS, Auto
from hptbench.meta.average_rank import AverageRank
from hptbench.meta.nearest import Nearest
from hptbench.meta.past import Past
from hptbench.meta.proof import RECOMMENDERS

ALL = {**RECOMMENDERS, "auto": Auto()}


@pytest.fixture
def past(trained: Trained) -> Past:
    return trained.past("knn", "classification")


@pytest.mark.parametrize("name", ALL)
def test_an_order_is_different_configurations_and_repeatable(past: Past, name: str) -> None:
    x = past.features[3]
    order = ALL[name].order(past, x, 8)
    assert len(set(order.tolist())) == len(order) == 8
    assert order.tolist() == ALL[name].order(past, x, 8).tolist()
    assert sorted(ALL[name].order(past, x, 99).tolist()) == list(range(12))
    assert len(ALL[name].order(past, np.full(len(past.names), np.nan), 3)) == 3


@pytest.mark.parametrize("name", ["nearest", "similar", "process", "forest", "gain", "auto"])
def test_meta_features_say_which_configuration_is_best(past: Past, name: str) -> None:
    """Without the data set's family; the best of twelve lies where the latent number does."""
    missed = []
    for i in range(0, len(past), 6):
        rest = past.without([str(past.families[i])])
        missed.append(abs(int(ALL[name].order(rest, past.features[i], 1)[0]) - past.test[i].argmin()))
    assert np.mean(missed) < 2, missed
    blind = [
        abs(int(ALL["greedy_portfolio"].order(past, past.features[i], 1)[0]) - past.test[i].argmin()) for i in range(40)
    ]
    assert np.mean(blind) > 2.5


@pytest.mark.parametrize("name", MEMBERS)
def test_weights_are_a_mean_and_leave_the_family_out(past: Past, name: str) -> None:
    member = MEMBERS[name]
    assert member.weights(past, past.features[5]).sum() == pytest.approx(1)
    crossed = member.crossed(past)
    assert crossed.sum(axis=1) == pytest.approx(np.ones(len(past)))
    same = past.families[:, None] == past.families[None, :]
    assert (crossed[same] == 0).all()
    expected = crossed @ past.losses
    assert np.mean([past.losses[i, expected[i].argmin()] for i in range(len(past))]) < 0.25


def test_auto_is_the_mean_of_its_members(past: Past) -> None:
    x = past.features[9]
    both = Auto(("similar", "process")).weights(past, x)
    assert both == pytest.approx((MEMBERS["similar"].weights(past, x) + MEMBERS["process"].weights(past, x)) / 2)
    with pytest.raises(UserError, match="similr"):
        Auto(("similr",))
    with pytest.raises(UserError, match="got none"):
        Auto(())


def test_greedy_takes_the_best_complement() -> None:
    rng = np.random.default_rng(0)
    losses, weights = rng.random((9, 7)), rng.random(9)
    chosen = greedy(losses, weights, 3).tolist()
    for k in (1, 2, 3):
        values = {
            c: weights @ losses[:, [*chosen[: k - 1], c]].min(axis=1) for c in set(range(7)) - set(chosen[: k - 1])
        }
        assert chosen[k - 1] == min(values, key=values.__getitem__)
    assert greedy(losses, weights, 3, np.array([6]))[0] == 6
    among = np.array([True, False, True, False, False, False, False])
    assert sorted(greedy(losses, weights, 5, among=among).tolist()) == [0, 2]
    assert set(greedy(losses, weights, 3, np.array([6]), among).tolist()) == {6, 0, 2}


def test_greedy_breaks_ties_by_what_is_better_alone() -> None:
    losses = np.array([[0.0, 0.5, 0.4], [0.0, 0.5, 0.6]])
    assert greedy(losses, np.array([0.5, 0.5]), 3).tolist() == [0, 1, 2]
    losses = np.array([[0.0, 0.9, 0.4]])
    assert greedy(losses, np.ones(1), 3).tolist() == [0, 2, 1]


def test_orders_begin_with_the_least_expected_loss_and_end_by_it() -> None:
    rng = np.random.default_rng(1)
    losses = rng.random((20, 30))
    weights = rng.normal(size=20) / 20
    order, expected = ordered(losses, weights, 30), weights @ losses
    assert order[0] == expected.argmin()
    assert (np.diff(expected[order[4:]]) >= 0).all()
    worth = np.arange(30) % 3 == 0
    chosen = ordered(losses, weights, 30, worth)
    assert sorted(chosen.tolist()) == list(range(30))
    rest = chosen[1:]
    assert worth[rest].tolist() == sorted(worth[rest], reverse=True)
    for part in (rest[worth[rest]][3:], rest[~worth[rest]]):
        assert (np.diff(expected[part]) >= 0).all()


def test_nearest_asks_the_nearest_data_sets_one_after_the_other(past: Past) -> None:
    order = Nearest(2).order(past, past.features[0], 4)
    wishes = [np.argsort(past.losses[i], kind="stable").tolist() for i in (0, 1)]
    want: list[int] = []
    for wish in itertools.cycle(wishes):
        if len(want) == 4:
            break
        want.append(next(c for c in wish if c not in want))
    assert order.tolist() == want
    with pytest.raises(UserError, match="neighbours >= 1"):
        Nearest(0)


def test_average_rank_counts_ranks_not_losses(past: Past) -> None:
    from dataclasses import replace

    losses = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [99.0, 2.0, 3.0]])
    small = replace(past, validation=losses, test=losses, configs=past.configs[:3])
    assert AverageRank().order(small, past.features[0], 3).tolist() == [0, 1, 2]


def test_places_ignore_scale_and_share_ties() -> None:
    past = np.array([[1.0, 5.0], [10.0, 5.0], [1000.0, 5.0]])
    rows, own = places(past, np.array([2.0, 5.0]))
    assert rows[:, 0].tolist() == pytest.approx([-1 / 3, 0, 1 / 3])
    assert own.tolist() == pytest.approx([-1 / 6, 0])


def test_unlikeness_is_zero_for_oneself_and_one_in_the_median(past: Past) -> None:
    between, own = unlikeness(past, past.features[4])
    assert own[4] == pytest.approx(0, abs=1e-12)
    assert between[4] == pytest.approx(own)
    assert np.median(between[np.triu_indices(40, 1)]) == pytest.approx(1)
