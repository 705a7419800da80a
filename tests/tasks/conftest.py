"""Two data sets for tests of learners on tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two data sets of 90 rows with all that tables have in practice."""
    folder = tmp_path_factory.mktemp("store")
    draw = np.random.default_rng(0)
    x, c = draw.normal(size=90), draw.choice(list("abcd"), size=90)
    signal = 2 * x + 3 * (c == "b")
    mixed = pd.DataFrame({
        "hole": np.where(draw.random(90) < 0.1, np.nan, x),
        "category": pd.Categorical(np.where(draw.random(90) < 0.1, None, c)),
        "text": draw.choice(["u", "v"], size=90),
        "flag": draw.random(90) < 0.5,
        "count": draw.integers(9, size=90),
        "constant": 1.0,
        "empty": np.nan,
    })  # fmt: skip
    mixed.assign(target=signal * 10 + 100).to_parquet(folder / "numbers.parquet")
    mixed.assign(target=pd.cut(signal, [-99, -1, 2, 99], labels=["low", "mid", "top"])).to_parquet(
        folder / "classes.parquet"
    )
    (folder / "index.csv").write_text("name,task_type\nnumbers,regression\nclasses,classification\n")
    return str(folder)
