"""Suites: lists of tasks. Hydra calls these functions with what ``conf/suite/*.yaml`` says.

_target_: hptbench.suites.family
_convert_: all
family: dataset
instances: [{data: wine, learner: svm}, {data: diabetes, learner: svr}]
common: {validation: cv}
spaces: ${space}
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Container, Mapping, Sequence
from typing import Any, TypeAlias

from hptbench import registry
from hptbench.errors import UserError, unknown
from hptbench.protocol import Task
from hptbench.spacefile import space_from_yaml
from hptbench.store import layout
from hptbench.tasks._wrapper import wrap

Learners: TypeAlias = str | Sequence[str] | Mapping[str, str | Sequence[str]]
_LEARNER = "hist_gradient_boosting"
_KINDS = ("classification", "regression")


def family(
    family: str,
    instances: Sequence[Mapping[str, Any]],
    common: Mapping[str, Any] | None = None,
    spaces: Mapping[str, Any] | None = None,
) -> list[Task]:
    """One task of a family per instance.

    ``instances`` and ``common`` (what all of them share) are fields of the family, and ``wrap``: wrappers
    around the task, e.g. ``[{noisy: {std: 0.1}}]``. ``spaces`` holds search spaces by name, for families whose
    tasks have one by name; those it does not hold are the packaged ones."""
    cls = registry.find("task", family)
    if not isinstance(instances, Sequence) or isinstance(instances, str):
        raise UserError(f"suite of {family!r}: expected a list of instances, got {instances!r}")
    return [_task(cls, f"suite of {family!r}, instance {i}", one, common, spaces) for i, one in enumerate(instances)]


def several(
    families: Mapping[str, Mapping[str, Any] | None],
    spaces: Mapping[str, Any] | None = None,
) -> list[Task]:
    """The tasks of several families, one after the other.

    ``families``: a family's name -> what :func:`family` takes (``instances``, ``common``), or None to leave it out."""
    if not isinstance(families, Mapping):
        raise UserError(f"expected families by name, e.g. {{synthetic: {{instances: […]}}}}, got {families!r}")
    tasks: list[Task] = []
    for name, given in families.items():
        if given is None:
            continue
        if not isinstance(given, Mapping) or not {"instances"} <= set(given) <= {"instances", "common"}:
            raise UserError(f"families.{name}: expected instances and common, got {given!r}")
        tasks += family(name, given["instances"], given.get("common"), spaces)
    return tasks


def store(
    path: str | None,
    data: Sequence[str] | str | None = None,
    learner: Learners = _LEARNER,
    spaces: Mapping[str, Any] | None = None,
    **common: Any,
) -> list[Task]:
    """A ``dataset`` task per data set of a store (a folder with ``index.csv`` and parquet files) and learner.

    ``data``: names or one name, or None for all. ``learner``: one or several for all, or per task type (classification,
    regression); with ``data=None`` data sets of a type without a learner are left out. ``common``: fields of the
    family."""
    chosen = _per_type(learner)
    kinds = _data_sets(path, data, chosen)
    instances = [{"data": name, "learner": one} for name, kind in kinds.items() for one in chosen[kind]]
    return family("dataset", instances, {**common, "store": path}, spaces)


def networks(
    path: str | None,
    data: Sequence[str] | str | None = None,
    network: str = "neural_mlp",
    spaces: Mapping[str, Any] | None = None,
    **common: Any,
) -> list[Task]:
    """A task of a family of networks per data set of a store.

    ``data``: names or one name, or None for all. ``network``: name of the family. ``common``: its fields."""
    instances = [{"data": name} for name in _data_sets(path, data, _KINDS)]
    return family(network, instances, {**common, "store": path}, spaces)


def openml(
    path: str | None,
    suite: int | str | None = None,
    tasks: Sequence[int] | None = None,
    learner: Learners = _LEARNER,
    repeat: int = 0,
    fold: int | Sequence[int] = 0,
    spaces: Mapping[str, Any] | None = None,
    **common: Any,
) -> list[Task]:
    """An ``openml`` task per task of a suite (id or alias), or per id in ``tasks``, fold and learner.

    ``learner``: one or several for all, or per task type. ``common``: fields of the family."""
    store = path or layout.default_store()
    if (suite is None) == (tasks is None):
        raise UserError("expected suite=ID or tasks=[ID,...], and not both")
    ids = layout.suite_card(store, suite)["tasks"] if suite is not None else tasks or ()
    cards = [layout.task_card(store, task) for task in ids]
    chosen = _per_type(learner)
    if lacking := sorted({card["task_type"] for card in cards} - set(chosen)):
        raise UserError(f"expected a learner for {', '.join(lacking)}, got {chosen}; add one")
    folds = [fold] if isinstance(fold, int) else list(fold)
    instances = [
        {"task_id": card["task_id"], "learner": one, "repeat": repeat, "fold": place}
        for card in cards
        for place in folds
        for one in chosen[card["task_type"]]
    ]
    return family("openml", instances, {**common, "store": store}, spaces)


def _data_sets(path: str | None, data: Sequence[str] | str | None, kinds: Container[str]) -> dict[str, str]:
    """Chosen data sets of a store -> their task type, which has to be of ``kinds``; None: all such."""
    if not path:
        raise UserError("expected the folder of a data store, got none; set HPTBENCH_STORE or suite.path=<folder>")
    cls: Any = registry.find("task", "dataset")
    known = cls.data_sets(path)
    data = [data] if isinstance(data, str) else data
    for name in data or ():
        if name not in known:
            raise unknown(f"data set of {path}", name, known)
        if known[name] not in kinds:
            raise UserError(f"expected a learner for {known[name]} ({name}), got {kinds}; add one")
    names = [name for name in known if known[name] in kinds] if data is None else data
    return {name: known[name] for name in names}


def _per_type(learner: Learners) -> dict[str, list[str]]:
    """The learners for each task type that has any."""
    by_type = learner if isinstance(learner, Mapping) else dict.fromkeys(_KINDS, learner)
    for kind in by_type:
        if kind not in _KINDS:
            raise unknown("task type", kind, _KINDS)
    chosen = {kind: [names] if isinstance(names, str) else names for kind, names in by_type.items() if names}
    for names in chosen.values():
        if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
            raise UserError(f"expected learner to be a name, several, or so for each task type, got {learner!r}")
    return {kind: list(names) for kind, names in chosen.items()}


def _task(
    cls: Any,
    where: str,
    instance: Mapping[str, Any],
    common: Mapping[str, Any] | None,
    spaces: Mapping[str, Any] | None,
) -> Task:
    if not isinstance(instance, Mapping):
        raise UserError(f"{where}: expected a mapping of fields, got {instance!r}")
    fields = {**(common or {}), **instance}
    wrappers = fields.pop("wrap", None) or ()
    given = _checked(cls, where, fields)
    if spaces and hasattr(cls, "space_name") and given.get("space") is None:
        name = cls.space_name(**given)
        if name in spaces:
            given["space"] = space_from_yaml(spaces[name], f"space.{name}", spaces)
    return wrap(cls(**given), wrappers)


def _checked(cls: Any, where: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields; UserError for an unknown one, for a wrong type, and where one is missing."""
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    for name, value in given.items():
        if name not in fields:
            raise unknown(f"{where}: field", name, fields)
        if not _fits(value, hints[name]):
            raise UserError(f"{where}: field {name!r}: expected {_spelt(hints[name])}, got {value!r}")
    for name, field in fields.items():
        if name not in given and field.default is field.default_factory is dataclasses.MISSING:
            raise UserError(f"{where}: expected a value for {name!r}, got none")
    return {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value from YAML is of a type; only plain types are looked at, the class checks the rest."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in typing.get_args(hint))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if typing.get_origin(hint) is tuple:
        [one, *_] = typing.get_args(hint)
        return isinstance(value, list | tuple) and all(_fits(v, one) for v in value)
    return isinstance(value, hint) if hint in (str, bool, types.NoneType) else True


def _spelt(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("NoneType", "None")
