"""``checklist``: the check-lists of AutoML-Conf and for NAS, filled from the logs of a study, as Markdown.

python -m hptbench checklist results/embedded --out checklist.md
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from hptbench.commands.compare import chosen
from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.report.checklist import markdown
from hptbench.report.data import Data, measure_of
from hptbench.results.collect import collect


def main(argv: list[str]) -> int:
    """Print the check-lists, or write them to a file."""
    parser = argparse.ArgumentParser(
        "python -m hptbench checklist", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("results", type=Path, help="folder of a study")
    parser.add_argument("--where", nargs="+", default=[], metavar="COLUMN=VALUE", help="only these runs, as in compare")
    parser.add_argument("--out", type=Path, help="a file ending in .md; default: print")
    options = parser.parse_args(argv)
    if options.out is not None and (options.out.suffix != ".md" or not options.out.parent.is_dir()):
        raise UserError(f"expected --out to be a file ending in .md in a folder that exists, got {options.out}")
    study = chosen(collect(options.results), options.where)
    command = shlex.join(["python", "-m", "hptbench", "checklist", *argv])
    text = markdown(Data(study, measure_of(study)), command)
    if options.out is None:
        sys.stdout.write(text)
    else:
        write_whole(options.out, lambda part: part.write_text(text, encoding="utf-8"))
        print(options.out)
    return 0
