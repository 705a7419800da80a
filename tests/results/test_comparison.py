from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hptbench.commands._formats import formatted
from hptbench.errors import UserError
from hptbench.results import conclusions
from hptbench.results.comparison import compared, overtuned
from hptbench.results.registered import FILE, Hypothesis, Registration, parsed, register, registered
from hptbench.results.table import until
from hptbench.rng import entropy, stream

Tables = tuple[pd.DataFrame, pd.DataFrame]


def study(units: int = 8, seeds: int = 3, shift: float = 0.3, sha: str | None = None, jobs: int = 4) -> Tables:
    """``good`` and ``plain`` on tasks whose default has the loss 1; of each run the test losses fall job by job to
    about 1 - shift and 1 - shift / 10, and the validation loss is the test loss plus 1."""
    rng = stream(entropy("comparison", units, seeds))
    job_rows, run_rows = [], []
    for u in range(units):
        for method, gain in (("default", 0.0), ("good", shift), ("plain", shift / 10), ("other_one", shift / 10)):
            for seed in range(seeds):
                key = {"task": f"t{u}", "method": method, "seed": seed, "run": f"{method}{seed}"}
                run_rows.append(
                    key | {"unit": f"t{u}", "objective": "error", "objectives": ["error"], "front": None, "high": 1.0,
                           "hypotheses": sha, "method_class": method, "hyperparameters": "{}", "advice": None,
                           "budget": json.dumps({"max_jobs": jobs}), "budget_reason": None, "provenance": "default"}
                )  # fmt: skip
                n = 1 if method == "default" else jobs
                for i in range(n):
                    loss = 1.0 if method == "default" else 1 - gain * (i + 1) / n + 0.02 * rng.normal()
                    job_rows.append(
                        key | {"job": i, "stop": 1.0, "ended": i + 1.0, "status": "ok", "value": loss + 1, "test": loss,
                               "constraints": [], "units": 1.0, "units_from_zero": 1.0}
                    )  # fmt: skip
    return pd.DataFrame(job_rows), pd.DataFrame(run_rows)


@pytest.fixture(scope="module")
def tables() -> Tables:
    return study()


def test_what_was_planted_is_concluded(tables: Tables) -> None:
    c = compared(*tables, rope=0.01)
    assert c.methods == ("good", "other_one", "plain")
    assert c.methods[c.order[0]] == "good"
    assert (len(c.units), c.seeds) == (8, 3)
    assert {(p.a, p.b) for p in c.significant} == {("good", "other_one"), ("good", "plain")}
    assert c.posteriors["good", "plain"].better > 0.99
    assert c.improvement["good", "plain"].estimate == 1
    assert c.aggregates.estimate[0] == pytest.approx(0.7, abs=0.02)
    assert c.aggregates.low[0] < c.aggregates.estimate[0] < c.aggregates.high[0]
    assert c.mixed is not None
    assert c.mixed.effects[0] == pytest.approx(-0.18, abs=0.02)
    assert c.mixed.p < 1e-6
    assert c.seed_effect is not None
    assert c.informative == 8
    assert compared(*tables, rope=0.01).posteriors == c.posteriors
    text = " ".join(conclusions.explored(c))
    assert "with probability" not in text
    two = compared(*(frame[frame["method"] != "other_one"] for frame in tables), rope=0.01)
    said = " ".join(conclusions.explored(two))
    assert "good is better than plain with probability 1.000" in said
    assert "within ±0.01 of the normalised test loss (default configuration = 1)" in said
    assert "Mixed model of 8 data sets with 3 seeds each" in text
    assert conclusions.power(c).startswith("8 data sets show a mean difference of")
    assert "95 % stratified bootstrap over 3 seeds" in conclusions.caption(c)


def test_few_units_or_seeds_have_no_mixed_model() -> None:
    few = compared(*study(units=4))
    assert (few.mixed, few.seed_effect, few.informative) == (None, None, None)
    assert "no difference can reach 0.05" in conclusions.power(few)
    single = compared(*study(seeds=1))
    assert single.mixed is None
    assert np.isnan(single.aggregates.low).all()
    assert "1 seed: no intervals" in conclusions.caption(single)


def test_by_seed_is_what_the_scores_average(tables: Tables) -> None:
    found = compared(*tables).scores
    assert found.by_seed.shape == (8, 4, 3)
    assert found.by_seed.mean(axis=2) == pytest.approx(found.matrix.to_numpy())


def test_missing_runs_count_as_the_worst_by_name(tables: Tables) -> None:
    jobs, runs = tables
    gone = (runs["task"] == "t2") & (runs["method"] == "good") & (runs["seed"] == 1)
    lost = (jobs["task"] == "t2") & (jobs["method"] == "good") & (jobs["seed"] == 1)
    with pytest.raises(UserError, match=r"t2/good seed 1; finish .* --missing worst"):
        compared(jobs[~lost], runs[~gone])
    c = compared(jobs[~lost], runs[~gone], missing="worst")
    assert c.scores.filled == ("t2/good seed 1",)
    assert len(c.units) == 8
    at = c.scores.by_seed[2, list(c.scores.matrix.columns).index("good")]
    assert at[1] == c.scores.by_seed[2].max()
    assert any("counted as the worst of their task: t2/good seed 1" in line for line in conclusions.warnings(c))
    dropped = compared(jobs[~lost], runs[~gone], missing="drop")
    assert (len(dropped.units), dropped.scores.dropped) == (7, ("t2",))
    nobody = jobs["task"] == "t2"
    with pytest.raises(UserError, match="got none on t2; compare with --missing drop"):
        compared(jobs[~nobody], runs, missing="worst")


def test_overtuning_is_counted() -> None:
    jobs, runs = study(units=2, seeds=1, jobs=3)
    jobs.loc[(jobs["task"] == "t0") & (jobs["method"] == "good"), "test"] = [0.9, 0.5, 1.2]
    found = overtuned(jobs, runs)
    assert set(found) == {"good", "plain", "other_one"}
    assert (found["good"].runs, found["good"].any, found["good"].severe, found["good"].than_default) == (
        2,
        0.5,
        0.5,
        0.5,
    )
    jobs["test"] = math.nan
    assert overtuned(jobs, runs) == {}


def test_until_looks_at_runs_as_they_were(tables: Tables) -> None:
    jobs, _ = tables
    assert until(jobs, 2, "evaluations")["job"].max() == 1
    assert len(until(jobs, 4, "credited")) == len(jobs)


def registration(*hypotheses: Hypothesis) -> Registration:
    return Registration(hypotheses, "abc", "2026-01-01 00:00:00")


def test_hypotheses_are_tested_as_a_family_of_their_own() -> None:
    jobs, runs = study(sha="abc")
    given = registration(
        Hypothesis("good", "plain"), Hypothesis("plain", "good", at=2.0), Hypothesis("plain", "other_one"),
        Hypothesis("plain", "other_one", margin=0.1), Hypothesis("good", "absent"),
    )  # fmt: skip
    c = compared(jobs, runs, registration=given)
    assert [t.verdict for t in c.hypotheses] == ["supported", "contradicted", "not shown", "supported", "not tested"]
    assert [t.pair.family for t in c.hypotheses if t.pair] == [5] * 4, "those that cannot be tested stay in the family"
    assert c.hypotheses[4].note == "no runs of absent"
    text = conclusions.planned(c)
    assert text[0].startswith(
        "good is better than plain by test loss, at the end: supported. good is better than plain on 8"
    )
    assert text[1].startswith("plain is better than good by test loss, after 2 evaluations: contradicted")
    assert "supported. plain less 0.1 is better than other_one on 8" in text[3]


def test_only_what_is_worse_by_more_than_the_margin_contradicts() -> None:
    jobs, runs = study(sha="abc")
    plain = jobs["method"] == "plain"
    twin = jobs[plain].assign(method="twin", test=jobs.loc[plain, "test"] + 0.05)
    jobs, runs = pd.concat([jobs, twin]), pd.concat([runs, runs[runs["method"] == "plain"].assign(method="twin")])
    given = registration(*(Hypothesis("twin", "plain", margin=margin) for margin in (0.04, 0.05, 0.06)))
    verdicts = [tested.verdict for tested in compared(jobs, runs, registration=given).hypotheses]
    assert verdicts == ["contradicted", "not shown", "supported"]


def test_hypotheses_on_a_part_of_the_study_say_so() -> None:
    given = registration(Hypothesis("good", "plain"))
    tables = study(sha="abc")
    chosen = conclusions.warnings(compared(*tables, registration=given, where=("unit=t1,t2",)))
    assert chosen == ["Hypotheses were registered for the whole study, and are tested on unit=t1,t2 alone."]
    assert conclusions.warnings(compared(*tables, where=("unit=t1,t2",))) == []


def test_runs_of_before_or_of_another_registration_test_nothing(tables: Tables) -> None:
    [tested] = compared(*tables, registration=registration(Hypothesis("good", "plain"))).hypotheses
    assert (tested.verdict, tested.note) == ("not tested", "48 of 48 runs do not carry the registration abc")


def test_another_shard_may_register_the_same_hypotheses_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = parsed([{"better": "gp", "than": "random"}])
    first = register(tmp_path, given, ["random", "gp"])
    begun = tmp_path / "runs" / "t" / "gp" / "0-x"
    begun.mkdir(parents=True)
    (begun / "journal.jsonl").write_text("")
    seen = iter([None, first])
    monkeypatch.setattr("hptbench.results.registered.registered", lambda _: next(seen))
    assert register(tmp_path, given, ["random", "gp"]) == first


def test_hypotheses_are_registered_once_and_before_the_study(tmp_path: Path) -> None:
    given = parsed([{"better": "gp", "than": "random", "at": 50, "why": "the paper says so"}])
    with pytest.raises(UserError, match="unknown method 'gp'"):
        register(tmp_path, given, ["random", "tpe"])
    first = register(tmp_path, given, ["random", "gp"])
    assert first is not None
    assert registered(tmp_path) == first == register(tmp_path, given, ["random", "gp"]) == register(tmp_path, (), [])
    with pytest.raises(UserError, match="other hypotheses were registered"):
        register(tmp_path, parsed([{"better": "random", "than": "gp"}]), ["random", "gp"])
    stored = json.loads((tmp_path / FILE).read_text())
    stored["hypotheses"][0]["better"], stored["hypotheses"][0]["than"] = "random", "gp"
    (tmp_path / FILE).write_text(json.dumps(stored))
    with pytest.raises(UserError, match="changed after it was written"):
        registered(tmp_path)
    begun = tmp_path / "late" / "runs" / "t" / "gp" / "0-x"
    begun.mkdir(parents=True)
    (begun / "journal.jsonl").write_text("")
    with pytest.raises(UserError, match="1 of its runs have begun"):
        register(tmp_path / "late", given, ["random", "gp"])
    assert registered(tmp_path / "late") is None
    (tmp_path / "late" / FILE).write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        registered(tmp_path / "late")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("gp", "to be a list"),
        ([{"better": "gp"}], "to have better and than"),
        ([{"better": "gp", "than": "gp"}], "two methods"),
        ([{"better": "a", "than": "b", "att": 3}], "Did you mean 'at'"),
        ([{"better": "a", "than": "b", "at": 0}], "to be a number > 0"),
        ([{"better": "a", "than": "b", "margin": -1}], "to be a number >= 0"),
        ([{"better": "a", "than": "b", "measure": "tests"}], "Did you mean 'test'"),
        ([{"better": "a", "than": "b", "by": "evals"}], "unknown hypotheses"),
    ],
)
def test_hypotheses_that_make_no_sense(given: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parsed(given)


def test_json_markdown_and_latex(tables: Tables) -> None:
    jobs, runs = study(sha="abc", seeds=2)
    c = compared(jobs, runs, rope=0.01, registration=registration(Hypothesis("good", "plain")), unequal=("budget",))
    found = json.loads(formatted(c, "json", "s", "cmd"))
    assert found["command"] == "cmd"
    assert found["hypotheses"][0]["verdict"] == "supported"
    assert found["exploratory"]["methods"]["good"]["mean_rank"] == 1
    assert {pair["p_holm"] for pair in found["exploratory"]["pairs"]} == {p.p_holm for p in c.pairs}
    assert found["exploratory"]["pairs"][1]["posterior"]["rope"] == 0.01
    assert found["sentences"]["warnings"] == [
        "Runs were allowed to differ in: budget. They are not under one protocol."
    ]
    text = formatted(c, "markdown", "s", "cmd")
    assert (
        text.index("## Hypotheses registered on 2026-01-01") < text.index("## Exploratory") < text.index("| method |")
    )
    assert "| good – other_one | 8/0/0 |" in text
    latex = formatted(c, "latex", "my_study", "cmd")
    assert latex.startswith("% cmd\n")
    assert r"good -- other\_one & 8/0/0 &" in latex
    assert r"\label{tab:my-study-methods}" in latex
    assert latex.count(r"\begin{tabular}{lrrrr}") == 1
    body = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert len(body) == (1 + 3) * 2
    assert all(line.count("_") == line.count(r"\_") and line.count("%") == line.count(r"\%") for line in body)
    single = json.loads(formatted(compared(*study(units=2, seeds=1)), "json", "s", "cmd"))
    assert single["exploratory"]["methods"]["good"]["low"] is None


def test_one_method_is_no_comparison(tables: Tables) -> None:
    jobs, runs = (frame[frame["method"].isin(["good", "default"])] for frame in tables)
    with pytest.raises(UserError, match="two methods to compare, got good"):
        compared(jobs, runs)
