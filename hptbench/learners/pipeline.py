"""AutoML pipelines: preprocessing and the choice of a learner as one hierarchical space.

After auto-sklearn (Feurer, Klein, Eggensperger, Springenberg, Blum & Hutter, NeurIPS 2015), without ensembles: every
pipeline imputes, encodes categories, scales, selects features, and trains one of the other learners.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hptbench import rng
from hptbench.learners._base import FRACTION, Encode, Learner, Segment, Spaces
from hptbench.learners._table import Table
from hptbench.space import Config, Floats, Mask
from hptbench.spacefile import packaged_space

_DEFAULT = "random_forest"
"""The learner of a configuration that names none."""
_PREFIX = "preprocessing:"
_CATEGORIES = 254
"""Columns that one-hot encoding makes of one at most; the rarest categories share the last."""
_FOLDS = 5
"""Of target encoding: training rows are encoded by the targets of other folds."""


_TREES = 50
"""Of the forest that ranks features."""


@dataclass(frozen=True, eq=False)
class _Encoder:
    """scikit-learn's steps, fitted."""

    steps: Any
    empty: Mask
    """(d,) columns without any value in the training rows: nothing was learnt of them."""

    def __call__(self, X: Floats) -> Floats:
        return np.asarray(self.steps.transform(np.where(self.empty, np.nan, X)), np.float64)


class Pipeline(Learner):
    """A pipeline of imputation, encoding of categories, scaling, feature selection and one of the other learners.

    All of it is learnt from the training rows alone. Learners that train by trees, iterations or epochs train to their
    full number."""

    spaces: ClassVar[Spaces] = {"classification": "pipeline_classification", "regression": "pipeline_regression"}
    standardises_target = True

    def prepare(self, config: Config, seed: tuple[int, ...], rows: Table, y: NDArray[Any]) -> tuple[Encode, Floats]:
        from sklearn.pipeline import make_pipeline

        chosen = {name.removeprefix(_PREFIX): v for name, v in config.items() if name.startswith(_PREFIX)}
        space = packaged_space(_PREFIX.rstrip(":")).configspace
        chosen = {name: chosen.get(name, space[name].default_value) for name in space}
        state = rng.seed32(seed)
        # fitting transforms, too: target encoding does not encode training rows as it does others
        columns = make_pipeline(_columns(chosen, state, rows), _scaling(chosen, state, len(rows)))
        X = columns.fit_transform(rows.X, y)
        selection = _selection(chosen, state, rows, X.shape[1])
        X = selection.fit_transform(X, y)
        empty = np.asarray(np.isnan(rows.X).all(axis=0))
        return _Encoder(make_pipeline(columns, selection), empty), np.asarray(X, np.float64)

    def fit(self, segment: Segment, before: Any) -> Any:
        from hptbench.learners import find_learner

        name = str(segment.config.get("learner", _DEFAULT))
        learner = find_learner(name)
        own = {key.removeprefix(f"{name}:"): v for key, v in segment.config.items() if key.startswith(f"{name}:")}
        stop = 0 if learner.fidelity.unit == FRACTION.unit else int(learner.fidelity.high)
        numbers = np.zeros(segment.X.shape[1], bool)
        return learner.fit(segment._replace(config=own, stop=stop, categorical=numbers), None)


def _columns(config: Config, seed: int, rows: Table) -> Any:
    """Imputed numbers, then encoded categories."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer

    imputer = SimpleImputer(
        strategy=config["imputation"], add_indicator=bool(config["missing_indicator"]), keep_empty_features=True
    )
    parts = [
        ("numbers", imputer, np.flatnonzero(~rows.categorical)),
        ("categories", _categories(config, seed, rows), np.flatnonzero(rows.categorical)),
    ]
    return ColumnTransformer(parts, sparse_threshold=0.0)


def _categories(config: Config, seed: int, rows: Table) -> Any:
    """Missing values are a category; what was not seen in training is like the rare ones, or like nothing."""
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

    rare = float(config["rare"]) if config["coalescence"] else None
    if config["encoding"] == "one_hot":
        return OneHotEncoder(
            min_frequency=rare, max_categories=_CATEGORIES, handle_unknown="infrequent_if_exist", sparse_output=False
        )
    if config["encoding"] == "ordinal":
        return OrdinalEncoder(
            min_frequency=rare, handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
        )
    # stratified folds need one class with as many rows as there are folds
    most = int(np.bincount(rows.y).max()) if rows.n_classes else len(rows)
    kind = "continuous" if not rows.n_classes else "binary" if rows.n_classes == 2 else "multiclass"
    stratified = rows.n_classes and most >= 2
    folds = (StratifiedKFold if stratified else KFold)(
        min(_FOLDS, most if stratified else len(rows)), shuffle=True, random_state=seed
    )
    return TargetEncoder(target_type=kind, cv=folds)


def _scaling(config: Config, seed: int, n: int) -> Any:
    from sklearn.preprocessing import (
        FunctionTransformer,
        MinMaxScaler,
        QuantileTransformer,
        RobustScaler,
        StandardScaler,
    )

    return {
        "none": FunctionTransformer(),  # the identity
        "standard": StandardScaler(),
        "min_max": MinMaxScaler(clip=True),
        "robust": RobustScaler(),
        "quantile": QuantileTransformer(
            n_quantiles=min(int(config["quantiles"]), n), output_distribution=config["distribution"], random_state=seed
        ),
    }[str(config["scaling"])]


def _selection(config: Config, seed: int, rows: Table, width: int) -> Any:
    """Selects some of ``width`` features, never none, or makes components of them."""
    from sklearn.decomposition import PCA
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
    from sklearn.feature_selection import SelectFromModel, SelectKBest
    from sklearn.preprocessing import FunctionTransformer

    kept = max(1, round(width * float(config["percentile"]) / 100))
    if config["selection"] == "univariate":
        return SelectKBest(_f_of_classes if rows.n_classes else _f_of_numbers, k=kept)
    if config["selection"] == "trees":
        forest = (ExtraTreesClassifier if rows.n_classes else ExtraTreesRegressor)(_TREES, random_state=seed, n_jobs=1)
        return SelectFromModel(forest, threshold=-np.inf, max_features=kept)
    if config["selection"] == "pca":
        return PCA(n_components=float(config["keep_variance"]), whiten=bool(config["whiten"]), svd_solver="full")
    return FunctionTransformer()  # the identity


def _f_of_classes(X: Floats, y: Floats) -> Floats:
    from sklearn.feature_selection import f_classif

    return _ordered(X, f_classif(X, y)[0])


def _f_of_numbers(X: Floats, y: Floats) -> Floats:
    from sklearn.feature_selection import f_regression

    return _ordered(X, f_regression(X, y)[0])


def _ordered(X: Floats, f: Floats) -> Floats:
    """F statistics that can be ranked: 0 for constant columns (rounding makes them 0/0 or infinite)."""
    constant = X.max(axis=0) == X.min(axis=0)
    return np.where(constant, 0.0, np.nan_to_num(f, nan=0.0, posinf=np.inf))
