"""Methods and task families by name. One Python file adds one: its module registers itself.

    @method("bohb")
    @dataclass(frozen=True)
    class BOHB: ...

The fields of the dataclass are its only defaults; they become its Hydra node (``method.bohb.eta=4``),
so that types are checked on the command line.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

import hptbench
from hptbench.errors import unknown
from hptbench.spacefile import packaged_parameters

T = TypeVar("T", bound=type)
_FOUND: dict[str, dict[str, type]] = {"method": {}, "task": {}}


def method(name: str) -> Callable[[T], T]:
    """Register a frozen dataclass that satisfies :class:`hptbench.protocol.Method`."""
    return _register("method", name)


def task(name: str) -> Callable[[T], T]:
    """Register a family of tasks: a frozen dataclass that satisfies :class:`hptbench.protocol.Task`."""
    return _register("task", name)


def methods() -> Mapping[str, type]:
    """All methods by name."""
    _import_all("methods")
    return dict(sorted(_FOUND["method"].items()))


def tasks() -> Mapping[str, type]:
    """All task families by name."""
    _import_all("tasks")
    return dict(sorted(_FOUND["task"].items()))


def find(kind: str, name: str) -> type:
    """The class behind a name; UserError with the nearest spelling if there is none."""
    known = {"method": methods, "task": tasks}[kind]()
    if name not in known:
        raise unknown(kind, name, known)
    return known[name]


def summary(cls: type) -> str:
    """The first sentence of a class's docstring, on one line."""
    return " ".join((cls.__doc__ or "").split("\n\n")[0].split())


def _register(kind: str, name: str) -> Callable[[T], T]:
    def register(cls: T) -> T:
        other = _FOUND[kind].setdefault(name, cls)
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"{kind} {name!r} is already {other.__module__}.{other.__qualname__}")
        return cls

    return register


@cache
def _import_all(package: str) -> None:
    folder = importlib.import_module(f"{hptbench.__name__}.{package}")
    for module in pkgutil.iter_modules(folder.__path__, f"{folder.__name__}."):
        if not module.name.rpartition(".")[2].startswith("_"):
            importlib.import_module(module.name)


def add_to_hydra(spaces: bool = True) -> None:
    """Give every method its node in Hydra's group ``method``, packaged under its own name; and all packaged spaces
    one node, ``space=all``: composed file by file they would take seconds. Without ``spaces`` it is empty: a task whose
    space is not configured takes the packaged one, and composing takes a third of the time."""
    from hydra.core.config_store import ConfigStore

    _add_methods()
    node = packaged_parameters() if spaces else {}
    ConfigStore.instance().store(group="space", name="all", node=node, package="space", provider="hptbench")


@cache
def _add_methods() -> None:
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    for name, cls in methods().items():
        store.store(group="method", name=name, node=_method_node(cls), package=f"method.{name}", provider="hptbench")


def _method_node(cls: type) -> Any:
    """The node of a method: also how its hyperparameters were chosen (:mod:`hptbench.provenance`)."""
    node = node_of(cls)
    return dataclasses.make_dataclass(
        node.__name__, [("provenance", Any, dataclasses.field(default=None))], bases=(node,)
    )


def node_of(cls: type) -> Any:
    """A structured config with ``_target_`` and the fields of ``cls``."""
    hints = typing.get_type_hints(cls)
    rows: list[Any] = [("_target_", str, dataclasses.field(default=f"{cls.__module__}.{cls.__qualname__}"))]
    for f in dataclasses.fields(cls):
        copied = dataclasses.field(default=f.default, default_factory=f.default_factory)
        rows.append((f.name, hints[f.name], copied))
    return dataclasses.make_dataclass(f"{cls.__name__}Node", rows)
