"""What the wrappers of Syne Tune share: search spaces and configurations in its terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ConfigSpace as CS

from hptbench.methods._peers import filled, is_ordinal, number_of, value_at, values_of, varied
from hptbench.space import Config, Space


def configuration(space: Space, chosen: Mapping[str, Any]) -> Config:
    """What Syne Tune suggests, in our terms: inactive parameters left out, numbers within their bounds."""
    return space.canonical(filled(space, {hp.name: value_at(hp, chosen[hp.name]) for hp in varied(space)}))


def in_its_terms(space: Space, config: Config) -> dict[str, Any]:
    """A configuration in Syne Tune's terms; inactive parameters get the default value."""
    whole = filled(space, config)
    return {hp.name: number_of(hp, whole[hp.name]) for hp in varied(space)}


def domains(space: Space) -> dict[str, Any]:
    """The search space in Syne Tune's terms."""
    from syne_tune import config_space as syne

    def domain(hp: Any) -> Any:
        if values := values_of(hp):
            positions = list(range(len(values)))
            return syne.ordinal(positions, kind="equal") if is_ordinal(hp) else syne.choice(positions)
        if isinstance(hp, CS.UniformIntegerHyperparameter):
            return (syne.lograndint if hp.log else syne.randint)(int(hp.lower), int(hp.upper))
        return (syne.loguniform if hp.log else syne.uniform)(float(hp.lower), float(hp.upper))

    return {hp.name: domain(hp) for hp in varied(space)}
