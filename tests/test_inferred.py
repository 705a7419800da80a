from __future__ import annotations

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.inferred import inferred_space
from hptbench.space import Config

PIPELINES: list[Config] = [
    {"classifier:__choice__": "knn", "classifier:knn:k": 3, "rescaling": "none"},
    {"classifier:__choice__": "knn", "classifier:knn:k": 40, "rescaling": "minmax"},
    {"classifier:__choice__": "svm", "classifier:svm:C": 0.01, "classifier:svm:kernel": "rbf", "rescaling": "none"},
    {"classifier:__choice__": "svm", "classifier:svm:C": 100, "classifier:svm:kernel": "poly",
     "classifier:svm:degree": 3, "rescaling": "minmax"},
    {"classifier:__choice__": "svm", "classifier:svm:C": 1, "classifier:svm:kernel": "poly",
     "classifier:svm:degree": 2, "rescaling": "none"},
]  # fmt: skip


def test_every_configuration_lies_in_the_space_that_they_span() -> None:
    space = inferred_space(PIPELINES)
    for config in PIPELINES:
        space.check(config)
    for config in space.decode(space.sample(np.random.default_rng(0), 50)):
        space.check(config)
        assert ("classifier:knn:k" in config) == (config["classifier:__choice__"] == "knn")
        assert ("classifier:svm:degree" in config) == (config.get("classifier:svm:kernel") == "poly")


def test_the_order_does_not_count() -> None:
    assert inferred_space(PIPELINES) == inferred_space([dict(reversed(c.items())) for c in reversed(PIPELINES)])


def test_scales_and_kinds_are_those_of_the_values() -> None:
    kinds = inferred_space([{"a": 1, "b": 0.001, "c": True, "d": 5}, {"a": 9, "b": 1, "c": False, "d": 5}])
    assert kinds.decode(kinds.encode([{"a": 9, "b": 1.0, "c": False, "d": 5}]))[0]["a"] == 9
    specs = {one["name"]: one for one in kinds.to_json()["hyperparameters"]}
    assert "int" in specs["a"]["type"]
    assert not specs["a"]["log"]
    assert "float" in specs["b"]["type"]
    assert specs["b"]["log"]
    assert kinds.categorical[kinds.names.index("c")]


def test_what_nobody_tells_is_always_active() -> None:
    space = inferred_space([{"a": 1, "b": 2}, {"a": 2}, {"a": 3, "b": 4}])
    assert all("b" in config for config in space.decode(space.sample(np.random.default_rng(0), 20)))


def test_nothing_to_tune_is_refused() -> None:
    with pytest.raises(UserError, match="nothing to tune"):
        inferred_space([{}, {}])
