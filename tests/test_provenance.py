from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from hptbench.errors import UserError
from hptbench.methods.hyperband import Hyperband
from hptbench.provenance import column, is_said, stated, tuned_on, words
from hptbench.results.conclusions import chosen_warnings, origins

CHANGED = Hyperband(eta=4)
TUNED = {"tuned": {"on": ["digits", "wine"], "cost": "12 h of processors"}}


@dataclass(frozen=True)
class Case:
    given: Any
    method: Hyperband
    column: str
    words: str


CASES = [
    Case(None, Hyperband(), "default", ""),
    Case("default", Hyperband(), "default", ""),
    Case(None, CHANGED, '{"changed": {"eta": 4}}', "eta=4, how chosen is not said"),
    Case({"paper": "Li et al.,\n 2018"}, CHANGED, '{"changed": {"eta": 4}, "paper": "Li et al., 2018"}',
         "eta=4, from Li et al., 2018"),
    Case(TUNED, CHANGED, json.dumps({"changed": {"eta": 4}, **TUNED}, sort_keys=True),
         "eta=4, tuned on digits, wine at a cost of 12 h of processors"),
    Case({"tuned": {"on": "digits", "cost": "1 h"}}, Hyperband(),
         '{"tuned": {"cost": "1 h", "on": ["digits"]}}', "the defaults, tuned on digits at a cost of 1 h"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_what_is_said_is_recorded_and_read(case: Case) -> None:
    found = column(case.method, stated("hyperband", case.method, case.given))
    assert found == case.column
    assert words(found) == case.words
    assert is_said(found) == ("not said" not in case.words)


@pytest.mark.parametrize(
    "given",
    ["paper", 3, [], {}, {"paper": ""}, {"paper": 2018}, {"tuned": "digits"}, {"tuned": {"on": ["digits"]}},
     {"tuned": {"on": [], "cost": "1 h"}}, {"tuned": {"on": [1], "cost": "1 h"}}, {"tuned": {"on": "x", "cost": 3}},
     {"tuned": {"on": "x", "cost": "3 h", "by": "me"}}, {"paper": "x", **TUNED}],
)  # fmt: skip
def test_what_says_nothing_is_refused(given: Any) -> None:
    with pytest.raises(UserError, match=r"expected method\.mine\.provenance to be default, \{paper"):
        stated("mine", CHANGED, given)


def test_changed_hyperparameters_are_no_default() -> None:
    with pytest.raises(UserError, match="eta differ from the defaults; say"):
        stated("mine", CHANGED, "default")


def test_sentences_and_warnings() -> None:
    known = {"a": ("default",), "b": (column(CHANGED, {}),), "c": (column(CHANGED, TUNED),)}
    assert origins({"a": ("default",)}) == "Hyperparameters: the defaults of their classes."
    assert origins(known).startswith("Hyperparameters: defaults of their classes, but for b (eta=4, how")
    assert tuned_on(known["c"][0]) == ["digits", "wine"]
    silent, leaked = chosen_warnings(known, ["digits", "iris"])
    assert silent.startswith("How the changed hyperparameters of b were chosen")
    assert leaked.startswith("c was tuned on digits, which it is compared on here")
    assert chosen_warnings({"a": ("default",)}, ["digits"]) == []
