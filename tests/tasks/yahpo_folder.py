"""Folders like those of yahpo_data whose network is linear, so that what it gives can be computed by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Weights = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def number(name: str, low: float, high: float, log: bool = False) -> dict[str, Any]:
    kind = "uniform_int" if isinstance(low, int) else "uniform_float"
    default = round((low * high) ** 0.5 if log else (low + high) / 2) if isinstance(low, int) else (low + high) / 2
    return {"name": name, "type": kind, "log": log, "lower": low, "upper": high, "default": default}


def category(name: str, *choices: str) -> dict[str, Any]:
    given = {"choices": list(choices), "default": choices[0], "probabilities": None}
    return {"name": name, "type": "categorical", **given}


def equals(child: str, parent: str, *values: str) -> dict[str, Any]:
    what: dict[str, Any] = (
        {"type": "EQ", "value": values[0]} if len(values) == 1 else {"type": "IN", "values": [*values]}
    )
    return {"child": child, "parent": parent, **what}


def both(child: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {"child": child, "type": "AND", "conditions": list(conditions)}


def linear(categories: int, numbers: int, targets: int, seed: int = 0) -> Weights:
    """Small weights and outputs around a half."""
    rng = np.random.default_rng(seed)
    a, b = (rng.uniform(-0.02, 0.02, (n, targets)).astype(np.float32) for n in (categories, numbers))
    return a, b, np.full(targets, 0.5, np.float32)


def write(
    folder: Path,
    hyperparameters: Sequence[Mapping[str, Any]],
    weights: Weights,
    conditions: Sequence[Mapping[str, Any]] = (),
    schema: Mapping[str, Any] | None = None,
) -> Path:
    folder.mkdir(parents=True)
    space = {"hyperparameters": list(hyperparameters), "conditions": list(conditions), "forbiddens": []}
    (folder / "config_space.json").write_text(
        json.dumps({**space, "python_module_version": "0.4.18", "json_format_version": 0.2})
    )
    codes = {hp["name"]: ["#na#", *sorted(hp["choices"])] for hp in hyperparameters if "choices" in hp}
    encoding = {name: {value: i for i, value in enumerate(values)} for name, values in codes.items()}
    (folder / "encoding.json").write_text(json.dumps(encoding))
    if schema:
        (folder / "schema.json").write_text(json.dumps(schema))
    a, b, c = weights
    nodes = [
        helper.make_node("Cast", ["x_cat"], ["codes"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["codes", "a"], ["from_codes"]),
        helper.make_node("MatMul", ["x_cont", "b"], ["from_numbers"]),
        helper.make_node("Add", ["from_codes", "from_numbers"], ["both"]),
        helper.make_node("Add", ["both", "c"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [
            helper.make_tensor_value_info("x_cat", TensorProto.INT32, ["n", len(a)]),
            helper.make_tensor_value_info("x_cont", TensorProto.FLOAT, ["n", len(b)]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", len(c)])],
        [numpy_helper.from_array(x, name) for x, name in ((a, "a"), (b, "b"), (c, "c"))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    return folder


SVM = [
    number("cost", 1e-4, 100.0, log=True), category("kernel", "linear", "polynomial", "radial"),
    category("num.impute.selected.cpo", "impute.mean", "impute.median"), number("repl", 1, 10),
    category("task_id", "1040", "3", "40981"), number("tolerance", 1e-3, 2.0, log=True),
    number("trainsize", 0.05, 1.0), number("degree", 2, 5), number("gamma", 1e-4, 10.0, log=True),
]  # fmt: skip
_a, _b, _c = linear(3, 6, 9)
SVM_WEIGHTS = _a, _b / np.array([[100], [10], [2], [5], [1], [10]], np.float32), _c
SVM_CONDITIONS = [equals("degree", "kernel", "polynomial"), equals("gamma", "kernel", "radial")]


def svm(root: Path) -> Path:
    """rbv2_svm: three categories, six numbers, nine targets; conditions; no schema.json."""
    return write(root / "rbv2_svm", SVM, SVM_WEIGHTS, SVM_CONDITIONS)


LCBENCH = [
    category("OpenML_task_id", "3945", "7593"), number("batch_size", 16, 512, log=True), number("epoch", 1, 52),
    number("learning_rate", 1e-4, 0.1, log=True), number("max_dropout", 0.0, 1.0),
    number("max_units", 64.0, 1024.0, log=True), number("momentum", 0.1, 0.99), number("num_layers", 1, 5),
    number("weight_decay", 1e-5, 0.1),
]  # fmt: skip


def lcbench(root: Path) -> Path:
    """lcbench: one category, eight numbers, the first of which is the epoch; six targets, the first of which is a time
    of 60 s that falls by a second per epoch; val_accuracy is in per cent."""
    a, b, c = linear(1, 8, 6)
    b[1:, 0] = a[:, 0] = 0.0
    b[1:, 1] = 0.001
    b[0, 0], c[0], c[1] = -1.0, 60.0, 80.0
    return write(root / "lcbench", LCBENCH, (a, b * 0.01 + np.where(np.arange(6) == 0, b * 0.99, 0), c))


SUPER = [
    category("learner", "ranger", "glmnet", "xgboost"), category("task_id", "1067", "1489"),
    number("trainsize", 0.05, 1.0), number("alpha", 0.0, 1.0), category("booster", "gblinear", "gbtree", "dart"),
    number("eta", 1e-4, 1.0, log=True), number("rate_drop", 0.0, 1.0),
]  # fmt: skip
SUPER_CONDITIONS = [
    equals("alpha", "learner", "glmnet"),
    equals("booster", "learner", "xgboost"),
    both("eta", equals("eta", "booster", "dart", "gbtree"), equals("eta", "learner", "xgboost")),
    both("rate_drop", equals("rate_drop", "booster", "dart"), equals("rate_drop", "learner", "xgboost")),
]
SUPER_SCHEMA = {
    "cat_names": ["task_id", "learner", "booster"], "cont_names": ["alpha", "eta", "rate_drop", "trainsize"],
    "y_names": ["mmce", "auc", "size"], "y_minimize": [True, False, True], "fidelity": ["trainsize"],
    "instance": "task_id",
}  # fmt: skip


def multiplexer(root: Path, **schema: Any) -> Path:
    """Nested conditions, an order of inputs of its own, no time of training."""
    return write(root / "own", SUPER, linear(3, 4, 3), SUPER_CONDITIONS, {**SUPER_SCHEMA, **schema})
