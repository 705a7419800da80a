"""Write docs/RESULTS.md from hptbench/results/schema.py: python scripts/results_md.py"""

from __future__ import annotations

from pathlib import Path

from hptbench.results.schema import JOBS, RUNS, Column

HEAD = """\
# What a study leaves

<!-- made by scripts/results_md.py from hptbench/results/schema.py -->

    results/<study>/jobs.parquet    a row per finished job
    results/<study>/runs.parquet    a row per finished run
    results/<study>/hypotheses.json what was registered before the study, if anything was (docs/STATISTICS.md)
    results/<study>/configs/        what was run: the settings of each command, resolved; `reproduce` goes by them
    results/<study>/anytime.png     the incumbents over the budget, with its numbers in anytime.json
    results/<study>/report.html     the study as one page, by `report`; figures/ with its --figures
    results/<study>/attainment.png  what runs on tasks of two objectives attain, with its numbers in attainment.json
    results/<study>/runs/<task>/<method>/<seed>-<id>/
        journal.jsonl               finished jobs as they ended: what a resumed run is made from
        states/                     what real trainings can go on from (at most 64 and one per worker), until the run is
                                    finished; pickles for the run's own next session, never part of a result
        jobs.parquet, run.json      the run's part of the two tables; run.json is there = the run is finished

A run's id is a hash of all that can change its result, and of nothing else. Columns marked * are measured: they differ
between executions of the same run; all others are the same, bit for bit, on processors of one kind. On another kind
(with AVX-512 or without, another kernel of BLAS) designs, grids and random search still propose the same, but models
may differ in their last digits, and so may what follows from them; runs name their machine.
"""


def markdown() -> str:
    """The page."""
    parts = [HEAD]
    for name, columns in (("jobs.parquet", JOBS), ("runs.parquet", RUNS)):
        parts.append(
            f"\n## {name}\n\n| column | type | unit | meaning |\n|---|---|---|---|\n" + "".join(map(_row, columns))
        )
    return "".join(parts)


def _row(column: Column) -> str:
    star = "" if column.repeatable else " *"
    return f"| `{column.name}`{star} | {column.type} | {column.unit} | {column.meaning} |\n"


if __name__ == "__main__":
    page = Path(__file__).resolve().parent.parent / "docs" / "RESULTS.md"
    page.write_text(markdown(), encoding="utf-8")
