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
    store: str, names: Sequence[str] | None, max_rows: int, tell: Callable[[str], None] = lambda _: None
) -> pd.DataFrame:
    """The table of the data sets of a store (all, or some by name). ``tell`` is called with each name.

    The family is the index's; without such a column, each data set is its own. UserError for unknown names."""
    import pandas as pd

    task: Any = find("task", "dataset")
    kinds = task.data_sets(store)
    for name in names or ():
        if name not in kinds:
            raise unknown(f"data set of {store}", name, kinds)
    families = families_of(Path(store).expanduser() / "index.csv")
    rows = []
    for name in sorted(kinds if names is None else names):
        tell(name)
        values = features(seen_rows(name, store, max_rows)).values
        rows.append({"data": name, "family": families[name], "kind": kinds[name], "version": VERSION, **values})
    if not rows:
        raise UserError(f"expected data sets in {store}, got none")
    frame = pd.DataFrame(rows)
    return frame.astype({name: "float32" for name in frame if name not in KEYS})


def families_of(index: Path) -> dict[str, str]:
    """Data set -> family as the index of a store states it, or else itself."""
    import pandas as pd

    frame = pd.read_csv(index, dtype=str, keep_default_na=False)
    family = frame["family"].where(frame["family"] != "", frame["name"]) if "family" in frame else frame["name"]
    return dict(zip(frame["name"], family, strict=True))
