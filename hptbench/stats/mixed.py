"""Linear mixed models of complete grids: all seeds of all data sets at once, without taking seeds for data sets.

Geburek, Mallik, Stoll, Bouthillier & Hutter, 2024 (arXiv 2408.02533): loss ~ method + (1 | unit), compared with loss ~
(1 | unit) by the ratio of their likelihoods, and three checks of the data. Deviations, each for a reason:

- By default the model has (1 | unit : method), too: that a method suits some data sets better than others. Without it
  every seed counts as news about the methods on other data sets, and the test finds differences that are not there.
- A complete grid has the maximum of the likelihood in closed form (Searle, Casella & McCulloch, Variance Components,
  1992, sec. 4.7): the covariance has three eigenvalues, whose estimates are mean squares, pooled where they come in the
  wrong order (a variance would be negative: the fit is singular, and ``note`` says so). Nothing can fail to converge,
  and the tests compare it with statsmodels' MixedLM. Incomplete grids are not taken: see :mod:`hptbench.stats.missing`.
- The likelihood ratio's chi² holds its level with many units only. F, of the same sums, is exact for any number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hptbench.stats.pairwise import holm

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mixed:
    """loss ~ method + (1 | unit) + (1 | unit : method), by maximum likelihood."""

    units: int
    repeats: int
    effects: Array
    """(methods,) mean loss less the grand mean: negative is better."""
    standard_error: float
    """Of the difference of two effects; with ``df2`` degrees of freedom."""
    unit: float
    """Variance between data sets."""
    interaction: float
    """Variance of how data sets suit methods; 0 if the model has none."""
    noise: float
    """Variance between repeats."""
    lr: float
    """Likelihood ratio against the model without methods, chi² with ``df1`` degrees of freedom if units are many."""
    p_lr: float
    f: float
    df1: int
    df2: int
    p: float
    """Of ``f``: the one to report."""
    note: str = ""
    """If the fit is singular, which variance is at 0."""


@dataclass(frozen=True, slots=True)
class Check:
    """An F test of something that should, or should not, be in the data."""

    f: float
    df1: int
    df2: int
    p: float


def checked_grid(losses: ArrayLike, dimensions: int = 3) -> Array:
    """As an array (units, methods, repeats), or with horizons first. ValueError unless finite, with 2 units and
    methods."""
    y = np.asarray(losses, dtype=np.float64)
    if y.ndim != dimensions or y.size == 0 or min(y.shape[-3:-1]) < 2:
        raise ValueError(f"expected losses (units, methods, repeats) with 2 units and methods at least, got {y.shape}")
    if not np.isfinite(y).all():
        raise ValueError(f"expected a complete grid, got {int((~np.isfinite(y)).sum())} values NaN or infinite")
    return y


def mixed_model(losses: ArrayLike, interaction: bool = True) -> Mixed:
    """The model of ``losses`` (units, methods, repeats), and whether methods matter.

    Losses of different scales have to be normalised first. ``interaction=False``: the model of the paper. One repeat:
    how data sets suit methods and noise cannot be told apart, and stand together as noise."""
    from scipy.stats import chi2 as chi2_distribution

    y = checked_grid(losses)
    u, m, s = y.shape
    grand, of_unit, of_method, cell = y.mean(), y.mean(axis=(1, 2)), y.mean(axis=(0, 2)), y.mean(axis=2)
    squares_unit = m * s * float(((of_unit - grand) ** 2).sum())
    squares_inter = s * float(((cell - of_unit[:, None] - of_method + grand) ** 2).sum())
    squares_noise = float(((y - cell[:, :, None]) ** 2).sum())
    squares_method = u * s * float(((of_method - grand) ** 2).sum())
    tiny = 1e-24 * float((y**2).sum())
    squares_noise, squares_inter = (0.0 if x < tiny else x for x in (squares_noise, squares_inter))
    parts = [(squares_noise, u * m * (s - 1)), (squares_inter, u * (m - 1)), (squares_unit, u)]
    split = interaction and s > 1
    full, note = _eigenvalues(parts, split)
    parts[1] = (squares_inter + squares_method, u * (m - 1))
    null, _ = _eigenvalues(parts, split)
    sizes = [n for _, n in parts]
    lr = sum(n * _log_ratio(a, b) for n, a, b in zip(sizes, null, full, strict=True))
    df1 = m - 1
    inner, df2 = (squares_inter, (u - 1) * df1)
    if not interaction:
        inner, df2 = inner + squares_noise, df2 + u * m * (s - 1)
    f, p = _f_test(squares_method, df1, inner, df2)
    return Mixed(
        u, s, of_method - grand, math.sqrt(2 * inner / df2 / (u * s)), (full[2] - full[1]) / (m * s),
        (full[1] - full[0]) / s if split else 0.0, full[0], lr, float(chi2_distribution.sf(lr, df1)), f, df1, df2, p,
        note,
    )  # fmt: skip


def _eigenvalues(parts: list[tuple[float, int]], split: bool) -> tuple[list[float], str]:
    """The most likely eigenvalues (noise, noise and interaction, all) from sums of squares and numbers of values,
    rising; and which variances are 0 for that."""
    if not split:  # without interaction the first two are one
        noise = (parts[0][0] + parts[1][0], parts[0][1] + parts[1][1])
        (one, last), note = _rising([noise, parts[2]], ["between data sets"])
        return [one, one, last], note
    return _rising(parts, ["of how data sets suit methods", "between data sets"])


def _rising(parts: list[tuple[float, int]], names: list[str]) -> tuple[list[float], str]:
    """Pooled so that mean squares rise: isotonic regression, which is their maximum likelihood."""
    blocks: list[tuple[float, int, int]] = []
    for total, n in parts:
        block = (total, n, 1)
        while blocks and block[0] * blocks[-1][1] < blocks[-1][0] * block[1]:
            last = blocks.pop()
            block = (last[0] + block[0], last[1] + block[1], last[2] + block[2])
        blocks.append(block)
    out = [total / n for total, n, members in blocks for _ in range(members)]
    flat = [name for name, a, b in zip(names, out, out[1:], strict=False) if a == b]
    return out, f"singular fit: the variance {' and that '.join(flat)} is estimated as 0" if flat else ""


def _log_ratio(a: float, b: float) -> float:
    if a == b:
        return 0.0
    return math.log(a / b) if b > 0 else math.inf


def seed_effect(losses: ArrayLike) -> Check:
    """First check: do seeds matter beyond chance, for all data sets alike? ``losses`` (units, methods, repeats), the
    repeats of all methods and units with the same seeds in the same order.

    loss ~ unit : method + seed : method against loss ~ unit : method. A small p says that a seed was lucky for a method
    everywhere: seeds share something that they should not. NaN with one repeat."""
    y = checked_grid(losses)
    u, m, s = y.shape
    rest = y - y.mean(axis=2, keepdims=True)
    squares = u * float((rest.mean(axis=0) ** 2).sum())
    within = float(((rest - rest.mean(axis=0)) ** 2).sum())
    return _check(squares, m * (s - 1), within, m * (s - 1) * (u - 1))


def informative_units(losses: ArrayLike) -> Array:
    """Second check: which data sets tell the methods of ``losses`` (units, methods, repeats) apart at all?

    (units,) p of loss ~ method against loss ~ 1 on each, by F, after Holm's correction over the units. A unit whose p
    is large adds noise, not information, to the comparison. NaN with one repeat."""
    y = checked_grid(losses)
    u, m, s = y.shape
    if s == 1:
        return np.full(u, np.nan)
    between = s * ((y.mean(axis=2) - y.mean(axis=(1, 2))[:, None]) ** 2).sum(axis=1)
    within = ((y - y.mean(axis=2, keepdims=True)) ** 2).sum(axis=(1, 2))
    return holm([_f_test(b, m - 1, w, m * (s - 1))[1] for b, w in zip(between, within, strict=True)])


def horizon_effect(losses: ArrayLike) -> Check:
    """Third check: do the differences between methods depend on the budget at which one looks? ``losses`` (horizons,
    units, methods, repeats).

    loss ~ method * horizon against loss ~ method + horizon, both with all effects of the units; repeats are averaged
    first. A small p says that a conclusion at one horizon does not hold at another."""
    y = checked_grid(losses, 4).mean(axis=3)
    h, u, m = y.shape
    if h < 2:
        raise ValueError(f"expected at least 2 horizons, got {h}")
    inner = y - y.mean(axis=0) - y.mean(axis=2, keepdims=True) + y.mean(axis=(0, 2), keepdims=True)
    effect = inner.mean(axis=1, keepdims=True)
    squares, rest = u * float((effect**2).sum()), float(((inner - effect) ** 2).sum())
    df = (h - 1) * (m - 1)
    return _check(squares, df, rest, df * (u - 1))


def _check(above: float, df1: int, below: float, df2: int) -> Check:
    f, p = _f_test(above, df1, below, df2)
    return Check(f, df1, df2, p)


def _f_test(above: float, df1: int, below: float, df2: int) -> tuple[float, float]:
    """(F, p) of two sums of squares; NaN without degrees of freedom; nothing to explain: p = 1, no noise: p = 0."""
    from scipy.stats import f as f_distribution

    if df1 == 0 or df2 == 0:
        return math.nan, math.nan
    if above <= 0 or below <= 0:
        return (0.0, 1.0) if above <= 0 else (math.inf, 0.0)
    f = (above / df1) / (below / df2)
    return f, float(f_distribution.sf(f, df1, df2))
