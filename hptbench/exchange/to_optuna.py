"""A study as a storage of Optuna (Akiba et al., 2019): SQLite, or its journal in a file (.log, .journal).

A run is an Optuna study ``task/method/seed``. A trial is COMPLETE once trained to the full fidelity, PRUNED below it,
FAIL if its last job failed; its value is the last one, its intermediate values those of its segments. Steps
are fidelities, or the ranks of the task's fidelities where these are not whole numbers. Dates count the run's time
from 1970, one unit of its clock a second. What Optuna has no place for is in user attributes: ``test`` and ``hidden``
(hidden scores) and ``jobs`` (each segment) of a trial, ``task``, ``method``, ``seed`` and ``run`` (the row of
runs.parquet) of a study; :mod:`hptbench.exchange.from_optuna` reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hptbench.errors import UserError
from hptbench.exchange.study import Finished
from hptbench.files import write_whole
from hptbench.methods._peer_optuna import distribution
from hptbench.methods._peers import INSTALL, is_ordinal, values_of
from hptbench.results.schema import RUN_KEY

JOURNALS = (".log", ".journal")
_SHOWN = {"trial", "config", *(column.name for column in RUN_KEY)}
"""Columns of jobs that are in a trial's own fields, or in its study's."""


@contextmanager
def storage(path: Path) -> Iterator[Any]:
    """Optuna's storage in a file, closed in the end. UserError without Optuna."""
    try:
        from optuna.storages import JournalStorage, RDBStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise UserError(f"expected Optuna 5, whose storage this is: {INSTALL} ({error})") from error
    if path.suffix in JOURNALS:
        yield JournalStorage(JournalFileBackend(str(path)))
        return
    opened = RDBStorage(f"sqlite:///{path.resolve()}")
    try:
        yield opened
    finally:
        opened.remove_session()
        opened.engine.dispose()


def export(runs: Sequence[Finished], out: Path) -> str:
    """Write a new file; what was written, in words."""
    if out.exists():
        raise UserError(f"expected a file that is not there yet, got {out}; name another with --out, or delete it")

    def write(part: Path) -> None:
        named = part.with_name(part.name + (out.suffix or ".db"))
        try:
            with storage(named) as into:
                for run in runs:
                    _add(run, into)
            named.replace(part)
        finally:
            named.unlink(missing_ok=True)

    write_whole(out, write)
    return f"{len(runs)} Optuna studies, named task/method/seed, in {out}"


def _add(run: Finished, into: Any) -> None:
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            storage=into, study_name=run.name, directions=["minimize"] * len(run.row["objectives"])
        )
        for name in ("task", "method", "seed"):
            study.set_user_attr(name, run.row[name])
        study.set_user_attr("run", dict(run.row))
        trials: dict[int, list[Mapping[str, Any]]] = {}
        for job in sorted(run.jobs, key=lambda job: job["job"]):
            trials.setdefault(job["trial"], []).append(job)
        known = {hp.name: _distribution(hp) for hp in run.space.configspace.values()}
        steps = _steps(run)
        study.add_trials([_trial(run, jobs, known, steps) for _, jobs in sorted(trials.items())])
    finally:
        optuna.logging.set_verbosity(level)


def _trial(
    run: Finished, jobs: Sequence[Mapping[str, Any]], known: Mapping[str, Any], steps: Mapping[float, int]
) -> Any:
    from optuna.trial import TrialState, create_trial

    config, last = json.loads(jobs[0]["config"]), jobs[-1]
    ok = last["status"] == "ok"
    state = TrialState.FAIL if not ok else TrialState.COMPLETE if last["stop"] >= run.row["high"] else TrialState.PRUNED
    seen = [job for job in jobs if job["status"] == "ok"] if len(run.row["objectives"]) == 1 else []
    trial = create_trial(
        state=state,
        values=last["values"] if ok else None,
        params=config,
        distributions={name: known[name] for name in config},
        intermediate_values={steps[job["stop"]]: job["value"] for job in seen} if run.row["fidelity_unit"] else None,
        user_attrs={
            "test": last["test"],
            "hidden": json.loads(last["hidden"]),
            "jobs": [{name: value for name, value in job.items() if name not in _SHOWN} for job in jobs],
        },
    )
    if last["ended"] is not None:
        origin = datetime(1970, 1, 1)
        trial.datetime_start = origin + timedelta(seconds=jobs[0]["began"])
        trial.datetime_complete = origin + timedelta(seconds=last["ended"])
    return trial


def _distribution(hp: Any) -> Any:
    """As the wrappers of Optuna see it, but ordinals and constants by their values."""
    from optuna.distributions import CategoricalDistribution

    return CategoricalDistribution(values_of(hp)) if is_ordinal(hp) else distribution(hp)


def _steps(run: Finished) -> dict[float, int]:
    """Optuna's whole-numbered steps of the fidelities at which jobs ended."""
    stops = sorted({float(job["stop"]) for job in run.jobs})
    if all(stop.is_integer() for stop in stops):
        return {stop: int(stop) for stop in stops}
    return {stop: i for i, stop in enumerate(stops, 1)}
