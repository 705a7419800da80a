"""How long it takes to collect and compare a large study, and in how much memory: python benchmarks/analyse.py

A made-up study of --runs runs of --jobs jobs each is written as its runs would leave it; a process of its own then
does what ``compare`` does: gathers the runs into the study's tables, and makes the table of tasks and methods and the
comparison. Printed are wall and processor seconds of each step, and the peak of resident memory. Targets for 1,000 runs
of 1,000 jobs on two cores: 20 s, 2 GB.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from report import METHODS, SEEDS, write

from hptbench.commands.compare import chosen
from hptbench.results.collect import collect
from hptbench.results.comparison import compared
from hptbench.results.table import final_table, per_run

T = TypeVar("T")


def analyse(study: Path) -> None:
    """Print what each step takes."""
    total_wall = total_cpu = 0.0

    def timed(what: str, step: Callable[[], T]) -> T:
        nonlocal total_wall, total_cpu
        wall, cpu = time.perf_counter(), time.process_time()
        out = step()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        total_wall, total_cpu = total_wall + wall, total_cpu + cpu
        print(f"{what}: {wall:.1f} s, {cpu:.1f} s of processor, peak {_peak():.2f} GB", flush=True)
        return out

    found = timed("collect", lambda: chosen(collect(study), []))
    best = timed("incumbents", lambda: per_run(found.jobs, found.runs))
    timed("table", lambda: final_table(found.jobs, found.runs, best=best))
    timed("comparison", lambda: compared(found.jobs, found.runs, best=best))
    print(f"{len(found.jobs):,} jobs of {len(found.runs):,} runs: {total_wall:.1f} s, {total_cpu:.1f} s of processor, "
          f"peak {_peak():.2f} GB")  # fmt: skip


def _peak() -> float:
    """GB of resident memory, the libraries included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1000, help="of each run")
    parser.add_argument("--study", type=Path, help="analyse this folder instead; it is made if it is not there")
    options = parser.parse_args()
    if options.study is not None and options.study.is_dir():
        analyse(options.study)
        return
    with tempfile.TemporaryDirectory() as folder:
        study = options.study or Path(folder) / "made_up"
        write(study, options.runs * options.jobs, options.runs // (SEEDS * len(METHODS)))
        subprocess.run([sys.executable, __file__, "--study", str(study)], check=True)  # its memory is its own


if __name__ == "__main__":
    main()
