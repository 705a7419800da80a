"""Figures of what was tried: configurations, and which hyperparameters matter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hptbench.errors import UserError
from hptbench.plots.figure import Axis, Figure, Mark, Panel
from hptbench.report.data import Data
from hptbench.results.fronts import REGRET
from hptbench.results.importance import LEAST, Explained
from hptbench.space import Floats, Space

_MODELLED, _DRAWN = 300, 90
"""Configurations of a task that a forest is fitted to, and that are drawn."""
_SHOWN = 3
"""Parameters of a task whose dependence is drawn."""
_GRID = 24
_NAMES = 12
"""Categories that are drawn apart."""


@dataclass(frozen=True)
class Task:
    """What was evaluated on one task, and its forest."""

    name: str
    objective: str
    space: Space
    x: Floats
    y: Floats

    @cached_property
    def model(self) -> Explained:
        """A forest of the logarithm of the values where they span decades."""
        return Explained(self.x, np.log10(self.y) if self.log else self.y)

    @property
    def log(self) -> bool:
        """Whether values are modelled as logarithms."""
        return bool(self.y.min() > 0 and self.y.max() > 10 * self.y.min())

    @property
    def trust(self) -> str:
        """How far the forest can be trusted, in words."""
        return f"R² {self.model.r2:.2f}" + ("" if self.model.r2 >= 0.3 else ": do not trust it")

    @cached_property
    def shares(self) -> Floats:
        """(d,) of the variance that each parameter makes alone."""
        return self.model.importance()

    @cached_property
    def order(self) -> list[int]:
        """The parameters, the most important first."""
        return [int(j) for j in np.argsort(-self.shares, kind="stable")]

    @property
    def unit(self) -> str:
        """Of what the forest predicts."""
        return f"log10 {self.objective}" if self.log else self.objective


def modelled(data: Data) -> list[Task]:
    """The tasks of one objective with enough configurations. UserError if there is none."""
    out = []
    for task in data.tasks:
        if data.objectives[task] == REGRET:
            continue
        x, y = data.configurations(task, _MODELLED)
        if len(x) >= LEAST and y.max() > y.min():
            out.append(Task(task, data.objectives[task], data.space(task), x, y))
    if not out:
        raise UserError(
            f"expected a task of one objective with at least {LEAST} different configurations at the full fidelity, "
            "got none; run longer, or more methods or seeds"
        )
    return out


def importance(data: Data, tasks: list[Task]) -> Figure:
    """Bars of a task's parameters."""
    panels = []
    for task in tasks:
        shares, order = task.shares, task.order[:_NAMES]
        names = tuple(task.space.names[j] for j in order)
        text = [f"{name}: {share:.0%} alone" for name, share in zip(names, shares[order], strict=True)]
        bars = Mark("bars", {"x": shares[order], "y": list(range(len(order))), "text": text})
        title = f"{task.name} ({task.trust})"
        panels.append(Panel((bars,), Axis("share of variance"), Axis("", "category", names), title, task.name))
    caption = (
        f"Functional ANOVA on a random forest of the evaluations at the full fidelity, all methods and seeds together "
        f"(at most {_MODELLED} per task): how much of the forest's variance over the whole space a parameter makes "
        "alone; the rest are interactions. Methods look at good regions more often, so poor ones are known worse. R²: "
        "of evaluations that a tree was not grown on."
    )
    best = tasks[0].space.names[tasks[0].order[0]]
    alt = f"A panel per task ({len(panels)}) with a bar per hyperparameter; on {tasks[0].name} {best} is the longest."
    return Figure("importance", "Which hyperparameters matter", caption, alt, tuple(panels))


def dependence(data: Data, tasks: list[Task]) -> Figure:
    """The value against one parameter."""
    panels = [_dependence(task, j) for task in tasks for j in task.order[:_SHOWN]]
    caption = (
        f"Partial dependence by the same forest: its mean value if one parameter is set and the others are drawn "
        f"uniformly; the {_SHOWN} most important parameters of each task. Bands and bars: one standard deviation over "
        "its trees."
    )
    alt = f"{len(panels)} panels with the predicted value against one hyperparameter each."
    return Figure("dependence", "What good values are", caption, alt, tuple(panels))


def _dependence(task: Task, j: int) -> Panel:
    space, name = task.space, task.space.names[j]
    levels = space.levels(name)
    title = f"{name}: {task.name}"
    if levels:
        places = np.array([space.place(name, level) for level in levels])
        mean, sd = task.model.dependence(j, places)
        text = [f"{level}: {m:.4g} ± {s:.2g}" for level, m, s in zip(levels, mean, sd, strict=True)]
        columns = {"x": mean, "y": list(range(len(levels))), "low": mean - sd, "high": mean + sd, "text": text}
        names = tuple(str(level) for level in levels)
        return Panel((Mark("dots", columns),), Axis(task.unit), Axis("", "category", names), title, task.name)
    at = np.linspace(0.0, 1.0, _GRID)
    hp: Any = space.configspace[name]
    low, high, log = float(hp.lower), float(hp.upper), bool(hp.log)
    x = low * (high / low) ** at if log else low + (high - low) * at
    mean, sd = task.model.dependence(j, at)
    line = Mark("line", {"x": x, "y": mean, "low": mean - sd, "high": mean + sd})
    return Panel((line,), Axis(name, "log" if log else "linear"), Axis(task.unit), title, task.name)


def ablation(data: Data, tasks: list[Task]) -> Figure | None:
    """From the default configuration to the best one."""
    panels = []
    for task in tasks:
        if task.space.conditional:
            continue
        [start] = task.space.encode([task.space.default()])
        end = task.x[int(np.argmin(task.y))]
        steps = task.model.ablation(start, end)
        if not steps:
            continue
        [first] = task.model.predict(start[None])
        values = [float(first), *(value for _, value in steps)]
        names = ("default", *(task.space.names[j] for j, _ in steps))
        text = [f"{name}: {value:.4g}" for name, value in zip(names, values, strict=True)]
        marks = (
            Mark("segments", {"x": values[:-1], "y": list(range(len(steps))), "x2": values[1:],
                              "y2": list(range(1, len(values)))}, faint=True),
            Mark("dots", {"x": values, "y": list(range(len(values))), "text": text}),
        )  # fmt: skip
        title = f"{task.name} ({task.trust})"
        panels.append(Panel(marks, Axis(f"predicted {task.unit}"), Axis("", "category", names), title, task.name))
    if not panels:
        return None
    caption = (
        "From the default configuration to the best one found, changing in each row the parameter that the forest "
        "holds to be best. These are predictions of the forest, not trainings; spaces with conditions are left out."
    )
    alt = f"A panel per task ({len(panels)}) with a falling chain of dots, one per changed hyperparameter."
    return Figure("ablation", "What made the difference to the default", caption, alt, tuple(panels))


def parallel(data: Data) -> Figure:
    """A line per configuration over all parameters."""
    panels = []
    for task in data.tasks:
        x, y = data.configurations(task, _DRAWN)
        space = data.space(task)
        if len(x) < 2 or len(space.names) < 2:
            continue
        shade = np.linspace(0.0, 1.0, len(y))
        text = [f"{data.first_objective[task]} {value:.5g}" for value in y]
        paths = Mark("paths", {"ys": x[::-1], "shade": shade[::-1], "text": text[::-1]})  # the best ones on top
        panels.append(Panel((paths,), Axis("", "category", tuple(space.names)), Axis("place in the range"), task, task))
    caption = (
        f"A line per configuration trained to the full fidelity (at most {_DRAWN} per task, evenly over the order of "
        "values), through its place in each parameter's range; dark lines are the best. A gap: the parameter is "
        "inactive. Tasks of one hyperparameter are left out."
    )
    alt = f"A panel per task ({len(panels)}); dark lines gather where good configurations lie."
    if not panels:
        raise UserError(
            "expected two configurations or more at the full fidelity on a task of two parameters or more, got none; "
            "run longer, or more methods or seeds"
        )
    return Figure("parallel", "Where good configurations lie", caption, alt, tuple(panels))


def models(data: Data) -> list[Figure]:
    """All figures that stand on forests."""
    tasks = modelled(data)
    found = [importance(data, tasks), dependence(data, tasks), ablation(data, tasks)]
    return [figure for figure in found if figure is not None]
