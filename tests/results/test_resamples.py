from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from hptbench.commands._formats import formatted
from hptbench.errors import UserError
from hptbench.results import conclusions
from hptbench.results.comparison import compared
from hptbench.rng import entropy, stream
from hptbench.stats.resampled import corrected_t, correlated_t

Tables = tuple[pd.DataFrame, pd.DataFrame]
METHODS = ("good", "other", "plain")


def study(units: int, splits: int, seeds: int = 2, spread: float = 0.02) -> Tables:
    """``good`` has 0.3 less test loss than ``plain`` and ``other``; each split of a data set is a task."""
    rng = stream(entropy("resamples", units, splits))
    jobs, runs = [], []
    for u in range(units):
        for split in range(splits):
            identity = json.dumps({"data": f"d{u}", "test_share": 0.25, "split": split})
            for method in METHODS:
                for seed in range(seeds):
                    key = {"task": f"d{u}s{split}", "method": method, "seed": seed, "run": method}
                    loss = (0.7 if method == "good" else 1.0) + spread * rng.normal()
                    jobs.append(
                        key | {"job": 0, "stop": 1.0, "ended": 1.0, "status": "ok", "value": loss, "test": loss,
                               "constraints": [], "units": 1.0, "units_from_zero": 1.0}
                    )  # fmt: skip
                    runs.append(
                        key | {"unit": f"d{u}", "objective": "error", "objectives": ["error"], "front": None,
                               "high": 1.0, "hypotheses": None, "task_identity": identity, "method_class": method,
                               "hyperparameters": "{}", "advice": None, "budget": '{"max_jobs": 1}',
                               "budget_reason": None, "provenance": "default"}
                    )  # fmt: skip
    return pd.DataFrame(jobs), pd.DataFrame(runs)


def test_splits_of_one_data_set_are_compared_by_the_corrected_test() -> None:
    jobs, runs = study(1, 6)
    c = compared(jobs, runs, anchor="none", rope=0.01)
    found = {(r.a, r.b): r for r in c.resampled}
    assert set(found) == {("good", "other"), ("good", "plain"), ("other", "plain")}
    of_split = jobs.groupby(["task", "method"])["test"].mean().unstack()
    d = (of_split["good"] - of_split["plain"]).to_numpy()
    one = found["good", "plain"]
    assert (one.test, one.splits, one.rho) == (corrected_t(d, 0.25), 6, 0.25)
    assert one.posterior == correlated_t(d, 0.01, 0.25)
    assert one.p_holm >= one.test.p
    said = " ".join(conclusions.explored(c))
    assert "good less plain on 6 splits of this data set: -0.3" in said
    assert "(Holm over 3 comparisons: " in said
    assert "other less plain" not in said
    assert json.loads(formatted(c, "json", "s", ""))["exploratory"]["resampled"][1]["posterior"]["better"] > 0.99


def test_only_splits_of_one_data_set_alone_are() -> None:
    assert compared(*study(2, 3), anchor="none").resampled == ()
    assert compared(*study(1, 1), anchor="none").resampled == ()
    jobs, runs = study(1, 3)
    other = runs["task_identity"].str.replace("d0", "d1")
    unlike = runs.assign(task_identity=other.where(runs["task"] == "d0s1", runs["task_identity"]))
    assert compared(jobs, unlike, anchor="none").resampled == ()


def test_folds_tell_the_share_by_their_number() -> None:
    jobs, runs = study(1, 4)
    folds = [json.dumps({"task_id": 3, "repeat": 0, "fold": json.loads(t)["split"]}) for t in runs["task_identity"]]
    assert compared(jobs, runs.assign(task_identity=folds), anchor="none").resampled[0].rho == 0.25
    repeats = [json.dumps({"task_id": 3, "repeat": json.loads(t)["split"], "fold": 0}) for t in runs["task_identity"]]
    assert compared(jobs, runs.assign(task_identity=repeats), anchor="none").resampled == ()


def test_without_a_difference_that_is_said() -> None:
    jobs, runs = study(1, 3)
    alike = jobs.assign(test=1.0 + 0.1 * np.random.default_rng(0).normal(size=len(jobs)))
    assert "No pair differs significantly on this data set by its 3 splits" in " ".join(
        conclusions.explored(compared(alike, runs, anchor="none"))
    )


def test_the_hierarchical_test_is_made_when_asked_for() -> None:
    tables = study(6, 1, seeds=3)
    c = compared(*(t[t["method"] != "other"] for t in tables), anchor="none", rope=0.01, deeper=True)
    assert c.hierarchies["good", "plain"].better > 0.95
    head, [row] = conclusions.pair_rows(c)
    assert head[-3:] == ["next: better", "equivalent", "worse"]
    assert float(row[-3]) == pytest.approx(c.hierarchies["good", "plain"].better, abs=1e-3)
    assert "On the next data set good is better than plain with probability " in " ".join(conclusions.explored(c))
    assert c.hierarchies["good", "plain"].mean == pytest.approx(-0.3, abs=0.04)


def test_it_needs_a_rope_data_sets_and_seeds() -> None:
    for tables, rope in ((study(6, 1), None), (study(1, 6), 0.1), (study(6, 1, seeds=1), 0.1)):
        with pytest.raises(UserError, match="at least 2 data sets and at least 2 seeds"):
            compared(*tables, anchor="none", rope=rope, deeper=True)


def test_runs_without_noise_have_none() -> None:
    tables = study(6, 1, spread=0.0)
    c = compared(*tables, anchor="none", rope=0.01, deeper=True)
    assert c.hierarchies == {}
    assert conclusions.pair_rows(c)[0][-1] == "P(worse)"
