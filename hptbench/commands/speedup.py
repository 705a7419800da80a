"""``speedup``: how much sooner the methods of a finished study reach a target with more workers.

The study holds runs with several numbers of workers, e.g. after
python -m hptbench --multirun +method=bohb suite=synthetic workers=1,4,16,64 study=scaling

Into the folder of the study it writes speedup.png with speedup.json, and speedup.csv (a row per task, method and number
of workers; docs/WORKERS.md explains its columns)."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from rich.console import Console
from rich.table import Table

from hptbench.commands.compare import check_comparable, chosen
from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.results.collect import collect, inputs
from hptbench.results.regret import Worth, worth
from hptbench.results.speedup import over_tasks, speedups, targets, times_to_target

if TYPE_CHECKING:
    import pandas as pd


def main(argv: list[str]) -> int:
    """Print the speed-ups of a study, and write them."""
    parser = argparse.ArgumentParser(
        "python -m hptbench speedup", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="folder of a study, e.g. results/scaling")
    parser.add_argument(
        "--target", type=float, default=0.1, metavar="REGRET",
        help="normalised regret: 0 the best value known, 1 a median random one (default: 0.1)",
    )  # fmt: skip
    parser.add_argument(
        "--worth", default="seen", choices=get_args(Worth),
        help="what an incumbent is worth: the value seen at the full fidelity (default), or that of its configuration "
        "trained in full, which the task knows",
    )  # fmt: skip
    parser.add_argument("--where", nargs="+", default=[], metavar="COLUMN=VALUE", help="only these runs, as in compare")
    parser.add_argument(
        "--unequal", nargs="+", default=[], metavar="WHAT", help="what may differ besides workers, as in compare"
    )
    parser.add_argument("--no-plot", action="store_true", help="draw no figure")
    options = parser.parse_args(argv)
    study = chosen(collect(options.results), options.where)
    check_comparable(study.runs, ["workers", *options.unequal])
    high = {str(task): float(level) for task, level in study.runs.groupby("task")["high"].max().items()}
    jobs = worth(study.jobs, high, options.worth)
    by = targets(jobs, study.runs, options.target)
    table = speedups(times_to_target(jobs, study.runs, by, options.worth))
    if table["workers"].nunique() < 2:
        raise UserError(f"expected runs with at least two numbers of workers, got only {table['workers'].unique()}")
    console = Console()
    console.print(_shown(table, options.target))
    csv = study.folder / "speedup.csv"
    write_whole(csv, lambda part: table.to_csv(part, index=False))
    console.print(str(csv), highlight=False, soft_wrap=True)
    if not options.no_plot:
        from hptbench.plots.draw import draw
        from hptbench.plots.speedup import speedup

        command = shlex.join(["python", "-m", "hptbench", "speedup", *argv])
        figure, methods = speedup(table, options.target), sorted(table["method"].unique())
        path, _ = draw(figure, study.folder, methods, command=command, inputs=inputs(study.folder))
        console.print(str(path), highlight=False, soft_wrap=True)
    return 0


def _shown(table: pd.DataFrame, target: float) -> Table:
    out = Table(
        title=f"Speed-up of the expected running time to a normalised regret of {target:g}: geometric mean over tasks"
    )
    for name in ("method", "workers", "speed-up", "efficiency", "workers busy", "tasks"):
        out.add_column(name, justify="left" if name == "method" else "right")
    for _, row in over_tasks(table).iterrows():
        out.add_row(
            str(row["method"]), f"{row['workers']}", f"{row['speedup']:.2f}", f"{row['efficiency']:.0%}",
            f"{row['busy']:.0%}", f"{row['tasks']} of {row['of']}",
        )  # fmt: skip
    return out
