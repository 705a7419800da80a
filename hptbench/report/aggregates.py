"""Figures of aggregates over runs: how sure their order is, and how often a method is how good."""

from __future__ import annotations

import numpy as np

from hptbench.plots.figure import Axis, Figure, Mark, Panel
from hptbench.report.data import Data
from hptbench.results.comparison import overtuned as of_methods
from hptbench.rng import entropy, stream
from hptbench.stats.aggregate import bootstrap, iqm, performance_profile
from hptbench.stats.ranks import critical_difference, mean_ranks

_POINTS = 50
_DRAWS = 500
"""Bootstrap samples: for pictures; publish tables with more."""


def critical_differences(data: Data) -> Figure | None:
    """Mean ranks, each with half of Nemenyi's critical difference to both sides."""
    matrix = data.scores.matrix[list(data.ranked)].to_numpy()
    units, methods = matrix.shape
    if methods < 3 or units < 2:
        return None
    cd = critical_difference(methods, units)
    ranks = mean_ranks(matrix)
    marks = [
        Mark(
            "dots",
            {"x": [rank], "y": [j], "low": [rank - cd / 2], "high": [rank + cd / 2], "text": [f"{name}: {rank:.2f}"]},
            name,
        )
        for j, (name, rank) in enumerate(zip(data.ranked, ranks, strict=True))
    ]
    panel = Panel(tuple(marks), Axis("mean rank (1: best)"), Axis("", "category", data.ranked))
    caption = (
        f"A picture, not the test behind the verdict: mean ranks over {units} data sets, with bars of Nemenyi's "
        f"critical difference (CD = {cd:.2f} at 0.05). Methods whose bars do not overlap differ by it; that depends on "
        "which other methods are in the pool, so conclusions are drawn from pairwise tests (above)."
    )
    alt = f"A row per method with a dot at its mean rank and a bar; {data.ranked[0]} is leftmost."
    return Figure("critical-difference", "Mean ranks and the critical difference", caption, alt, (panel,))


def profiles(data: Data) -> list[Figure]:
    """Performance profiles and interquartile means of the scores that methods are ranked by."""
    found = data.scores
    columns_of = list(found.matrix.columns)
    scores = found.by_seed[:, [columns_of.index(method) for method in data.methods]]
    rng = stream(entropy("report", "profiles"))
    at = np.linspace(float(scores.min()), float(scores.max()), _POINTS)
    share = performance_profile(scores, at, rng, draws=_DRAWS)
    lines = []
    for j, name in enumerate(data.methods):
        columns = {"x": at, "y": share.estimate[j]}
        if scores.shape[2] > 1 and len(data.methods) <= 6:
            columns |= {"low": share.low[j], "high": share.high[j]}
        lines.append(Mark("step", columns, name))
    units, _, seeds = scores.shape
    sure = f"bands: 95 % stratified bootstrap over seeds, {_DRAWS} draws" if seeds > 1 else "one seed: no intervals"
    words = f"{units} data set(s), {seeds} seed(s); {sure}."
    profile = Figure(
        "profiles", "How often a run is how good",
        f"Performance profiles: the share of runs whose final {found.name} is at most x. Higher is better; a line "
        f"above another's everywhere: stochastically better. {words}",
        "A rising staircase per method.",
        (Panel(tuple(lines), Axis(found.name), Axis("share of runs")),),
    )  # fmt: skip
    means = bootstrap(scores, iqm, rng, draws=_DRAWS)
    order = np.argsort(means.estimate, kind="stable")
    dots = []
    for place, j in enumerate(order):
        mean, low, high = (float(x[j]) for x in (means.estimate, means.low, means.high))
        text = f"{data.methods[j]}: {mean:.3g} [{low:.3g}, {high:.3g}]"
        columns = {"x": [mean], "y": [place], "text": [text], "low": [low], "high": [high]}
        dots.append(Mark("dots", columns, data.methods[j]))
    names = tuple(data.methods[j] for j in order)
    iqms = Figure(
        "iqm", "The middle half of all runs",
        f"Interquartile mean of the final {found.name}: the mean without the best and the worst quarter of the runs. "
        f"Lower is better. {words}",
        f"A row per method with a dot and an interval; {names[0]} has the lowest.",
        (Panel(tuple(dots), Axis(found.name), Axis("", "category", names)),),
    )  # fmt: skip
    return [profile, iqms]


def overtuned(data: Data) -> Figure | None:
    """How often runs end worse in test than before."""
    found = of_methods(data.jobs, data.runs)
    shown = [method for method in data.ranked if method in found]
    if not shown:
        return None
    panels = []
    for title, name in (
        ("Worse than an earlier incumbent", "any"),
        ("Worse than the first one", "severe"),
        ("Worse than the default", "than_default"),
    ):
        marks = []
        for j, method in enumerate(shown):
            share = getattr(found[method], name)
            if np.isnan(share):  # no default configuration to compare with
                continue
            of = found[method].with_default if name == "than_default" else found[method].runs
            text = [f"{method}: {share:.0%} of {of} runs"]
            marks.append(Mark("bars", {"x": [share], "y": [j], "text": text}, method))
        if marks:
            panels.append(Panel(tuple(marks), Axis("share of runs"), Axis("", "category", tuple(shown)), title))
    caption = (
        "Overtuning (Schneider, Bischl & Feurer, 2025): shares of runs whose final incumbent, chosen by validation, is "
        "worse in its hidden test score than an earlier incumbent of the run, than the first one (relative overtuning "
        "above 1), and than the default configuration. Tasks of one objective, full fidelity."
    )
    alt = f"{len(panels)} panels with a bar per method."
    return Figure("overtuned", "How often tuning went too far", caption, alt, tuple(panels))
