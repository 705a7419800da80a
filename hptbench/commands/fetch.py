"""``fetch``: data sets, tasks and suites of OpenML into a store that is then used offline."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from hptbench.errors import UserError
from hptbench.store import client, layout

MOST = 125
"""Largest exit code that says a number; shells use those above."""


def main(argv: list[str]) -> int:
    """Fetch, verify, or both; the exit code is the number of items that failed and files that are damaged."""
    parser = argparse.ArgumentParser(
        "python -m hptbench fetch", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("what", nargs="*", help="openml/<data id>, openml/task/<id>, openml/suite/<id or alias>")
    parser.add_argument("--store", default=layout.default_store(), help="folder of the store (HPTBENCH_STORE)")
    parser.add_argument("--verify", action="store_true", help="compute all hashes of the store again")
    parser.add_argument("--jobs", type=int, default=4, help="downloads at once")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds that the server may be silent")
    parser.add_argument("--retries", type=int, default=4, help="further attempts per item")
    parser.add_argument("--backoff", type=float, default=1.0, help="seconds before the second attempt, then doubled")
    parser.add_argument("--server", default=os.environ.get("OPENML_SERVER") or client.OPENML, help="(OPENML_SERVER)")
    options = parser.parse_args(argv)
    if not options.what and not options.verify:
        raise UserError("expected what to fetch, e.g. openml/31 or openml/suite/99, or --verify; got neither")
    store = Path(options.store).expanduser()
    bad = _fetch(store, options) if options.what else 0
    if options.verify:
        bad += _verify(store)
    return min(bad, MOST)


def _fetch(store: Path, options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from hptbench.store.fetch import Result, Settings, fetch, parse

    addresses = [parse(word) for word in options.what]
    settings = Settings(options.server, options.jobs, options.timeout, options.retries, options.backoff)
    console = Console(stderr=True, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        shown = bar.add_task("fetch", total=len(addresses))

        def on_progress(done: int, known: int, result: Result) -> None:
            bar.update(shown, completed=done, total=known, description=str(result.address))
            if result.status == "failed":
                console.print(f"{result.address}: {result.message}", markup=False, highlight=False)

        results = fetch(store, addresses, settings, on_progress)
    count = {status: sum(r.status == status for r in results) for status in ("fetched", "there", "failed")}
    print(f"{store}: {count['fetched']} fetched, {count['there']} already there, {count['failed']} failed")
    if count["failed"]:
        print("The same command again fetches only what is missing.", file=sys.stderr)
    return count["failed"]


def _verify(store: Path) -> int:
    from hptbench.store.verify import verify

    verdict = verify(store)
    for file, wrong in verdict.damaged.items():
        print(f"{file}: {wrong}", file=sys.stderr)
    print(f"{store}: {verdict.files} files verified, {len(verdict.damaged)} damaged")
    return len(verdict.damaged)
