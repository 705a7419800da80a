from __future__ import annotations

import math
from pathlib import Path

import pytest

from hptbench.commands.checklist import main
from hptbench.errors import UserError
from hptbench.report.checklist import Item, checklist
from hptbench.report.data import Data
from hptbench.results.collect import Study, collect


def items(study: Study) -> dict[str, Item]:
    return {
        f"{heading[:3]} {item.question}": item
        for heading, part in checklist(Data(study, "test")).items()
        for item in part
    }


def find(found: dict[str, Item], words: str) -> Item:
    [item] = [item for question, item in found.items() if words in question]
    return item


def test_what_the_logs_know_is_answered(study: Path) -> None:
    found = items(collect(study))
    assert find(found, "The same evaluation protocol for all methods").answer == "yes"
    assert find(found, "Statistical significance").answer == "partly"  # two data sets cannot show anything
    assert "too few data sets" in find(found, "Statistical significance").words
    assert find(found, "random search?").answer == "yes"
    assert find(found, "Tabular or surrogate benchmarks").answer == "yes"
    assert find(found, "hyperparameters chosen").words == "Hyperparameters: the defaults of their classes."
    assert find(found, "Crashes").words.startswith("0 of 116 jobs failed;")
    assert find(found, "Test data outside").answer == "yes"
    assert "of the runs of random, " in find(found, "Over-tuning").words
    assert find(found, "surrogate NAS benchmarks").answer == "yes"
    assert "% of 12 runs ended while more processes ran" in find(found, "overloaded").words


def test_what_only_an_author_knows_stays_open(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(study)]) == 0
    text = capsys.readouterr().out
    found = checklist(Data(collect(study), "test"))
    left = [item for part in found.values() for item in part if item.answer == "author"]
    assert text.count("[ ] **Author must answer.**") == len(left) > 5
    assert f"**{len(left)} are left to the author**" in text
    for item in left:
        assert item.words


def test_what_is_wrong_is_said(study: Path) -> None:
    whole = collect(study)
    runs = whole.runs.copy()
    runs.loc[(runs["method"] == "sobol") & (runs["task"] == "branin"), "protocol"] = "another"
    runs.loc[0, ["device", "commit"]] = ["another machine", "abc+"]
    runs["load"] = math.nan
    found = items(Study(study, whole.jobs, runs, ()))
    assert find(found, "The same evaluation protocol for all methods").answer == "no"
    assert find(found, "The same benchmark for all methods").answer == "no"
    assert find(found, "Confounding").answer == "no"
    assert find(found, "overloaded").words.startswith("Loads were not logged")
    assert "abc+" in find(found, "Code, exact versions").words
    one = whole.runs["seed"] == 0
    of_one = Study(study, whole.jobs[whole.jobs["seed"] == 0], whole.runs[one], ())
    assert find(items(of_one), "Repeated with several seeds").answer == "no"
    lacking = whole.runs[whole.runs["method"] != "random"]
    without = Study(study, whole.jobs[whole.jobs["method"] != "random"], lacking, ())
    assert find(items(without), "random search?").answer == "no"
    broken = whole.jobs.assign(status=whole.jobs["status"].where(whole.jobs["job"] > 0, "memory"), test=None)
    found = items(Study(study, broken, whole.runs, ()))
    assert "12 of 116 jobs failed (memory 12)" in find(found, "Crashes").words
    assert find(found, "Test data outside").answer == "no"
    assert find(found, "Over-tuning").answer == "no"


def test_settings_of_one_method_are_an_ablation(study: Path) -> None:
    whole = collect(study)
    runs = whole.runs.assign(method_class=whole.runs["method_class"].where(whole.runs["method"] == "default", "One"))
    runs["provenance"] = runs["provenance"].where(runs["method"] != "sobol", '{"changed": {"scramble": false}}')
    found = items(Study(study, whole.jobs, runs, ()))
    [first, _] = [item for question, item in found.items() if "Ablations" in question]
    assert first.answer == "yes"
    assert "random, sobol" in first.words
    assert find(found, "hyperparameters chosen").answer == "author"


def test_to_a_file(study: Path, tmp_path: Path) -> None:
    assert main([str(study), "--out", str(tmp_path / "c.md")]) == 0
    assert (tmp_path / "c.md").read_text().startswith("# Check-lists of the study small\n")
    with pytest.raises(UserError, match=r"ending in \.md"):
        main([str(study), "--out", str(tmp_path / "c.txt")])
