"""``export``: a study in the format of another tool.

python -m hptbench export results/embedded --to deepcave
python -m hptbench export results/embedded --to optuna --out embedded.db
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hptbench.commands.compare import chosen
from hptbench.errors import UserError
from hptbench.exchange import to_carps, to_deepcave, to_ioh, to_optuna
from hptbench.exchange.study import Finished, finished
from hptbench.results.collect import collect

FORMATS: Mapping[str, tuple[Callable[[Sequence[Finished], Path], str], str]] = {
    "carps": (to_carps.export, ".parquet"),
    "deepcave": (to_deepcave.export, ""),
    "ioh": (to_ioh.export, ""),
    "optuna": (to_optuna.export, ".db"),
}
"""How each is written, and how its file ends; nothing for a folder."""


def main(argv: list[str]) -> int:
    """Write a study's finished runs for another tool."""
    parser = argparse.ArgumentParser(
        "python -m hptbench export", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("results", type=Path, help="folder of a study")
    parser.add_argument("--to", required=True, choices=FORMATS, help="format; docs/EXCHANGE.md")
    parser.add_argument("--where", nargs="+", default=[], metavar="COLUMN=VALUE", help="only these runs, as in compare")
    parser.add_argument("--out", type=Path, help="new file or folder; default: named by the format, in the study's")
    options = parser.parse_args(argv)
    write, suffix = FORMATS[options.to]
    out = options.out or options.results / f"{options.to}{suffix}"
    if not out.parent.is_dir():
        raise UserError(f"expected --out in a folder that exists, got {out}")
    if out.exists():
        raise UserError(f"expected --out to be new, but {out} is there; name another, or delete it")
    print(write(finished(chosen(collect(options.results), options.where)), out))
    return 0
