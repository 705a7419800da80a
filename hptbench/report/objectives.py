"""Figures of tasks of several objectives: what is attained of two, and pairs of more."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from hptbench.plots.figure import Axis, Figure, Mark, Panel
from hptbench.protocol import Front
from hptbench.report.data import Data
from hptbench.results.fronts import BEST, MEDIAN, WORST, Attained
from hptbench.results.table import DEFAULT
from hptbench.space import Floats


def fronts(data: Data) -> Figure | None:
    """Median attainment surfaces, the best and the worst ones behind them, and the true front where it is known."""
    of_task: dict[str, dict[str, Attained]] = {}
    for (task, method), attained in data.fronts.attainment(data.measure).items():
        of_task.setdefault(task, {})[method] = attained
    known = data.fronts.references(data.measure)
    panels = []
    for task, found in sorted(of_task.items()):
        marks: list[Mark] = []
        front = known.get(task)
        corner = front.reference_point if front else None
        if front and front.points and data.fronts.is_known(task):
            points = np.array(front.points)
            marks.append(Mark("dots", {"x": points[:, 0], "y": points[:, 1]}, faint=True))
        for method in (*data.methods, DEFAULT):
            surfaces = found[method].surfaces if method in found else {}
            for level in (BEST, WORST, MEDIAN):
                if level in surfaces and len(surfaces[level]):
                    faint = level != MEDIAN
                    if not (faint and (method == DEFAULT or found[method].runs < 2)):
                        marks.append(_surface(surfaces[level], method, corner, faint))
        if any(mark.series in data.methods for mark in marks):
            names = data.fronts.objectives(task)
            panels.append(Panel(tuple(marks), Axis(names[0]), Axis(names[1]), task, task))
    if not panels:
        return None
    caption = (
        f"What the runs attain at their end, by {data.measure} scores: below and left of a thick line nothing is "
        "attained by half of the runs; thin lines: by any, and by all of them. Grey dots: the true front, where it is "
        "known. Both objectives are minimised."
    )
    runs = sorted({found[m].runs for found in of_task.values() for m in found})
    caption += f" Runs of a method: {' to '.join(map(str, dict.fromkeys([runs[0], runs[-1]])))}."
    alt = f"A panel per task of two objectives ({len(panels)}) with a staircase per method."
    also = {"references": references({task: front for task, front in known.items() if task in of_task})}
    return Figure("attainment", "Which trade-offs are reached", caption, alt, tuple(panels), also)


def projections(data: Data) -> Figure | None:
    """Of tasks of three and more objectives the fronts of all runs, seen along each pair of objectives."""
    panels = []
    ends = data.fronts.ends(data.measure)
    for task in sorted({task for task, _ in ends if len(data.fronts.objectives(task)) > 2}):
        names = data.fronts.objectives(task)
        found = {m: np.vstack(ends[task, m]) for m in (*data.methods, DEFAULT) if (task, m) in ends}
        if not any(len(found[m]) for m in data.methods if m in found):
            continue
        for i, j in combinations(range(len(names)), 2):
            marks = tuple(
                Mark("dots", {"x": points[:, i], "y": points[:, j]}, method)
                for method, points in found.items()
                if len(points)
            )
            panels.append(Panel(marks, Axis(names[i]), Axis(names[j]), task, task))
    if not panels:
        return None
    caption = (
        f"The fronts of all runs at their end, by {data.measure} scores, along each pair of three or more objectives. "
        "A point that looks beaten in one pair may be the best in another; which method is ahead, the hypervolume "
        "regrets tell (anytime curves, tasks by methods). All objectives are minimised."
    )
    alt = f"{len(panels)} panels, one per pair of objectives, with a dot per configuration on a run's front."
    return Figure("projections", "Fronts of three and more objectives", caption, alt, tuple(panels))


def references(fronts: Mapping[str, Front]) -> dict[str, Any]:
    """What the hypervolumes of tasks are measured by, for a side-car."""
    return {
        task: {"reference_point": f.reference_point, "ideal": f.ideal, "hypervolume": f.hypervolume}
        for task, f in sorted(fronts.items())
    }


def _surface(points: Floats, method: str, corner: tuple[float, ...] | None, faint: bool) -> Mark:
    """A staircase, from and to the reference point's edges."""
    x, y = points[:, 0], points[:, 1]
    if corner is not None and x[-1] < corner[0] and y[0] < corner[1]:
        x, y = np.concatenate([x[:1], x, [corner[0]]]), np.concatenate([[corner[1]], y, y[-1:]])
    return Mark("step", {"x": x, "y": y}, method, faint)
