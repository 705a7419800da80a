"""Landmarkers (Pfahringer, Bensusan & Giraud-Carrier, ICML 2000): how well cheap models do on a sample of the rows.

Each is a share of what predicting the mean leaves unexplained, 1 - R² of the standardised target or of the classes'
indicators (for probabilities, the Brier score relative to that of the class frequencies), by two-fold cross-validation.
Models come with several strengths of regularisation, because it is that which is tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from hptbench.learners import Dense, Table, quiet_single_thread
from hptbench.meta._view import Found, View, summary
from hptbench.rng import entropy, seed32, stream
from hptbench.space import Floats

_ROWS, _WIDTH = 1000, 150
"""Rows of the sample and columns of its encoding, the most varied ones."""
_FEWEST = 10
_NEIGHBOURS = (1, 5, 20, 50)
_RIDGES = (1e-3, 1e-1, 10.0)
"""Times the number of rows."""
_GAMMAS = (0.1, 1.0, 10.0)
_LEAVES = (1, 5, 20, 50)
_CEILING = 2.0
"""Worse than twice the mean's loss is as good as useless."""

NAMES = (
    *(f"neighbours_{k}" for k in _NEIGHBOURS),
    *(f"linear_{strength:g}" for strength in _RIDGES),
    *(f"kernel_{gamma:g}" for gamma in _GAMMAS),
    *(f"tree_{leaf}" for leaf in _LEAVES),
    "stump",
    "forest_all",
    "forest_one",
)
_CLASSES = ("neighbours_1", "linear_0.1", "tree_1", "tree_20", "forest_all")
"""Those of which classification also records the error rate, relative to that of the largest class."""

Predictions = dict[str, Floats]


def landmarks(view: View) -> Found:
    """The losses of cheap models, and differences that say which way to tune."""
    why = _useless(view)
    if why:
        yield from ((f"landmark_{name}", why) for name in NAMES)
        yield from ((f"landmark_{name}_error", why) for name in _CLASSES)
        yield from ((name, why) for name in _GAINS)
        return
    X, Y = sample(view)
    predictions = _crossed(X, Y)
    total = float(((Y - Y.mean(axis=0)) ** 2).sum())
    losses = {name: min(float(((P - Y) ** 2).sum()) / total, _CEILING) for name, P in predictions.items()}
    yield from ((f"landmark_{name}", losses[name]) for name in NAMES)
    for name in _CLASSES:
        if not view.table.n_classes:
            yield f"landmark_{name}_error", "not a classification"
            continue
        wrong = float((predictions[name].argmax(axis=1) != Y.argmax(axis=1)).mean())
        yield f"landmark_{name}_error", min(wrong / (1 - float(Y.mean(axis=0).max())), _CEILING)
    yield from ((name, losses[worse] - losses[better]) for name, (worse, better) in _GAINS.items())


_GAINS = {
    "gain_of_neighbours": ("neighbours_1", "neighbours_20"),
    "gain_of_ridge": ("linear_0.001", "linear_10"),
    "gain_of_leaves": ("tree_1", "tree_20"),
    "gain_of_kernel": ("linear_0.1", "kernel_1"),
    "gain_of_trees": ("linear_0.1", "forest_all"),
    "gain_of_width": ("kernel_10", "kernel_0.1"),
    "gain_of_columns": ("forest_one", "forest_all"),
}
"""Name -> (loss of the one, minus loss of the other)."""


def components(view: View) -> Found:
    """Principal components of the encoded columns, and how complex the problem is (Lorena et al., ACM Comput. Surv. 52,
    2019: Fisher's ratio F1, as the mean over columns, and the share of neighbours of another class, N3's idea)."""
    names = ("components_90_share", "component_first_share", "component_first_skewness", "component_first_kurtosis")
    fewer = f"fewer than {_FEWEST} rows" if len(view.table) < _FEWEST else ""
    X = np.empty((0, 0)) if fewer else sample(view)[0]
    varied = X[:, X.std(axis=0) > 0] if X.size else X
    if fewer or not varied.shape[1]:
        yield from ((name, fewer or "no column varies") for name in (*names, "log_encoded_width"))
    else:
        Z = (varied - varied.mean(axis=0)) / varied.std(axis=0)
        variance, directions = np.linalg.eigh(Z.T @ Z / len(Z))
        share = np.maximum(variance[::-1], 0) / np.maximum(variance, 0).sum()
        yield names[0], float((np.cumsum(share) < 0.9).sum() + 1) / len(share)
        yield names[1], float(share[0])
        first = Z @ directions[:, -1]
        first = (first - first.mean()) / first.std()
        yield names[2], abs(float((first**3).mean()))  # its sign is arbitrary
        yield names[3], float((first**4).mean() - 3)
        yield "log_encoded_width", float(np.log(len(share)))
    yield from summary("fisher", _fisher(view), "not a classification of columns of numbers")


def _fisher(view: View) -> Floats:
    """(q,) F1 of each column: 1 / (1 + variance between the classes / within)."""
    X, Y = view.spread, view.targets
    if not view.table.n_classes or view.constant or not X.shape[1]:
        return np.empty(0)
    sizes, middle = Y.sum(axis=0), X.mean(axis=0)
    means = (Y.T @ X) / sizes[:, None]
    between = (sizes[:, None] * (means - middle) ** 2).sum(axis=0)
    within = ((X - Y @ means) ** 2).sum(axis=0)
    return np.asarray(within / np.maximum(within + between, 1e-300))


def _useless(view: View) -> str:
    if len(view.table) < _FEWEST:
        return f"fewer than {_FEWEST} rows"
    return "the target is constant" if view.constant else ""


def sample(view: View) -> tuple[Floats, Floats]:
    """(m, e) encoded rows of the sample, (m, k) their targets, in an order drawn by a fixed seed."""
    rows = stream(entropy("landmarks", len(view.table))).permutation(len(view.table))[:_ROWS]
    table = Table(view.table.X[rows], view.table.y[rows], view.table.categorical, view.table.n_classes)
    X = np.asarray(Dense.fit(table)(table.X))
    if X.shape[1] > _WIDTH:
        X = X[:, np.sort(np.argsort(-X.var(axis=0), kind="stable")[:_WIDTH])]
    return X, view.targets[rows]


def _crossed(X: Floats, Y: Floats) -> Predictions:
    """What each model predicts of the rows that it has not seen."""
    half = np.arange(len(X)) % 2 == 0
    out = {name: np.empty_like(Y) for name in NAMES}
    with quiet_single_thread():
        for train in (half, ~half):
            for name, P in _models(X[train], Y[train], X[~train]):
                out[name][~train] = P
    return out


def _models(X: Floats, Y: Floats, T: Floats) -> Iterator[tuple[str, Floats]]:
    """Each model's name, and its predictions (t, k) of the rows T after training on X and Y."""
    apart, within = _distances(T, X), _distances(X, X)
    nearest = np.argsort(apart, axis=1, kind="stable")
    for k in _NEIGHBOURS:
        yield f"neighbours_{k}", Y[nearest[:, :k]].mean(axis=1)
    middle, mean = X.mean(axis=0), Y.mean(axis=0)
    for strength, predict in _ridge(X - middle, Y - mean):
        yield f"linear_{strength:g}", mean + predict(T - middle)
    scale = float(np.median(within)) or 1.0
    for gamma in _GAMMAS:
        K = np.exp(-gamma * within / scale)
        weights = np.linalg.solve(K + 0.1 * np.eye(len(X)), Y - mean)
        yield f"kernel_{gamma:g}", mean + np.exp(-gamma * apart / scale) @ weights
    yield from _trees(X, Y, T)


def _ridge(X: Floats, Y: Floats) -> Iterator[tuple[float, Callable[[Floats], Floats]]]:
    values, vectors = np.linalg.eigh(X.T @ X)
    turned = vectors.T @ (X.T @ Y)
    for strength in _RIDGES:
        weights = vectors @ (turned / (np.maximum(values, 0) + strength * len(X))[:, None])
        yield strength, lambda T, weights=weights: T @ weights  # type: ignore[misc]


def _trees(X: Floats, Y: Floats, T: Floats) -> Iterator[tuple[str, Floats]]:
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.tree import DecisionTreeRegressor

    seed = seed32(entropy("landmarks", len(X)))
    models = {f"tree_{leaf}": DecisionTreeRegressor(min_samples_leaf=leaf, random_state=seed) for leaf in _LEAVES}
    models["stump"] = DecisionTreeRegressor(max_depth=1, random_state=seed)
    for name, share in (("forest_all", 1.0), ("forest_one", 1e-9)):
        models[name] = RandomForestRegressor(10, max_features=share, min_samples_leaf=2, random_state=seed, n_jobs=1)
    for name, model in models.items():
        yield name, model.fit(X, Y).predict(T).reshape(len(T), -1)


def _distances(A: Floats, B: Floats) -> Floats:
    """(a, b) squared Euclidean distances."""
    square = (A**2).sum(axis=1)[:, None] + (B**2).sum(axis=1)[None, :] - 2 * A @ B.T
    return np.asarray(np.maximum(square, 0.0))
