"""The attainment figure: which trade-offs of two objectives methods reach, in half of their runs and in the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.plots._panels import check_png, panels, plain, references, save, style, write_side
from hptbench.results.fronts import BEST, MEDIAN, WORST, Attained, Fronts
from hptbench.results.schema import Measure
from hptbench.results.table import DEFAULT
from hptbench.stats.intervals import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABELS = "first objective", "second objective"
_BANDS = 3
"""Methods with bands from the best to the worst surface; those of more hide each other."""
_ROOM = 0.06
"""Around what is shown, as a share of it."""


def attainment(fronts: Fronts, path: Path, *, measure: Measure = "test", command: str = "") -> Path:
    """Draw the attainment surfaces of ``fronts`` to the PNG ``path``; returns its side-car, as that of
    :func:`hptbench.plots.anytime.anytime`.

    A panel per task of two objectives; a line per method: the median surface, with a band from the best to the worst if
    there are few methods; a cross: the default configuration; dots: the true front, where it is known. Both files
    appear whole or not at all, and depend on nothing but the arguments. UserError if there is nothing to draw or
    ``path`` is no PNG."""
    check_png(path)
    of_task: dict[str, dict[str, Attained]] = {}
    for (task, method), attained in fronts.attainment(measure).items():
        of_task.setdefault(task, {})[method] = attained
    of_task = {
        task: found for task, found in of_task.items() if any(MEDIAN in found[m].surfaces for m in _drawn(found))
    }
    if not of_task:
        raise UserError(
            f"expected fronts of two objectives, with {measure} scores, of a method besides {DEFAULT!r}, got none"
        )
    methods = sorted({method for found in of_task.values() for method in _drawn(found)})
    runs = sorted({found[method].runs for found in of_task.values() for method in _drawn(found)})
    bands = len(methods) <= _BANDS and runs[-1] > 1
    write_whole(path, lambda part: _draw(fronts, of_task, methods, part, bands, measure))
    data = {task: {method: _numbers(one) for method, one in found.items()} for task, found in of_task.items()}
    used = {task: front for task, front in fronts.references(measure).items() if task in of_task}
    named = {task: list(fronts.objectives(task)) for task in of_task}
    caption = _caption(
        measure, bands, runs, any(map(fronts.is_known, of_task)), any(DEFAULT in f for f in of_task.values())
    )
    return write_side(path, data, _LABELS, caption, command, objectives=named, references=references(used))


def _drawn(found: Mapping[str, Attained]) -> list[str]:
    """The methods that are drawn as lines."""
    return [method for method in found if method != DEFAULT]


def _numbers(attained: Attained) -> dict[str, Any]:
    levels = {level: [[plain(v) for v in row] for row in rows] for level, rows in attained.surfaces.items()}
    return {"seeds": attained.runs, **levels}


def _draw(
    fronts: Fronts,
    of_task: Mapping[str, Mapping[str, Attained]],
    methods: list[str],
    path: Path,
    bands: bool,
    measure: Measure,
) -> None:
    figure, all_axes = panels(sorted(of_task))
    lines: dict[str, Any] = {}
    for task, axes in zip(sorted(of_task), all_axes, strict=True):
        found = of_task[task]
        axes.set_xlabel(fronts.objectives(task)[0], fontsize=8)
        axes.set_ylabel(fronts.objectives(task)[1], fontsize=8)
        true = np.array(fronts.references(measure)[task].points) if fronts.is_known(task) else np.empty((0, 2))
        high = _scale(axes, [found[m].surfaces[MEDIAN] for m in _drawn(found) if MEDIAN in found[m].surfaces], true)
        axes.plot(*true.T, ".", color="0.6", markersize=2, zorder=1)
        for number, method in enumerate(methods):
            surfaces = found[method].surfaces if method in found else {}
            if bands and BEST in surfaces:
                _band(axes, surfaces, high, style(number)["color"])
            if MEDIAN in surfaces:
                lines[method] = axes.plot(*_stairs(surfaces[MEDIAN], high).T, **style(number))[0]
        if DEFAULT in found and MEDIAN in found[DEFAULT].surfaces:
            lines[DEFAULT] = axes.plot(*found[DEFAULT].surfaces[MEDIAN].T, "x", color="0.3", markersize=5)[0]
    save(figure, path, {m: lines[m] for m in (*methods, DEFAULT) if m in lines}, ("", ""))


def _scale(axes: Axes, medians: list[Array], true: Array) -> Array:
    """Sets limits around the median surfaces and the true front; the upper ones, (2,)."""
    points = np.vstack([*medians, true])
    low, high = points.min(axis=0), points.max(axis=0)
    room = _ROOM * np.where(high > low, high - low, np.maximum(np.abs(high), 1e-9))
    low, high = low - room, high + room
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    return np.asarray(high)


def _stairs(points: Array, high: Array) -> Array:
    """(2 n + 1, 2) the boundary of what ``points``, (n, 2), dominate, from the upper to the right limit."""
    x, y = points.T
    corners = np.column_stack([np.repeat(x, 2), np.column_stack([np.append(max(high[1], y[0]), y[:-1]), y]).ravel()])
    return np.vstack([corners, [max(high[0], x[-1]), y[-1]]])


def _band(axes: Axes, surfaces: Mapping[str, Array], high: Array, colour: str) -> None:
    """Between the best surface and the worst, or the limits where not all runs attain anything."""
    ends = [surfaces[BEST], surfaces.get(WORST, np.empty((0, 2)))]
    x = np.unique(np.concatenate([*(points[:, 0] for points in ends), high[:1]]))
    best, worst = (np.append(np.inf, points[:, 1])[np.searchsorted(points[:, 0], x, side="right")] for points in ends)
    top = max(high[1], *(points[:, 1].max() for points in ends if len(points)))
    axes.fill_between(x, best, np.minimum(worst, top), step="post", color=colour, alpha=0.13, linewidth=0)


def _caption(measure: Measure, bands: bool, runs: list[int], true: bool, default: bool) -> str:
    n = f"n = {runs[0]}" if len(runs) == 1 else f"n = {runs[0]} to {runs[-1]}"
    sentences = [
        f"Median attainment surfaces at the end, a panel per task of two objectives: what half of a method's runs "
        f"dominate ({n})."
        if runs[-1] > 1
        else "What the one run of each method dominates at its end, a panel per task of two objectives.",
        "Test values of the fronts that validation chose." if measure == "test" else "Validation values.",
        "Bands: from what one run at least dominates to what all runs do; panels may cut them." if bands else "",
        "Dots: the true front." if true else "",
        "Cross: the default configuration, which may lie outside." if default else "",
    ]
    return " ".join(filter(None, sentences))
