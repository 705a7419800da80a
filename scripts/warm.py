"""What a warm start saves: python scripts/warm.py [results/meta_warm]

Of the published runs of `+experiment=meta_warm`: log10 of the normalised regret, averaged over seeds and then over the
tasks of a family of data sets; families are the units. A warm method has caught up with the cold one when its score is
as good as that of the cold one at the end. Writes warm.md into the folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import quantile_test

from hptbench.commands._formats import markdown_table
from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.results.published import Published, read
from hptbench.results.regret import Axis, Standing, incumbents, log_regrets, standing
from hptbench.space import Floats
from hptbench.stats.pairwise import corrected, pairwise

_WARM = "warm_"
_AT = (1, 4, 8, 16, 25, 50)
_ROUNDING = 1e-9


def scores(found: Published) -> Standing:
    """Scores after 1, 2, … full evaluations of training, to the end of the longest run. UserError if a warm method has
    no cold one beside it, or a run is missing."""
    names = set(found.runs["method"])
    if lacking := sorted(name for name in names if name.removeprefix(_WARM) not in names):
        raise UserError(f"expected a cold method beside each warm one, got none for {', '.join(lacking)}")
    if not any(name.startswith(_WARM) for name in names):
        raise UserError(f"expected methods whose names begin with {_WARM}, got {', '.join(sorted(names))}")
    counts = found.runs.groupby(["task", "method"]).size()
    if counts.nunique() > 1:
        raise UserError(f"expected {counts.max()} seeds of every method on every task, got {counts.min()} of some")
    axis = Axis(np.arange(1.0, np.floor(found.steps["credited"].max() + _ROUNDING) + 1), "credited", found.worth)
    units = dict(zip(found.runs["task"], found.runs["unit"], strict=True))
    return standing(log_regrets(incumbents(found.steps, axis), found.references), units, axis)


def caught_up(at: Standing, cold: str) -> Floats:
    """(units,) after how many evaluations the warm method is as good as ``cold`` at the end; +inf if it never is."""
    warm, end = (at.scores[:, :, at.methods.index(name)] for name in (_WARM + cold, cold))
    as_good = warm <= end[-1] + _ROUNDING
    return np.where(as_good.any(axis=0), at.axis.at[as_good.argmax(axis=0)], np.inf)


def page(at: Standing, seeds: int) -> str:
    """Markdown."""
    names = sorted(name for name in at.methods if _WARM + name in at.methods)
    places = [n for n in _AT if n <= at.axis.at[-1]]
    rows, pairs = [], []
    for cold in names:
        reached = caught_up(at, cold)
        low, high = quantile_test(reached, q=np.median(reached), p=0.5).confidence_interval(0.95)
        rows.append([cold, f"{np.median(reached):g}", f"[{low:g}, {high:g}]", f"{np.isinf(reached).mean():.0%}"])
        for n in places:
            both = at.after(n)[:, [at.methods.index(_WARM + cold), at.methods.index(cold)]]
            pairs.append((n, both, pairwise(both, [_WARM + cold, cold])[0]))
    tested = corrected([pair for _, _, pair in pairs])
    head = ["method", "evaluations", "warm", "cold", "won/tied/lost", "difference", "interval", "p Holm"]
    duels = [
        [pair.b, f"{n}", *(f"{score:.3f}" for score in both.mean(axis=0)), f"{pair.wins}/{pair.ties}/{pair.losses}",
         f"{pair.difference:.3f}", f"[{pair.low:.3f}, {pair.high:.3f}]", f"{pair.p_holm:.2g}"]
        for (n, both, _), pair in zip(pairs, tested, strict=True)
    ]  # fmt: skip
    return "\n".join([
        "# Warm against cold",
        "",
        f"Made by `python scripts/warm.py`, from {len(at.units)} families of data sets, {seeds} seeds. Scores: log10 "
        "of the normalised regret of what the incumbent is worth when trained in full, averaged over seeds.",
        "",
        f"After how many evaluations a warm start is as good as a cold one after {at.axis.at[-1]:g}: the median over "
        "families, with a 95 % interval by order statistics, and the share of families on which it never is.",
        "",
        *markdown_table(["method", "median", "interval", "never"], rows),
        "",
        f"Wilcoxon signed-rank tests over families, Holm over all {len(tested)} comparisons. Difference: "
        "Hodges–Lehmann, of the scores, with a 95 % interval that is not corrected; negative: warm is better.",
        "",
        *markdown_table(head, duels),
        "",
    ])  # fmt: skip


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("results/meta_warm"))
    folder = parser.parse_args().folder
    found = read(folder)
    text = page(scores(found), found.runs["seed"].nunique())
    write_whole(folder / "warm.md", lambda part: part.write_text(text, encoding="utf-8"))
    print(text)


if __name__ == "__main__":
    main()
