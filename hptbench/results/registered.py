"""Hypotheses written down before a study is run: ``hypotheses.json`` in the study's folder.

Its hash goes into every run of the study, so that a comparison can tell what was said before from what was seen
after."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from hptbench import __version__
from hptbench.errors import UserError, unknown
from hptbench.files import write_whole
from hptbench.identity import as_json, digest
from hptbench.results.schema import Measure

FILE = "hypotheses.json"
_COUNTED = ("evaluations", "credited", "from_zero", "time")


@dataclass(frozen=True)
class Hypothesis:
    """``better`` has lower scores than ``than`` over the data sets of the study."""

    better: str
    than: str
    at: float | None = None
    """What a run has used when it is looked at; None: its end."""
    by: str = "evaluations"
    """What ``at`` counts: an accounting of :mod:`hptbench.results.table`."""
    measure: Measure = "test"
    margin: float = 0.0
    """By how much ``better`` may be worse, in the unit of the scores; above 0: it is said to be no worse."""
    why: str = ""
    """For the reader."""

    def __str__(self) -> str:
        claim = f"no worse than {self.than} by more than {self.margin:g}" if self.margin else f"better than {self.than}"
        return f"{self.better} is {claim} by {self.measure} loss, " + (
            "at the end" if self.at is None else f"after {self.at:g} {self.by.replace('_', ' ')}"
        )


@dataclass(frozen=True)
class Registration:
    """What was written down."""

    hypotheses: tuple[Hypothesis, ...]
    sha: str
    """Of the hypotheses: what runs carry."""
    when: str
    """Time, UTC."""


def parsed(given: Any, where: str = "hypotheses") -> tuple[Hypothesis, ...]:
    """From a configuration: a list of mappings. UserError for what makes no sense."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise UserError(f"expected {where} to be a list such as [{{better: gp, than: random}}], got {given!r}")
    return tuple(_hypothesis(f"{where}[{i}]", one) for i, one in enumerate(given))


def _hypothesis(where: str, given: Any) -> Hypothesis:
    fields = {f.name for f in dataclasses.fields(Hypothesis)}
    if not isinstance(given, Mapping) or not {"better", "than"} <= set(given):
        raise UserError(f"expected {where} to have better and than, and maybe {', '.join(sorted(fields))}, got {given}")
    for name in given:
        if name not in fields:
            raise unknown(f"field of {where}", name, fields)
    h = Hypothesis(**{str(name): value for name, value in given.items()})
    if not isinstance(h.better, str) or not isinstance(h.than, str) or h.better == h.than:
        raise UserError(f"expected {where} to name two methods, got {h.better!r} and {h.than!r}")
    for field, known in (("by", _COUNTED), ("measure", get_args(Measure))):
        if getattr(h, field) not in known:
            raise unknown(f"{where}.{field}", getattr(h, field), known)
    for field, least in (("at", math.ulp(0.0)), ("margin", 0.0)):
        value = getattr(h, field)
        number = isinstance(value, int | float) and not isinstance(value, bool) and least <= value < math.inf
        if not number and not (field == "at" and value is None):
            raise UserError(f"expected {where}.{field} to be a number {'> 0' if least else '>= 0'}, got {value!r}")
    return dataclasses.replace(h, at=None if h.at is None else float(h.at), margin=float(h.margin), why=str(h.why))


def registered(study: Path) -> Registration | None:
    """What the study's folder holds; None: nothing. UserError if the file is damaged, or was changed by hand."""
    path = study / FILE
    if not path.is_file():
        return None
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        hypotheses, sha, when = parsed(read["hypotheses"], str(path)), str(read["sha"]), str(read["when"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); restore it, or name another study=") from error
    if sha != _sha(hypotheses):
        raise UserError(f"{path} was changed after it was written; restore it, or name another study=")
    return Registration(hypotheses, sha, when)


def register(study: Path, hypotheses: Sequence[Hypothesis], labels: Sequence[str]) -> Registration | None:
    """Write them down in the study's folder; what was written down there, if there are none or the same.

    ``labels``: the methods of the study. UserError if they do not name them, if others were written down, or if a run
    of the study has begun."""
    for h in hypotheses:
        for name in (h.better, h.than):
            if name not in labels:
                raise UserError(f"a hypothesis compares what is not run: {unknown('method', name, labels)}")
    before = registered(study)
    if not hypotheses or (before and before.hypotheses == tuple(hypotheses)):
        return before
    if before:
        raise UserError(
            f"other hypotheses were registered for {study} on {before.when} ({before.sha}); name another study="
        )
    if begun := len(list((study / "runs").glob("*/*/*/journal.jsonl"))):
        now = registered(study)
        if now and now.hypotheses == tuple(hypotheses):  # another shard has written them meanwhile, and then begun
            return now
        raise UserError(
            f"expected hypotheses to be registered before the study, but {begun} of its runs have begun; name another "
            "study=, or leave them out: whatever is found now is exploratory"
        )
    found = Registration(tuple(hypotheses), _sha(hypotheses), datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"))
    plain = {
        "hypotheses": [dataclasses.asdict(h) for h in hypotheses], "sha": found.sha, "when": found.when,
        "hptbench": __version__,
    }  # fmt: skip
    study.mkdir(parents=True, exist_ok=True)
    write_whole(study / FILE, lambda part: part.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8"))
    return found


def _sha(hypotheses: Sequence[Hypothesis]) -> str:
    return digest(json.loads(as_json([dataclasses.asdict(h) for h in hypotheses])))
