"""Write docs/PLANTED.md: levels, powers and coverages that simulated studies show. python scripts/planted.py

The cases are those that the tests assert, with more studies: minutes of one core.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

from hptbench.commands._formats import markdown_table
from hptbench.stats.aggregate import DRAWS
from hptbench.testing.planted import CASES, STUDIES

HEAD = """\
# Planted truth: what simulated studies show

<!-- made by scripts/planted.py from hptbench/testing/planted.py -->

Studies are simulated whose answer is known; measured is the share of them in which a test rejects (level, power), or
an interval holds the truth (coverage), with its Monte-Carlo standard error. Nominal is what it should be: at most 0.05
for a level, about 0.95 for a coverage, what `stats.power` predicts for a power. Signed-rank tests are exact, hence
below their level where there are ties. Three rows are of what is *not used*, and why. Bootstraps of the simulated
studies have 1,000 resamples, real ones {draws:,}. The tests assert bounds on every row with {tested:,} studies. Made by
`{command}` in {seconds:.0f} s of processor time.
"""


def main() -> None:
    """Simulate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=10_000, help="of each case; default 10,000")
    options = parser.parse_args()
    rows = []
    for case in CASES.values():
        share, error = case.measured(options.studies)
        rows.append([case.what, f"{case.nominal:.3f}", f"{share:.4f}", f"{error:.4f}"])
        print(*rows[-1], f"{time.process_time():.0f} s", sep="  ", flush=True)
    head = ["what", "nominal", "measured", "standard error"]
    command = shlex.join(["python", "scripts/planted.py", *sys.argv[1:]])
    text = HEAD.format(draws=DRAWS, tested=STUDIES, command=command, seconds=time.process_time())
    page = Path(__file__).resolve().parent.parent / "docs" / "PLANTED.md"
    whole = "\n".join([text, f"{options.studies:,} studies for each row.", "", *markdown_table(head, rows)])
    page.write_text(whole + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
