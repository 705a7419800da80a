"""What tests of fetching share."""

from __future__ import annotations

from pathlib import Path

from openml_server import Server, TaskOf

from hptbench.store.fetch import Result, Settings, fetch, parse

TASKS = [TaskOf(3, 31, "class", 60), TaskOf(4, 43, "price", 40, type=2), TaskOf(5, 31, "own", 60, repeats=1)]
FILE = "/data/v1/download/31/"


def got(
    server: Server, store: Path, *words: str, jobs: int = 2, timeout: float = 5.0, retries: int = 2
) -> list[Result]:
    settings = Settings(server.url, jobs, timeout, retries, backoff=0.01)
    return sorted(fetch(store, map(parse, words), settings), key=lambda result: str(result.address))


def status(results: list[Result]) -> dict[str, str]:
    return {str(result.address): result.status for result in results}


def no_traces(store: Path) -> bool:
    return not [f for f in store.rglob(".*") if f.is_file() and f.parent.name != ".locks"] and not any(
        (store / ".cache").iterdir()
    )
