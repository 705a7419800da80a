"""Surrogate benchmarks from a table of evaluations: what is fitted, how accurate it is, and what is written of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hptbench.errors import UserError
from hptbench.learners import TaskType, find_learner, learners
from hptbench.meta.past import FEWEST
from hptbench.models.embedding import Embedding
from hptbench.models.gp import GP, Priors, fit
from hptbench.rng import entropy, stream
from hptbench.space import Floats
from hptbench.tasks._surrogates import Group, Surface, load, save, scores, standardised_logs

if TYPE_CHECKING:
    import pandas as pd

METRICS: Mapping[TaskType, tuple[str, ...]] = {
    "classification": ("log_loss", "error", "auc_error"),
    "regression": ("rmse", "mae"),
}
"""What a surrogate models, as far as the table has it; the first is the default."""
_PARTS = ("validation_", "test_")
_FOLDS = 5
_STEPS = 100
_DIGITS = 4
"""Of hyperparameters: beyond these, processors may differ."""
_FEW = 0.2
"""Share of the data sets that a metric may lack: they are left out, else the metric is."""
_EXAMPLES = 3
"""Data sets of each kind in check.json, and configurations of each."""


def learners_of(table: pd.DataFrame, fewest: int = FEWEST) -> list[str]:
    """The learners that a surrogate can be made of: ours, so no networks, whose fidelity is epochs. UserError for
    another table."""
    needed = {"data", "learner", "configuration", "fidelity", "status", "cpu", "config"}
    if lacking := sorted(needed - set(table)):
        raise UserError(f"expected a table of collect-evaluations, got one without {', '.join(lacking)}")
    names = sorted(set(table["learner"].astype(str)) & learners().keys())
    return [name for name in names if groups_of(table, name, fewest, bare=True)]


def groups_of(table: pd.DataFrame, learner: str, fewest: int = FEWEST, bare: bool = False) -> list[Group]:
    """The fitted groups of a learner, one for each kind of task of which the table has ``fewest`` data sets with all
    configurations at all fidelities; ``bare``: not fitted."""
    rows = table[(table["learner"] == learner) & (table["status"] == "ok") & table["cpu"].notna()]
    out = []
    for kind in sorted(find_learner(learner).spaces):
        found = _table(rows, learner, kind, fewest)
        out += [] if found is None else [found if bare else fitted(found)]
    return out


def _table(rows: pd.DataFrame, learner: str, kind: TaskType, fewest: int) -> Group | None:
    """What the table says of a learner on data sets of one kind; None for too little."""
    there = [name for name in METRICS[kind] if all(part + name in rows for part in _PARTS)]
    rows = rows[rows[[_PARTS[0] + name for name in there]].notna().any(axis=1)] if there else rows.iloc[:0]
    if rows.empty:
        return None
    rows = rows.assign(data=rows["data"].astype(str), config=rows["config"].astype(str))
    levels = np.sort(rows["fidelity"].astype(float).round(7).unique())
    texts = rows.drop_duplicates(["configuration", "config"]).sort_values("configuration")
    if texts["configuration"].duplicated().any():
        raise UserError(f"expected the same configurations of {learner} on every data set, got others under one number")
    numbers = texts["configuration"].tolist()
    counts = rows.groupby("data").size()
    whole = rows[rows["data"].isin(counts.index[counts == len(levels) * len(numbers)])]
    lacking = {name: set(whole["data"][whole[[p + name for p in _PARTS]].isna().any(axis=1)]) for name in there}
    metrics = [name for name in there if len(lacking[name]) <= _FEW * whole["data"].nunique()]
    data = sorted(set(whole["data"]).difference(*(lacking[name] for name in metrics)))
    if not metrics or len(data) < fewest or len(levels) < 2:
        return None
    whole = whole[whole["data"].isin(data)].sort_values(["data", "fidelity", "configuration"])
    shape = len(data), len(levels), len(numbers)

    def cube(column: str) -> Floats:
        return whole[column].to_numpy(np.float32).astype(float).reshape(shape)

    losses = np.stack([np.stack([cube(part + name) for part in _PARTS], axis=1) for name in metrics], axis=1)
    configs = tuple(json.loads(text) for text in texts["config"])
    return Group(
        learner, kind, tuple(metrics), tuple(data), configs, tuple(levels.tolist()), losses, cube("cpu"),
        by_loss=np.empty(0), by_cost=np.empty(0), noise=np.empty(0),
    )  # fmt: skip


def fitted(group: Group) -> Group:
    """``group`` with hyperparameters and noise. All data sets share them: the likelihoods of the default metric's
    losses are multiplied, and so are those of the costs."""
    embed = Embedding(group.space, warp=True)
    x = embed(group.space.encode(group.configs))
    c = len(x)
    columns = [scores(group.losses[:, j].reshape(-1, c).T) for j in range(len(group.metrics))]
    times = np.concatenate([standardised_logs(costs.T)[0] for costs in group.costs], axis=1)
    by_loss, by_cost = (
        np.round(fit(x, y, embed.inputs, Priors(), steps=_STEPS).theta, _DIGITS) for y in (columns[0], times)
    )
    rest = np.eye(c) - GP(x, np.eye(c), embed.inputs, by_loss).mean(x)  # what smoothing leaves
    freedom = float((rest**2).sum())
    noise = []
    for y in columns:
        left = (rest @ y).reshape(c * len(group.data), -1) / np.sqrt(freedom * len(group.data))
        noise.append(left.T @ left)
    return replace(group, by_loss=by_loss, by_cost=by_cost, noise=np.round(np.stack(noise), _DIGITS))


def accuracy(group: Group) -> dict[str, Any]:
    """How well configurations that no data set has seen are ranked: Spearman's correlation on each data set between
    what was measured and what was predicted by fitting to four fifths of the configurations at a time."""
    from scipy.stats import spearmanr

    c = len(group.configs)
    folds = stream(entropy("surrogate folds")).permutation(c) % _FOLDS
    n, k, m = len(group.data), len(group.metrics), len(group.levels)
    losses, costs = np.empty((n, k, 2, m, c)), np.empty((n, m, c))
    u = group.space.encode(group.configs)
    for fold in range(_FOLDS):
        new = np.flatnonzero(folds == fold)
        part = fitted(_only(group, folds != fold))
        for i, j in np.ndindex(n, k):
            surface = Surface(part, group.data[i], group.metrics[j])
            for at, level in enumerate(group.levels):
                found = surface(u[new], np.full(len(new), level))
                losses[i, j, 0, at, new], losses[i, j, 1, at, new] = found.validation, found.test
                costs[i, at, new] = found.cost

    def ranked(measured: Floats, predicted: Floats) -> dict[str, float]:
        """(n, c) both. Data sets on which all configurations are equal cannot be ranked; {} if there is no other."""
        pairs = [(a, b) for a, b in zip(measured, predicted, strict=True) if np.ptp(a) > 0]
        if not pairs:
            return {}
        rho = np.array([spearmanr(a, b).statistic if np.ptp(b) > 0 else 0.0 for a, b in pairs])
        low, middle, high = np.quantile(rho, [0.1, 0.5, 0.9])
        shown = {"low": low, "median": middle, "high": high, "share_at_least_0.9": (rho >= 0.9).mean()}
        return {"data sets": len(pairs)} | {name: round(float(value), 3) for name, value in shown.items()}

    out: dict[str, Any] = {}
    for j, metric in enumerate(group.metrics):
        for p, part_name in enumerate(("validation", "test")):
            for at, level in enumerate(group.levels):
                out[f"{part_name} {metric} at {level:.3g}"] = ranked(group.losses[:, j, p, at], losses[:, j, p, at])
    out |= {f"cost at {level:.3g}": ranked(group.costs[:, at], costs[:, at]) for at, level in enumerate(group.levels)}
    return out


def _only(group: Group, kept: np.ndarray[Any, np.dtype[np.bool_]]) -> Group:
    configs = tuple(config for config, there in zip(group.configs, kept, strict=True) if there)
    return replace(group, configs=configs, losses=group.losses[..., kept], costs=group.costs[..., kept])


def examples(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Inputs and what the surrogates make of them, without noise: of a few data sets the default, and new points."""
    out: list[dict[str, Any]] = []
    for group in groups:
        space = group.space
        u = space.sample(stream(entropy("surrogate check")), _EXAMPLES - 1)
        configs = [space.default(), *space.decode(u)]
        for i in np.linspace(0, len(group.data) - 1, _EXAMPLES).round().astype(int).tolist():
            levels = np.geomspace(group.levels[0], group.levels[-1], _EXAMPLES)
            found = Surface(group, group.data[i], group.metrics[0])(space.encode(configs), levels)
            for row, config in enumerate(configs):
                values = {name: float(f"{part[row]:.8g}") for name, part in found._asdict().items()}
                given = {"data": group.data[i], "config": dict(config), "fidelity": float(levels[row])}
                out.append({**given, "metric": group.metrics[0], **values})
    return out


def write(groups: Sequence[Group], folder: Path, command: str, source: str, licence: str) -> dict[str, Any]:
    """Write a learner's artefact, card and examples into ``folder``; returns the card, which says by which ``command``,
    from which ``source`` and under which ``licence``."""
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.npz"
    save(groups, path)
    groups = list(load(path).values())
    card = {
        "what": f"surrogate of {groups[0].learner}: validation and test losses and processor time of trainings",
        "made by": command,
        "from": source,
        "licence": licence,
        "model": "Gaussian processes over the configurations, one per data set, kernel shared; losses by their ranks",
        "seeds": "one per configuration in the table, so none could be held out",
        "kinds": {
            group.kind: {
                "data sets": len(group.data),
                "configurations": len(group.configs),
                "fidelities": [round(level, 4) for level in group.levels],
                "metrics": list(group.metrics),
                "noise": _spread(group),
                "held-out Spearman": accuracy(group),
            }
            for group in groups
        },
    }
    text = yaml.safe_dump(card, sort_keys=False, width=140)
    (folder / "card.yaml").write_text(text, encoding="utf-8")
    lines = ",\n".join(json.dumps(example) for example in examples(groups))
    (folder / "check.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return card


def _spread(group: Group) -> dict[str, float]:
    """Standard deviation of the noise of the default metric at full fidelity, in normal scores; and how much that of
    validation and test have in common."""
    m = len(group.levels)
    covariance = group.noise[0]
    both = covariance[m - 1, m - 1] * covariance[2 * m - 1, 2 * m - 1]
    common = covariance[m - 1, 2 * m - 1] / np.sqrt(both) if both > 0 else 0.0
    return {"std": round(float(np.sqrt(covariance[m - 1, m - 1])), 3), "validation and test": round(float(common), 3)}


def differences(folder: Path) -> list[str]:
    """What of ``check.json`` the artefact beside it no longer says; each in words."""
    groups = load(folder / "model.npz").values()
    out = []
    for example in json.loads((folder / "check.json").read_text(encoding="utf-8")):
        group = next(group for group in groups if example["data"] in group.data)
        surface = Surface(group, example["data"], example["metric"])
        found = surface(group.space.encode([example["config"]]), np.array([example["fidelity"]]))
        for name, [value] in found._asdict().items():
            if not np.isclose(value, example[name], rtol=1e-6):
                out.append(f"{folder.name} on {example['data']}: expected {name} {example[name]}, got {value:.8g}")
    return out
