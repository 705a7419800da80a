"""What methods of a published study use until they reach a target: a normalised regret that their incumbents are worth
(:mod:`hptbench.results.regret`).

A run that never reaches it counts with the end of the longest run, and one that reaches it before the first moment of
the axis with that moment. Scores are the log10 of that, averaged over seeds, then over the tasks of a unit, so that all
tests are those of :mod:`hptbench.results.ranking`. It is the logarithm's mean, restricted to that horizon; the expected
running time, which has none, is :mod:`hptbench.results.speedup`'s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hptbench.errors import UserError
from hptbench.results.published import Published
from hptbench.results.ranking import Ranking, duel_rows
from hptbench.results.regret import COLUMN_OF, Axis, Standing, standing
from hptbench.results.schema import KEY
from hptbench.space import Floats
from hptbench.stats.pairwise import Pair, against, corrected

_RUN = KEY[:3]


@dataclass(frozen=True)
class Reaching:
    """Of the ranked methods."""

    targets: tuple[float, ...]
    """Normalised regrets, falling."""
    scores: Standing
    """log10 of what was used, for each target (in place of an axis' moments)."""
    shares: Mapping[str, Floats]
    """(targets,) of each method: the share of its runs that reached them, tasks weighing the same."""
    tests: Mapping[str, tuple[Pair, ...]]
    """Of each reference against each other method at each target; Holm over all of one reference."""

    def method_rows(self) -> tuple[list[str], list[list[str]]]:
        """A table's head, and a row per method from the best mean rank at the last target to the worst."""
        head = ["method"]
        for target in self.targets:
            head += [f"rank to {target:g}", f"used to {target:g}", f"reached {target:g}"]
        ranks, rows = self.scores.ranks(), []
        for j in np.argsort(ranks[-1], kind="stable"):
            row = [self.scores.methods[j]]
            for i in range(len(self.targets)):
                used = 10 ** self.scores.scores[i, :, j].mean()
                row += [f"{ranks[i, j]:.2f}", f"{used:.3g}", f"{self.shares[row[0]][i]:.0%}"]
            rows.append(row)
        return head, rows

    def test_rows(self, reference: str) -> tuple[list[str], list[list[str]]]:
        """A table's head, and a row per method but ``reference``, by name."""
        return duel_rows(self.tests[reference], [f"to {target:g}" for target in self.targets])


def reaching(found: Ranking, targets: Sequence[float]) -> Reaching:
    """How soon the methods of ``found`` reach ``targets``, counted as there. UserError for a target that is none."""
    if wrong := [target for target in targets if not 0 < target < 1]:
        raise UserError(f"expected targets between 0 (the best known value) and 1 (a random one), got {wrong}")
    targets = tuple(sorted(set(targets), reverse=True))
    used = _used(found.part, targets, found.fine.axis)
    first, horizon = float(found.fine.axis.at[0]), float(found.fine.axis.at[-1])
    units = dict(zip(found.part.runs["task"], found.part.runs["unit"], strict=True))
    curves = {key: np.log10(np.clip(of_runs, first, horizon)) for key, of_runs in used.items()}
    scores = standing(curves, units, replace(found.fine.axis, at=np.arange(len(targets), dtype=float)))
    shares = {
        method: np.mean([np.isfinite(of_runs).mean(axis=0) for (_, own), of_runs in used.items() if own == method], 0)
        for method in scores.methods
    }
    tests = {
        one: tuple(corrected([pair for at in scores.scores for pair in against(at, scores.methods, one)]))
        for one in found.tests
    }
    return Reaching(targets, scores, shares, tests)


def _used(found: Published, targets: Sequence[float], axis: Axis) -> dict[tuple[str, str], Floats]:
    """(task, method) -> (seeds, targets): what each run had used when its incumbent was first worth a target; +inf if
    it never was."""
    use, worth = (found.steps[name].to_numpy(float) for name in (COLUMN_OF[axis.by], "worth"))
    out: dict[tuple[str, str], list[list[float]]] = {}
    of_runs: dict[Any, Any] = dict(found.steps.groupby(_RUN).indices)
    for (task, method, _), own in sorted(of_runs.items()):
        one = found.references[str(task)]
        regret = (worth[own] - one.best) / (one.random - one.best)
        first = [use[own][regret <= target][:1] for target in targets]
        out.setdefault((str(task), str(method)), []).append([float(at[0]) if len(at) else np.inf for at in first])
    return {key: np.array(runs) for key, runs in out.items()}
