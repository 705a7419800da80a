"""A configuration as scikit-learn or XGBoost code, ready to paste: the learner as hptbench trains it, in the library's
own names.

The code begins with ``X`` (a data frame) and ``y`` and ends with a fitted ``model``. Only what is random differs from
the learner here: the library's own seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from hptbench.errors import UserError
from hptbench.learners import Dense, Table, find_learner
from hptbench.space import Config


class Estimator(NamedTuple):
    """A class with scikit-learn's interface and its arguments."""

    module: str
    name: str
    arguments: Mapping[str, Any]
    encoding: str
    """dense: scaled numbers and indicators; ordinal: categories as numbers; native: categories as they are."""
    scaled: bool = False
    """Regression trains on a standardised target."""
    numbered: bool = False
    """Classes must be 0, 1, …"""


def estimator(learner: str, config: Config, table: Table) -> Estimator:
    """What stands for a configuration in its library; ``table`` says what is relative to the data. UserError for a
    learner that has no such form."""
    makers = {
        "decision_tree": _tree, "elastic_net": _elastic_net, "hist_gradient_boosting": _boosting, "knn": _neighbours,
        "logistic": _logistic, "random_forest": _forest, "svm": _svm, "svr": _svm, "xgboost": _xgboost,
    }  # fmt: skip
    if learner not in makers:
        raise UserError(f"expected one of {', '.join(makers)}, got {learner!r}, of which code cannot be written")
    return makers[learner](config, table)


def code(learner: str, config: Config, table: Table) -> str:
    """The lines of :func:`estimator`, with preprocessing, from ``X`` and ``y`` to a fitted ``model``."""
    made = estimator(learner, config, table)
    arguments = ", ".join(f"{name}={value!r}" for name, value in made.arguments.items())
    own = f"{made.name}({arguments})"
    imports = [f"from {made.module} import {made.name}"]
    if made.scaled and not table.n_classes:
        imports += ["from sklearn.compose import TransformedTargetRegressor"]
        own = f"TransformedTargetRegressor({own}, transformer=StandardScaler())"
    lines, name = _preprocessing(made.encoding, table)
    if "StandardScaler" in own or any("StandardScaler" in line for line in lines):
        imports += ["from sklearn.preprocessing import StandardScaler"]
    used = "\n".join(lines)
    imports += [line for word, line in _IMPORTS.items() if word in used or (word == "make_pipeline" and name)]
    fitted = ["model.fit(X, y)"]
    if made.numbered and table.n_classes:
        imports += ["from sklearn.preprocessing import LabelEncoder"]
        fitted = [
            "classes = LabelEncoder().fit(y)",
            "model.fit(X, classes.transform(y))  # classes.inverse_transform(model.predict(X)) are labels again",
        ]
    model = f"model = make_pipeline({name}, {own})" if name else f"model = {own}"
    return "\n".join([*sorted(set(imports)), "", *lines, model, *fitted])


_IMPORTS = {
    "make_pipeline": "from sklearn.pipeline import make_pipeline",
    "make_column_transformer": "from sklearn.compose import make_column_transformer",
    "make_column_selector": "from sklearn.compose import make_column_selector",
    "SimpleImputer": "from sklearn.impute import SimpleImputer",
    "OneHotEncoder": "from sklearn.preprocessing import OneHotEncoder",
    "OrdinalEncoder": "from sklearn.preprocessing import OrdinalEncoder",
}
_CATEGORIES = 'make_column_selector(dtype_include=["object", "string", "category"])'
_NUMBERS = 'make_column_selector(dtype_include=["number", "bool"])'


def _preprocessing(encoding: str, table: Table) -> tuple[list[str], str]:
    """(lines that make it, its name)."""
    numbers = {
        "dense": 'make_pipeline(SimpleImputer(strategy="median"), StandardScaler())',
        "ordinal": 'SimpleImputer(strategy="median")',
        "native": '"passthrough"',
    }[encoding]
    categories = {
        "dense": 'OneHotEncoder(handle_unknown="ignore", max_categories=255)',
        "ordinal": 'OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)',
        "native": 'OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=float("nan"), max_categories=254)',
    }[encoding]
    parts = []
    if (~table.categorical).any():
        parts.append(f"    ({numbers}, {_NUMBERS}),")
    if table.categorical.any():
        parts.append(f"    ({categories}, {_CATEGORIES}),")
    if parts == [f"    ({numbers}, {_NUMBERS}),"] and encoding == "native":
        return [], ""
    return ["columns = make_column_transformer(", *parts, ")"], "columns"


# what hptbench/learners/*.py make of the same configurations


def _some(config: Config, *same: str, **renamed: str) -> dict[str, Any]:
    """The parameters that are there, under their own names or ``new="old"``."""
    wanted = {name: name for name in same} | renamed
    return {new: config[old] for new, old in wanted.items() if old in config}


def _tree(config: Config, table: Table) -> Estimator:
    arguments = _some(config, "ccp_alpha", "max_depth", "min_samples_leaf", "min_samples_split", "criterion")
    name = "DecisionTreeClassifier" if table.n_classes else "DecisionTreeRegressor"
    return Estimator("sklearn.tree", name, arguments, "ordinal", scaled=True)


def _forest(config: Config, table: Table) -> Estimator:
    trees = int(find_learner("random_forest").fidelity.high)
    arguments = {"n_estimators": trees, **_some(config, "min_samples_leaf", "bootstrap", "criterion", "max_samples")}
    if "mtry_power" in config:
        columns = table.X.shape[1]
        arguments["max_features"] = max(1, int(columns ** float(config["mtry_power"])))
    name = "RandomForestClassifier" if table.n_classes else "RandomForestRegressor"
    return Estimator("sklearn.ensemble", name, arguments, "ordinal")


def _boosting(config: Config, table: Table) -> Estimator:
    names = ("learning_rate", "max_leaf_nodes", "min_samples_leaf", "l2_regularization", "max_features")
    rounds = int(find_learner("hist_gradient_boosting").fidelity.high)
    arguments = {"max_iter": rounds, "early_stopping": False, **_some(config, *names)}
    if table.categorical.any():  # the transformer puts the numbers first
        first = int((~table.categorical).sum())
        arguments["categorical_features"] = list(range(first, len(table.categorical)))
    name = "HistGradientBoostingClassifier" if table.n_classes else "HistGradientBoostingRegressor"
    return Estimator("sklearn.ensemble", name, arguments, "native")


def _xgboost(config: Config, table: Table) -> Estimator:
    names = ("learning_rate", "max_depth", "min_child_weight", "gamma", "subsample")
    columns = ("colsample_bytree", "colsample_bylevel")
    rounds = int(find_learner("xgboost").fidelity.high)
    own = _some(config, *names, *columns, reg_lambda="lambda", reg_alpha="alpha")
    arguments = {"n_estimators": rounds, **own}
    if table.categorical.any():  # the transformer puts the numbers first
        kinds = ["q"] * int((~table.categorical).sum()) + ["c"] * int(table.categorical.sum())
        arguments |= {"enable_categorical": True, "feature_types": kinds}
    name = "XGBClassifier" if table.n_classes else "XGBRegressor"
    return Estimator("xgboost", name, arguments, "native", scaled=True, numbered=True)


def _neighbours(config: Config, table: Table) -> Estimator:
    arguments = _some(config, "n_neighbors", "weights", "p")
    if "n_neighbors" in arguments:
        arguments["n_neighbors"] = min(arguments["n_neighbors"], len(table))
    name = "KNeighborsClassifier" if table.n_classes else "KNeighborsRegressor"
    return Estimator("sklearn.neighbors", name, arguments, "dense")


def _logistic(config: Config, table: Table) -> Estimator:
    arguments = _some(config, "C")
    penalty = config.get("penalty", "l2")
    if penalty != "l2":
        arguments |= {"solver": "saga", "l1_ratio": 1.0 if penalty == "l1" else config.get("l1_ratio", 0.5)}
    return Estimator("sklearn.linear_model", "LogisticRegression", arguments, "dense")


def _elastic_net(config: Config, table: Table) -> Estimator:
    arguments = {"alpha": 0.01} | _some(config, "alpha", "l1_ratio")
    return Estimator("sklearn.linear_model", "ElasticNet", arguments, "dense", scaled=True)


def _svm(config: Config, table: Table) -> Estimator:
    arguments = _some(config, "kernel", "degree", "epsilon", C="cost", tol="tolerance")
    if "gamma" in config:  # relative to what the library calls "scale", here of all rows
        X = Dense.fit(table)(table.X)
        scale = 1 / (X.shape[1] * (float(X.var()) or 1.0))
        arguments["gamma"] = _digits(float(config["gamma"]) * scale)
    name = "SVC" if table.n_classes else "SVR"
    return Estimator("sklearn.svm", name, {**arguments, "max_iter": 100_000}, "dense", scaled=True)


def _digits(value: float, digits: int = 6) -> float:
    """``value`` to so many significant digits."""
    return round(value, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0.0
