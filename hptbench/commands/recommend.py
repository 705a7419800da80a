"""``recommend``: configurations for your own data set, learnt from many others; the data stay on this machine.

python -m hptbench recommend data=mine.csv target=y
python -m hptbench recommend data=mine.parquet target=y learner=random_forest budget=16
python -m hptbench recommend data=openml/31 store=DIR evaluate=8

  data=FILE          .csv, .tsv, .parquet or .arff, or openml/ID in a store (fetch puts it there)
  target=COLUMN      what to predict
  learner=NAME       of this learner; default: of whichever are expected to do best
  budget=8           how many configurations you can afford to try; at most 25 are printed. Where it is given, also
                     which method to tune with, by published results
  evaluate=0         train so many, at most 25, one after the other, each chosen when it is known what those before it
                     and their learners' defaults, which are trained besides, are worth
  kind=              classification or regression; default: what the target looks like
  encoding=utf-8     of a text file
  store=DIR          for openml/ID; default: HPTBENCH_STORE
  format=text        or json
"""

from __future__ import annotations

import dataclasses
import json
import time
from typing import TYPE_CHECKING

from hptbench.errors import UserError, unknown

if TYPE_CHECKING:
    from hptbench.meta.recommend import Recommendation

_SETTINGS = {
    "data": "", "target": "", "learner": "", "budget": "", "evaluate": "0", "kind": "", "encoding": "utf-8",
    "store": "", "format": "text",
}  # fmt: skip
_LOSSES = ("validation", "test")


def main(argv: list[str]) -> int:
    """Recommend, perhaps evaluate, and print."""
    if not argv or {"-h", "--help"} & set(argv):
        print((__doc__ or "").strip())
        return 0
    began, given = time.perf_counter(), _settings(argv)
    from hptbench.learners import find_learner
    from hptbench.meta.advice import CONFIGS
    from hptbench.meta.evaluate import evaluate
    from hptbench.meta.frames import cleaned, read
    from hptbench.meta.recommend import MOST, Advisor
    from hptbench.meta.which import which_method
    from hptbench.spacefile import packaged_space

    budget, count = _number(given, "budget", 1) if given["budget"] else CONFIGS, _number(given, "evaluate", 0)
    if count > MOST:
        raise UserError(f"expected evaluate to be at most {MOST}, got {count}; to go on, tune with meta=auto")
    frame, target = read(given["data"], given["target"] or None, given["encoding"], given["store"] or None)
    advisor = Advisor(cleaned(frame, target, given["kind"] or None), given["learner"] or None)
    found = advisor.recommend(min(budget, MOST))
    first = found.ranked[0].learner
    which = which_method(packaged_space(find_learner(first).spaces[found.kind]), budget) if given["budget"] else None
    seconds = time.perf_counter() - began
    scores, results = evaluate(advisor, count) if count else ([], [])
    then = advisor.recommend(1, results) if results else None
    if given["format"] == "json":
        more = {"then": then.to_json()["ranked"][0]} if then else {}
        more |= {"method": dataclasses.asdict(which)} if which else {}
        print(json.dumps({**found.to_json(), "evaluated": scores, **more}, indent=1))
        return 0
    tuning = [f"To tune {first} with {budget} evaluations: {which.method} ({which.text})"] if which else []
    print("\n".join(_text(found, given, seconds, tuning)))
    if scores:
        print("\nEvaluated, lower is better (a third of the rows that do not test validates, a quarter tests):")
        for one in scores:
            parts = (f"{name} {'none' if one[name] is None else format(one[name], '.4g')}" for name in _LOSSES)
            losses = "   ".join(parts) + (f"   ({one['message']})" if one["message"] else "")
            print(f"  {one['what']:26} {losses}   {one['seconds']:.2g} s   {json.dumps(one['config'])}")
    if then:
        print(f"\nThese known, to try next: {then.ranked[0].learner} {json.dumps(dict(then.ranked[0].config))}")
    return 0


def _settings(argv: list[str]) -> dict[str, str]:
    given = dict(_SETTINGS)
    for word in argv:
        name, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"expected settings such as data=FILE target=COLUMN, got {word!r}; --help lists them")
        if name not in given:
            raise unknown("setting of recommend", name, given)
        given[name] = value
    if not given["data"]:
        raise UserError("expected a data set, got none; set data=FILE target=COLUMN")
    if given["format"] not in ("text", "json"):
        raise unknown("format", given["format"], ("text", "json"))
    return given


def _number(given: dict[str, str], name: str, least: int) -> int:
    if not given[name].isdecimal() or int(given[name]) < least:
        raise UserError(f"expected {name} to be a whole number >= {least}, got {given[name]!r}")
    return int(given[name])


def _text(found: Recommendation, given: dict[str, str], seconds: float, tuning: list[str]) -> list[str]:
    rows, columns = found.shape
    lines = [
        f"{given['data']}: {found.kind}, {rows:,} rows, {columns} columns ({seconds:.1f} s)",
        *(f"  note: {note}" for note in found.notes),
        "",
        f"To try first, with the change of the test {found.metric} that is expected against the learner's default",
        "(median and 80 % interval over similar past data sets, and how many of them gained):",
    ]
    for i, one in enumerate(found.ranked):
        gain = one.gain
        lines.append(
            f"{i + 1:3}. {one.learner} {json.dumps(dict(one.config))}\n"
            f"      {-gain.middle:+.1%} ({-gain.high:+.1%} to {-gain.low:+.1%}), better on {gain.better:.0%}"
        )
    near = ", ".join(f"{name} {weight:.0%}" for name, weight in found.nearest.items())
    why = "; ".join(
        f"{one.name} = {one.value:.3g} (above {one.place:.0%} of the past)" if one.value == one.value else one.name
        for one in found.reasons
    )
    lines += [
        "",
        f"Most like these data sets, with their weight: {near}",
        f"Meta-features that matter most: {why}",
        *tuning,
    ]
    lines += ["", "The first as code, for X (a data frame of the columns used) and y:", ""]
    return [*lines, *("    " + line for line in found.ranked[0].code.splitlines())]
