"""Fetching 20 data sets from a local OpenML, eight at once against one by one: python benchmarks/fetch.py

Each answer of the server takes 30 ms before it begins (--latency). The server shares the process and its
interpreter lock, so that the ratio is rather too small. Prints both times (medians) and their ratio.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["NO_PROXY"] = "127.0.0.1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "store"))

from openml_server import Server, credit

from hptbench.store.fetch import Settings, fetch, parse


def seconds(server: Server, jobs: int, sets: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        results = fetch(Path(folder), [parse(f"openml/{i}") for i in range(1, sets + 1)], Settings(server.url, jobs))
        took = time.perf_counter() - began
    if any(result.status != "fetched" for result in results):
        raise SystemExit(f"expected {sets} data sets, got {results}")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--latency", type=float, default=0.03, help="seconds")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    data = [credit(i, rows=200) for i in range(1, options.sets + 1)]
    with Server(data, latency=options.latency) as server:
        seconds(server, options.jobs, options.sets)  # imports
        pairs = [
            (seconds(server, 1, options.sets), seconds(server, options.jobs, options.sets))
            for _ in range(options.repeats)
        ]
    one, many = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"{options.sets} data sets, {options.latency * 1000:g} ms latency, medians of {options.repeats}")
    print(f"one by one {one:.2f} s, --jobs {options.jobs} {many:.2f} s")
    print(f"ratio {one / many:.1f}")


if __name__ == "__main__":
    main()
