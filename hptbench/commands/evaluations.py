"""``collect-evaluations``: the same configurations on many data sets, as one table.

python -m hptbench collect-evaluations suite.path=DIR        evaluate, then write the table
python -m hptbench collect-evaluations --table STUDY         only write the table of what is finished so far

Settings are those of a study (python -m hptbench --help) on top of conf/experiment/evaluations.yaml; of use are
method.design.configs, method.design.first, method.design.levels, suite.data, suite.learner, suite.max_rows,
limits.seconds and study. What is done is never done again: the same command goes on after Ctrl-C, kill -9 or with more
learners or data sets; 86 more configurations are method.design.first=64 method.design.configs=86.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from hptbench.errors import UserError
from hptbench.results import evaluations
from hptbench.results.collect import Study, collect

if TYPE_CHECKING:
    from omegaconf import DictConfig

_EXPERIMENT = "+experiment=evaluations"


def settings(argv: list[str]) -> list[str]:
    """What Hydra composes the study from; nothing if the flags ask for no study."""
    if any(word in ("-h", "--help", "--table") or word.startswith("--table=") for word in argv):
        return []
    chosen = any(word.lstrip("+").startswith("experiment=") for word in argv)
    if any(word.startswith("--out") for word in argv):
        raise UserError("--out needs --table; a study's table lies in evaluations/ below results=")
    return argv if chosen else [_EXPERIMENT, *argv]


def main(argv: list[str]) -> int:
    """Write the table of a study's finished runs."""
    parser = argparse.ArgumentParser(
        "python -m hptbench collect-evaluations", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--table", type=Path, metavar="STUDY", help="folder of a study, e.g. results/tabular")
    parser.add_argument("--out", type=Path, help="folder of the table; default: evaluations beside the study")
    parser.add_argument("--store", default=os.environ.get("HPTBENCH_STORE"), help="for the licences (HPTBENCH_STORE)")
    options = parser.parse_args(argv)
    _write(collect(options.table), options.out or options.table.absolute().parent / "evaluations", options.store, argv)
    return 0


def run(cfg: DictConfig) -> int:
    """Evaluate what is missing of the study, then write the table; of a shard, none. Returns the exit code."""
    from hptbench.commands.run import execute

    design = cfg.get("method", {}).get("design")
    if cfg.budget.max_jobs is None and design is not None:
        cfg.budget.max_jobs = max(design.configs * len(design.levels), 1)  # of a wrong design its own error tells
    plans, broken = execute(cfg, Console(stderr=True))
    if cfg.shard is None and len(broken) < len(plans):
        study = collect(plans[0].study, only={plan.key_in_tables for plan in plans})
        _write(study, Path(cfg.results) / "evaluations", cfg.suite.get("path"), sys.argv[1:])
    return 1 if broken else 0


def _write(study: Study, folder: Path, store: str | None, argv: list[str]) -> None:
    licences = evaluations.licences(Path(store).expanduser() / "index.csv") if store else {}
    words = [word for word in argv if word != _EXPERIMENT]
    command = shlex.join(["python", "-m", "hptbench", "collect-evaluations", *words])
    path, table = evaluations.write(study, folder, licences, command)
    Console().print(
        f"{len(table):,} evaluations, {(table['status'] != 'ok').sum():,} of them failed: {table['learner'].nunique()} "
        f"learners on {table['data'].nunique()} data sets\nTable: {path} ({path.stat().st_size / 1e6:.1f} MB), "
        f"card: {path.with_suffix('.md')}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
