"""``shard=3/16``: a part of a study's runs, for machines that share its folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hptbench.errors import UserError
from hptbench.run import Plan


@dataclass(frozen=True)
class Shard:
    """Part number ``index`` (from 1) of ``of`` parts."""

    index: int
    of: int

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"

    def share(self, plans: Sequence[Plan]) -> list[Plan]:
        """Its runs, in the order of ``plans``. All shards together have each run once, and equally many of them.

        Which ones is drawn by the runs' ids, so that no shard has all runs of a slow method."""
        names = sorted((plan.id, plan.label) for plan in plans)
        mine = set(names[self.index - 1 :: self.of])
        return [plan for plan in plans if (plan.id, plan.label) in mine]


def shard_of(value: Any) -> Shard | None:
    """From the configuration; None: the whole study. UserError unless it is like ``3/16``."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+)/(\d+)", value) if isinstance(value, str) else None
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UserError(f"expected shard to be a part and the number of parts, as in shard=3/16, got {value!r}")
    return Shard(int(found[1]), int(found[2]))
