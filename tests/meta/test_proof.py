"""Leaving a family out: that nothing leaks, and that the figures are what they are said to be."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from hptbench.errors import UserError
from hptbench.meta import proof, verdict
from hptbench.meta._recommender import Order
from hptbench.meta.ablation import CHANGES, ablate
from hptbench.meta.artefact import Trained
from hptbench.meta.past import Past
from hptbench.space import Floats


@dataclass(frozen=True)
class Spy:
    """Recommends the table's order, and keeps what it was shown."""

    seen: list[tuple[Past, Floats]]

    def order(self, past: Past, x: Floats, n: int) -> Order:
        self.seen.append((past, x))
        return np.arange(min(n, len(past.configs)))


@pytest.fixture(scope="module")
def shown(trained: Trained) -> tuple[pd.DataFrame, list[tuple[Past, Floats]]]:
    spy = Spy([])
    compared = {"default": proof.RECOMMENDERS["default"], "nearest": proof.RECOMMENDERS["nearest"], "spy": spy}
    compared["greedy_portfolio"] = proof.RECOMMENDERS["greedy_portfolio"]
    return proof.prove(trained.pasts, compared), spy.seen


def test_nobody_sees_the_family_of_what_is_recommended_for(
    shown: tuple[pd.DataFrame, list[tuple[Past, Floats]]], trained: Trained
) -> None:
    past = trained.past("knn", "classification")
    family = {x.tobytes(): str(f) for x, f in zip(past.features, past.families, strict=True)}
    assert len(shown[1]) == 2 * 40
    for rest, x in shown[1]:
        assert family[x.tobytes()] not in rest.families
        assert len(rest) <= 38


def test_near_duplicates_of_other_families_are_left_out(trained: Trained) -> None:
    past = trained.past("knn", "classification")
    twins = past.features.copy()
    twins[10] = twins[30]
    rest, excluded = proof.rest_of(replace(past, features=twins), "f15")
    assert "d10" not in rest.data
    assert excluded >= 1


def test_losses_are_of_the_best_by_validation(
    shown: tuple[pd.DataFrame, list[tuple[Past, Floats]]], trained: Trained
) -> None:
    past, rows = trained.past("knn", "classification"), shown[0]
    one = rows[(rows["learner"] == "knn") & (rows["data"] == "d11") & (rows["recommender"] == "spy")]
    i = past.data.index("d11")
    for count, test in zip(one["count"], one["test"], strict=True):
        assert test == past.test[i, past.validation[i, :count].argmin()]
    assert set(one["count"]) == set(proof.COUNTS)


def test_random_search_is_its_expectation() -> None:
    rng = np.random.default_rng(0)
    validation, losses = rng.random(7), rng.random(7)
    for k in (1, 3, 7):
        draws = list(itertools.combinations(range(7), k))
        best = [losses[min(draw, key=lambda c: validation[c])] for draw in draws]
        assert proof.expected_of_random(validation, losses, [k]) == pytest.approx([np.mean(best)])


def test_one_family_is_not_enough(trained: Trained) -> None:
    past = trained.past("knn", "classification")
    with pytest.raises(UserError, match="three families"):
        proof.prove({("knn", "classification"): past.take(past.families < "f02")}, {})


def test_the_page_says_what_holds(shown: tuple[pd.DataFrame, list[tuple[Past, Floats]]], trained: Trained) -> None:
    text = verdict.page(shown[0], ablate(trained.pasts), "meta evaluate")
    found = {target.claim: target for target in verdict.targets(shown[0])}
    better = next(target for claim, target in found.items() if "75%" in claim)
    assert better.holds, better.found
    assert "2 pairs of a learner and a kind of task on 40 data sets of 20 families" in text
    assert text.count("**holds**") + text.count("**does not hold**") == len(found) == 5
    worse = shown[0].assign(loss=shown[0]["loss"].where(shown[0]["recommender"] != "auto", 1.0))
    assert not any(target.holds for target in verdict.targets(worse))


def test_less_to_learn_from_is_worse(trained: Trained) -> None:
    found = ablate(trained.pasts)
    mean = found.groupby("change")["loss_1"].mean()
    assert set(mean.index) == set(CHANGES)
    assert mean["landmarkers only"] < 0.3 < mean["1/4 of the families"] + 0.25
    assert mean["all"] <= mean["1/4 of the families"]
    assert len(found) == 2 * 40 * len(CHANGES)


def test_families_are_the_units(shown: tuple[pd.DataFrame, list[tuple[Past, Floats]]]) -> None:
    names, losses = verdict.losses(shown[0], [("auto", 1), ("default", 1)])
    assert len(names) == len(losses) == 20
    first = shown[0][(shown[0]["family"] == "f04") & (shown[0]["count"] == 1) & (shown[0]["recommender"] == "auto")]
    assert losses[4, 0] == pytest.approx(first["loss"].mean())
    assert len(first) == 4
    assert verdict.pairs(shown[0], 1)[0].units == 20
