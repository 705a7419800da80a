"""What began cold, what did not, and that both are told apart wherever methods are listed."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from hptbench import registry
from hptbench.commands.compare import main as compare
from hptbench.methods.default import Default
from hptbench.methods.random import RandomSearch
from hptbench.methods.start_from import StartFrom
from hptbench.protocol import Advice, Budget, Clock, PastTask
from hptbench.report.checklist import checklist
from hptbench.report.data import Data
from hptbench.report.page import page, render
from hptbench.results.collect import collect
from hptbench.results.comparison import compared
from hptbench.results.conclusions import horizon, method_rows, warnings
from hptbench.results.rows import advice_row
from hptbench.results.warm import TOLD, warm_started
from hptbench.run import Driver, Evaluator, Plan, execute
from hptbench.tasks.synthetic import SyntheticTask
from hptbench.workers import Limits

WHY = "random search is level after it"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two functions; one method that is told a good configuration of each, one that is told of past tasks."""
    folder = tmp_path_factory.mktemp("results") / "warm"
    for task in (SyntheticTask("branin"), SyntheticTask("hartmann3")):
        given = task.space.default()
        past = Advice((given,), {}, {}, (PastTask("old", 1.0, (given,), (0.0,)),))
        for label, method, advice in (
            ("random", RandomSearch(), Advice()),
            ("given", StartFrom(configs=[{}]), Advice()),
            ("told", StartFrom(), past),
            ("default", Default(), Advice()),
        ):
            budget = Budget(max_jobs=1 if label == "default" else 4)
            plan = Plan(
                task, label, method, 0, budget, 1, Clock.UNITS, Limits(None, None), folder, advice=advice,
                learnt_from=1234, budget_reason=None if label == "default" else WHY,
            )  # fmt: skip
            execute(plan, Driver(Evaluator(), lambda *_: None))
    return folder


def rows(method: str, fields: object, advice: str | None = None, label: str = "m") -> pd.DataFrame:
    row = {"method": label, "method_class": method, "hyperparameters": json.dumps(fields), "advice": advice}
    return pd.DataFrame([row])


def test_classes_that_never_begin_cold_are_all_there() -> None:
    known = {name: cls for name, cls in registry.methods().items() if cls.traits.past or name == "start_from"}
    assert {f"{cls.__module__}.{cls.__qualname__}" for cls in known.values()} == set(TOLD)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prior": {"x": {"mean": 0, "std": 1}}}, "a prior given by hand, at a cost that is not recorded"),
        ({"settings": {"prior": {"x": {}}}, "inner": "pibo"}, "a prior given by hand, at a cost that is not recorded"),
        ({"configs": [{"x": 1}]}, "configurations given by hand, at a cost that is not recorded"),
        ({"configs": 64}, None),  # the number of a design's
        ({"prior": None, "configs": None, "settings": None}, None),
    ],
)
def test_what_a_person_gave_is_seen(fields: object, words: str | None) -> None:
    assert warm_started(rows("some.Method", fields)) == ({} if words is None else {"m": words})


def test_runs_of_earlier_versions_are_known_by_their_class() -> None:
    [name, *_] = TOLD
    assert warm_started(rows(name, {})) == {"m": "configurations to begin with, at a cost that is not recorded"}


def test_an_advice_says_what_it_was_learnt_from() -> None:
    advice = Advice(({"x": 1},), {}, {}, ())
    assert advice_row(Advice(), 5) is None
    two = pd.concat([rows("some.Method", {}, advice_row(advice, n)) for n in (6000, 7000)])
    assert warm_started(two) == {"m": "advice learnt from 6,000 to 7,000 trainings on other data sets"}


def test_comparison_and_report_have_a_block_of_their_own(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = collect(study)
    c = compared(found.jobs, found.runs)
    assert set(c.warm) == {"given", "told"}
    assert "1,234 trainings" in c.warm["told"]
    head, body = method_rows(c)
    assert head[1] == "began"
    assert [row[1] for row in body] == ["cold", "warm", "warm"]
    assert body[0][0] == "random"
    [said] = [one for one in warnings(c) if one.startswith("Warm-started")]
    assert "given: configurations given by hand" in said
    assert horizon(c) == f"Budget of a run: 4 jobs. Why so long: {WHY}."
    assert compare([str(study), "--no-plot"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for part in ("Warm-started, in a block", "told (warm) ", f"Why so long: {WHY}."):
        assert part in out
    assert compare([str(study), "--format", "json"]) == 0
    methods = json.loads(capsys.readouterr().out)["exploratory"]["methods"]
    assert methods["random"]["began"] == "cold"
    assert methods["told"]["began"].startswith("advice learnt from")
    text = render(page("warm", Data(found)))
    cold, _, warm = text.partition("Warm-started: what they knew")
    assert 'data-swatch="random"' in cold
    assert 'data-swatch="told"' in warm
    assert 'data-swatch="told"' not in cold
    assert WHY in text


def test_the_checklist_is_answered_by_what_was_recorded(study: Path) -> None:
    found = collect(study)
    items = {item.question: item for part in checklist(Data(found)).values() for item in part}
    [long] = [item for question, item in items.items() if "longest time" in question]
    assert (long.answer, WHY in long.words) == ("yes", True)
    [told] = [item for question, item in items.items() if question.startswith("Methods that began with knowledge")]
    assert told.answer == "partly"  # what was given by hand cost something, too
    [data] = [item for question, item in items.items() if "licences named" in question]
    assert "no data set, computed: branin, hartmann3" in data.words


def test_a_study_of_cold_methods_says_nothing_of_warm_ones(study: Path) -> None:
    found = collect(study)
    cold = found.runs["method"].isin(["random", "default"])
    assert warm_started(found.runs[cold]) == {}
