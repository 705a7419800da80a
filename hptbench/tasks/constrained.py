"""The wrapper ``constrained``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hptbench.errors import UserError, unknown
from hptbench.protocol import JSON, Front, Job, Outcome, Point
from hptbench.tasks._wrapper import Wrapper, wrapper


@wrapper("constrained")
@dataclass(frozen=True)
class Constrained(Wrapper):
    """Turns objectives into constraints: each must not be above its limit, and is told as value - limit.

    Limits are in the units in which the objectives are told, all of them minimised. The first objective stays one, as
    it is what the hidden test scores are of. UserError for an unknown objective, for the first, and for a limit that is
    not a finite number.
    """

    limits: Mapping[str, float]
    """The limit of each objective that becomes a constraint."""

    def __post_init__(self) -> None:
        if not isinstance(self.limits, Mapping) or not self.limits:
            raise UserError(f"expected limits of some objectives, e.g. {{params: 0.3}}, got {self.limits!r}")
        first, *others = self.inner.objectives
        for name, limit in self.limits.items():
            if name == first:
                raise UserError(
                    f"expected limits of other objectives than {first}, whose test scores a comparison is of; "
                    f"got one; put another objective of {self.inner.name} first"
                )
            if name not in others:
                raise unknown(f"objective of {self.inner.name} after the first", name, others)
            if isinstance(limit, bool) or not isinstance(limit, int | float) or not math.isfinite(limit):
                raise UserError(f"expected the limit of {name} to be a finite number, got {limit!r}")
        object.__setattr__(self, "limits", {name: float(self.limits[name]) for name in others if name in self.limits})

    def __hash__(self) -> int:
        return hash((self.inner, *self.limits.items()))

    @property
    def settings(self) -> dict[str, JSON]:
        return {"limits": dict(self.limits)}

    @property
    def name(self) -> str:
        return f"{self.inner.name}+constrained" + "".join(f"-{name}{limit:g}" for name, limit in self.limits.items())

    @property
    def objectives(self) -> tuple[str, ...]:
        return tuple(name for name in self.inner.objectives if name not in self.limits)

    @property
    def constraints(self) -> tuple[str, ...]:
        return (*self.inner.constraints, *self.limits)

    @property
    def front(self) -> Front | None:
        """Not known: that of ``inner`` has other objectives, and points that violate the constraints."""
        return None

    @property
    def optimum(self) -> None:
        """Not known, likewise."""

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        return [
            replace(outcome, curve=tuple(self._constrained(point) for point in outcome.curve))
            for outcome in self.inner.evaluate(jobs)
        ]

    def _constrained(self, point: Point) -> Point:
        values = dict(zip(self.inner.objectives, point.values, strict=True))
        kept = tuple(values[name] for name in self.objectives)
        limited = tuple(values[name] - limit for name, limit in self.limits.items())
        return replace(point, values=kept, constraints=(*point.constraints, *limited))
