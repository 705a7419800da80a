"""Figures of aggregates over runs: how sure their order is, and how often a method is how good."""

from __future__ import annotations

import math

import numpy as np

from hptbench.plots.figure import BANDS, Axis, Figure, Mark, Panel
from hptbench.report.data import Data
from hptbench.results import conclusions
from hptbench.rng import entropy, stream
from hptbench.stats.aggregate import PROFILE_DRAWS, performance_profile

_POINTS = 50


def critical_differences(data: Data) -> Figure | None:
    """Mean ranks, each with half of Nemenyi's critical difference to both sides."""
    c = data.comparison
    if len(c.methods) < 3 or len(c.units) < 2:
        return None
    cd, names = c.critical_difference, tuple(c.methods[i] for i in c.order)
    ranks = [float(c.ranks[i]) for i in c.order]
    marks = [_dot(rank, j, name, rank - cd / 2, rank + cd / 2, f"{rank:.2f}")
             for j, (name, rank) in enumerate(zip(names, ranks, strict=True))]  # fmt: skip
    panel = Panel(tuple(marks), Axis("mean rank (1: best)"), Axis("", "category", names))
    caption = (
        f"A picture, not the test behind the verdict: mean ranks over {len(c.units)} data sets, with bars of Nemenyi's "
        f"critical difference (CD = {cd:.2f} at 0.05). Methods whose bars do not overlap differ by it; that depends on "
        "which other methods are in the pool, so conclusions are drawn from pairwise tests (above)."
    )
    alt = f"A row per method with a dot at its mean rank and a bar; {names[0]} is leftmost."
    return Figure("critical-difference", "Mean ranks and the critical difference", caption, alt, (panel,))


def _dot(x: float, place: int, name: str, low: float, high: float, shown: str) -> Mark:
    """A method's row."""
    return Mark("dots", {"x": [x], "y": [place], "low": [low], "high": [high], "text": [f"{name}: {shown}"]}, name)


def profiles(data: Data) -> list[Figure]:
    """Performance profiles and interquartile means of the scores that methods are ranked by."""
    c = data.comparison
    found = c.scores
    scores = found.by_seed[:, [list(found.matrix.columns).index(method) for method in c.methods]]
    at = np.linspace(float(scores.min()), float(scores.max()), _POINTS)
    share = performance_profile(scores, at, stream(entropy("report", "profiles")))
    lines = []
    for j, name in enumerate(c.methods):
        columns = {"x": at, "y": share.estimate[j]}
        if c.seeds > 1 and len(c.methods) <= BANDS:
            columns |= {"low": share.low[j], "high": share.high[j]}
        lines.append(Mark("step", columns, name))
    sure = "one seed: no intervals"
    if c.seeds > 1:
        sure = f"bands: 95 % stratified bootstrap over seeds, {PROFILE_DRAWS:,} resamples for each point"
    profile = Figure(
        "profiles", "How often a run is how good",
        f"Performance profiles: the share of runs whose final {found.name} is at most x. Higher is better; a line "
        f"above another's everywhere: stochastically better. {len(c.units)} data set(s), {c.seeds} seed(s); {sure}.",
        "A rising staircase per method.",
        (Panel(tuple(lines), Axis(found.name.split(" (")[0]), Axis("share of runs")),),
    )  # fmt: skip
    order = np.argsort(c.aggregates.estimate, kind="stable").tolist()
    names = tuple(c.methods[j] for j in order)
    dots = []
    for place, j in enumerate(order):
        mean, low, high = (float(x[j]) for x in c.aggregates)
        interval = "" if math.isnan(low) else f" [{low:.3g}, {high:.3g}]"
        dots.append(_dot(mean, place, c.methods[j], low, high, f"{mean:.3g}{interval}"))
    iqms = Figure(
        "aggregates", "All runs in one number",
        f"{conclusions.NAMES[c.aggregate].capitalize()} of the final {found.name} (interquartile: without the best and "
        f"the worst quarter of the runs). Lower is better. {conclusions.over(c)}.",
        f"A row per method with a dot and an interval; {names[0]} has the lowest.",
        (Panel(tuple(dots), Axis(found.name.split(" (")[0]), Axis("", "category", names)),),
    )  # fmt: skip
    return [profile, iqms]


def overtuned(data: Data) -> Figure | None:
    """How often runs end worse in test than before."""
    found = data.overtuning
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
