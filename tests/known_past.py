"""A small past of which one knows what is best: data sets of one latent number, by which the best neighbours differ."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from hptbench.learners import find_learner
from hptbench.meta.features import VERSION
from hptbench.spacefile import packaged_space

DATA, CONFIGS = 40, 12


def made(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of evaluations and of meta-features: two data sets of each family, which differ but little."""
    rng = np.random.default_rng(seed)
    latent = np.repeat(np.linspace(-1, 1, DATA // 2), 2) + 0.01 * rng.normal(size=DATA)
    names = [f"d{i:02}" for i in range(DATA)]
    described = pd.DataFrame({
        "data": names, "family": [f"f{i // 2:02}" for i in range(DATA)], "kind": "classification", "version": VERSION,
        "landmark_a": latent, "log_rows": latent**3 + 0.01 * rng.normal(size=DATA), "missing_share": 0.0,
        "log_columns": rng.normal(size=DATA),
    })  # fmt: skip
    rows = []
    for learner in ("knn", "decision_tree"):
        space = packaged_space(find_learner(learner).spaces["classification"])
        configs = [space.default(), *space.decode(space.sample(np.random.default_rng(1), CONFIGS - 1))]
        best = np.linspace(-1, 1, CONFIGS)
        for name, z in zip(names, latent, strict=True):
            for c, config in enumerate(configs):
                loss = 0.2 + (z - best[c]) ** 2
                for fidelity in (1 / 3, 1.0):
                    noise = 0.01 * rng.normal(size=2)
                    rows.append({
                        "data": name, "learner": learner, "configuration": c, "fidelity": fidelity, "status": "ok",
                        "config": json.dumps(config), "validation_log_loss": loss / fidelity + noise[0],
                        "test_log_loss": loss / fidelity + noise[1],
                    })  # fmt: skip
    return pd.DataFrame(rows), described
