"""Hierarchical Bayesian test: differences on several data sets, each known through repeats only.

Corani, Benavoli, Demšar, Mangili & Zaffalon, Machine Learning 106(11), 2017 (arXiv 1609.08905), section 3, as in its
authors' code: x_ij, repeat j on data set i, are Gaussian with mean delta_i, standard deviation sigma_i and correlation
rho between the repeats; delta_i ~ Student(nu, mu, tau). Priors: mu uniform within the largest absolute difference;
sigma_i and tau uniform up to 1000 times their plain estimates; nu - 1 ~ Gamma(a, b), a ~ U(1, 2), b ~ U(0.01, 0.1).

Their sampler is Stan's; ours is Gibbs': a Student variable is a Gaussian one whose precision has a Gamma distribution,
so all conditional distributions are known ones, but that of nu, which lives on a grid of 200 values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hptbench.stats.bayes import checked_differences, checked_rope, most_probable

Array = NDArray[np.float64]
_WIDE = 1000.0
_CHAINS = 20
_WARM = 300
RHAT = 1.05
"""Above it chains have not found the same distribution (Gelman & Rubin, Statist. Sci. 7(4), 1992)."""


@dataclass(frozen=True, slots=True)
class Hierarchical:
    """What the next data set will show, and what is known of all of them. Differences: first method minus second."""

    better: float
    """Probability that on the next data set "better by more than the ROPE" is the most probable outcome."""
    equivalent: float
    worse: float
    rope: float
    mean: float
    """Posterior mean of mu, the difference on a typical data set."""
    low: float
    high: float
    """Bounds of its central 95 %."""
    units: NDArray[np.float64]
    """(units,) posterior means of the data sets' own differences, drawn together by the model."""
    rhat: float
    """Convergence: see :data:`RHAT`."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Data:
    """Sufficient statistics of independent problems, and the bounds of their priors."""

    mean: Array
    """(problems, units) over the repeats."""
    squares: Array
    """(problems, units) sum of squared deviations from it."""
    repeats: int
    rho: float
    widest: tuple[Array, Array, Array]
    """(problems, 1) bounds of |mu|, of tau and of sigma."""


@dataclass(frozen=True, slots=True)
class State:
    """One draw for each problem: (problems, 1), or (problems, units)."""

    mu: Array
    tau: Array
    nu: Array
    delta: Array
    sigma: Array


def hierarchical(
    differences: ArrayLike, rope: float, rng: np.random.Generator, *, rho: float = 0.0, draws: int = 20_000
) -> Hierarchical:
    """The test on ``differences`` (units, repeats), with at least two of each.

    ``rho``: correlation between repeats of a data set: 0 for independent seeds, 1 / folds for cross-validation (its
    repetitions included). Data sets without any spread get one of a thousandth of the mean spread, which ``note`` says.
    ``note`` also says if the chains did not converge; then draw more. ValueError for wrong shapes, and without any
    spread at all."""
    d, rope = checked_differences(differences, 2), checked_rope(rope)
    if min(d.shape) < 2:
        raise ValueError(f"expected at least 2 units and 2 repeats, got shape {d.shape}")
    if not 0 <= rho < 1:
        raise ValueError(f"expected a correlation from 0 to below 1, got {rho}")
    spread, note = d.std(axis=1), ""
    typical = float(spread.mean())
    if typical == 0:
        raise ValueError("expected repeats that differ; without any noise use the signed-rank test")
    flat = spread <= 1e-12 * np.abs(d).max()
    if flat.any():
        note = f"{flat.sum()} of {len(d)} data sets have no spread and got a thousandth of the mean one"
    squares = d.shape[1] * np.where(flat, 1e-3 * typical, spread) ** 2
    among = float(d.mean(axis=1).std()) or typical
    bounds = (float(np.abs(d).max()), _WIDE * among, _WIDE * typical)
    data = Data(
        np.tile(d.mean(axis=1), (_CHAINS, 1)),
        np.tile(squares, (_CHAINS, 1)),
        d.shape[1],
        rho,
        tuple(np.full((_CHAINS, 1), bound) for bound in bounds),  # type: ignore[arg-type]
    )
    state = start(data, rng)
    for _ in range(_WARM):
        state = sweep(state, data, rng)
    kept = []
    for _ in range(-(-draws // _CHAINS)):
        state = sweep(state, data, rng)
        kept.append(state)
    mu, tau, nu = (np.concatenate([getattr(s, name) for s in kept], axis=1) for name in ("mu", "tau", "nu"))
    rhat = max(_rhat(mu), _rhat(np.log(tau)))
    if rhat > RHAT:
        note = "; ".join(filter(None, [note, f"the chains did not converge (R-hat {rhat:.2f}): draw more"]))
    better, equivalent, worse = most_probable(_next(mu.ravel(), tau.ravel(), nu.ravel(), rope))
    low, high = np.quantile(mu, [0.025, 0.975])
    units = np.mean([s.delta.mean(axis=0) for s in kept], axis=0)
    return Hierarchical(better, equivalent, worse, rope, float(mu.mean()), float(low), float(high), units, rhat, note)


def _next(mu: Array, tau: Array, nu: Array, rope: float) -> Array:
    """(draws, 3) chances that the difference on the next data set is below, within and above the ROPE."""
    from scipy.special import stdtr

    below, above = stdtr(nu, (-rope - mu) / tau), stdtr(nu, (mu - rope) / tau)
    middle = np.maximum(0.0, 1 - below - above) if rope else np.zeros_like(below)
    return np.stack([below, middle, above], axis=1)


def start(data: Data, rng: np.random.Generator) -> State:
    """Plain estimates, moved apart at random so that chains begin in different places."""
    problems = len(data.mean)
    among = np.maximum(data.mean.std(axis=1, keepdims=True), data.widest[1] / _WIDE / 10)
    mu = data.mean.mean(axis=1, keepdims=True) + 0.5 * among * rng.normal(size=(problems, 1))
    mu = np.clip(mu, -data.widest[0], data.widest[0])
    tau = among * np.exp(0.5 * rng.normal(size=(problems, 1)))
    nu = rng.choice([3.0, 10.0, 50.0], size=(problems, 1))
    sigma = np.sqrt(data.squares / max(data.repeats - 1, 1))
    return State(mu, tau, nu, data.mean.copy(), sigma)


def sweep(s: State, data: Data, rng: np.random.Generator) -> State:
    """One pass of Gibbs' sampler: every variable drawn given all others."""
    units, n, rho = data.mean.shape[1], data.repeats, data.rho
    wide_mu, wide_tau, wide_sigma = data.widest
    precision = rng.gamma((s.nu + 1) / 2, 2 / (s.nu + ((s.delta - s.mu) / s.tau) ** 2))  # of delta_i, times tau²
    of_mean = (1 + (n - 1) * rho) / n  # variance of a data set's mean, divided by sigma²
    known, pulled = 1 / (s.sigma**2 * of_mean), precision / s.tau**2
    delta = (known * data.mean + pulled * s.mu) / (known + pulled)
    delta = delta + rng.normal(size=delta.shape) / np.sqrt(known + pulled)
    total = precision.sum(axis=1, keepdims=True)
    mu = _normal_within((precision * delta).sum(axis=1, keepdims=True) / total, s.tau / np.sqrt(total), wide_mu, rng)
    tau = _scale(units - 1, (precision * (delta - mu) ** 2).sum(axis=1, keepdims=True), wide_tau, rng)
    sigma = _scale(n - 1, data.squares / (1 - rho) + (data.mean - delta) ** 2 / of_mean, wide_sigma, rng)
    grid, prior = freedoms()
    z = (delta - mu) / tau
    chance = prior + _student(grid, z)
    chance = np.exp(chance - chance.max(axis=1, keepdims=True)).cumsum(axis=1)
    at = (chance < rng.uniform(size=(len(chance), 1)) * chance[:, -1:]).sum(axis=1)
    return State(mu, tau, grid[at][:, None], delta, sigma)


def _student(grid: Array, z: Array) -> Array:
    """(problems, grid) log density of standardised values (problems, units), summed over the units."""
    from scipy.special import gammaln

    constant = gammaln((grid + 1) / 2) - gammaln(grid / 2) - np.log(grid) / 2
    logs = np.log1p(z[:, None, :] ** 2 / grid[:, None]).sum(axis=2)
    return np.asarray(z.shape[1] * constant - (grid + 1) / 2 * logs)


@cache
def freedoms() -> tuple[Array, Array]:
    """The grid of nu (200,), equal steps of log(nu - 1), and the log of its prior mass there."""
    from scipy.special import gammaln

    x = np.geomspace(1e-3, 1000, 200)
    shape = np.linspace(1, 2, 21)[:, None, None]
    rate = np.linspace(0.01, 0.1, 46)[:, None]
    log_density = shape * np.log(rate) - gammaln(shape) + (shape - 1) * np.log(x) - rate * x
    mass = np.exp(log_density).mean(axis=(0, 1)) * x  # equal steps of log x
    return 1 + x, np.log(mass / mass.sum())


def _normal_within(mean: Array, sd: Array, bound: Array, rng: np.random.Generator) -> Array:
    """Gaussian draws, restricted to [-bound, bound]."""
    from scipy.special import ndtr, ndtri

    low, high = ndtr((-bound - mean) / sd), ndtr((bound - mean) / sd)
    drawn = mean + sd * ndtri(low + rng.uniform(size=mean.shape) * (high - low))
    return np.clip(drawn, -bound, bound)


def _scale(freedom: int, squares: Array, bound: Array, rng: np.random.Generator) -> Array:
    """Draws of a standard deviation, uniform up to ``bound``, given ``freedom`` + 1 Gaussian values of that deviation
    with this sum of squares: 1 / variance ~ Gamma(freedom / 2, squares / 2), restricted."""
    from scipy.special import gammaincc, gammainccinv

    shape, rate = freedom / 2, np.maximum(squares, 1e-300) / 2
    drawn = np.sqrt(rate / np.maximum(rng.gamma(shape, size=rate.shape), 1e-300))
    if (above := drawn > bound).any():  # hardly ever with the bounds of the priors: from the inverse of the rest
        rate, bound = rate[above], np.broadcast_to(bound, drawn.shape)[above]
        precision = gammainccinv(shape, rng.uniform(size=rate.shape) * gammaincc(shape, rate / bound**2))
        drawn[above] = np.where(np.isfinite(precision), np.sqrt(rate / np.maximum(precision, rate / bound**2)), bound)
    return np.asarray(drawn)


def _rhat(chains: Array) -> float:
    """Gelman and Rubin's ratio over the halves of ``chains`` (chains, draws)."""
    half = chains.shape[1] // 2
    parts = np.concatenate([chains[:, :half], chains[:, -half:]])
    within, between = parts.var(axis=1, ddof=1).mean(), parts.mean(axis=1).var(ddof=1)
    return float(np.sqrt(1 + between / within))
