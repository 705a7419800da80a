"""Speed of the core, as ratios in one run: python benchmarks/core.py [--million]

Overhead per simulated job, the price of the journal, start-up of the command line, and the space
against ConfigSpace's own objects. Prints the targets beside the figures; times are medians.
"""

from __future__ import annotations

import argparse
import heapq
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import ClassVar

os.environ.setdefault("OMP_NUM_THREADS", "1")

import ConfigSpace as CS
import numpy as np

from hptbench.journal import SYNCS, Journal, journaled, sync_all
from hptbench.methods._draws import Uniform
from hptbench.methods.random import RandomSearch
from hptbench.protocol import Budget, Clock, Fidelity, Job, Outcome, Point, Problem, Proposal, Report, Status, Traits
from hptbench.simulate import Run, simulate
from hptbench.space import Config
from hptbench.spacefile import space_from_yaml

UNIT = space_from_yaml({f"x{i}": {"type": "float", "lower": 0, "upper": 1} for i in range(4)})
CONDITIONAL = space_from_yaml(
    {
        "kernel": {"type": "categorical", "choices": ["linear", "poly", "rbf"]},
        "cost": {"type": "float", "lower": 1e-4, "upper": 1e4, "log": True},
        "gamma": {"type": "float", "lower": 1e-4, "upper": 1e4, "log": True, "when": {"kernel": "rbf"}},
        "degree": {"type": "integer", "lower": 2, "upper": 5, "when": {"kernel": "poly"}},
        "shrinking": {"type": "categorical", "choices": [True, False]},
        "trees": {"type": "integer", "lower": 1, "upper": 1000, "log": True},
        "share": {"type": "float", "lower": 0, "upper": 1},
        "coef": {"type": "float", "lower": 0, "upper": 1, "when": {"kernel": ["poly", "rbf"]}},
    }
)


def constant(jobs: Sequence[Job]) -> list[Outcome]:
    return [Outcome(Status.OK, (Point(1.0, (0.5,)),), 1.0) for _ in jobs]


def run_of(jobs: int, seed: int = 0) -> Run:
    problem = Problem(UNIT, ("loss",), None, Budget(max_jobs=jobs), 4)
    return simulate(RandomSearch(), problem, ("constant", seed))


class Promotions:
    """ASHA's traffic without its rungs: while more than a hundred trials are paused, the best of them goes on."""

    traits: ClassVar[Traits] = Traits(fidelity=True)

    def begin(self, problem: Problem, rng: np.random.Generator) -> Promotions:
        self._draws, self._paused = Uniform(problem.space, rng), list[tuple[float, int, float, Config]]()
        return self

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        return [self._next() for _ in range(n)]

    def _next(self) -> Proposal:
        if len(self._paused) > 100:
            _, job, level, config = heapq.heappop(self._paused)
            return Proposal(config, 3 * level, job, {"rung": 3 * level})
        return Proposal(self._draws.draw()[0], 1.0, note={"rung": 1.0})

    def tell(self, reports: Sequence[Report]) -> None:
        for r in reports:
            if r.fidelity < 81:
                heapq.heappush(self._paused, (r.values[0], r.job, r.fidelity, r.proposal.config))


def unequal(jobs: Sequence[Job]) -> list[Outcome]:
    """Costs differ by configuration, so that hardly two jobs end together."""
    return [
        Outcome(Status.OK, (Point(j.stop, (x,)),), (j.stop - j.start) * (0.5 + x), state=x)
        for j, x in ((j, float(j.proposal.config["x1"])) for j in jobs)
    ]


def workers(jobs: int = 20_000) -> None:
    """Jobs per processor second: what many simulated workers cost."""
    epochs = Fidelity(1, 81, continues=True)
    for name, method, fidelity in (("random", RandomSearch(), None), ("promotions", Promotions(), epochs)):
        for count in (1, 4, 64, 512):
            problem = Problem(UNIT, ("loss",), fidelity, Budget(max_jobs=jobs), count)
            run = simulate(method, problem, ("unequal", 0), Clock.COST)
            began = time.process_time()
            asked = next(run)
            with suppress(StopIteration):
                while True:
                    asked = run.send(unequal(asked))
            rate = jobs / (time.process_time() - began)
            line(f"{name}, {count} workers, unequal costs", f"{rate:,.0f} jobs / s", "≥ 12,760 (10 × Syne Tune, ASHA)")


def drive(runs: Sequence[Run], after_round: Callable[[], object] = lambda: None) -> int:
    """In lockstep, as the executor does; returns the number of records."""
    wanted: dict[int, Sequence[Job]] = {i: next(run) for i, run in enumerate(runs)}
    records = 0
    while wanted:
        after_round()
        asked, wanted = list(wanted.items()), {}
        outcomes = iter(constant([job for _, jobs in asked for job in jobs]))
        for i, jobs in asked:
            try:
                wanted[i] = runs[i].send([next(outcomes) for _ in jobs])
            except StopIteration as stop:
                records += len(stop.value)
    return records


def median_seconds(call: Callable[[], object], repeats: int = 5) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def line(what: str, figure: str, target: str) -> None:
    print(f"{what:<62} {figure:>16}   target {target}", flush=True)


def overhead() -> None:
    jobs = 20_000
    seconds = median_seconds(lambda: drive([run_of(jobs)]))
    line("simulated job, random search, constant task, 4 workers", f"{seconds / jobs * 1e6:.1f} µs", "≤ 50 µs")


def memory_and_million(jobs: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    records = drive([run_of(jobs)])
    seconds = time.perf_counter() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    line(f"{jobs:,} jobs complete", f"{records:,} in {seconds:.0f} s", "all of them")
    line("  memory per finished job (its records included)", f"{grown / jobs:.0f} bytes", "records only")


def journal() -> None:
    runs, jobs = 50, 200
    with tempfile.TemporaryDirectory(dir=".") as folder:
        count = iter(range(10**9))

        def logged() -> None:
            grown: list[Journal] = []

            def sync() -> None:
                sync_all(grown, disk)
                grown.clear()

            with ExitStack() as stack, ThreadPoolExecutor(SYNCS) as disk:
                paths = [Path(folder) / f"{next(count)}.jsonl" for _ in range(runs)]
                journals = [stack.enter_context(Journal(path, "benchmark")) for path in paths]
                drive([journaled(run_of(jobs, i), j, grown.append) for i, j in enumerate(journals)], sync)

        # One after the other, as a disk's mood changes: the median of the ratios.
        ratio = statistics.median(
            median_seconds(logged, 1) / median_seconds(lambda: drive([run_of(jobs, seed) for seed in range(runs)]), 1)
            for _ in range(11)
        )
    line(f"journal, fsync each round: {runs} runs in lockstep, 4 workers", f"{ratio:.2f} ×", "≤ 3 ×")


def command_line() -> None:
    for words, target in ((["--help"], 1.5), (["list"], 3.0)):
        command = [sys.executable, "-m", "hptbench", *words]
        seconds = median_seconds(lambda command=command: subprocess.run(command, check=True, capture_output=True))
        line(f"python -m hptbench {' '.join(words)}", f"{seconds:.2f} s", f"≤ {target} s")


def space() -> None:
    n = 10_000
    rng = np.random.default_rng(0)

    def ours() -> None:
        configs = CONDITIONAL.decode(CONDITIONAL.sample(rng, n))
        CONDITIONAL.encode(configs)

    theirs_space = CONDITIONAL.configspace

    def theirs() -> None:
        configs = [dict(c) for c in theirs_space.sample_configuration(n)]
        np.stack([CS.Configuration(theirs_space, values=c).get_array() for c in configs])

    ratio = median_seconds(theirs, 3) / median_seconds(ours)
    line(f"sample + decode + encode, {n:,} × 8 conditional, vs ConfigSpace", f"{ratio:.1f} × faster", "≥ 5 ×")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", action="store_true", help="1,000,000 jobs instead of 100,000")
    options = parser.parse_args()
    overhead()
    workers()
    journal()
    space()
    command_line()
    memory_and_million(1_000_000 if options.million else 100_000)
