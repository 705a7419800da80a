"""CPU seconds that optimisers take, peers and our own: python benchmarks/peers.py [NAMES] [--trials 1000] [--regret]

Processor time of ask and tell alone, with one worker, on a mixed space of eight parameters (three floats, one of them
on a log scale; two integers; an ordinal; two categoricals) and a smooth function: in all, and per trial around the
100th, the 500th and the 1,000th. With --regret also the regret on Hartmann 6 (moved by seed 3) after 50 evaluations,
seeds 0 to 2: a check that a wrapper does not cripple what it wraps. Without names: all methods that take one objective,
need no fidelity and can be used here. What is imported is not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from hptbench import registry
from hptbench.methods._peers import missing
from hptbench.protocol import Budget, Method, Point, Problem, Report, Status
from hptbench.space import Config
from hptbench.spacefile import space_from_yaml
from hptbench.tasks.shifted import Shifted
from hptbench.tasks.synthetic import SyntheticTask
from hptbench.testing.methods import records_of

MIXED = space_from_yaml(
    {
        "share": {"type": "float", "lower": 0, "upper": 1},
        "momentum": {"type": "float", "lower": -2, "upper": 2},
        "rate": {"type": "float", "lower": 1e-5, "upper": 1, "log": True},
        "layers": {"type": "integer", "lower": 1, "upper": 8},
        "units": {"type": "integer", "lower": 4, "upper": 512, "log": True},
        "batch": {"type": "ordinal", "choices": [16, 32, 64, 128, 256]},
        "optimiser": {"type": "categorical", "choices": ["sgd", "adam", "rmsprop"]},
        "warm": {"type": "categorical", "choices": [True, False]},
    }
)
HARTMANN = Shifted(SyntheticTask("hartmann6"), 3)
NEAR = 10
"""Trials before and after the one whose cost is shown."""


def smooth(config: Config) -> float:
    u = MIXED.encode([config])[0]
    return float(np.sum((u - 0.3) ** 2) + 0.1 * np.sin(7 * u).sum())


def seconds(method: Method, trials: int, seed: int) -> list[float]:
    """CPU seconds of each trial."""
    search = method.begin(Problem(MIXED, ("loss",), None, Budget(max_jobs=trials)), np.random.default_rng(seed))
    taken = []
    for i in range(trials):
        began = time.process_time()
        proposals = search.ask(1, [])
        taken.append(time.process_time() - began)
        if not proposals:
            break
        value = (smooth(proposals[0].config),)
        report = Report(i, i, proposals[0], 1.0, Status.OK, value, (Point(1.0, value),), 1.0)
        began = time.process_time()
        search.tell([report])
        taken[-1] += time.process_time() - began
    return taken


def regrets(method: Method) -> list[float]:
    budget = Budget(max_jobs=50)
    return [min(r.outcome.hidden["test"] for r in records_of(method, HARTMANN, s, budget)) for s in range(3)]


def around(taken: list[float], n: int) -> str:
    """Milliseconds per trial near the n-th."""
    window = taken[n - NEAR : n + NEAR]
    return f"{statistics.mean(window) * 1e3:8.1f}" if len(taken) >= n else " " * 8


def usable() -> list[str]:
    fits = {n: cls.traits for n, cls in registry.methods().items()}
    return [n for n, t in fits.items() if not (t.fidelity or t.min_objectives > 1 or t.finite or missing(t.requires))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="methods")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--regret", action="store_true", help="also the regret on Hartmann 6 after 50 evaluations")
    options = parser.parse_args()
    print(
        f"{'method':<26}{'CPU s, 100':>11}{f', {options.trials:,}':>9}   ms a trial at 100 / 500 / 1,000   regret at 50"
    )
    for name in options.names or usable():
        method: Method = registry.find("method", name)()
        seconds(method, 12, seed=99)  # imports
        taken = seconds(method, options.trials, options.seed)
        cells = [f"{sum(taken[:100]):11.3f}", f"{sum(taken):9.2f}", "  ", *(around(taken, n) for n in (100, 500, 1000))]
        if options.regret:
            cells.append("     " + " ".join(f"{regret:.4f}" for regret in regrets(method)))
        print(f"{name:<26}{''.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
