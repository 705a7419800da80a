"""Meta-features of information theory (Michie, Spiegelhalter & Taylor, Machine Learning, Neural and Statistical
Classification, 1994, section 7.3.3) and of dependence on the target."""

from __future__ import annotations

import numpy as np

from hptbench.meta._view import Found, View, summary
from hptbench.space import Floats

_BINS = 10
"""Of numbers, of equal frequency."""
_NO_COLUMN = "no column with two values"


def information(view: View) -> Found:
    """Entropies of columns and what they tell of the target, in bits; numbers are cut into tenths."""
    columns = [binned(x) for x in view.spread.T] + [_places(c) for c in view.categories]
    columns = [codes for codes in columns if codes.max() > 0]
    y = _places(view.table.y) if view.table.n_classes else binned(view.table.y)
    own = np.array([entropy(codes) for codes in columns])
    of_target = entropy(y)
    joint = np.array([entropy(codes * (int(y.max()) + 1) + y) for codes in columns])
    told = np.maximum(own + of_target - joint, 0.0)
    yield from summary("entropy", own, _NO_COLUMN)
    yield from summary("information", told, _NO_COLUMN)
    some = bool(len(told)) and float(told.mean()) > 0
    yield "equivalent_columns", float(of_target / told.mean()) if some else "no column tells of the target"
    yield (
        "noise_to_signal",
        float((own.mean() - told.mean()) / told.mean()) if some else ("no column tells of the target"),
    )


def dependence(view: View) -> Found:
    """Rank correlation of the columns of numbers with the target; of the best matching class, for classes."""
    why = "no column of numbers with two values" if view.spread.shape[1] == 0 else "the target is constant"
    if view.constant or not view.spread.shape[1]:
        yield from summary("rank_correlation", np.empty(0), why)
        yield "monotone_share", why
        return
    Y = view.targets if view.table.n_classes else _ranks(view.targets)
    straight, ranked = _correlations(view.spread, Y), _correlations(_ranks(view.spread), Y)
    yield from summary("rank_correlation", ranked, why)
    yield "monotone_share", float(straight.sum() / max(ranked.sum(), 1e-12))


def entropy(codes: np.ndarray) -> float:
    """Of the frequencies of (n,) codes, bits."""
    share = np.unique(codes, return_counts=True)[1] / len(codes)
    return float(-(share * np.log2(share)).sum())


def binned(x: Floats) -> np.ndarray:
    """(n,) numbers as the place of their tenth; equal numbers share one, those where two tenths meet have their own."""
    edges = np.unique(np.quantile(x, np.linspace(0, 1, _BINS + 1)[1:-1]))
    return _places(np.searchsorted(edges, x, "left") + np.searchsorted(edges, x, "right"))


def _places(codes: np.ndarray) -> np.ndarray:
    return np.asarray(np.unique(codes, return_inverse=True)[1].ravel())


def _ranks(X: Floats) -> Floats:
    from scipy.stats import rankdata

    return np.asarray(rankdata(X, axis=0), float)


def _correlations(X: Floats, Y: Floats) -> Floats:
    """(p,) largest absolute correlation of each column of X with a column of Y, which all vary."""
    Z, T = X - X.mean(axis=0), Y - Y.mean(axis=0)
    size = np.sqrt((Z**2).sum(axis=0))[:, None] * np.sqrt((T**2).sum(axis=0))[None, :]
    return np.asarray((np.abs(Z.T @ T) / size).max(axis=1))
