"""Which instances of the scenarios in HPTBENCH_YAHPO are worth searching: prints them, with the numbers behind it.

Of 10,000 random configurations at full fidelity (seed 0) let b be the least and m the median loss of the first
target. An instance is kept if b > 0.01 (it is not solved), m - b >= 0.01 (it matters), and at most 1 % of the
configurations lie within a tenth of m - b from b (it is not saturated: a hundred random ones reach that with a
probability below 0.64). With more than five of a scenario, those on data sets that a table of ``tabular`` has are left
out, and of the others, in the order of b, five evenly spaced ones are taken.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from hptbench.tasks import _tables, _yahpo
from hptbench.tasks.yahpo import YahpoTask

MOST = 5
COVERED = {unit for benchmark in _tables.BENCHMARKS.values() for unit in benchmark.units.values()}


def losses(task: YahpoTask) -> np.ndarray:
    """(10000,) losses of random configurations: in one batch, which rounds otherwise than single rows, but is fast."""
    read = _yahpo.scenario(str(Path(task.path) / task.scenario))
    full = {name: high for name, (_, high, _) in read.bounds.items()}
    configs = task.space.decode(task.space.sample(np.random.default_rng(0), 10_000))
    codes, numbers = zip(*[read.row(config, task.instance, full) for config in configs], strict=True)
    session, categorical, continuous = _yahpo._session(str(read.folder))
    inputs = {categorical: np.array(codes, np.int32), continuous: np.array(numbers, np.float32)}
    [target] = task.targets
    values = session.run(None, inputs)[0][:, read.layout.targets.index(target)].astype(float)
    if target in read.layout.scores:
        values = 1 - values / (100 if target in read.layout.percent else 1)
    return np.sort(values)


def main() -> int:
    """Print the instances of every scenario."""
    root = Path(os.environ["HPTBENCH_YAHPO"])
    for folder in sorted(model.parent for model in root.glob("*/model.onnx")):
        kept = []
        for instance in _yahpo.scenario(str(folder)).instances or (None,):
            task = YahpoTask(folder.name, instance, axis=None)
            loss = losses(task)
            best, median = float(loss[0]), float(np.median(loss))
            near = float(np.mean(loss <= best + 0.1 * (median - best)))
            if best > 0.01 and median - best >= 0.01 and near <= 0.01:
                kept.append((best, median, near, task))
        print(f"{folder.name}: {len(kept)} kept")
        if len(kept) > MOST:
            kept = sorted(((*k, t) for *k, t in kept if t.unit not in COVERED), key=lambda k: k[0])
            kept = [kept[int((i + 0.5) * len(kept) / MOST)] for i in range(MOST)]
        for best, median, near, task in kept:
            print(f"  {task.name}: best {best:.4f}, median {median:.4f}, near {near:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
