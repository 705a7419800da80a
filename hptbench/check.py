"""What must hold before a study may begin: checked before anything is written."""

from __future__ import annotations

from collections.abc import Sequence

from hptbench import machine
from hptbench.errors import UserError
from hptbench.protocol import Budget, Clock, Method, Problem, Task, Together
from hptbench.rng import entropy, stream


def check_pair(label: str, method: Method, name: str, problem: Problem) -> None:
    """UserError if ``method`` cannot work on ``problem``, that of the task ``name``: its traits do not fit, or it does
    not begin."""
    traits = type(method).traits
    if traits.fidelity and problem.fidelity is None:
        raise UserError(
            f"{label} needs a task with a fidelity, but {name} has none: choose a suite whose tasks have one, "
            "or a method that trains every configuration to the end"
        )
    n = len(problem.objectives)
    if not traits.min_objectives <= n <= traits.max_objectives:
        span = f"{traits.min_objectives} to {traits.max_objectives}"
        raise UserError(f"{label} takes {span} objective(s), but {name} has {n}: {', '.join(problem.objectives)}")
    problem.space.check(problem.space.default())
    method.begin(problem, stream(entropy("check")))


def check_resources(budget: Budget, task: Task, isolated: bool) -> None:
    """UserError for limits of what jobs take, where that is not measured. ``isolated``: of workers of their own."""
    together = task.together if isinstance(task, Together) else 1
    for name in ("cpu_hours", "energy_kwh"):
        if getattr(budget, name) is None:
            continue
        if not isolated or together > 1:
            raise UserError(
                f"budget.{name} limits what is measured of trainings on workers of their own, but those of {task.name} "
                "are looked up, run several at a time, or have neither limits.seconds nor limits.memory_mb"
            )
        if name == "energy_kwh" and not machine.Joules().readable:
            raise UserError(
                "budget.energy_kwh needs the counters of energy, but /sys/class/powercap/intel-rapl:* cannot be read "
                "here: let this user read energy_uj there, or limit the run by budget.cpu_hours"
            )


def check_names(tasks: Sequence[Task]) -> None:
    """UserError unless there are tasks and no two share a name."""
    names = [task.name for task in tasks]
    if not names:
        raise UserError("expected a suite with at least one task, got none; add instances to it")
    for name in names:
        if not name or "/" in name or name.startswith("."):
            raise UserError(f"expected a task's name to be a folder's name, without / and a leading dot, got {name!r}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"expected tasks with different names, got these twice: {', '.join(twice)}")


def clock_for(name: str, task: Task) -> Clock:
    """The clock of a run: ``auto`` counts full evaluations where costs are measured (so that the run is
    repeatable), and uses the cost where the task records it."""
    if name == "auto":
        return Clock.UNITS if task.measured else Clock.COST
    if name not in set(Clock):
        raise UserError(f"expected clock to be auto, units or cost, got {name!r}")
    return Clock(name)
