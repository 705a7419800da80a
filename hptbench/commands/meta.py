"""``meta``: what recommendations are learnt from, and how good they are on data sets that nobody saw.

python -m hptbench meta features --store DIR     meta-features of a store's data sets, as a small table
python -m hptbench meta embed --store DIR        a learnt embedding of data sets (extra neural); off by default
python -m hptbench meta train                    the recommender that ships with the package
python -m hptbench meta methods                  what published studies say of methods, which ships with it, too
python -m hptbench meta evaluate                 leave one family of data sets out, compare the recommenders

Each reads and writes the files that its flags name; the defaults are those of the repository.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hptbench.commands._verbs import do
from hptbench.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_TABLES = ("results/evaluations/tabular.parquet", "results/evaluations/boosting.parquet")
_FEATURES = "results/evaluations/features.parquet"
_STUDY = "results/blackbox"
_EMBEDDING = "results/meta/embedding.npz"
_WHY = "it is none of our learners, or lacks its default or all configurations on enough data sets"
_MAX_ROWS = 4000
"""Those of results/evaluations/tabular.parquet."""


def main(argv: list[str]) -> int:
    """Do what the first word says."""
    return do(
        "meta",
        {"features": _features, "embed": _embed, "train": _train, "methods": _methods, "evaluate": _evaluate},
        argv,
        __doc__,
    )


def _features(argv: list[str]) -> int:
    """Meta-features of a store's data sets."""
    from hptbench.files import write_whole
    from hptbench.meta.described import described
    from hptbench.meta.embedding import load

    parser = argparse.ArgumentParser("python -m hptbench meta features", description=_features.__doc__)
    _data_sets(parser)
    parser.add_argument("--embedding", type=Path, metavar="FILE", help="of meta embed: its numbers besides")
    parser.add_argument("--out", type=Path, default=Path(_FEATURES), help="%(default)s")
    options = parser.parse_args(argv)
    encoder = load(options.embedding) if options.embedding else None
    table = described(options.store, options.data, options.max_rows, _tell, encoder)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(options.out, lambda part: table.to_parquet(part, compression="zstd", index=False))
    print(f"{options.out}: {table.shape[1] - 4} meta-features of {len(table)} data sets")
    return 0


def _embed(argv: list[str]) -> int:
    """Train an embedding of data sets on those of a store, which tells samples of their rows and columns apart."""
    from hptbench.errors import UserError
    from hptbench.meta import embedding
    from hptbench.meta.described import kinds_of, seen_rows

    parser = argparse.ArgumentParser("python -m hptbench meta embed", description=_embed.__doc__)
    _data_sets(parser)
    parser.add_argument("--steps", type=int, default=1000, help="of training; %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="%(default)s")
    parser.add_argument("--out", type=Path, default=Path(_EMBEDDING), help="%(default)s")
    options = parser.parse_args(argv)
    if options.steps < 1:
        raise UserError(f"expected --steps >= 1, got {options.steps}")
    tables = {}
    for name in kinds_of(options.store, options.data):
        _tell(name)
        tables[name] = embedding.columns_of(seen_rows(name, options.store, options.max_rows))
    encoder = embedding.train(tables, options.steps, seed=options.seed)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    embedding.save(encoder, options.out)
    print(f"{options.out}: trained on {len(tables)} data sets, {options.out.stat().st_size / 1e3:.0f} kB")
    return 0


def _data_sets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", required=True, help="folder of the store")
    parser.add_argument("--data", nargs="*", help="names of data sets; default: all")
    parser.add_argument("--max-rows", type=int, default=_MAX_ROWS, help="as in the table of evaluations (%(default)s)")


def _tell(name: str) -> None:
    print(name, file=sys.stderr)


def _train(argv: list[str]) -> int:
    """Learn what to recommend: the artefact that ships with the package."""
    from hptbench.meta import artefact

    parser = argparse.ArgumentParser("python -m hptbench meta train", description=_train.__doc__)
    _tables(parser)
    parser.add_argument("--out", type=Path, default=artefact.SHIPPED, help="%(default)s")
    options = parser.parse_args(argv)
    table, described = _read(options)
    found = artefact.train(table, described)
    for name in sorted(set(table["learner"].astype(str)) - {learner for learner, _ in found.pasts}):
        print(f"{name}: left out, {_WHY}", file=sys.stderr)
    artefact.save(found, options.out)
    size = options.out.stat().st_size / 1e6
    members = "; ".join(f"{kind}: {'+'.join(auto.members)}" for kind, auto in found.autos.items())
    print(f"{options.out}: {len(found.pasts)} pairs of a learner and a kind of task, {size:.1f} MB; auto is {members}")
    return 0


def _evaluate(argv: list[str]) -> int:
    """Leave one family of data sets out after the other; write proof.parquet and proof.md."""
    from hptbench.files import write_whole
    from hptbench.meta import ablation, proof, verdict
    from hptbench.meta.embedding import PREFIX
    from hptbench.meta.nearest import Nearest
    from hptbench.meta.past import pasts

    parser = argparse.ArgumentParser("python -m hptbench meta evaluate", description=_evaluate.__doc__)
    _tables(parser)
    parser.add_argument("--without", nargs="*", default=[], choices=proof.RECOMMENDERS, help="of these recommenders")
    parser.add_argument("--out", type=Path, default=Path("results/meta"), help="folder; %(default)s")
    options = parser.parse_args(argv)
    compared = {name: one for name, one in proof.RECOMMENDERS.items() if name not in options.without}
    table, described = _read(options)
    if any(str(name).startswith(PREFIX) for name in described):
        compared["nearest_embedding"] = Nearest(by="embedding")
    found = pasts(table, described)
    ablated = ablation.ablate(found)
    rows = proof.prove(found, compared, _tell)
    options.out.mkdir(parents=True, exist_ok=True)
    write_whole(options.out / "proof.parquet", lambda part: rows.to_parquet(part, compression="zstd", index=False))
    text = verdict.page(rows, ablated, shlex.join(["python", "-m", "hptbench", "meta", "evaluate", *argv]))
    write_whole(options.out / "proof.md", lambda part: part.write_text(text, encoding="utf-8"))
    for target in verdict.targets(rows):
        print(f"{'holds' if target.holds else 'DOES NOT HOLD'}: {target.claim}")
    print(f"{options.out / 'proof.md'}")
    return 0


def _tables(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--table", type=Path, nargs="+", default=[Path(one) for one in _TABLES],
        help=f"one or more of collect-evaluations; default: {' '.join(_TABLES)}",
    )  # fmt: skip
    parser.add_argument("--features", type=Path, default=Path(_FEATURES), help="of meta features; %(default)s")


def _read(options: argparse.Namespace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of evaluations as one, and that of meta-features."""
    import pandas as pd

    from hptbench.tasks._parquet import read_parquet

    parts = [read_parquet(path, "table of evaluations") for path in options.table]
    table = pd.concat(parts, ignore_index=True)
    keys = [name for name in ("data", "learner", "configuration", "fidelity") if name in table]
    if (twice := table.duplicated(keys)).any():
        one = ", ".join(f"{key} {value}" for key, value in table.loc[twice, keys].iloc[0].items())
        raise UserError(f"expected tables that share no evaluation, got several of {one}; leave one of them out")
    return table, read_parquet(options.features, "table of meta-features")


def _methods(argv: list[str]) -> int:
    """What published studies say of methods: the file that ships with the package."""
    from hptbench.files import write_whole
    from hptbench.meta.which import SHIPPED
    from hptbench.results.evidence import evidence

    parser = argparse.ArgumentParser("python -m hptbench meta methods", description=_methods.__doc__)
    parser.add_argument("studies", nargs="*", type=Path, default=[Path(_STUDY)], help=f"published ones; {_STUDY}")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="%(default)s")
    options = parser.parse_args(argv)
    text = evidence(options.studies)
    write_whole(options.out, lambda part: part.write_text(text, encoding="utf-8"))
    count, studies = text.count('"problem": '), ", ".join(map(str, options.studies))
    print(f"{options.out}: {count} problems of {studies}")
    return 0
