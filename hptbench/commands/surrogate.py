"""``surrogate``: benchmarks that answer at once, fitted to tables of evaluations.

python -m hptbench surrogate fit      from the table to model.npz, card.yaml and check.json of every learner
python -m hptbench surrogate check    whether the models still say what check.json says
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from hptbench.commands._verbs import do
from hptbench.errors import UserError, unknown
from hptbench.paths import surrogates_dir

_TABLE = "results/evaluations/tabular.parquet"
_WHY = (
    "it is none of ours, or lacks data sets with all configurations at two fidelities, test losses and processor time"
)


def main(argv: list[str]) -> int:
    """Do what the first word says."""
    return do("surrogate", {"fit": _fit, "check": _check}, argv, __doc__)


def _fit(argv: list[str]) -> int:
    """Fit the surrogates; the same table gives the same bytes."""
    from hptbench.meta import surrogates
    from hptbench.meta.past import FEWEST
    from hptbench.tasks._parquet import read_parquet

    parser = argparse.ArgumentParser("python -m hptbench surrogate fit", description=_fit.__doc__)
    parser.add_argument("--table", type=Path, default=Path(_TABLE), help="of collect-evaluations; %(default)s")
    parser.add_argument("--learner", nargs="*", help="default: all with enough data sets")
    parser.add_argument("--fewest", type=int, default=FEWEST, help="data sets; %(default)s")
    parser.add_argument("--out", type=Path, default=surrogates_dir(), help="folder; %(default)s")
    options = parser.parse_args(argv)
    table = read_parquet(options.table, "table of evaluations")
    there = surrogates.learners_of(table, options.fewest)
    if not there:
        raise UserError(
            f"expected {options.fewest} data sets with all configurations of a learner, got none; there are no "
            "surrogates of networks (neural_*)"
        )
    for name in sorted(set(table["learner"].astype(str)) - set(there)):
        print(
            f"{name}: left out, {'networks have no surrogates' if name.startswith('neural_') else _WHY}",
            file=sys.stderr,
        )
    command = shlex.join(["python", "-m", "hptbench", "surrogate", "fit", *argv])
    source, licence = str(options.table), "that of the table"
    if options.table.resolve() == (surrogates_dir().parent / _TABLE).resolve():
        source, licence = f"{_TABLE}; its card states versions, machine, limits and licences", "that of the project"
    for name in options.learner or there:
        if name not in there:
            raise unknown("learner with enough evaluations", name, there)
        print(name, file=sys.stderr)
        groups = surrogates.groups_of(table, name, options.fewest)
        card = surrogates.write(groups, options.out / name, command, source, licence)
        for group in groups:
            rho = card["kinds"][group.kind]["held-out Spearman"][
                f"validation {group.metrics[0]} at {group.levels[-1]:.3g}"
            ]
            middle = rho.get("median", "not defined")
            print(f"{name} {group.kind}: {len(group.data)} data sets, held-out Spearman {middle} in the median")
    return 0


def _check(argv: list[str]) -> int:
    """Recompute the examples of every surrogate."""
    from hptbench.meta import surrogates

    parser = argparse.ArgumentParser("python -m hptbench surrogate check", description=_check.__doc__)
    parser.add_argument("--dir", type=Path, default=surrogates_dir(), help="folder of surrogates; %(default)s")
    options = parser.parse_args(argv)
    folders = sorted(file.parent for file in options.dir.glob("*/check.json"))
    if not folders:
        raise UserError(f"expected surrogates in {options.dir}, got none; make them: python -m hptbench surrogate fit")
    wrong = [line for folder in folders for line in surrogates.differences(folder)]
    for line in wrong:
        print(line)
    print(f"{len(folders)} surrogates, {len(wrong)} values differ")
    return 1 if wrong else 0
