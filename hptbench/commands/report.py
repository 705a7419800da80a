"""``report``: a study as one HTML file that needs no network, and its figures as files.

python -m hptbench report results/embedded
python -m hptbench report results/embedded --figures png pdf svg
python -m hptbench report results/embedded --watch

Writes report.html into the folder of the study, and with --figures one file per figure and format into its folder
figures/, each with a side-car (caption, command, SHA-256 of the study's tables, numbers drawn). With --watch the page
is served on this machine alone, and made anew while the study runs, its unfinished runs included.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from hptbench.commands.compare import PROTOCOL, add_missing, add_rope, check_comparable, chosen
from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.plots.draw import FORMATS, draw
from hptbench.report.data import Data, measure_of
from hptbench.report.page import Page, page, render
from hptbench.results.collect import collect, inputs
from hptbench.results.schema import Measure
from hptbench.results.table import Accounting, Missing
from hptbench.results.unfinished import unfinished

PORT = 8000


def main(argv: list[str]) -> int:
    """Write the report of a study, or serve it."""
    parser = argparse.ArgumentParser(
        "python -m hptbench report", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("results", type=Path, help="folder of a study")
    parser.add_argument(
        "--measure", choices=get_args(Measure), help="score of the incumbents; default: test, if there is one"
    )
    parser.add_argument("--accounting", default="credited", choices=get_args(Accounting), help="as in compare")
    parser.add_argument("--where", nargs="+", default=[], metavar="COLUMN=VALUE", help="only these runs, as in compare")
    parser.add_argument(
        "--unequal", nargs="+", default=[], metavar="WHAT", help=f"what may differ: {', '.join(PROTOCOL)}"
    )
    add_missing(parser, "drop")
    add_rope(parser)
    parser.add_argument("--out", type=Path, help="the file; default: report.html in the folder of the study")
    parser.add_argument("--figures", nargs="+", choices=FORMATS, default=[], help="also write the figures as files")
    parser.add_argument("--watch", action="store_true", help="serve the page on 127.0.0.1, and keep it up to date")
    parser.add_argument("--port", type=int, default=PORT, help=f"of --watch; default {PORT}, 0: any that is free")
    options = parser.parse_args(argv)
    command = shlex.join(["python", "-m", "hptbench", "report", *argv])

    def make() -> Page:
        return made(
            options.results, options.measure, options.accounting, options.where, options.unequal, command,
            options.missing, options.rope,
        )  # fmt: skip

    if options.watch:
        from hptbench.report.server import serve

        if options.figures or options.out:
            raise UserError("expected --watch alone, got it with --figures or --out: a watched page is no file")
        return serve(options.results, make, options.port)
    out = options.out or options.results / "report.html"
    if options.out and not out.parent.is_dir():
        raise UserError(f"expected a file in a folder that exists, got {out}")
    report = make()
    text = render(report)
    write_whole(out, lambda part: part.write_text(text, encoding="utf-8"))
    print(f"{report.verdict.headline}\n{out} ({len(text.encode()) / 1e6:.1f} MB)")
    for what, why in report.missing:
        print(f"Not shown: {what}: {why}")
    if options.figures and report.data is not None:
        tables = inputs(options.results)
        for figure in report.drawn:
            for path in draw(figure, out.parent / "figures", report.methods, options.figures, command, tables):
                print(path)
    return 0


def made(
    folder: Path,
    measure: Measure | None = None,
    accounting: Accounting = "credited",
    where: Sequence[str] = (),
    unequal: Sequence[str] = (),
    command: str = "",
    missing: Missing = "drop",
    rope: float | None = None,
) -> Page:
    """The report of the study in ``folder``. UserError if there is none, no run has begun, or runs do not compare."""
    progress = unfinished(folder)
    data = None
    if any((folder / "runs").glob("*/*/*/run.json")):
        study = chosen(collect(folder), where)
        check_comparable(study.runs, unequal)
        data = Data(study, measure or measure_of(study), accounting, missing, rope, tuple(unequal), tuple(where))
    return page(folder.resolve().name, data, progress, command)
