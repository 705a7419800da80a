"""Every column of the result tables: its type, unit and meaning. ``docs/RESULTS.md`` is made from here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Measure = Literal["test", "validation"]
"""Which scores of what a run recommends are looked at."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a parquet table."""

    name: str
    type: str
    """An Arrow type's name."""
    unit: str
    meaning: str
    repeatable: bool = True
    """The same in every execution of the same run; False for what is measured."""


RUN_KEY = (
    Column("task", "string", "", "name of the task"),
    Column("method", "string", "", "label of the method"),
    Column("seed", "int64", "", "seed of the run"),
    Column("run", "string", "", "id of the run: hash of all that can change its result"),
)

KEY = ["task", "method", "seed", "run"]
"""What names a run in both tables."""

JOBS = (
    *RUN_KEY,
    Column("job", "int64", "", "id of the job, in the order in which jobs began"),
    Column("trial", "int64", "", "id of the trial: one configuration; its segments are jobs"),
    Column("source", "int64", "", "job whose state or configuration it went on from; null if none"),
    Column("start", "double", "fidelity", "fidelity already trained when the segment began"),
    Column("stop", "double", "fidelity", "fidelity at the end of the segment; 1 for tasks without fidelity"),
    Column("trained", "double", "fidelity", "fidelity at which the training was stopped early; null if it was not"),
    Column(
        "units",
        "double",
        "full evaluations",
        "training charged with credited continuation: (stop - start) / high, stop at most trained",
    ),
    Column(
        "units_from_zero", "double", "full evaluations", "training charged from zero: stop, at most trained, / high"
    ),
    Column("began", "double", "clock", "begin of the job in the run's time"),
    Column("ended", "double", "clock", "end of the job in the run's time"),
    Column("worker", "int64", "", "number of the worker"),
    Column("cost", "double", "s", "worker time: recorded by the task, or measured (then it differs)", False),
    Column("cpu", "double", "s", "processor time of the job's worker, scoring included; null if not measured", False),
    Column(
        "memory", "double", "MB", "highest resident memory of the job's worker during the job; null likewise", False
    ),
    Column(
        "energy",
        "double",
        "J",
        "energy of the machine's processors during the job, whatever else ran; null: no meter",
        False,
    ),
    Column(
        "gpu", "double", "s", "time on a graphics card, or the share of jobs trained together; null: on none", False
    ),
    Column("gpu_energy", "double", "J", "energy of the machine's NVIDIA cards during the job, as energy", False),
    Column(
        "left", "double", "MB", "size of the state that the job left to go on from; null: none, or no worker", False
    ),
    Column("status", "string", "", "ok, failed, timeout, memory or nan"),
    Column("message", "string", "", "why it failed, or why there is no test score"),
    Column("value", "double", "objective", "first objective at the end of the segment, minimised; null if failed"),
    Column("values", "list<double>", "objective", "all objectives; null if failed"),
    Column("constraints", "list<double>", "", "all constraints, kept where <= 0; empty without any, null if failed"),
    Column("test", "double", "objective", "hidden test score for the first objective; null if there is none"),
    Column("hidden", "string", "", "JSON: all hidden measures by name"),
    Column("config", "string", "", "JSON: the active parameters"),
    Column("note", "string", "", "JSON: the method's bookkeeping (bracket, rung, …)"),
)

RUNS = (
    *RUN_KEY,
    Column("unit", "string", "", "data set or function behind the task; tasks of one unit are not independent"),
    Column(
        "licence",
        "string",
        "",
        "licence of the data as their source states it, or that there are none; null: not stated",
    ),
    Column("version", "int64", "", "version of the task"),
    Column("objective", "string", "", "name of the first objective"),
    Column("objectives", "list<string>", "", "names of all objectives"),
    Column("constraints", "list<string>", "", "names of all constraints, mostly none"),
    Column(
        "front",
        "string",
        "",
        "JSON: ideal, reference point, hypervolume and points of the true front; null if not known",
    ),
    Column("optimum", "double", "objective", "least value of the first objective without noise; null if not known"),
    Column("high", "double", "fidelity", "fidelity of a full evaluation"),
    Column("fidelity_unit", "string", "", "what the fidelity counts; null if the task has none"),
    Column(
        "protocol", "string", "", "hash of task, space, split, budget, workers, clock and limits: equal = comparable"
    ),
    Column("method_class", "string", "", "the class behind the label"),
    Column("hyperparameters", "string", "", "JSON: the method's own hyperparameters"),
    Column(
        "provenance",
        "string",
        "",
        "how they were chosen: 'default', or JSON: changed, and as the author says paper, or tuned (on, cost)",
    ),
    Column(
        "advice",
        "string",
        "",
        "JSON: how much meta-learning told the method before the run, learnt from how many trainings; null: nothing",
    ),
    Column("budget", "string", "", "JSON: limits of the run"),
    Column("budget_reason", "string", "", "why it is as large as it is, in the author's words; null: not said"),
    Column("workers", "int64", "", "workers of the run"),
    Column("clock", "string", "", "units (time in full evaluations) or cost (seconds); 'live': real time"),
    Column("limits", "string", "", "JSON: what one job may take"),
    Column("simulation", "string", "", "JSON: overhead (seconds per proposal, or measured) and spread of the workers"),
    Column("task_identity", "string", "", "JSON: data hash, learner, metric, split"),
    Column("space", "string", "", "JSON: the search space in ConfigSpace's form"),
    Column("hypotheses", "string", "", "hash of the hypotheses registered before the run began; null without any"),
    Column("jobs", "int64", "", "finished jobs"),
    Column("failed", "int64", "", "finished jobs whose status is not ok"),
    Column("full_evals", "double", "full evaluations", "training consumed, with credited continuation"),
    Column("wall", "double", "s", "real time of the session that finished the run", False),
    Column("ask", "double", "s", "processor time the method took to propose, in that session", False),
    Column("tell", "double", "s", "processor time the method took to learn, in that session", False),
    Column("peak_memory", "double", "MB", "highest resident memory of the run's process or its workers", False),
    Column("states", "double", "MB", "most that states took on the disk, in that session; null: kept nowhere", False),
    Column(
        "load",
        "double",
        "",
        "processes per processor of the machine in the run's last minute; null if not known",
        False,
    ),
    Column("device", "string", "", "processor, cores and accelerator", False),
    Column("versions", "string", "", "JSON: versions of Python and the libraries", False),
    Column("commit", "string", "", "git commit of hptbench, '+' if changed since; null outside a checkout", False),
)


EVALUATIONS = (
    Column("data", "string", "", "name of the data set"),
    Column("learner", "string", "", "name of the learner"),
    Column("configuration", "int32", "", "number of the configuration in the design; 0 is the default"),
    Column("fidelity", "float", "fidelity", "fidelity at which it was evaluated"),
    Column("status", "string", "", "ok, failed, timeout, memory or nan"),
    Column("cost", "float", "s", "wall time of training and validation", False),
    Column("cpu", "float", "s", "processor time of training, validation and test", False),
    Column(
        "memory", "float", "MB", "highest resident memory of the process meanwhile, libraries and data included", False
    ),
    Column("split", "int64", "", "number of the inner split"),
    Column("config", "string", "", "JSON: the active parameters"),
)
"""The first columns of a table of evaluations; then one per metric."""


def arrow_schema(columns: Sequence[Column]) -> Any:
    """The ``pyarrow.Schema`` of these columns."""
    import pyarrow as pa

    types = {
        "string": pa.string(), "int64": pa.int64(), "double": pa.float64(),
        "list<double>": pa.list_(pa.float64()), "list<string>": pa.list_(pa.string()),
    }  # fmt: skip
    return pa.schema([(c.name, types[c.type]) for c in columns])


def table(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> Any:
    """A ``pyarrow.Table`` of ``rows`` with exactly these columns. KeyError for a missing value."""
    import pyarrow as pa

    schema, rows = arrow_schema(columns), list(rows)
    return pa.table([pa.array([row[name] for row in rows], schema.field(name).type) for name in schema.names], schema)
