"""Hypervolumes of what is not dominated yet, and how much of it a point is expected to add."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import log_ndtr

from hptbench.methods._acquisition import log1mexp, log_h
from hptbench.models.embedding import Embedding
from hptbench.models.gp import GP
from hptbench.space import Floats, Mask

_HALF_LOG_2PI = math.log(2 * math.pi) / 2
_LEAST = 1e-30
"""Least difference of logarithms at the ends of a box: where rounding makes them equal, slopes stay finite."""


def nondominated(values: Floats) -> Mask:
    """(n,) whether no other row of ``values``, (n, m), is at least as good in every objective; of equal rows the first.

    Works through the rows in the order of their sums, so that time is O(n times the front)."""
    keep = np.zeros(len(values), dtype=bool)
    front = np.empty((0, values.shape[1]))
    for i in np.argsort(values.sum(axis=1), kind="stable"):
        if not (front <= values[i]).all(axis=1).any():
            keep[i] = True
            front = np.concatenate([front, values[i : i + 1]])
    return keep


def behind(values: Floats, front: Floats) -> Floats:
    """(n,) how far rows of ``values``, (n, m), are from being as good as one of ``front``, (f, m), in every objective:
    the least amount by which all objectives would have to fall, in units of the range of each among ``values``."""
    span = np.ptp(values, axis=0)
    scale = np.where(span > 0, span, 1.0)
    out = np.full(len(values), math.inf)
    for point in front:
        out = np.minimum(out, ((values - point) / scale).max(axis=1))
    return out


def boxes(front: Floats, reference: Floats) -> tuple[Floats, Floats]:
    """Lower corners, (b, m), and upper ones of disjoint boxes that make up what is below ``reference``, (m,), and not
    dominated by ``front``, (n, m), n >= 0; lower corners may be -inf. For two and three objectives.

    A sweep along the last objective: the boxes that are open reach from where they were opened to wherever a point of
    the front cuts something off them. Each point closes some and opens at most two, so b <= 2 n + 1."""
    front = front[(front < reference).all(axis=1)]
    if len(reference) == 2:
        front = np.column_stack([front, np.full(len(front), -math.inf)])
        reference = np.append(reference, math.inf)
    ends: list[list[float]] = []
    strips = [[-math.inf, reference[0], reference[1], -math.inf]]
    """(low, high) of the first objective, high of the second, low of the third, in the order of the first."""
    for a, b, c in front[np.lexsort(front.T)].tolist():
        cut = [strip for strip in strips if strip[1] > a and strip[2] > b]
        if not cut:
            continue  # dominated
        ends += [[*strip, c] for strip in cut]
        opened = [[max(cut[0][0], a), cut[-1][1], b, c]]
        if cut[0][0] < a:
            opened.append([cut[0][0], a, cut[0][2], c])
        strips = sorted([strip for strip in strips if strip not in cut] + opened)
    ends += [[*strip, reference[2]] for strip in strips]
    low0, high0, high1, low2, high2 = np.array(ends).T
    lower = np.column_stack([low0, np.full(len(low0), -math.inf), low2])
    upper = np.column_stack([high0, high1, high2])
    there = (lower < upper).all(axis=1)
    m = 2 if math.isinf(reference[2]) else 3
    return lower[there, :m], upper[there, :m]


class LogEHVI:
    """The logarithm of the expected hypervolume improvement of independent processes, one per objective.

    A point adds to the hypervolume what it dominates of the boxes [l, u] that are not dominated yet; the expectation of
    that factors into integrals of distribution functions,

        EHVI = sum over boxes of prod over k of (psi_k(u_k) - psi_k(l_k)),
        psi_k(c) = integral from -inf to c of Phi((z - mean_k) / std_k) dz = std_k h((c - mean_k) / std_k),

    with h(t) = phi(t) + t Phi(t): psi_k is the expected improvement below c. So it is exact (M. Emmerich, A. Deutz
    and J. Klinkenberg, CEC 2011, doi:10.1109/CEC.2011.5949880; with as few boxes as here: K. Yang, M. Emmerich,
    A. Deutz and T. Bäck, J. Global Optimization 75, 2019, doi:10.1007/s10898-019-00798-7). In logarithms, as in Ament
    et al. 2023 (:class:`hptbench.methods._acquisition.LogEI`), neither it nor its gradient vanishes far from the front.
    """

    def __init__(self, gps: Sequence[GP], front: Floats, reference: Floats, embedding: Embedding) -> None:
        """``gps`` have one column each; ``front``: (n, m), ``reference``: (m,), in the units of their targets."""
        self._gps, self._embed = gps, embedding
        self._sides = [_Side(*ends) for ends in zip(*(corners.T for corners in boxes(front, reference)), strict=True)]

    def __call__(self, u: Floats) -> Floats:
        x = self._embed(u)
        parts = []
        for side, gp in zip(self._sides, self._gps, strict=True):
            mean, variance = gp.predict(x)
            parts.append(side.log(side.standardised(mean, np.sqrt(variance)[:, None])) + np.log(variance)[:, None] / 2)
        return _log_sum(np.sum(parts, axis=0))

    def gradients(self, u: Floats) -> tuple[Floats, Floats]:
        x = self._embed(u)
        parts, slopes = [], []
        for side, gp in zip(self._sides, self._gps, strict=True):
            mean, variance, by_mean, by_variance = gp.gradients(x)
            std = np.sqrt(variance)[:, None]
            t = side.standardised(mean, std)
            log = side.log(t)
            parts.append(log + np.log(std))
            slopes.append((*side.slopes(t, log), by_mean[:, 0] / std, by_variance / (2 * variance[:, None])))
        total = np.sum(parts, axis=0)
        value = _log_sum(total)
        share = np.exp(total - value[:, None])  # of each box
        by_x = np.zeros_like(x)
        for below, density, by_mean, by_std in slopes:
            by_x += (share * density).sum(axis=1)[:, None] * by_std - (share * below).sum(axis=1)[:, None] * by_mean
        return value, self._embed.back(by_x)


class _Side:
    """The edges of b boxes along one objective. All in units of the standard deviation, of (M,) normal values."""

    def __init__(self, lower: Floats, upper: Floats) -> None:
        """(b,) where the boxes begin, perhaps at -inf, and where they end."""
        self._edges, where = np.unique(np.concatenate([lower, upper]), return_inverse=True)
        self._lower, self._upper = where[: len(lower)], where[len(lower) :]

    def standardised(self, mean: Floats, std: Floats) -> Floats:
        """(M, edges) from (M, 1) and (M, 1)."""
        return np.asarray((self._edges - mean) / std)

    def log(self, t: Floats) -> Floats:
        """(M, b) log(h(upper) - h(lower))."""
        h = log_h(t)
        lower, upper = h[:, self._lower], h[:, self._upper]
        return np.asarray(upper + log1mexp(np.minimum(lower - upper, -_LEAST)))

    def slopes(self, t: Floats, log: Floats) -> tuple[Floats, Floats]:
        """(M, b) twice: the probability of the box and the difference of the densities at its ends, over exp(``log``);
        by minus the first h(upper) - h(lower) changes with the mean, by the second its product with the standard
        deviation changes with that."""
        below, density = log_ndtr(t), -t * t / 2 - _HALF_LOG_2PI
        probability = np.exp(below[:, self._upper] - log) - np.exp(below[:, self._lower] - log)
        return probability, np.exp(density[:, self._upper] - log) - np.exp(density[:, self._lower] - log)


def _log_sum(logs: Floats) -> Floats:
    """(M,) the logarithm of the sum of the exponentials of each row of (M, b)."""
    top = logs.max(axis=1)
    return np.asarray(top + np.log(np.exp(logs - top[:, None]).sum(axis=1)))
