"""Folders of yahpo_data: reading them, and the surrogate's inputs and outputs.

A folder holds ``model.onnx``, ``config_space.json`` (ConfigSpace's format before 1.0) and ``encoding.json``. In which
order the network takes its inputs and gives its outputs is written nowhere in it: yahpo_gym knows that of its
scenarios, and so does this module (those of yahpo_gym 1.0.2). For others, and for other versions, a ``schema.json``
beside the model says it: ``cat_names``, ``cont_names``, ``y_names``, ``y_minimize``, ``fidelity``, ``instance`` (a
name or null), and ``percent`` (scores in per cent; may be left out). Either is checked against the model's shapes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import ConfigSpace as CS
import numpy as np

from hptbench.errors import UserError
from hptbench.space import Config, Space

Row: TypeAlias = tuple[tuple[int, ...], tuple[float, ...]]
"""A row of the network's inputs: codes of categories, numbers."""

_MISSING = "#na#"
_SCORES = frozenset({"f1"})
"""Scores that yahpo_gym lists among what is to be minimised (for rbv2), and its own codomains do not."""
_RUN_TIMES = ("timetrain", "runtime", "time")
_FILES = ("config_space.json", "encoding.json", "model.onnx")
_FRACTION_AT_MOST = 1.5
"""A score above is in per cent."""


@dataclass(frozen=True)
class Layout:
    """The order of the network's inputs and outputs, and what they are."""

    categorical: tuple[str, ...]
    continuous: tuple[str, ...]
    targets: tuple[str, ...]
    scores: frozenset[str]
    """Targets to be maximised."""
    percent: frozenset[str]
    """Scores in per cent."""
    fidelities: tuple[str, ...]
    instance: str | None
    """The column that says which instance; None if there is only one."""


_RBV2 = (
    "acc bac auc brier f1 logloss timetrain timepredict memory", "acc bac auc f1", "trainsize repl", "task_id",
)  # fmt: skip
_IAML = (
    "mmce f1 auc logloss ramtrain rammodel rampredict timetrain timepredict mec ias nf", "f1 auc", "trainsize",
    "task_id",
)  # fmt: skip
_XGBOOST = (
    "nrounds eta gamma lambda alpha subsample max_depth min_child_weight colsample_bytree colsample_bylevel "
    "rate_drop skip_drop"
)
_RPART = "cp maxdepth minbucket minsplit"
_EDGES = "NetworkSelectorDatasetInfo_COLON_darts_COLON_"


def _prefixed(prefix: str, names: str) -> str:
    return " ".join(prefix + name for name in names.split())


def _layout(
    categorical: str, continuous: str, targets: str, scores: str, fidelities: str, instance: str, percent: str = ""
) -> Layout:
    c, x, y, s, f, p = (
        tuple(names.split()) for names in (categorical, continuous, targets, scores, fidelities, percent)
    )
    return Layout(c, x, y, frozenset(s), frozenset(p), f, instance or None)


_IMPUTE = "num.impute.selected.cpo"
_RANGER = "num.trees sample.fraction {} min.node.size num.random.splits"

KNOWN: Mapping[str, Layout] = {
    "lcbench": _layout(
        "OpenML_task_id",
        "epoch batch_size learning_rate momentum weight_decay num_layers max_units max_dropout",
        "time val_accuracy val_cross_entropy val_balanced_accuracy test_cross_entropy test_balanced_accuracy",
        "val_accuracy val_balanced_accuracy test_balanced_accuracy", "epoch", "OpenML_task_id", "val_accuracy",
    ),
    "nb301": _layout(
        " ".join([f"{_EDGES}edge_{cell}_{i}" for cell in ("normal", "reduce") for i in range(14)]
                 + [f"{_EDGES}inputs_node_{cell}_{i}" for cell in ("normal", "reduce") for i in (3, 4, 5)]),
        "epoch", "val_accuracy runtime", "val_accuracy", "epoch", "", "val_accuracy",
    ),
    "rbv2_svm": _layout(f"task_id kernel {_IMPUTE}", "cost gamma tolerance degree trainsize repl", *_RBV2),
    "rbv2_ranger": _layout(
        f"task_id respect.unordered.factors splitrule {_IMPUTE}", f"{_RANGER.format('mtry.power')} trainsize repl",
        *_RBV2,
    ),
    "rbv2_rpart": _layout(f"task_id {_IMPUTE}", f"{_RPART} trainsize repl", *_RBV2),
    "rbv2_glmnet": _layout(f"task_id {_IMPUTE}", "alpha s trainsize repl", *_RBV2),
    "rbv2_xgboost": _layout(f"task_id booster {_IMPUTE}", f"{_XGBOOST} trainsize repl", *_RBV2),
    "rbv2_aknn": _layout(f"task_id distance {_IMPUTE}", "k M ef ef_construction trainsize repl", *_RBV2),
    "rbv2_super": _layout(
        "task_id learner_id svm.kernel ranger.respect.unordered.factors ranger.splitrule aknn.distance "
        f"xgboost.booster {_IMPUTE}",
        " ".join([
            "svm.cost svm.gamma svm.tolerance svm.degree glmnet.alpha glmnet.s", _prefixed("rpart.", _RPART),
            _prefixed("ranger.", _RANGER.format("mtry.power")), "aknn.k aknn.M aknn.ef aknn.ef_construction",
            _prefixed("xgboost.", _XGBOOST), "trainsize repl",
        ]),
        *_RBV2,
    ),
    "iaml_ranger": _layout(
        "task_id replace respect.unordered.factors splitrule", f"{_RANGER.format('mtry.ratio')} trainsize", *_IAML,
    ),
    "iaml_rpart": _layout("task_id", f"{_RPART} trainsize", *_IAML),
    "iaml_glmnet": _layout("task_id", "alpha s trainsize", *_IAML),
    "iaml_xgboost": _layout("task_id booster", f"{_XGBOOST} trainsize", *_IAML),
    "iaml_super": _layout(
        "task_id learner ranger.replace ranger.respect.unordered.factors ranger.splitrule xgboost.booster",
        " ".join([
            _prefixed("ranger.", _RANGER.format("mtry.ratio")), _prefixed("rpart.", _RPART),
            "glmnet.alpha glmnet.s", _prefixed("xgboost.", _XGBOOST), "trainsize",
        ]),
        *_IAML,
    ),
}  # fmt: skip
"""Those of yahpo_gym 1.0.2 (Apache-2.0)."""


def licence(path: Path) -> str | None:
    """What the file LICENSE of yahpo_data says, in a line; None if there is none."""
    file = path / "LICENSE"
    if not file.is_file():
        return None
    lines = [line.strip(" ;") for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    return next((line for line in lines if "licensed under" in line.lower()), lines[0] if lines else None)


@dataclass(frozen=True)
class Scenario:
    """A folder that has been read."""

    folder: Path
    layout: Layout
    space: Space
    """Without the instance and the fidelities."""
    bounds: Mapping[str, tuple[float, float, bool]]
    """Fidelity -> (low, high, only whole numbers)."""
    instances: tuple[str, ...]
    """Empty if there is only one."""
    codes: Mapping[str, Mapping[Any, int]]
    """Categorical input -> value -> code."""

    @property
    def run_time(self) -> str | None:
        """The target that is a time of training, seconds."""
        return next((name for name in _RUN_TIMES if name in self.layout.targets), None)

    @property
    def default_target(self) -> str:
        """The first target that is not a time of training."""
        return next(name for name in self.layout.targets if name != self.run_time)

    def row(self, config: Config, instance: object, fidelities: Mapping[str, float]) -> Row:
        """The inputs for a configuration: an absent number is 0, an absent category has the code of a missing one."""
        given: dict[str, Any] = {**config, **fidelities}
        if self.layout.instance:
            given[self.layout.instance] = instance
        codes = tuple(self.codes[name][given.get(name, _MISSING)] for name in self.layout.categorical)
        return codes, tuple(float(given.get(name, 0.0)) for name in self.layout.continuous)

    def predict(self, row: Row) -> list[float]:
        """The targets, in order. One row at a time: the matrix products of a batch round otherwise than those of a row.
        UserError if the model does not fit."""
        session, categories, numbers = _session(str(self.folder))
        codes, x = row
        inputs = {categories: np.array([codes], dtype=np.int32), numbers: np.array([x], dtype=np.float32)}
        out: list[float] = session.run(None, inputs)[0][0].tolist()
        return out

    def losses(self, row: Row) -> dict[str, float]:
        """Target -> what is to be minimised: scores s as 1 - s, others as they are."""
        out = dict(zip(self.layout.targets, self.predict(row), strict=True))
        for name in self.layout.scores:
            if name not in self.layout.percent and out[name] > _FRACTION_AT_MOST:
                raise UserError(
                    f"{self.folder}: expected {name} as a fraction, got {out[name]:g}; if it is in per cent, add "
                    f'"percent": ["{name}"] to schema.json'
                )
            out[name] = 1.0 - (out[name] / 100.0 if name in self.layout.percent else out[name])
        return out


@lru_cache(maxsize=32)
def scenario(folder: str) -> Scenario:
    """What is in a folder; UserError if it is not as it should be."""
    path = Path(folder)
    for name in _FILES:
        if not (path / name).is_file():
            raise UserError(
                f"expected the folder of a scenario of yahpo_data, got no {name} in {path}; point path or "
                "HPTBENCH_YAHPO at a release of github.com/slds-lmu/yahpo_data"
            )
    layout = _order(path)
    described = json.loads((path / "config_space.json").read_text(encoding="utf-8"))
    hyperparameters = {hp["name"]: hp for hp in described["hyperparameters"]}
    if lacking := sorted({*layout.categorical, *layout.continuous} - set(hyperparameters)):
        raise UserError(f"{path}/config_space.json: expected all of the model's inputs, got no {lacking}; {_HOW}")
    codes = json.loads((path / "encoding.json").read_text(encoding="utf-8"))
    for name in layout.categorical:
        known = codes.setdefault(name, {})
        known.setdefault(_MISSING, 0)
        if unseen := [value for value in hyperparameters[name]["choices"] if value not in known]:
            raise UserError(f"{path}/encoding.json: expected a code for every {name}, got none for {unseen}")
    bounds = {
        name: (float(hp["lower"]), float(hp["upper"]), hp["type"] == "uniform_int")
        for name, hp in hyperparameters.items()
        if name in layout.fidelities
    }
    instances = tuple(hyperparameters[layout.instance]["choices"]) if layout.instance else ()
    dropped = {*layout.fidelities, layout.instance}
    return Scenario(path, layout, _space(path, described, dropped), bounds, instances, codes)


def fingerprint(folder: Path) -> str:
    """SHA-256 of all that the surrogate is made of."""
    names = [name for name in (*_FILES, "schema.json") if (folder / name).is_file()]
    return _digest(*[str(folder / name) for name in names])


@lru_cache(maxsize=32)
def _digest(*files: str) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()


_HOW = "write a schema.json there with the order of the model's inputs and outputs (docs/BENCHMARKS.md)"


def _order(path: Path) -> Layout:
    file = path / "schema.json"
    if not file.is_file():
        if path.name not in KNOWN:
            raise UserError(f"expected a scenario of yahpo_gym 1.0.2 or a schema.json, got {path}; {_HOW}")
        return KNOWN[path.name]
    schema = json.loads(file.read_text(encoding="utf-8"))
    try:
        targets = tuple(schema["y_names"])
        directions = zip(targets, schema["y_minimize"], strict=True)
        scores = {name for name, minimise in directions if not minimise} | (_SCORES & set(targets))
        return Layout(
            tuple(schema["cat_names"]), tuple(schema["cont_names"]), targets, frozenset(scores),
            frozenset(schema.get("percent", ())), tuple(schema["fidelity"]), schema["instance"],
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file}: {type(error).__name__}: {error}; {_HOW}") from error


def _space(path: Path, described: Mapping[str, Any], dropped: set[str | None]) -> Space:
    """The parameters that are searched, from ConfigSpace's old format."""
    kept = []
    for hp in described["hyperparameters"]:
        if hp["name"] in dropped:
            continue
        renamed = {{"default": "default_value"}.get(key, key): value for key, value in hp.items()}
        if renamed.pop("q", None) is not None:
            raise UserError(f"{path}: expected no quantised parameters, got {hp['name']}; ConfigSpace 1 has none")
        kept.append(renamed)
    whole = {key: described.get(key) or [] for key in ("conditions", "forbiddens")}
    try:
        return Space(
            CS.ConfigurationSpace.from_serialized_dict(
                {"name": None, "format_version": 0.4, "hyperparameters": kept, **whole}
            )
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}/config_space.json: {type(error).__name__}: {error}") from error


@lru_cache(maxsize=8)
def _session(folder: str) -> tuple[Any, str, str]:
    """(the network on one thread, the names of its inputs for categories and for numbers)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = Path(folder) / "model.onnx"
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes of errors have no common ancestor
        raise UserError(f"{path}: expected an ONNX model, got {type(error).__name__}: {error}") from error
    layout = scenario(folder).layout
    inputs = {i.type: i for i in session.get_inputs()}
    if set(inputs) != {"tensor(int32)", "tensor(float)"} or len(session.get_outputs()) != 1:
        raise UserError(f"{path}: expected two inputs, int32 and float, and one output, got others; {_HOW}")
    categories, numbers, [output] = inputs["tensor(int32)"], inputs["tensor(float)"], session.get_outputs()
    for what, port, names in (
        ("categories", categories, layout.categorical), ("numbers", numbers, layout.continuous),
        ("targets", output, layout.targets),
    ):  # fmt: skip
        if isinstance(port.shape[1], int) and port.shape[1] != len(names):
            raise UserError(f"{path}: expected {len(names)} {what} ({', '.join(names)}), got {port.shape[1]}; {_HOW}")
    return session, categories.name, numbers.name
