import csv
import json
import math
from pathlib import Path

import pandas as pd
import pytest
from studies import do, plans

from hptbench.commands.shell import OK, USAGE, dispatch
from hptbench.executors.serial import Serial
from hptbench.results.collect import collect
from hptbench.results.schema import KEY


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exchange") / "study"
    assert not do(Serial(), plans(folder, ("random", "hyperband")))
    return folder


def export(study: Path, to: str, out: Path, *more: str) -> Path:
    assert dispatch(["export", str(study), "--to", to, "--out", str(out), *more]) == OK
    return out


def rows_of(study: Path, out: Path) -> list[dict[str, object]]:
    """A study's jobs as the rows of a CSV file that `import` reads."""
    rows = []
    for job in collect(study).jobs.to_dict("records"):
        config = {f"config.{name}": value for name, value in json.loads(job["config"]).items()}
        value = "" if job["status"] != "ok" else repr(job["value"])
        test = "" if math.isnan(job["test"]) else repr(job["test"])
        run = {name: job[name] for name in ("task", "method", "seed")}
        rows.append(run | {"value": value, "fidelity": job["stop"], "test": test, "trial": job["trial"]} | config)
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)), restval="")
        writer.writeheader()
        writer.writerows(rows)
    return rows


def test_deepcave_holds_each_job(study: Path, tmp_path: Path) -> None:
    out = export(study, "deepcave", tmp_path / "deepcave", "--where", "task=sphere")
    for (task, method, seed), jobs in collect(study).jobs.query("task == 'sphere'").groupby(KEY[:3]):
        folder = out / task / f"{method}-{seed}"
        assert {path.name for path in folder.iterdir()} == {"trials.csv", "configspace.csv"}
        trials = pd.read_csv(folder / "trials.csv")
        [metric] = [name for name in trials if name.startswith("metric:")]
        assert trials[metric].to_numpy() == pytest.approx(jobs["value"].to_numpy(), nan_ok=True)
        assert trials["budget"].tolist() == jobs["stop"].tolist()
        assert (trials["status"] == "SUCCESS").tolist() == (jobs["status"] == "ok").tolist()
        for name in pd.read_csv(folder / "configspace.csv")["name"]:
            assert trials[name].notna().all()


def test_deepcave_reads_it(study: Path, tmp_path: Path) -> None:
    frames = pytest.importorskip("deepcave.runs.converters.dataframe")
    out = export(study, "deepcave", tmp_path / "deepcave", "--where", "task=sphere")
    for (task, method, seed), jobs in collect(study).jobs.query("task == 'sphere'").groupby(KEY[:3]):
        run = frames.DataFrameRun.from_path(out / task / f"{method}-{seed}")
        values = [trial.costs[0] for trial in run.history if trial.costs[0] is not None]
        assert min(values) == jobs["value"].min()


def test_ioh_follows_the_schema(study: Path, tmp_path: Path) -> None:
    out = export(study, "ioh", tmp_path / "ioh")
    collected = collect(study)
    jobs = collected.jobs.merge(collected.runs[[*KEY, "high"]], on=KEY)
    found = list(out.glob("*/*.json"))
    assert len(found) == 4  # tasks times methods
    for path in found:
        about = json.loads(path.read_text())
        [scenario] = about["scenarios"]
        of_both = jobs[(jobs["task"] == about["function_name"]) & (jobs["method"] == about["algorithm"]["name"])]
        blocks = (path.parent / scenario["path"]).read_text().split(" ".join(about["attributes"]) + "\n")[1:]
        assert len(blocks) == len(scenario["runs"]) == of_both["seed"].nunique()
        for block, run, (_, of_seed) in zip(blocks, scenario["runs"], of_both.groupby("seed"), strict=True):
            rows = [list(map(float, line.split())) for line in block.splitlines()]
            assert [row[0] for row in rows] == list(range(1, len(of_seed) + 1))
            best = of_seed.loc[(of_seed["status"] == "ok") & (of_seed["stop"] == of_seed["high"]), "value"].min()
            assert min(row[1] for row in rows) == run["best"]["y"] == best
            assert run["evals"] == len(rows)
            assert rows[run["best"]["evals"] - 1][1] == best
            assert len(run["best"]["x"]) == scenario["dimension"]


def test_iohinspector_reads_it(study: Path, tmp_path: Path) -> None:
    inspector = pytest.importorskip("iohinspector")
    out = export(study, "ioh", tmp_path / "ioh")
    manager = inspector.DataManager()
    manager.add_folder(str(out))
    assert len(manager.overview) == len(collect(study).runs)
    assert len(manager.load(monotonic=False)) == len(collect(study).jobs)


def test_carps_columns(study: Path, tmp_path: Path) -> None:
    frame = pd.read_parquet(export(study, "carps", tmp_path / "logs.parquet"))
    jobs = collect(study).jobs
    assert len(frame) == len(jobs)
    key = ["task_id", "optimizer_id", "seed"]
    assert list(map(tuple, frame[key].values)) == list(map(tuple, jobs[KEY[:3]].values))
    pd.testing.assert_series_equal(frame["trial_value__cost"], jobs["value"], check_names=False)
    spent = jobs.groupby(KEY)["units"].cumsum()
    pd.testing.assert_series_equal(frame["n_trials"], spent, check_names=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["study.db", "study.log", "study"])
def test_optuna_and_back(study: Path, tmp_path: Path, name: str) -> None:
    pytest.importorskip("optuna")
    out = export(study, "optuna", tmp_path / name, "--where", "seed=1")
    assert dispatch(["import", str(out), "--out", str(tmp_path / "back")]) == OK
    whole, after = collect(study), collect(tmp_path / "back")
    for back, frame, drop in ((after.jobs, whole.jobs, ["run"]), (after.runs, whole.runs, ["run", "provenance"])):
        before = frame[frame["seed"] == 1].reset_index(drop=True)
        pd.testing.assert_frame_equal(back.drop(columns=drop), before.drop(columns=drop))
    origin = json.loads(after.runs["provenance"].iloc[0])
    assert origin["imported"]["file"] == name
    assert origin["was"] == "default"


def test_a_foreign_study_of_optuna(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = tmp_path / "mine.db"
    made = optuna.create_study(storage=f"sqlite:///{path}", study_name="digits/tpe/3", direction="maximize")

    def objective(trial: "optuna.Trial") -> float:
        x = trial.suggest_float("x", 0, 1)
        for step in (1, 2):
            trial.report(x * step, step)
            if trial.number == 1:
                raise optuna.TrialPruned
        return x * 2

    made.optimize(objective, n_trials=3)
    assert dispatch(["import", str(path), "--out", str(tmp_path / "back")]) == OK
    found = collect(tmp_path / "back")
    [run] = found.runs.to_dict("records")
    assert (run["task"], run["method"], run["seed"], run["high"]) == ("digits", "tpe", 3, 2)
    assert run["objective"] == "negated value"
    assert pd.isna(run["budget"])
    assert found.jobs["trial"].tolist() == [0, 0, 1, 2, 2]
    assert found.jobs["stop"].tolist() == [1, 2, 1, 1, 2]
    values = [trial.intermediate_values[step] for trial in made.trials for step in sorted(trial.intermediate_values)]
    assert found.jobs["value"].tolist() == [-value for value in values]


def test_csv_is_compared_and_reported(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = rows_of(study, tmp_path / "trials.csv")
    out = tmp_path / "mine"
    assert dispatch(["import", str(tmp_path / "trials.csv"), "--out", str(out)]) == OK
    found, before = collect(out), collect(study)
    assert len(found.jobs) == len(rows)
    assert found.jobs["value"].dropna().tolist() == before.jobs["value"].dropna().tolist()
    assert found.runs["versions"].isna().all()
    assert found.runs["provenance"].str.contains('"imported"').all()
    capsys.readouterr()
    assert dispatch(["compare", str(out), "--anchor", "none", "--measure", "validation"]) == OK
    assert "Mean ranks" in capsys.readouterr().out
    assert dispatch(["publish", str(out), "--worth", "seen", "--by", "evaluations"]) == OK
    assert "random" in (out / "comparison.md").read_text()
    assert dispatch(["report", str(out)]) == OK
    assert "runs were made elsewhere" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("task,method,seed\nt,m,0\n", "value"),
        ("task,method,seed,value\nt,m,zero,1\n", "line 2"),
        ("task,method,seed,value\nt,m,0,nan\n", "finite"),
        ("task,method,seed,value\nt,m,0\n", "line 2"),
        ("task,method,seed,value\n", "at least one run"),
        ("task,method,seed,value,colour\nt,m,0,1,red\n", "colour"),
        ("task,method,seed,value\n../t,m,0,1\n", "'../t'"),
        ("task,method,seed,value,fidelity,trial\nt,m,0,1,2,a\nt,m,0,1,1,a\n", "rising"),
    ],
)
def test_bad_csv_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    assert dispatch(["import", str(path), "--out", str(tmp_path / "mine")]) == USAGE
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]


def test_deepcave_refuses_conditions(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["export", str(study), "--to", "deepcave", "--out", str(tmp_path / "new")]) == USAGE
    assert "conditional" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "there").mkdir()
    assert dispatch(["export", str(study), "--to", "ioh", "--out", str(tmp_path / "there")]) == USAGE
    assert "there" in capsys.readouterr().err
