"""The meta-features of many data sets as one table, so that nobody needs the data sets to learn from it.

A row per data set: ``data``, ``family`` (data sets of one origin share it), ``kind`` (classification or regression),
``version`` of the definitions, then a column per meta-feature, 32 bits, null where it is not defined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hptbench.errors import UserError, unknown
from hptbench.learners import Table
from hptbench.meta.embedding import Encoder
from hptbench.meta.features import VERSION, features
from hptbench.registry import find

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("data", "family", "kind", "version")


def seen_rows(data: str, store: str, max_rows: int) -> Table:
    """The rows of a data set from which a table of evaluations let its learners learn: without those that test."""
    task = find("task", "dataset")(
        data=data, learner="decision_tree", store=store, axis="rows", max_rows=max_rows, drop_rare=True
    )
    rest: Table = task.outer().rest
    return rest


def described(
    store: str,
    names: Sequence[str] | None,
    max_rows: int,
    tell: Callable[[str], None] = lambda _: None,
    encoder: Encoder | None = None,
) -> pd.DataFrame:
    """The table of the data sets of a store (all, or some by name), with what ``encoder`` makes of them, if there is
    one, besides. ``tell`` is called with each name.

    The family is the index's; without such a column, each data set is its own. UserError for unknown names."""
    import pandas as pd

    kinds = kinds_of(store, names)
    families = families_of(Path(store).expanduser() / "index.csv")
    rows = []
    for name, kind in kinds.items():
        tell(name)
        table = seen_rows(name, store, max_rows)
        values = {**features(table).values, **(encoder.named(table) if encoder else {})}
        rows.append({"data": name, "family": families[name], "kind": kind, "version": VERSION, **values})
    frame = pd.DataFrame(rows)
    return frame.astype({name: "float32" for name in frame if name not in KEYS})


def kinds_of(store: str, names: Sequence[str] | None) -> dict[str, str]:
    """The data sets of a store (all, or some by name), in order, and whether they are for classification or regression.
    UserError for unknown names, and if there are none."""
    task: Any = find("task", "dataset")
    kinds: dict[str, str] = task.data_sets(store)
    for name in names or ():
        if name not in kinds:
            raise unknown(f"data set of {store}", name, kinds)
    chosen = sorted(kinds if names is None else names)
    if not chosen:
        raise UserError(f"expected data sets in {store}, got none")
    return {name: kinds[name] for name in chosen}


def families_of(index: Path) -> dict[str, str]:
    """Data set -> family as the index of a store states it, or else itself."""
    import pandas as pd

    frame = pd.read_csv(index, dtype=str, keep_default_na=False)
    family = frame["family"].where(frame["family"] != "", frame["name"]) if "family" in frame else frame["name"]
    return dict(zip(frame["name"], family, strict=True))
