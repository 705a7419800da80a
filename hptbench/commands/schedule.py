"""``schedule``: the schedule of hyperparameters that a population based training found, as a file.

python -m hptbench schedule results/training --where method=pbt task=noisy_quadratic-100 --out found.yaml
python -m hptbench +method=default suite=training \\
    'suite.instances=[{function: noisy_quadratic, wrap: [{replayed: {file: found.yaml}}]}]'
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from hptbench.commands.compare import chosen
from hptbench.files import write_whole
from hptbench.results.collect import collect
from hptbench.results.schedules import schedule


def main(argv: list[str]) -> int:
    """Follow the best member of a study, or a given job, back to its beginning."""
    parser = argparse.ArgumentParser(
        "python -m hptbench schedule", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("results", type=Path, help="folder of a study")
    parser.add_argument("--where", nargs="+", default=[], metavar="COLUMN=VALUE", help="only these runs, as in compare")
    parser.add_argument("--job", type=int, help="the job to follow back, of one run; default: the best one")
    parser.add_argument("--out", type=Path, help="a file ending in .yaml or .json; default: print YAML")
    options = parser.parse_args(argv)
    found = schedule(chosen(collect(options.results), options.where), options.job).to_json()
    as_json = options.out is not None and options.out.suffix == ".json"
    text = json.dumps(found, indent=1) + "\n" if as_json else _yaml(found)
    if options.out is None:
        sys.stdout.write(text)
    else:
        write_whole(options.out, lambda part: part.write_text(text, encoding="utf-8"))
        print(f"{len(found['steps'])} configurations, value {found['value']:.6g}: {options.out}")
    return 0


def _yaml(found: object) -> str:
    import yaml

    return yaml.safe_dump(found, sort_keys=False, default_flow_style=None, width=120)
