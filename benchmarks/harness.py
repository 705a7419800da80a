"""The price of the testbed around real trainings: python benchmarks/harness.py

The same fits, by a bare loop over scikit-learn and by a run of hptbench (a worker process with limits of time and
memory, a journal synced after each job, all metrics on validation and test rows). The bare loop fits, and predicts
validation and test rows with one metric each. Both are timed in turn, --repeats times; printed are medians and the
overhead, the ratio of their times less one. Target: at most 5 % where a fit takes 50 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import log_loss

from hptbench.methods.design import Design
from hptbench.protocol import Budget, Clock
from hptbench.run import Driver, Evaluator, Plan, execute
from hptbench.tasks.dataset import DatasetTask
from hptbench.workers import Limits

MIN_LEAF = {"type": "integer", "lower": 1, "upper": 200}  # a design holds no configuration twice


def store(folder: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 20))
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(20)])
    frame["target"] = (X[:, 0] + X[:, 1] * X[:, 2] + rng.normal(size=rows) > 0).astype(int)
    frame.to_parquet(folder / "made.parquet")
    (folder / "index.csv").write_text("name,task_type\nmade,classification\n")


def bare(task: DatasetTask, configs: list[dict[str, object]], trees: int) -> float:
    """Seconds per evaluation."""
    [(training, validation)], test = task.inner(0), task.outer().test
    began = time.perf_counter()
    for config in configs:
        model = ExtraTreesClassifier(n_estimators=trees, n_jobs=1, random_state=0, **config)
        model.fit(training.X, training.y)
        for rows in (validation, test):
            log_loss(rows.y, model.predict_proba(rows.X))
    return (time.perf_counter() - began) / len(configs)


def harness(
    task: DatasetTask, n: int, evaluator: Evaluator, folder: Path, seed: int
) -> tuple[float, list[dict[str, object]]]:
    """(seconds per evaluation, once the worker is there; the configurations)."""
    plan = Plan(
        task, "design", Design(configs=n, levels=(1.0,)), seed, Budget(max_jobs=n), 1, Clock.UNITS,
        Limits(seconds=60, memory_mb=8000), folder,
    )  # fmt: skip
    began = time.perf_counter()
    execute(plan, Driver(evaluator, lambda jobs, full_evals: None))
    took = (time.perf_counter() - began) / n
    configs = [json.loads(config) for config in pd.read_parquet(plan.folder / "jobs.parquet")["config"]]
    assert len(configs) == n
    return took, configs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fits", type=int, default=20, help="per measurement")
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--trees", type=int, nargs="+", default=[24], help="each fit's; 24: about 50 ms")
    parser.add_argument("--rows", type=int, default=2000)
    options = parser.parse_args()
    print(f"{options.fits} fits, {options.repeats} times in turn, {options.rows} rows")
    print(f"{'trees':>6} {'bare':>9} {'harness':>9} {'overhead':>9}   (quartiles)")
    for trees in options.trees:
        with tempfile.TemporaryDirectory() as name, Evaluator() as evaluator:
            folder = Path(name)
            store(folder, options.rows)
            space = {"min_samples_leaf": MIN_LEAF}
            task = DatasetTask("made", "extra_trees", name, low=trees, high=trees, space=space)  # type: ignore[arg-type]
            harness(task, 2, evaluator, folder, 0)  # starts the worker
            pairs = []
            for i in range(options.repeats):
                took, configs = harness(task, options.fits, evaluator, folder, i + 1)
                pairs.append((bare(task, configs, trees), took))
        one, other = (statistics.median(times) * 1e3 for times in zip(*pairs, strict=True))
        ratios = sorted(100 * (b / a - 1) for a, b in pairs)
        print(
            f"{trees:6} {one:6.1f} ms {other:6.1f} ms {statistics.median(ratios):7.1f} %"
            f"   ({ratios[len(ratios) // 4]:.1f} … {ratios[-1 - len(ratios) // 4]:.1f})"
        )


if __name__ == "__main__":
    main()
