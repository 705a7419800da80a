"""``meta=auto``: methods that begin with what meta-learning recommends for each task."""

from __future__ import annotations

import dataclasses

from hptbench import registry
from hptbench.errors import UserError
from hptbench.protocol import Advice, Method, Task

NO_ADVICE: tuple[Advice, int] = (Advice(), 0)
"""An advice, and how many trainings it was learnt from."""


def started(label: str, method: Method) -> Method:
    """The method itself if it takes advice; else within ``start_from``, which does. UserError for a method that has no
    name there."""
    if type(method).traits.advice:
        return method
    name = next((name for name, cls in registry.methods().items() if cls is type(method)), None)
    if name is None:
        raise UserError(f"expected a method of `list methods` for meta=auto, got method.{label}; set meta=none")
    fields = [field for field in dataclasses.fields(method) if field.init]  # type: ignore[arg-type]
    settings = {field.name: getattr(method, field.name) for field in fields}
    warm: Method = registry.find("method", "start_from")(inner=name, settings=settings)
    return warm


def advice_of(task: Task) -> tuple[Advice, int]:
    """What the recommender that comes with the package says of a task, without the task's own family; and from how many
    trainings it was learnt."""
    from hptbench.meta.tasks import advice_for

    return advice_for(task)
