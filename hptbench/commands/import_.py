"""``import``: what was made elsewhere, in the form in which our own commands read it.

Runs, as a study that compare, publish and report read:
python -m hptbench import trials.csv --out results/mine
python -m hptbench import optuna.db --out results/mine

Evaluations on many data sets, as a table that tasks (evaluated), meta train and surrogate fit read:
python -m hptbench import mine.csv --from evaluations --metric accuracy --columns data=dataset --out mine.parquet
python -m hptbench import error_matrix.csv --from oboe --out oboe.parquet
python -m hptbench import FOLDER --from aslib --out autosklearn.parquet
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from pathlib import Path

from hptbench.errors import UserError
from hptbench.exchange import from_aslib, from_csv, from_evaluations, from_oboe, from_optuna
from hptbench.exchange.imported import source, write_study
from hptbench.exchange.table import named, uses, write

READERS = {"csv": from_csv.read, "optuna": from_optuna.read}
TABLES = ("evaluations", "oboe", "aslib")


def main(argv: list[str]) -> int:
    """Make a study folder of a file, or a table of evaluations."""
    parser = argparse.ArgumentParser(
        "python -m hptbench import", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "file", type=Path, help="a CSV file, a storage of Optuna (SQLite, or its journal); of aslib a folder"
    )
    parser.add_argument("--from", dest="kind", choices=(*READERS, *TABLES), help="default: csv for *.csv, else optuna")
    parser.add_argument("--out", type=Path, required=True, help="new folder of a study, or new table *.parquet")
    tables = parser.add_argument_group(f"of evaluations (--from {', '.join(TABLES)})")
    tables.add_argument("--metric", help="what was measured: a loss (error, rmse), a score (accuracy, r2), or neg_LOSS")
    tables.add_argument("--columns", nargs="+", default=[], metavar="ROLE=COLUMN", help="docs/EVALUATIONS.md")
    tables.add_argument("--names", type=Path, help="CSV with openml_id and name, e.g. a store's index: names data sets")
    options = parser.parse_args(argv)
    if not (options.file.is_dir() if options.kind == "aslib" else options.file.is_file()):
        raise UserError(f"expected a {'folder' if options.kind == 'aslib' else 'file'}, got {options.file}")
    if options.kind in TABLES:
        return _table(options, argv)
    if options.metric or options.columns or options.names:
        raise UserError(f"--metric, --columns and --names need --from {', '.join(TABLES)}")
    kind = options.kind or ("csv" if options.file.suffix == ".csv" else "optuna")
    runs = READERS[kind](options.file)
    write_study(options.out, runs, source(options.file, kind))
    print(f"{len(runs)} runs, {sum(len(jobs) for _, jobs in runs)} jobs: {options.out}, marked as imported")
    return 0


def _table(options: argparse.Namespace, argv: list[str]) -> int:
    if options.columns and options.kind != "evaluations":
        raise UserError(f"--columns needs --from evaluations, got {options.kind}, whose columns are known")
    if options.kind == "evaluations":
        found = from_evaluations.read(options.file, options.metric, options.columns)
    else:
        found = (from_oboe if options.kind == "oboe" else from_aslib).read(options.file, options.metric)
    before = {row.data for row in found.rows}
    found = dataclasses.replace(found, rows=named(found.rows, options.names))
    frame = write(found, options.out, shlex.join(["python", "-m", "hptbench", "import", *argv]))
    for what, count in found.left_out.items():
        print(f"left out: {what}: {count:,}")
    for learner, configs, data, whole, can in uses(frame):
        print(f"{learner}: {configs} configurations, {data} data sets, {whole} with all of them; can be used by: {can}")
    if options.names:
        kept = len(before & {row.data for row in found.rows})
        print(f"{len(before) - kept} data sets are named by {options.names}; {kept} keep their names")
    print(f"{len(frame):,} of {len(found.rows):,} evaluations (repetitions are averaged): {options.out}")
    print(f"card: {options.out.with_suffix('.md')}")
    return 0
