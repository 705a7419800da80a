"""``import``: runs made elsewhere, as a study that compare, publish and report read.

python -m hptbench import trials.csv --out results/mine
python -m hptbench import optuna.db --out results/mine
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hptbench.errors import UserError
from hptbench.exchange import from_csv, from_optuna
from hptbench.exchange.imported import source, write_study

READERS = {"csv": from_csv.read, "optuna": from_optuna.read}


def main(argv: list[str]) -> int:
    """Make a study folder of a file."""
    parser = argparse.ArgumentParser(
        "python -m hptbench import", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", type=Path, help="a CSV file, or a storage of Optuna (SQLite, or its journal)")
    parser.add_argument("--from", dest="kind", choices=READERS, help="default: csv for *.csv, else optuna")
    parser.add_argument("--out", type=Path, required=True, help="new folder of a study, e.g. results/mine")
    options = parser.parse_args(argv)
    if not options.file.is_file():
        raise UserError(f"expected a file, got {options.file}")
    kind = options.kind or ("csv" if options.file.suffix == ".csv" else "optuna")
    runs = READERS[kind](options.file)
    write_study(options.out, runs, source(options.file, kind))
    print(f"{len(runs)} runs, {sum(len(jobs) for _, jobs in runs)} jobs: {options.out}, marked as imported")
    return 0
