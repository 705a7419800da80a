"""A study of many runs of many simulated jobs: seconds, memory, files, going on, collecting.

python benchmarks/scale.py --runs 1000 --jobs 1000 --processes 2

With --processes 0 all is done in this process, and its processor seconds hold on a busy machine, too (those of worker
processes are not seen from here). docs/SCALE.md has what was measured.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from hptbench.executors import Executor
from hptbench.executors.processes import Processes
from hptbench.executors.serial import Serial
from hptbench.methods.random import RandomSearch
from hptbench.protocol import Budget, Clock
from hptbench.results.collect import collect
from hptbench.run import Plan
from hptbench.tasks.synthetic import SyntheticTask
from hptbench.workers import Limits


class Nobody:
    def begun(self, plan: Plan, jobs: int, full_evals: float) -> None:
        pass

    def ended(self, plan: Plan) -> None:
        pass


def cpu() -> float:
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def stage(name: str, jobs: int, do: Callable[[], Any]) -> Any:
    began, used = time.perf_counter(), cpu()
    found = do()
    wall, used = time.perf_counter() - began, cpu() - used
    print(
        f"{name}: {wall:.1f} s, {used:.1f} processor s, {1e6 * used / jobs:.0f} us a job; {peak_mb():.0f} MB",
        flush=True,
    )
    return found


def study(folder: Path, runs: int, jobs: int) -> list[Plan]:
    task, budget = SyntheticTask("branin"), Budget(max_jobs=jobs)
    return [Plan(task, "random", RandomSearch(), seed, budget, 4, Clock.COST, Limits(), folder) for seed in range(runs)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=2, help="0: none but this one, whose seconds are counted")
    options = parser.parse_args()
    runs, jobs = options.runs, options.jobs
    executor: Executor = Processes(options.processes) if options.processes else Serial()
    folder = Path(tempfile.mkdtemp(prefix="hptbench-scale-", dir="."))
    try:
        plans = stage("plans and their ids", runs * jobs, lambda: [p for p in study(folder, runs, jobs) if p.id])
        assert stage("the study", runs * jobs, lambda: executor.run(plans, Nobody())) == []
        files = [path for path in folder.rglob("*") if path.is_file()]
        sizes = {name: sum(p.stat().st_size for p in files if p.name == name) for name in {p.name for p in files}}
        kinds = ", ".join(f"{name} {size / runs / jobs:.0f}" for name, size in sorted(sizes.items()))
        print(f"{len(files)} files, {sum(sizes.values()) / 1e6:.1f} MB; bytes a job: {kinds}", flush=True)
        again = study(folder, runs, jobs)
        assert stage("going on, all is done", runs * jobs, lambda: [p for p in again if not p.finished]) == []
        tenth = plans[: max(runs // 10, 1)]
        for plan in tenth:  # as if killed before they were finished
            (plan.folder / "run.json").unlink()
        name = f"going on, {len(tenth)} runs from their journals"
        assert stage(name, len(tenth) * jobs, lambda: executor.run(tenth, Nobody())) == []
        found = stage("collecting", runs * jobs, lambda: collect(folder))
        assert len(found.jobs) == runs * jobs
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
