"""One data set, results of resampling: folds that share training rows are not independent.

Both tests rest on the same variance, s² (1/n + rho / (1 - rho)), and differ in what they say."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hptbench.stats.bayes import Posterior, checked_differences, checked_rope


@dataclass(frozen=True, slots=True)
class Corrected:
    """The corrected resampled t test of the mean difference."""

    mean: float
    low: float
    high: float
    """Bounds of its 95 % interval."""
    t: float
    df: int
    p: float
    """Two-sided."""


def corrected_t(differences: ArrayLike, rho: float, level: float = 0.95) -> Corrected:
    """Nadeau & Bengio, Machine Learning 52, 2003, section 3: t test of ``differences`` (resamples,) of one data set.

    ``rho``: share of the rows that a resample tests on, n_test / (n_test + n_train): 1 / folds in (repeated)
    cross-validation; 0: independent repeats, Student's own test. It says nothing of other data sets. No spread: p is 1
    without a difference, else 0. ValueError for fewer than two resamples."""
    from scipy.stats import t as student

    d, scale = _scaled(differences, rho)
    mean, df = float(d.mean()), len(d) - 1
    if scale == 0:
        return Corrected(mean, mean, mean, math.copysign(math.inf, mean) if mean else 0.0, df, float(mean == 0))
    half = float(student.ppf((1 + level) / 2, df)) * scale
    return Corrected(mean, mean - half, mean + half, mean / scale, df, float(2 * student.sf(abs(mean) / scale, df)))


def correlated_t(differences: ArrayLike, rope: float, rho: float) -> Posterior:
    """Bayesian correlated t test of ``differences`` (resamples,) of one data set, first method minus second, lower is
    better: Corani & Benavoli, Machine Learning 100, 2015, equation 6; in closed form.

    Here ``better`` is the posterior probability that the mean difference is below -``rope``. The prior is the flat one
    that makes it agree with :func:`corrected_t`; there is no other, so the bounds over priors are the value itself."""
    from scipy.special import stdtr

    rope = checked_rope(rope)
    d, scale = _scaled(differences, rho)
    mean, df = float(d.mean()), len(d) - 1
    if scale == 0:
        better, worse = float(mean < -rope), float(mean > rope)
        note = "the differences have no spread"
        return Posterior(better, 1 - better - worse, worse, rope, better, better, worse, worse, note)
    better, worse = (float(stdtr(df, (side - rope) / scale)) for side in (-mean, mean))
    return Posterior(better, max(0.0, 1 - better - worse), worse, rope, better, better, worse, worse)


def _scaled(differences: ArrayLike, rho: float) -> tuple[np.ndarray, float]:
    """The differences, and the standard error of their mean."""
    d = checked_differences(differences)
    if len(d) < 2:
        raise ValueError(f"expected at least 2 resamples, got {len(d)}")
    if not 0 <= rho < 1:
        raise ValueError(f"expected a share of test rows from 0 to below 1, got {rho}")
    return d, float(d.std(ddof=1)) * math.sqrt(1 / len(d) + rho / (1 - rho))
