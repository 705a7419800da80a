"""A figure as data: panels of marks on two axes. The report's page draws it with a script, ``draw.py`` with
matplotlib; so each figure is described once, and the numbers beside a picture are those that were drawn.

Limits follow the lines: bands of few seeds can be huge, and are cut.

Kinds of marks, and their columns (numbers unless said otherwise; NaN: nothing is drawn there):

    step, line   x, y, and low, high for a band
    dots         x, y, and low, high for an interval along x; text (strings): what a reader sees who points at one
    bars         y (a place), x (the end), start (0 without it), and text; horizontal
    segments     x, y, x2, y2, and text
    cells        x, y (places), shade (0 .. 1), and text, label (strings): the label stands in the cell
    paths        ys (a list of numbers per path, at the places 0, 1, …), shade, and text

``series`` is the method that a mark belongs to: it has the method's colour, and goes when the reader switches the
method off. Without one a mark is grey."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Kind = Literal["step", "line", "dots", "bars", "segments", "cells", "paths"]
Scale = Literal["linear", "log", "category"]
BANDS = 6
"""Methods with bands; those of more hide the lines."""
WIDE = 10.0
"""Values whose largest is so many times the smallest are drawn on a log scale."""
_DIGITS = 5
"""Significant digits of what is drawn: more than a screen shows."""


@dataclass(frozen=True)
class Axis:
    """One axis of a panel."""

    label: str = ""
    scale: Scale = "linear"
    names: tuple[str, ...] = ()
    """Of the places 0, 1, … of a category axis; on y the first one is at the top."""


@dataclass(frozen=True)
class Mark:
    """Something drawn: see the module."""

    kind: Kind
    columns: Mapping[str, Any]
    """Lists, arrays or columns of a frame."""
    series: str = ""
    faint: bool = False
    """In the background."""


@dataclass(frozen=True)
class Panel:
    """Marks on two axes."""

    marks: tuple[Mark, ...]
    x: Axis
    y: Axis
    title: str = ""
    task: str = ""
    """The task that it is about; empty: all of them."""


@dataclass(frozen=True)
class Figure:
    """A picture with its words."""

    name: str
    """Of its file, and of its place in a page."""
    title: str
    caption: str
    """What is drawn, of how much, with what uncertainty."""
    alt: str
    """What one sees, for those who do not."""
    panels: tuple[Panel, ...]
    also: Mapping[str, Any] = field(default_factory=dict)
    """What a side-car has to tell besides, as JSON knows it."""

    def to_json(self) -> dict[str, Any]:
        """For a page or a side-car."""
        return {
            "name": self.name, "title": self.title, "caption": self.caption, "alt": self.alt,
            "panels": [
                {
                    "title": p.title, "task": p.task, "x": _axis(p.x), "y": _axis(p.y),
                    "marks": [
                        {"kind": m.kind, "series": m.series, "faint": m.faint}
                        | {name: _plain(column) for name, column in m.columns.items()}
                        for m in p.marks
                    ],
                }
                for p in self.panels
            ],
        }  # fmt: skip


def scale_of(values: Any) -> Scale:
    """Of an axis for numbers, NaN aside: ``log`` if they span decades."""
    low, high = np.nanmin(values), np.nanmax(values)
    return "log" if low > 0 and high > WIDE * low else "linear"


def with_bands(methods: int, seeds: Sequence[int]) -> tuple[bool, str]:
    """Whether lines of so many methods, means of so many seeds, have bands, and what a caption says of that."""
    n = f"n = {min(seeds)}" if len(set(seeds)) == 1 else f"n = {min(seeds)} to {max(seeds)}"
    if max(seeds) == 1:
        return False, "One seed: no bands."
    if methods > BANDS:
        return False, "No bands: they would hide so many lines."
    return True, f"Bands: 95 % t interval of the mean over seeds ({n}); panels may cut them."


def _axis(axis: Axis) -> dict[str, Any]:
    return {"label": axis.label, "scale": axis.scale, "names": list(axis.names)}


def _plain(value: Any) -> Any:
    """Numbers to a few digits, NaN as null, as JSON knows none."""
    if isinstance(value, str) or value is None:
        return value
    if hasattr(value, "__len__"):
        return [_plain(one) for one in (value.tolist() if hasattr(value, "tolist") else value)]
    value = float(value)
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 1e15 else float(f"{value:.{_DIGITS}g}")
