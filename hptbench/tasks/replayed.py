"""The wrapper ``replayed``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import ConfigSpace as CS

from hptbench.errors import UserError
from hptbench.space import Config, Space
from hptbench.tasks._changing import Changing
from hptbench.tasks._wrapper import wrapper


@wrapper("replayed")
@dataclass(frozen=True)
class Replayed(Changing):
    """Trains by a fixed schedule of configurations, such as ``python -m hptbench schedule`` writes; nothing is left
    to choose, so the space has one constant, ``schedule``.

    ``steps``: ``[{stop: 10, config: {rate: 0.5}}, {stop: 100, config: {rate: 0.1}}]``, up to the highest fidelity; or
    ``file``, a YAML or JSON file with such ``steps``, which is read at once and takes their place, so that a task is
    known by its schedule and not by where that lay. UserError for steps that are not rising or do not fit the task."""

    steps: Sequence[Mapping[str, Any]] = ()
    file: str | None = None
    label: str = "schedule"
    """Ends the task's name, which tells it from others."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.file is not None:
            if self.steps:
                raise UserError(f"expected steps or file, got both ({self.file}); leave one out")
            object.__setattr__(self, "steps", _read(Path(self.file)))
            object.__setattr__(self, "file", None)
        object.__setattr__(self, "steps", tuple(_plain(step) for step in self.steps))
        fidelity = self.inner.fidelity
        stops = [step["stop"] for step in self.steps]
        assert fidelity is not None  # Changing has seen to it
        if not stops or stops != sorted(set(stops)) or stops[-1] != fidelity.high or stops[0] <= 0:
            raise UserError(f"expected steps that rise to {fidelity.high:g} ({fidelity.unit}), got {stops}")
        for step in self.steps:
            self.inner.space.check(step["config"])
            if fidelity.snap(step["stop"]) != step["stop"]:
                raise UserError(f"expected steps that end at valid fidelities, got {step['stop']}")

    @property
    def name(self) -> str:
        return f"{self.inner.name}+replayed-{self.label}"

    @property
    def space(self) -> Space:
        return self._constant

    @cached_property
    def _constant(self) -> Space:
        configspace = CS.ConfigurationSpace()
        configspace.add(CS.Constant("schedule", self.label))
        return Space(configspace)

    def pieces(self, config: Config, start: float, stop: float) -> list[tuple[float, Config]]:
        begins = [0.0, *(step["stop"] for step in self.steps)]
        return [
            (min(step["stop"], stop), step["config"])
            for begin, step in zip(begins, self.steps, strict=False)
            if begin < stop and step["stop"] > start
        ]


def _plain(step: Any) -> dict[str, Any]:
    try:
        return {"stop": float(step["stop"]), "config": dict(step["config"])}
    except (TypeError, KeyError, ValueError) as error:
        raise UserError(f"expected steps such as {{stop: 10, config: {{rate: 0.5}}}}, got {step!r}") from error


def _read(path: Path) -> Sequence[Mapping[str, Any]]:
    import yaml

    if not path.is_file():
        raise UserError(f"expected the file of a schedule, got {path}, which is none")
    try:
        steps: Any = yaml.safe_load(path.read_text(encoding="utf-8"))["steps"]
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError) as error:
        raise UserError(f"{path}: expected a mapping with steps") from error
    if not isinstance(steps, list):
        raise UserError(f"{path}: expected steps to be a list, got {steps!r}")
    return steps
