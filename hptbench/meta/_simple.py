"""Meta-features that are counted: size, missing values, categories, the target's distribution."""

from __future__ import annotations

import math

import numpy as np

from hptbench.meta._view import Found, View, summary

_NO_NUMBERS = "no column of numbers with two values"
_RARE = 0.01


def size(view: View) -> Found:
    """Rows, columns and kinds of columns."""
    n, d = view.shape
    yield "log_rows", math.log(n)
    yield "log_columns", math.log(d)
    yield "log_rows_per_column", math.log(n / d)
    yield "categorical_share", view.n_categorical / d
    yield (
        "log_rows_per_class",
        math.log(n / classes)
        if (classes := len(np.unique(view.table.y))) and (view.table.n_classes)
        else "not a classification",
    )


def missing(view: View) -> Found:
    """Missing and useless values."""
    X = view.table.X
    gaps = np.isnan(X)
    yield "missing_share", float(gaps.mean())
    yield "missing_rows_share", float(gaps.any(axis=1).mean())
    yield "missing_columns_share", float(gaps.any(axis=0).mean())
    yield "empty_columns_share", float(gaps.all(axis=0).mean())
    there = [column[~np.isnan(column)] for column in X.T]
    yield "constant_columns_share", float(np.mean([len(c) > 0 and bool((c == c[0]).all()) for c in there]))
    yield "duplicate_columns_share", 1 - len({c.tobytes() for c in np.ascontiguousarray(X.T)}) / X.shape[1]
    yield "duplicate_rows_share", 1 - len({row.tobytes() for row in np.ascontiguousarray(X)}) / len(X)


def categories(view: View) -> Found:
    """The structure of categorical columns."""
    counts = [np.unique(codes, return_counts=True)[1] for codes in view.categories]
    sizes = np.array([len(c) for c in counts], float)
    yield from summary("log_categories", np.log(sizes) if len(sizes) else sizes, "no categorical column")
    yield "log_width", math.log(max(view.numeric.shape[1] + float(sizes.sum()), 1.0))
    rare = [float((c < _RARE * c.sum()).mean()) for c in counts]
    yield "rare_categories_share", float(np.mean(rare)) if rare else "no categorical column"
    modes = [float(c.max() / c.sum()) for c in counts]
    yield "frequent_category_share", float(np.mean(modes)) if modes else "no categorical column"


def target(view: View) -> Found:
    """How the target is distributed."""
    y, no_classes, no_numbers = view.table.y, "not a classification", "not a regression"
    if view.table.n_classes:
        share = np.sort(view.targets.mean(axis=0))
        entropy = float(-(share * np.log2(share)).sum())
        yield "log_classes", math.log(len(share))
        yield "class_entropy", entropy
        yield "class_balance", entropy / math.log2(len(share)) if len(share) > 1 else "one class"
        yield "class_share_min", float(share[0])
        yield "class_share_max", float(share[-1])
    else:
        yield from ((name, no_classes) for name in ("log_classes", "class_entropy", "class_balance"))
        yield from ((name, no_classes) for name in ("class_share_min", "class_share_max"))
    names = ("target_skewness", "target_kurtosis", "target_outliers_share")
    if view.table.n_classes or view.constant:
        why = no_numbers if view.table.n_classes else "the target is constant"
        yield from ((name, why) for name in (*names, "target_distinct_share", "target_mode_share"))
        return
    z = view.targets[:, 0]
    yield names[0], float((z**3).mean())
    yield names[1], float((z**4).mean() - 3)
    yield names[2], float(outliers(z[:, None])[0])
    counts = np.unique(y, return_counts=True)[1]
    yield "target_distinct_share", len(counts) / len(y)
    yield "target_mode_share", float(counts.max() / len(y))


def columns(view: View) -> Found:
    """How the columns of numbers are distributed, and go together."""
    X = view.spread
    z = (X - X.mean(axis=0)) / X.std(axis=0, ddof=1) if X.shape[1] else X
    yield from summary("skewness", (z**3).mean(axis=0), _NO_NUMBERS)
    yield from summary("kurtosis", (z**4).mean(axis=0) - 3, _NO_NUMBERS)
    distinct = np.array([len(np.unique(column)) for column in X.T], float)
    yield from summary("sparsity", (len(X) / distinct - 1) / (len(X) - 1) if len(X) > 1 else distinct, _NO_NUMBERS)
    yield from summary("outliers_share", outliers(X), _NO_NUMBERS)
    yield "zeros_share", float((X == 0).mean()) if X.size else _NO_NUMBERS
    yield "integers_share", float((np.rint(X) == X).all(axis=0).mean()) if X.size else _NO_NUMBERS
    pairs = np.abs(np.corrcoef(X, rowvar=False))[np.triu_indices(X.shape[1], 1)] if X.shape[1] > 1 else np.empty(0)
    yield from summary("correlation", pairs, "fewer than two columns of numbers with two values")


def outliers(X: np.ndarray) -> np.ndarray:
    """(p,) shares of values further than 1.5 interquartile ranges from the quartiles (Tukey, 1977)."""
    if not X.size:
        return np.empty(0)
    low, high = np.quantile(X, (0.25, 0.75), axis=0)
    reach = 1.5 * (high - low)
    return np.asarray(((low - reach > X) | (high + reach < X)).mean(axis=0))
