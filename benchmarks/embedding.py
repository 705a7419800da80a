"""Whether the learnt embedding of data sets (hptbench.meta.embedding) is of use, on families that it never saw.

python benchmarks/embedding.py --store DIR --out results/meta

Families of data sets are dealt into folds; for each, an embedding is trained on the rest. Then
- each held-out data set is cut into halves of rows: is the other half of it the nearest one among all held-out ones?
  By hand-made meta-features (without sizes and landmarkers), which are compared by their places, too.
- ``nearest`` recommends for the held-out data sets as in ``meta evaluate``, by meta-features and by the embedding.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from hptbench.learners import Table
from hptbench.meta._recommender import places
from hptbench.meta._view import view
from hptbench.meta.auto import curve
from hptbench.meta.described import seen_rows
from hptbench.meta.embedding import Encoder, columns_of, train
from hptbench.meta.features import GROUPS
from hptbench.meta.nearest import Nearest
from hptbench.meta.past import pasts, relative
from hptbench.meta.proof import COUNTS, rest_of
from hptbench.rng import entropy, stream
from hptbench.space import Floats
from hptbench.stats.pairwise import against, corrected

_ROWS = 1000
"""Of a data set that is cut into halves."""
_MAX_ROWS = 4000
_LEFT_OUT = ("size", "landmarks")
_BY = ("features", "embedding")


def by_hand(table: Table) -> Floats:
    """(f,) the meta-features that are compared."""
    seen = view(table)
    with np.errstate(all="ignore"):
        found = [pair for name, group in GROUPS.items() if name not in _LEFT_OUT for pair in group(seen)]
    return np.array([value if isinstance(value, float) and np.isfinite(value) else np.nan for _, value in found])


def halves(table: Table) -> tuple[Table, Table]:
    """Two halves of a sample of the rows."""
    rows = stream(entropy("halves", len(table))).permutation(len(table))[:_ROWS]
    return table.take(rows[: len(rows) // 2]), table.take(rows[len(rows) // 2 :])


def matched(first: Floats, second: Floats) -> Floats:
    """(n,) whether row i of ``second`` is the nearest to row i of ``first``, both (n, d)."""
    gaps = np.abs(first[:, None] - second[None]).sum(axis=2)
    return np.asarray(gaps.argmin(axis=1) == np.arange(len(first)), float)


def matches(tables: Mapping[str, Table], encoder: Encoder) -> dict[str, float]:
    """Shares of the data sets of which the halves find one another."""
    pairs = [halves(table) for table in tables.values()]
    learnt = [np.stack([encoder(pair[i]) for pair in pairs]) for i in (0, 1)]
    hand = [np.stack([by_hand(pair[i]) for pair in pairs]) for i in (0, 1)]
    kept = ~np.isnan(np.concatenate(hand)).all(axis=0)
    hand = [np.where(np.isnan(part[:, kept]), np.nanmedian(hand[1][:, kept], axis=0), part[:, kept]) for part in hand]
    near = np.stack([places(hand[1], row)[1] for row in hand[0]])
    return {
        "data sets": len(pairs), "chance": 1 / len(pairs), "embedding": matched(*learnt).mean(),
        "features": matched(near, places(hand[1], hand[1][0])[0]).mean(),
    }  # fmt: skip


def main() -> None:
    """Print and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--store", required=True)
    parser.add_argument("--table", type=Path, default=Path("results/evaluations/tabular.parquet"))
    parser.add_argument("--features", type=Path, default=Path("results/evaluations/features.parquet"))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("results/meta"))
    options = parser.parse_args()
    table, described = pd.read_parquet(options.table), pd.read_parquet(options.features)
    known = pasts(table, described)
    family = dict(zip(described["data"], described["family"], strict=True))
    tables = {}
    for name in sorted(family):
        tables[name] = seen_rows(name, options.store, _MAX_ROWS)
    columns = {name: columns_of(one) for name, one in tables.items()}
    print(f"{len(tables)} data sets read, {time.process_time():.0f} s", file=sys.stderr, flush=True)
    families = sorted(set(family.values()))
    fold = dict(zip(families, stream(entropy("folds")).permutation(len(families)) % options.folds, strict=True))
    lines, rows = [], []
    for k in range(options.folds):
        inside = {name for name in tables if fold[family[name]] == k}
        began = time.process_time()
        encoder = train({name: one for name, one in columns.items() if name not in inside}, options.steps)
        spent = time.process_time() - began
        print(f"fold {k}: trained, {spent:.0f} s", file=sys.stderr, flush=True)
        numbers = {name: encoder(one) for name, one in tables.items()}
        for past in known.values():
            names = tuple(encoder.named(next(iter(tables.values()))))
            learnt = np.stack([numbers[name] for name in past.data])
            past = replace(past, names=past.names + names, features=np.hstack([past.features, learnt]))
            for i, name in enumerate(past.data):
                if name not in inside:
                    continue
                rest, _ = rest_of(past, str(past.families[i]))
                for by in _BY:
                    order = Nearest(by=by).order(rest, past.features[i], max(COUNTS))
                    found = curve(order, past.validation[i], relative(past.test)[i], COUNTS)
                    for count, loss in zip(COUNTS, found, strict=True):
                        rows.append((past.learner, past.kind, family[name], by, count, loss))
        print(f"fold {k}: recommended, {time.process_time():.0f} s", file=sys.stderr, flush=True)
        found = matches({name: tables[name] for name in sorted(inside)}, encoder)
        lines.append({"fold": k, "seconds": spent, **found})
        print(lines[-1], file=sys.stderr, flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    text = page(pd.DataFrame(lines), pd.DataFrame(rows, columns=["learner", "kind", "family", "by", "count", "loss"]))
    command = f"python benchmarks/embedding.py --store DIR --steps {options.steps} --folds {options.folds}"
    (options.out / "embedding.md").write_text(f"# A learnt embedding of data sets\n\n    {command}\n\n{text}")
    print(text)


def page(matches: pd.DataFrame, rows: pd.DataFrame) -> str:
    """What was found."""
    mean = rows.groupby(["kind", "family", "by", "count"])["loss"].mean().unstack(["by", "count"])
    tests = [against(mean[[(by, count) for by in _BY]].to_numpy(float), list(_BY), _BY[0])[0] for count in COUNTS]
    lines = [
        "Halves of a held-out data set that find one another among all held-out ones:", "",
        "| fold | data sets | chance | embedding | meta-features without sizes and landmarkers | training, processor |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for one in matches.to_dict("records"):
        shares = " | ".join(f"{one[name]:.1%}" for name in ("chance", "embedding", "features"))
        lines.append(f"| {one['fold'] + 1} | {one['data sets']} | {shares} | {one['seconds']:.0f} s |")
    lines += [
        "",
        "Normalised test loss of the best by validation of the first so many of `nearest`, mean over "
        f"{len(mean)} families, each held out (Wilcoxon's signed-rank test over families):",
        "",
        "| recommendations | by meta-features | by the embedding | p | p, Holm |",
        "|---|---|---|---|---|",
    ]
    for count, test in zip(COUNTS, corrected(tests), strict=True):
        a, b = (mean[by, count].mean() for by in _BY)
        lines.append(f"| {count} | {a:.3f} | {b:.3f} | {test.p:.3f} | {test.p_holm:.3f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
