"""Runs from a storage of Optuna: a file of SQLite or its journal, a study of Optuna a run.

Which task, method and seed a study is of, is said by its user attributes of these names, or by its name
``task/method/seed``; nothing is guessed. What :mod:`hptbench.exchange.to_optuna` wrote comes back whole. Of other
studies: values are minimised, so maximised ones are negated and their objective is ``negated NAME``; intermediate
values of a trial are segments of one training, the highest step of a task is a full evaluation; dates give seconds;
``user_attrs["test"]`` is the hidden score of the last one; the search space is what the trials were drawn from, its
conditions are not known; trials that have not ended are left out.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ConfigSpace as CS

from hptbench.errors import UserError
from hptbench.exchange.imported import completed, unknown_job, unknown_run
from hptbench.exchange.to_optuna import storage
from hptbench.identity import as_json
from hptbench.results.schema import JOBS, RUN_KEY, RUNS
from hptbench.space import Space

Runs = list[tuple[dict[str, Any], list[dict[str, Any]]]]
_KEY = ("task", "method", "seed")


def read(path: Path) -> Runs:
    """The runs of a file. UserError if it is no storage, or if a study says not what it is of."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        sqlite = path.read_bytes()[:16] == b"SQLite format 3\0"
    except OSError as error:
        raise UserError(f"expected a file that Optuna wrote, got {path}: {error.strerror}") from error
    with TemporaryDirectory() as place:  # to open a storage may change it
        copy = Path(shutil.copy(path, Path(place) / ("copy.db" if sqlite else "copy.log")))
        try:
            with storage(copy) as opened:
                return _runs(opened, path)
        except UserError:
            raise
        except (ValueError, KeyError, RuntimeError, SQLAlchemyError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(
                f"expected a file that Optuna wrote, got {path}, which it cannot read ({reason})"
            ) from error


def _runs(opened: Any, path: Path) -> Runs:
    import optuna

    names = optuna.get_all_study_names(opened)
    if not names:
        raise UserError(f"expected a file that Optuna wrote with at least one study, got {path}, which has none")
    found: Runs = []
    foreign: dict[str, list[Any]] = {}
    for study in [optuna.load_study(study_name=name, storage=opened) for name in names]:
        if "run" in study.user_attrs:
            found.append(_own(study))
        else:
            foreign.setdefault(_key(study)[0], []).append(study)
    return found + [run for studies in foreign.values() for run in _of_task(studies)]


def _own(study: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A run that hptbench exported. UserError if it lacks what this version writes."""
    row, names = study.user_attrs["run"], {column.name for column in JOBS if column not in RUN_KEY}
    jobs = [
        {**job, "trial": trial.number, "config": as_json(trial.params)}
        for trial in study.get_trials(deepcopy=False)
        for job in trial.user_attrs.get("jobs", ())
    ]
    if row.keys() != {column.name for column in RUNS} or any(job.keys() != names for job in jobs):
        raise UserError(f"study {study.study_name}: expected what this version of hptbench exports, got another's; "
                        "export it again")  # fmt: skip
    return row, sorted(jobs, key=lambda job: (job["ended"] or 0.0, job["job"]))


def _key(study: Any) -> tuple[str, str, int]:
    parts = dict(zip(_KEY, study.study_name.split("/"), strict=False)) if study.study_name.count("/") == 2 else {}
    said = parts | {name: study.user_attrs[name] for name in _KEY if name in study.user_attrs}
    try:
        return str(said["task"]), str(said["method"]), int(said["seed"])
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"study {study.study_name!r}: expected user attributes task, method and seed (a whole number), or the name "
            'task/method/seed, got neither; say it with study.set_user_attr("task", …)'
        ) from error


def _of_task(studies: Sequence[Any]) -> Runs:
    """The runs of one task that somebody else made."""
    trials = {study.study_name: _ended(study) for study in studies}
    steps = [step for ended in trials.values() for trial in ended for step in trial.intermediate_values]
    if any(step <= 0 for step in steps):
        raise UserError(f"task {_key(studies[0])[0]}: expected steps above 0, which are fidelities, got {min(steps)}")
    high = float(max(steps, default=1))
    space = _space(trial for ended in trials.values() for trial in ended)
    found: Runs = []
    for study in studies:
        names = study.metric_names or [f"value_{i}" if i else "value" for i in range(len(study.directions))]
        signs = [-1.0 if direction.name == "MAXIMIZE" else 1.0 for direction in study.directions]
        objectives = [name if sign > 0 else f"negated {name}" for name, sign in zip(names, signs, strict=True)]
        ended = trials[study.study_name]
        began = min((trial.datetime_start for trial in ended if trial.datetime_start), default=None)
        jobs: list[dict[str, Any]] = []
        for trial in ended:
            jobs += _segments(trial, signs, high, began, len(jobs))
        row = unknown_run(*_key(study)) | {
            "objective": objectives[0], "objectives": objectives, "constraints": [], "high": high, "clock": "cost",
            "fidelity_unit": "step" if steps else None, "space": space,
        }  # fmt: skip
        found.append(completed(row, jobs))
    return found


def _ended(study: Any) -> list[Any]:
    """Its trials, in the order in which they ended."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    return sorted(trials, key=lambda trial: (trial.datetime_complete, trial.number))


def _segments(trial: Any, signs: Sequence[float], high: float, origin: Any, first: int) -> list[dict[str, Any]]:
    """The jobs of a trial: one for each step that it reported, and one to the full fidelity for a final value after
    them, or for a failure. Only the last one has times and the hidden score, which are those of the whole trial."""
    points = [(float(step), [signs[0] * value]) for step, value in sorted(trial.intermediate_values.items())]
    final = [sign * value for sign, value in zip(signs, trial.values, strict=True)] if trial.values else None
    if trial.state.name == "FAIL" or not points:
        points.append((high, final or []))
    elif trial.state.name == "COMPLETE":
        points[-1] = (high, final or [])
    jobs: list[dict[str, Any]] = []
    before = 0.0
    for i, (stop, values) in enumerate(points):
        ok = bool(values) and all(value == value for value in values)
        jobs.append(unknown_job() | {
            "job": first + i, "trial": trial.number, "source": first + i - 1 if i else None,
            "start": before, "stop": stop,
            "status": "ok" if ok else "failed", "value": values[0] if ok else None, "values": values if ok else None,
            "constraints": [] if ok else None, "config": as_json(trial.params),
        })  # fmt: skip
        before = stop
    times = [trial.datetime_start, trial.datetime_complete]
    began, ended = [(at - origin).total_seconds() if at and origin else None for at in times]
    test = trial.user_attrs.get("test")
    known: dict[str, Any] = {"ended": ended, "began": began}
    if began is not None and ended is not None:
        known["cost"] = ended - began
    if isinstance(test, int | float) and jobs[-1]["status"] == "ok":
        known |= {"test": float(test), "hidden": as_json({"test": float(test)})}
    jobs[-1] |= known
    return jobs


def _space(trials: Iterable[Any]) -> str | None:
    """What all trials of a task were drawn from, as JSON: the widest bounds; None if they had no parameters, or a
    parameter was of several kinds."""
    drawn: dict[str, list[Any]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            drawn.setdefault(name, []).append(distribution)
    parameters = [_parameter(name, of_it) for name, of_it in sorted(drawn.items())]
    if not parameters or None in parameters:
        return None
    return as_json(Space(CS.ConfigurationSpace(space={hp.name: hp for hp in parameters})).to_json())


def _parameter(name: str, drawn: Sequence[Any]) -> Any:
    """None for a name that stands for several things."""
    kinds: Mapping[str, Any] = {"FloatDistribution": CS.Float, "IntDistribution": CS.Integer}
    first = drawn[0]
    if any(type(one) is not type(first) for one in drawn):
        return None
    if type(first).__name__ in kinds:
        bounds = (min(one.low for one in drawn), max(one.high for one in drawn))
        if bounds[0] == bounds[1]:
            return CS.Constant(name, bounds[0])
        return None if len({one.log for one in drawn}) > 1 else kinds[type(first).__name__](name, bounds, log=first.log)
    if any(one.choices != first.choices for one in drawn) or None in first.choices:
        return None
    return CS.Categorical(name, list(first.choices)) if len(first.choices) > 1 else CS.Constant(name, first.choices[0])
