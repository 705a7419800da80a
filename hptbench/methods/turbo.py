"""TuRBO-1: Bayesian optimisation within a trust region, for many dimensions.

D. Eriksson, M. Pearce, J. Gardner, R. Turner and M. Poloczek, "Scalable global optimization via local Bayesian
optimization", NeurIPS 2019, arXiv:1910.01739: sections 2 and 3 with one trust region; constants of appendix D and of
the authors' code (``turbo/turbo_1.py``). The trust region is a box around the best point, whose sides are as long as
the length scales say; within it Thompson sampling chooses among points of a Sobol sequence that perturb some of the
parameters. It doubles after successes, halves after failures, and where it has become too small a new one begins
elsewhere, from a new design and with none of the old data.

Categories: the Hamming ball of X. Wan et al., "Think global and act local: Bayesian optimisation over high-dimensional
categorical and mixed search spaces", ICML 2021, arXiv:2102.07188, section 3.2.

Deviations from the paper and from the authors' code:

- The Gaussian process is that of :mod:`hptbench.models.gp`, with priors instead of the code's bounds of length scales.
- At most 1,024 candidates (instead of 5,000), as many as a power of two, for the sake of Sobol's sequence.
- Draws are of the function, as in the paper; the code adds noise. The centre is the point of the lowest posterior
  mean, as the paper says of noisy functions.
- Batches are whatever comes back: results are counted as one success or failure when there are as many as workers.
  Pending jobs need no care, as each point is a draw of its own.
- The initial design is a Sobol sequence instead of a Latin hypercube.
- Integers and ordinals are numbers, rounded; the box reaches at least to the next one.
- At most ceil(k min(1, L / L_init)) of the k categories differ from the centre (Wan et al. let the ball grow and shrink
  on its own, and search it instead of sampling); how many is uniform, which ones and to what, too.
- Parameters that become active by that are drawn uniformly from all of their range.
- Failed jobs count as the worst value seen. Reports of other methods are data of the current trust region, but neither
  success nor failure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._draws import Uniform, sobol
from hptbench.methods._history import History, key_of
from hptbench.methods._surrogate import Fitted, Surrogate, standardised, without_failures
from hptbench.methods._trust_region import Candidates
from hptbench.models.embedding import Embedding
from hptbench.models.gp import Priors
from hptbench.protocol import Problem, Proposal, Report, Traits
from hptbench.registry import method
from hptbench.space import Config, Floats

_BETTER = 1e-3
"""Share of the best value by which a success must improve on it."""
_DECODED = 16
"""Candidates that are decoded at a time."""
_TRIES = 64
"""Points of the design that may be known already before one is drawn at random."""


@method("turbo")
@dataclass(frozen=True)
class TuRBO:
    """TuRBO-1: Thompson sampling from a Gaussian process within a trust region, which restarts when it has shrunk."""

    design: int = 2
    """Points of a Sobol sequence that a trust region begins with, per parameter."""
    length_init: float = 0.8
    """L_init, the side of the box at first, for length scales that are all equal."""
    length_min: float = 2**-7
    """L_min, below which a new trust region begins."""
    length_max: float = 1.6
    """L_max."""
    successes: int = 3
    """tau_succ in a row, after which the side doubles; after max(4, d) / workers failures it halves."""
    max_points: int = 400
    """The model sees no more: half of them the best, half the latest of the others."""
    traits: ClassVar[Traits] = Traits()

    def __post_init__(self) -> None:
        for name, least in (("design", 1), ("successes", 1), ("max_points", 10)):
            if getattr(self, name) < least:
                raise UserError(f"expected turbo.{name} >= {least}, got {getattr(self, name)}")
        if not 0 < self.length_min <= self.length_init <= self.length_max:
            raise UserError(
                "expected 0 < turbo.length_min <= turbo.length_init <= turbo.length_max, got "
                f"{self.length_min}, {self.length_init} and {self.length_max}"
            )

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search:
    def __init__(self, method: TuRBO, problem: Problem, rng: np.random.Generator) -> None:
        self._method, self._problem, self._space, self._rng = method, problem, problem.space, rng
        self._history = History(problem)
        self._design = sobol(problem.space, rng)
        self._uniform = Uniform(problem.space, rng)
        self._embedding = Embedding(problem.space)
        self._d = int((problem.space.sizes != 1).sum())
        self._failures = math.ceil(max(4, self._d) / problem.workers)
        self._candidates = Candidates(problem.space, self._embedding.numbers)
        self._region = -1
        self._awaited: dict[frozenset[tuple[str, object]], tuple[int, bool]] = {}
        """Of pending own proposals: the number of the region, and whether it was beyond its design."""
        self._restart()

    def _restart(self) -> None:
        self._region += 1
        self._local = History(self._problem)
        self._surrogate = Surrogate(self._embedding, Priors(), self._method.max_points)
        self._fitted: Fitted | None = None
        self._length = self._method.length_init
        self._succeeded, self._failed = 0, 0
        self._best, self._batch = math.inf, math.inf
        self._in_batch = 0

    def tell(self, reports: Sequence[Report]) -> None:
        self._history.add(reports)
        for report in reports:
            region, counts = self._awaited.pop(key_of(report.proposal.config), (self._region, False))
            before = len(self._local)
            if region == self._region:
                self._local.add([report])
            if len(self._local) > before:
                self._fitted = None
                self._take_in(float(self._local.values[-1, 0]), counts)

    def _take_in(self, value: float, counts: bool) -> None:
        """The next value of the region; whether it ``counts`` as success or failure."""
        if not counts:
            self._best = min(self._best, value)
            return
        self._batch, self._in_batch = min(self._batch, value), self._in_batch + 1
        if self._in_batch < self._problem.workers:
            return
        success = self._batch < (self._best - _BETTER * abs(self._best) if self._best < math.inf else math.inf)
        self._best = min(self._best, self._batch)
        self._batch, self._in_batch = math.inf, 0
        self._succeeded, self._failed = (self._succeeded + 1, 0) if success else (0, self._failed + 1)
        if self._succeeded == self._method.successes:
            self._length, self._succeeded = min(2 * self._length, self._method.length_max), 0
        elif self._failed == self._failures:
            self._length, self._failed = self._length / 2, 0
        if self._length < self._method.length_min:
            self._restart()

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        out: list[Proposal] = []
        regions = [self._awaited.get(key_of(p.config), (self._region, False))[0] for p in running]
        there = len(self._local) + regions.count(self._region)
        left = max(0, self._method.design * self._d - there)
        if not self._d or not np.isfinite(self._local.values).any():
            left = n
        for _ in range(min(n, left)):
            self._send(self._ranked_design(), False, running, out)
        if len(out) < n:
            for ranked in self._thompson(n - len(out)):
                self._send(ranked, True, running, out)
        return out

    def _send(self, configs: Iterator[Config], counts: bool, running: Sequence[Proposal], out: list[Proposal]) -> None:
        """Add the first of ``configs`` that is new to ``out``."""
        pending = [*running, *out]
        config = self._history.first_new(configs, pending)
        if config is None:
            config = self._history.first_new((self._uniform.draw()[0] for _ in range(_TRIES)), pending)
        if config is None:
            config, _ = self._uniform.draw()
        self._awaited[key_of(config)] = (self._region, counts)
        out.append(Proposal(config))

    def _ranked_design(self) -> Iterator[Config]:
        for _ in range(_TRIES):
            yield next(self._design)

    def _thompson(self, n: int) -> list[Iterator[Config]]:
        """``n`` times what to try next, each the best first by a draw of its own."""
        if self._fitted is None:
            targets = standardised(without_failures(self._local.values[:, 0]))
            self._fitted = self._surrogate.fit(self._local.u, targets)
        gp, u = self._fitted.gp, self._fitted.u
        centre = u[gp.predict(self._embedding(u))[0][:, 0].argmin()]
        radius = min(1.0, self._length / self._method.length_init)
        candidates = self._candidates(centre, self._length, gp.lengths, radius, self._rng)
        draws = gp.draw(self._embedding(candidates), n, self._rng, noisy=False)
        return [self._in_order(candidates[np.argsort(draw, kind="stable")]) for draw in draws.T]

    def _in_order(self, u: Floats) -> Iterator[Config]:
        for i in range(0, len(u), _DECODED):
            yield from self._space.decode(u[i : i + _DECODED])
