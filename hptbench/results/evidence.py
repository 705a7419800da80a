"""What published studies say of methods, as a small file from which :mod:`hptbench.meta.which` recommends one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hptbench import registry
from hptbench.errors import UserError
from hptbench.meta.which import FORMAT, shape_of
from hptbench.results.published import read
from hptbench.results.ranking import ranked
from hptbench.space import from_json

AT = (10, 25, 50, 100)
"""Numbers of evaluations after which methods are compared, as far as a study goes."""
_DIGITS = 4


def evidence(folders: Sequence[Path]) -> str:
    """JSON: of each problem of the studies what its space looks like, and the score (mean log10 of the normalised
    regret, as ``publish`` ranks by) of each method after so many evaluations.

    Only methods of the registry that need no further package and have runs on every task of their study. The same
    published files give the same text. UserError for a folder where nothing was published, a study that trained to
    lower fidelities, one of less than 10 evaluations, or a problem of two studies."""
    own = {name for name, cls in registry.methods().items() if not cls.traits.requires}  # type: ignore[attr-defined]
    problems: dict[str, dict[str, Any]] = {}
    for folder in folders:
        found = read(folder)
        fine = ranked(found, found.runs).fine
        if fine.axis.by != "evaluations":
            raise UserError(f"expected a study of full evaluations only, got {folder}, which counts {fine.axis.by}")
        at = [n for n in AT if n <= fine.axis.at[-1]]
        if not at:
            raise UserError(f"expected a study of {AT[0]} evaluations at least, got {folder} with {fine.axis.at[-1]:g}")
        tasks = found.runs.drop_duplicates("task").set_index("task")
        shapes = {str(task): shape_of(from_json(text)) for task, text in tasks["space"].items()}
        methods = [method for method in fine.methods if method in own]
        columns = [fine.methods.index(method) for method in methods]
        if twice := sorted(set(fine.units) & set(problems)):
            raise UserError(
                f"expected each problem in one study, got {', '.join(twice)} again in {folder}; leave one of them out"
            )
        for u, unit in enumerate(fine.units):
            of_unit = [shapes[str(task)] for task in tasks.index[tasks["unit"] == unit]]
            scores = np.stack([fine.after(float(n))[u, columns] for n in at], axis=1).round(_DIGITS)
            problems[unit] = {
                "study": folder.resolve().name, "problem": unit, "at": at,
                "shape": np.mean(of_unit, axis=0).round(_DIGITS).tolist(),
                "scores": dict(zip(methods, scores.tolist(), strict=True)),
            }  # fmt: skip
    lines = ",\n".join(json.dumps(one) for one in problems.values())
    return f'{{"format": {FORMAT}, "problems": [\n{lines}\n]}}\n'
