"""What ``executor=ray`` gains over one process, and what it costs per job. Jobs sleep, so any machine will do.

python benchmarks/cluster.py --workers 4
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ray.cluster_utils import Cluster

from hptbench.executors import Executor
from hptbench.executors.ray import Ray
from hptbench.executors.serial import Serial
from hptbench.methods.random import RandomSearch
from hptbench.protocol import Budget, Clock, Job, Outcome
from hptbench.run import Plan
from hptbench.testing.problems import Bowl
from hptbench.workers import Limits

CASES = ((0.05, 40), (1.0, 4), (0.0, 500))
"""Seconds of a job, jobs of a run (times --times)."""


@dataclass(frozen=True)
class Sleep(Bowl):
    seconds: float = 0.0

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        time.sleep(self.seconds * len(jobs))
        return super().evaluate(jobs)


class Nobody:
    def begun(self, plan: Plan, jobs: int, full_evals: float) -> None:
        pass

    def ended(self, plan: Plan) -> None:
        pass


def timed(executor: Executor, task: Sleep, runs: int, jobs: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        plans = [
            Plan(task, "random", RandomSearch(), i, Budget(max_jobs=jobs), 1, Clock.UNITS, Limits(), Path(folder))
            for i in range(runs)
        ]
        began = time.perf_counter()
        assert executor.run(plans, Nobody()) == []
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--runs", type=int, default=2, help="runs per worker")
    parser.add_argument("--times", type=int, default=1, help="so many times the jobs per run: longer runs gain more")
    options = parser.parse_args()
    workers, runs = options.workers, options.workers * options.runs
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": workers, "include_dashboard": False})
    executor = Ray(cluster.address)
    try:
        for seconds, jobs in ((seconds, jobs * options.times) for seconds, jobs in CASES):
            task, n = Sleep(name=f"sleep{seconds:g}", seconds=seconds), runs * jobs
            one = timed(Serial(), task, runs, jobs)
            # Ray starts processes anew for each driver; a study of so many short runs shows what that takes.
            many, twice = timed(executor, task, runs, jobs), timed(executor, task, 2 * runs, jobs)
            more = twice - many
            print(
                f"{seconds:g} s x {n} jobs in {runs} runs: one process {one:.2f} s; "
                f"Ray, {workers} workers: {many:.2f} s, speed-up {one / many:.2f}; "
                f"as many again {more:.2f} s, speed-up {one / more:.2f}, "
                f"{1e3 * (more * workers - n * seconds) / n:.2f} ms of a worker per job beyond its sleep "
                f"(one process {1e3 * (one - n * seconds) / n:.2f})",
                flush=True,
            )
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
