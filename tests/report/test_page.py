from __future__ import annotations

import base64
import gzip
import html
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hptbench.commands.compare import main as compare
from hptbench.commands.report import made, main
from hptbench.errors import UserError
from hptbench.report.aggregates import critical_differences, profiles
from hptbench.report.aggregates import overtuned as overtuned_figure
from hptbench.report.data import Data, measure_of
from hptbench.report.page import SECTIONS, Page, page, render
from hptbench.results.collect import Study, collect
from hptbench.results.comparison import overtuned
from hptbench.results.registered import parsed, register
from hptbench.stats.aggregate import iqm
from hptbench.stats.ranks import critical_difference


class Parsed(HTMLParser):
    """Elements, with checks that they nest."""

    VOID = ("meta", "link", "input", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if found.get("id"):
            self.ids.append(str(found["id"]))
        self.links += [str(found[name]) for name in ("href", "src", "srcset", "action", "data") if found.get(name)]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def packed(text: str, name: str) -> Any:
    [inside] = re.findall(rf'id="{name}">([^<]*)<', text)
    return json.loads(gzip.decompress(base64.b64decode(inside)))


@pytest.fixture(scope="module")
def report(study: Path) -> Page:
    return made(study, command="the command")


@pytest.fixture(scope="module")
def text(report: Page) -> str:
    return render(report)


def test_the_page_is_whole_and_can_be_walked_through(text: str) -> None:
    parsed = Parsed(text)
    assert len(parsed.ids) == len(set(parsed.ids))
    inside = [link[1:] for link in parsed.links if link.startswith("#")]
    assert set(inside) <= set(parsed.ids)
    assert {"summary", "time", "end", "configurations", "costs", "trials-section"} <= set(parsed.ids)
    for tag, attributes in parsed.tags:
        if tag == "figure":
            assert attributes["aria-labelledby"] in parsed.ids
        if tag == "label":
            assert attributes["for"] in parsed.ids
        if tag == "a" or tag == "button":
            assert attributes.get("tabindex") is None  # they are reached by the keyboard as they are


def test_the_page_asks_for_nothing_elsewhere(text: str) -> None:
    for link in Parsed(text).links:
        assert link.startswith("#") or link == "data:,"
    assert re.findall(r"https?://[^\s\"'<)]+", text) == ["http://www.w3.org/2000/svg"]  # a name, not an address
    assert "@import" not in text
    assert "url(" not in text.replace("url(#", "")
    assert "default-src 'none'" in text


def test_what_was_compared_comes_before_the_figures(text: str) -> None:
    head = text[: text.index("<figure")]
    for words in ("2 methods · 2 tasks · 2 seeds · 14 jobs per run", "too few data sets", "4 of 4", "sobol"):
        assert words in head
    assert "the command" in text
    assert "SHA-256 of jobs.parquet" in text


def test_figures_hold_the_numbers_of_the_study(report: Page, text: str) -> None:
    drawn = packed(text, "figures")
    assert drawn["methods"] == ["random", "sobol"]
    figures = {figure["name"]: figure for figure in drawn["figures"]}
    assert set(figures) >= {
        "anytime",
        "ranks",
        "heat-map",
        "parallel",
        "importance",
        "dependence",
        "overhead",
        "aggregates",
    }
    for figure in figures.values():
        assert figure["alt"]
        assert figure["caption"]
    assert report.data is not None
    table = report.data.table.set_index(["task", "method"])
    for panel in figures["anytime"]["panels"]:
        for mark in panel["marks"]:
            end = table.loc[(panel["task"], mark["series"]), report.data.measure]
            assert mark["y"][-1] == pytest.approx(end, rel=1e-4)
            assert mark["x"] == sorted(mark["x"])


def test_all_jobs_are_in_the_trial_table(report: Page, text: str) -> None:
    assert report.data is not None
    table = packed(text, "trials")
    jobs = report.data.jobs
    assert sum(len(block["job"]) for block in table["blocks"]) == len(jobs)
    block = next(b for b in table["blocks"] if b["task"] == "branin")
    rows = jobs[jobs["task"] == "branin"]
    assert block["validation"] == pytest.approx(rows["value"].tolist(), rel=1e-4)
    configs = [json.loads(config) for config in rows["config"]]
    for name, column in zip(block["names"], block["config"], strict=True):
        assert column == pytest.approx([config[name] for config in configs], rel=1e-2)


def test_a_table_that_is_too_large_is_thinned_evenly_and_says_so(report: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    from hptbench.report import trials

    data = report.data
    assert data is not None
    whole, n = trials.trials(data)
    some, fewer = trials.trials(data, most=len(whole) // 2)
    assert n == len(data.jobs)
    assert len(some) <= len(whole) // 2
    assert 0 < fewer < n
    monkeypatch.setattr("hptbench.report.page.trials", lambda _: (some, fewer))
    assert f"holds {fewer:,} of {n:,} jobs" in render(report)


def test_the_same_study_gives_the_same_page(study: Path, text: str) -> None:
    assert render(made(study, command="the command")) == text


def test_names_are_text_and_no_markup(study: Path) -> None:
    found = collect(study)
    evil = "<script>alert(1)</script>"
    jobs, runs = (
        frame.assign(method=frame["method"].replace("sobol", evil), task=frame["task"].replace("branin", "a&b"))
        for frame in (found.jobs, found.runs)
    )
    text = render(page("x", Data(Study(study, jobs, runs, ()), "test")))
    assert evil not in text
    Parsed(text)
    assert "a&amp;b" in text


def changed(study: Path, jobs: pd.DataFrame | None = None, runs: pd.DataFrame | None = None) -> Page:
    found = collect(study)
    jobs, runs = found.jobs if jobs is None else jobs, found.runs if runs is None else runs
    new = Study(study, jobs, runs, ())
    return page("changed", Data(new, measure_of(new)))


def test_a_method_that_lacks_a_task_is_named_and_keeps_the_rest(study: Path) -> None:
    found = collect(study)
    jobs, runs = (f[~((f["method"] == "sobol") & (f["task"] == "branin"))] for f in (found.jobs, found.runs))
    report = changed(study, jobs, runs)
    text = render(report)
    assert "sobol on branin: 2 run(s) are missing (seed 0, 1)." in text
    assert "Left out for missing scores: branin." in text
    assert "over 1 data set" in report.verdict.headline
    assert ("ranks along the runs", "random") not in report.missing
    assert any(what == "ranks along the runs" and "sobol on branin" in why for what, why in report.missing)
    heat = next(figure for figure in report.drawn if figure.name == "heat-map")
    assert "Empty: no score (1 of 6" in heat.caption


def test_scores_that_are_no_numbers_conclude_nothing_and_still_make_a_page(study: Path) -> None:
    jobs = collect(study).jobs
    jobs["test"] = np.where(jobs["method"] == "sobol", np.nan, jobs["test"])
    report = changed(study, jobs)
    assert "Nothing can be concluded" in report.verdict.headline
    assert "each of branin, hartmann3 lacks a score" in report.verdict.warnings[0]
    text = render(report)
    Parsed(text)
    assert "sobol on branin: no finite test score of what a run recommends." in text


def test_a_study_in_which_every_job_failed_makes_a_page(study: Path) -> None:
    jobs = collect(study).jobs.assign(status="failed", value=np.nan, test=np.nan)
    jobs["values"] = None
    report = changed(study, jobs)
    assert "Nothing can be concluded" in report.verdict.headline
    assert report.missing
    text = render(report)
    Parsed(text)
    assert "runs recommend nothing" in text
    assert "NaN" not in json.dumps(packed(text, "figures"))


def test_aggregates_show_what_the_statistics_say(study: Path) -> None:
    found = collect(study)
    jobs, runs = (
        pd.concat([f, f[f["method"] == "random"].assign(method="third")], ignore_index=True)
        for f in (found.jobs, found.runs)
    )
    data = Data(Study(study, jobs, runs, ()), "test")
    drawn = critical_differences(data)
    assert drawn is not None
    cd = critical_difference(3, 2)
    ranks = [mark.columns["x"][0] for mark in drawn.panels[0].marks]
    assert ranks == sorted(ranks)
    for mark in drawn.panels[0].marks:
        assert mark.columns["high"][0] - mark.columns["low"][0] == pytest.approx(cd)
    assert "A picture, not the test" in drawn.caption
    profile, middle = profiles(data)
    lines = {mark.series: list(mark.columns["y"]) for mark in profile.panels[0].marks}
    assert lines["random"] == lines["third"]
    assert all(y == sorted(y) and y[-1] == 1 for y in lines.values())
    scores = data.comparison.scores
    at = {mark.series: mark.columns["x"][0] for mark in middle.panels[0].marks}
    column = scores.matrix.columns.get_loc("sobol")
    assert at["sobol"] == pytest.approx(iqm(scores.by_seed[:, column]))
    shares = overtuned(jobs, runs)
    made = overtuned_figure(data)
    assert made is not None
    worse = {mark.series: mark.columns["x"][0] for mark in made.panels[0].marks}
    assert worse == {method: one.any for method, one in shares.items()}


def test_the_verdict_is_that_of_compare(study: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare([str(study), "--format", "json", "--missing", "drop", "--rope", "0.01"]) == 0
    found = json.loads(capsys.readouterr().out)
    report = made(study, rope=0.01)
    c = report.verdict.comparison
    assert c is not None
    assert [c.scores.name, list(c.units)] == [found["score"], found["units"]]
    for pair in found["exploratory"]["pairs"]:
        [own] = [p for p in c.pairs if (p.a, p.b) == (pair["a"], pair["b"])]
        assert own.p_holm == pair["p_holm"]
        assert c.posteriors[own.a, own.b].better == pair["posterior"]["better"]
    middle = next(figure for figure in report.drawn if figure.name == "aggregates")
    for mark in middle.panels[0].marks:
        of_compare = found["exploratory"]["methods"][mark.series]
        assert [mark.columns[name][0] for name in ("x", "low", "high")] == pytest.approx(
            [of_compare[name] for name in ("aggregate", "low", "high")]
        )
    page = html.unescape(render(report))
    for sentence in [*found["sentences"]["exploratory"], *found["sentences"]["overtuning"]]:
        assert sentence in page
    assert "P(equivalent)" in page
    assert "P(equivalent)" not in text


def test_registered_hypotheses_come_first_and_apart(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "runs", tmp_path / "runs")
    begun = tmp_path / "runs"
    begun.rename(tmp_path / "later")  # hypotheses are registered before the first run
    given = register(tmp_path, parsed([{"better": "sobol", "than": "random", "margin": 10}]), ["sobol", "random"])
    assert given is not None
    (tmp_path / "later").rename(begun)
    for file in begun.glob("*/*/*/run.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"hypotheses": given.sha}))
    text = html.unescape(render(made(tmp_path)))
    planned = text.index(f"Hypotheses registered on {given.when} UTC ({given.sha})")
    said = text.index("sobol is no worse than random by more than 10 by test loss, at the end: not shown.")
    assert planned < said < text.index(">Exploratory<") < text.index("Methods, the best first") < text.index("<figure")


def test_one_method_is_compared_with_nothing(study: Path) -> None:
    report = made(study, where=["method=random"])
    assert report.verdict.headline == "Nothing is compared: methods run are random."
    Parsed(render(report))


def test_populations_show_lineages_schedules_and_workers(population: Path) -> None:
    report = made(population)
    names = [figure.name for figure in report.drawn]
    assert {"lineages", "schedules", "workers", "overhead"} <= set(names)
    lineage = next(figure for figure in report.drawn if figure.name == "lineages").panels[0]
    path = next(mark for mark in lineage.marks if mark.kind == "line")
    assert report.data is not None
    best = report.data.jobs[(report.data.jobs["method"] == "pbt") & (report.data.jobs["status"] == "ok")]
    furthest = best[best["stop"] == best["stop"].max()]
    assert path.columns["y"][-1] == pytest.approx(furthest["value"].min())
    assert path.columns["x"] == sorted(path.columns["x"])
    overhead = next(figure for figure in report.drawn if figure.name == "overhead")
    busy = overhead.panels[2]
    assert all(0 < x <= 1 for mark in busy.marks for x in mark.columns["x"])


def test_unfinished_runs_alone_make_a_page_without_a_verdict(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "runs", tmp_path / "study" / "runs")
    for file in tmp_path.glob("study/runs/*/*/*/run.json"):
        file.unlink()
    report = made(tmp_path / "study")
    assert report.verdict.headline == "No run is finished yet: nothing can be concluded."
    assert [figure.name for figure in report.drawn] == ["progress"]
    Parsed(render(report))


def test_an_unfinished_run_is_shown_and_counts_for_nothing(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "runs", tmp_path / "study" / "runs")
    gone = next(tmp_path.glob("study/runs/branin/sobol/1-*/run.json"))
    jobs = pd.read_parquet(gone.with_name("jobs.parquet"))
    gone.unlink()
    with gone.with_name("journal.jsonl").open("ab") as file:
        file.write(b'{"job":99,"tri')  # as it is being written
    report = made(tmp_path / "study")
    progress = report.drawn[0]
    [mark] = progress.panels[0].marks
    assert mark.columns["y"] == pytest.approx(jobs.sort_values("job")["value"].cummin().tolist())
    text = render(report)
    assert "1 run(s) are not finished" in text
    assert "sobol on branin: 1 run(s) are missing (seed 1)." in text


def test_what_is_no_study_is_refused(tmp_path: Path, study: Path) -> None:
    with pytest.raises(UserError, match="expected the folder of a study"):
        made(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(UserError, match="runs that have begun, got none"):
        made(tmp_path)
    with pytest.raises(UserError, match="in a folder that exists"):
        main([str(study), "--out", str(tmp_path / "no" / "report.html")])
    with pytest.raises(UserError, match="--watch alone"):
        main([str(study), "--watch", "--figures", "png"])


def test_the_command_writes_the_page_and_its_figures(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = tuple(section for section in SECTIONS if section[0] == "end")
    monkeypatch.setattr("hptbench.report.page.SECTIONS", some)  # drawing all takes long
    out = tmp_path / "r.html"
    assert main([str(study), "--out", str(out), "--figures", "svg"]) == 0
    printed = capsys.readouterr().out
    assert str(out) in printed
    side = json.loads((tmp_path / "figures" / "heat-map.json").read_text())
    assert side["command"].startswith("python -m hptbench report")
    assert set(side["inputs"]) == {"jobs.parquet", "runs.parquet"}
    for figure in (tmp_path / "figures").glob("*.svg"):
        assert figure.with_suffix(".json").is_file()


def test_lines_through_parameters_need_two(one_parameter: Path) -> None:
    """A task of one hyperparameter has no lines; where no other is, the page says why."""
    found = made(one_parameter)
    assert "parallel" not in {figure.name for figure in found.drawn}
    assert "a task of two parameters or more" in render(found)
