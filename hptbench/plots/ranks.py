"""The figure of a comparison over many problems: mean ranks and regrets of the methods over the evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hptbench.files import write_whole
from hptbench.plots._panels import check_png, panels, style, write_beside
from hptbench.results.regret import FLOOR, Standing
from hptbench.results.table import USED
from hptbench.space import Floats

_TITLES = ("mean rank", "mean log10 normalised regret")
_RIGHT = 0.78
"""Where the panels end and the names of the methods begin."""


def ranks(found: Standing, path: Path, command: str = "") -> Path:
    """Draw the mean ranks and the mean regrets of ``found`` to the PNG ``path``; returns its side-car (captions,
    numbers, hashes) as :func:`hptbench.plots.anytime.anytime` does.

    The names of the methods stand beside the panels in the order of their final ranks. Bands in the side-car:
    standard errors of the means over the problems."""
    import pandas as pd

    check_png(path)
    of_units = np.stack([_unit_ranks(scores) for scores in found.scores])
    rows = []
    for title, values in zip(_TITLES, (of_units, found.scores), strict=True):
        mean = values.mean(axis=1)
        error = (
            values.std(axis=1, ddof=1) / np.sqrt(values.shape[1]) if values.shape[1] > 1 else np.full_like(mean, np.nan)
        )
        for j, method in enumerate(found.methods):
            rows.append(
                pd.DataFrame(
                    {
                        "task": title, "method": method, "x": found.axis.at, "mean": mean[:, j],
                        "low": mean[:, j] - error[:, j], "high": mean[:, j] + error[:, j], "seeds": len(found.units),
                    }
                )
            )  # fmt: skip
    curves = pd.concat(rows, ignore_index=True)
    write_whole(path, lambda part: _draw(found, of_units, part))
    caption = (
        f"Mean rank and mean log10 normalised regret of the incumbents of {len(found.methods)} methods over "
        f"{len(found.units)} problems, against {USED[found.axis.by]}. Regret 1: a median random configuration; 0: the "
        f"best known; floored at {FLOOR:g}. Seeds are averaged first."
    )
    return write_beside(path, curves, "x", (USED[found.axis.by], "see the panels"), caption, command)


def _unit_ranks(scores: Floats) -> Floats:
    from hptbench.stats.ranks import unit_ranks

    return np.asarray(unit_ranks(scores))


def _draw(found: Standing, of_units: Floats, path: Path) -> None:
    figure, axes = panels(_TITLES)
    figure.set_size_inches(11, max(4.0, 0.24 * len(found.methods) + 1.0))
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.06, right=_RIGHT, bottom=0.13, top=0.9, wspace=0.18)
    final = of_units[-1].mean(axis=0)
    order = np.argsort(final, kind="stable")
    x = found.axis.at
    lines: list[Any] = []
    for number, j in enumerate(order):
        for one, values in zip(axes, (of_units, found.scores), strict=True):
            [line] = one.plot(x, values.mean(axis=1)[:, j], **style(number))
        lines.append(line)
    for one in axes:
        one.set_xlabel(USED[found.axis.by], fontsize=9)
        one.set_xlim(x[0], x[-1])
        if found.axis.by != "evaluations":
            one.set_xscale("log")
    axes[0].invert_yaxis()
    labels = [f"{found.methods[j]}  {final[j]:.1f}" for j in order]
    figure.legend(lines, labels, loc="center left", bbox_to_anchor=(_RIGHT + 0.01, 0.5), fontsize=8, frameon=False,
                  title="final mean rank", title_fontsize=8)  # fmt: skip
    figure.savefig(path, format="png", metadata={"Software": None})
