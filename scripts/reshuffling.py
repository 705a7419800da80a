"""What another validation split for each configuration changes: python scripts/reshuffling.py [results/reshuffling]

Of the published runs of `+experiment=reshuffling`: log10 of the hidden test loss of the configuration that each run
chose, averaged over seeds and learners; data sets are the units. Wilcoxon signed-rank tests of each way to validate
with each other one, Holm over all comparisons of the page. Writes reshuffling.md into the folder.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from hptbench.commands._formats import markdown_table
from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.results.published import read
from hptbench.results.schema import KEY
from hptbench.stats.pairwise import corrected, pairwise

_RUN = KEY[:3]
_WAYS = ("holdout", "holdout, reshuffled", "cross-validation", "cross-validation, reshuffled")
_LEAST = 1e-6
"""Losses below it, as of a tree that makes no mistake, count as it."""


def scores(folder: Path) -> pd.DataFrame:
    """A row per data set and method (index), a column per way to validate: log10 test loss of what was chosen.

    Data sets that lack a way are an error."""
    found = read(folder)
    last = found.steps.sort_values("evaluation").groupby(_RUN)["test"].last()
    runs = found.runs.set_index(_RUN)
    told = pd.DataFrame([json.loads(text) for text in runs["task_identity"]], index=runs.index)
    way = told["validation"].map({"holdout": "holdout", "cv": "cross-validation"})
    way += told["reshuffle"].map({True: ", reshuffled", False: ""})
    rows = told[["data", "learner"]].assign(way=way, score=np.log10(np.maximum(last, _LEAST))).reset_index("method")
    whole = rows.pivot_table("score", ["method", "data"], ["learner", "way"], aggfunc="mean")
    whole = whole.reindex(
        columns=pd.MultiIndex.from_product([sorted(set(told["learner"])), _WAYS], names=["learner", "way"])
    )
    if whole.isna().any(axis=None):
        lacking = sorted({f"{data} ({method})" for method, data in whole.index[whole.isna().any(axis=1)]})
        raise UserError(f"expected every way to validate on every data set, but some lack: {', '.join(lacking)}")
    return whole.T.groupby(level="way").mean().T[list(_WAYS)]


def page(table: pd.DataFrame, seeds: int) -> str:
    """Markdown."""
    of_methods = {str(method): part.to_numpy() for method, part in table.groupby(level="method")}
    pairs = [(method, pair) for method, y in of_methods.items() for pair in pairwise(y, _WAYS)]
    tested = corrected([pair for _, pair in pairs])
    n = len(next(iter(of_methods.values())))
    means = [[way, *(f"{y[:, j].mean():.4f}" for y in of_methods.values())] for j, way in enumerate(_WAYS)]
    rows = [
        [method, pair.a, pair.b, f"{pair.wins}/{pair.ties}/{pair.losses}", f"{100 * (10**pair.difference - 1):+.2f} %",
         f"[{100 * (10**pair.low - 1):+.2f}, {100 * (10**pair.high - 1):+.2f}]", f"{pair.p_holm:.2g}"]
        for (method, _), pair in zip(pairs, tested, strict=True)
    ]  # fmt: skip
    return "\n".join([
        "# Reshuffled validation splits",
        "",
        f"Made by `python scripts/reshuffling.py`, from {n} data sets, {seeds} seed(s). Mean log10 of the hidden test "
        "loss of what was chosen; lower is better:",
        "",
        *markdown_table(["validation", *of_methods], means),
        "",
        f"Wilcoxon signed-rank tests over data sets, Holm over all {len(tested)} comparisons. Difference: "
        "Hodges–Lehmann, of the test loss, with a 95 % interval that is not corrected; negative: the first is better.",
        "",
        *markdown_table(["method", "first", "second", "won/tied/lost", "difference", "interval", "p Holm"], rows),
        "",
    ])  # fmt: skip


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("results/reshuffling"))
    folder = parser.parse_args().folder
    text = page(scores(folder), read(folder).runs["seed"].nunique())
    write_whole(folder / "reshuffling.md", lambda part: part.write_text(text, encoding="utf-8"))
    print(text)


if __name__ == "__main__":
    main()
