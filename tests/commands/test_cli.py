from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hydra import compose, initialize_config_dir

from hptbench import registry
from hptbench.commands.shell import dispatch, names_spaces
from hptbench.paths import conf_dir

QUICK = ["suite=smoke", "budget=tiny", "seeds=2", "executor=serial", "limits.seconds=null", "limits.memory_mb=null"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def ok(*argv: str) -> None:
    assert dispatch(list(argv)) == 0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "no method chosen"),
        (["+method=bohbb"], "unknown method 'bohbb'. Did you mean 'bohb'"),
        (["+method=bohb", "suite=smok"], "unknown suite 'smok'. Did you mean 'smoke'"),
        (["+method=bohb", "method.bohb.etta=4"], "Did you mean 'eta'"),
        (["+method=bohb", "method.bohb.eta=three"], "eta"),
        (["+method=bohb", "method.bohb.eta=1"], "eta"),
        (["+method=bohb", "metod.bohb.eta=4"], "metod"),
        (["+method=bohb", "seedz=4"], "Did you mean 'seeds'"),
        (["+method=random", "seeds=0"], "expected seeds"),
        (["+method=random", "seeds=[1,1]"], "expected seeds"),
        (["+method=random", "seeds=many"], "expected seeds"),
        (["+method=random", "workers=0"], "expected workers"),
        (["+method=random", "workers=two"], "expected workers"),
        (["+method=random", "workers=true"], "expected workers"),
        (["+method=random", "seeds=true"], "expected seeds"),
        (["+method=random", "seeds=[99999999999999999999]"], "expected seeds"),
        (["+method=random", "budget.max_jobs=2.5"], "whole number"),
        (["+method=random", "budget=null"], "must be a string"),
        (["+method=random", "suite=null"], "must be a string"),
        (["+method=random", "executor=lockstep", "executor.width=0"], "executor.width"),
        (["+method=random", "executor=processes", "executor.processes=1.5"], "executor.processes"),
        (["+method=random", "results=/dev/null"], "expected a folder that can be written to"),
        (["+method=random", "study=null"], "expected results and study to name folders"),
        (["+method=random", "reference=maybe"], "expected reference to be true or false"),
        (["+method=random", "shard=5/4"], "expected shard to be a part"),
        (["+method=random", "shard=0/4"], "expected shard to be a part"),
        (["+method=random", "shard=3"], "as in shard=3/16, got 3"),
        (["+method=random", "plot=no"], "expected plot to be true or false"),
        (["+method.mine._target_=builtins.dict"], "expected method.mine to be a method"),
        (["+method=random", "+method@method.default=sobol"], "label 'default'"),
        (["+method=random", "clock=fast"], "expected clock"),
        (["+method=random", "budget.max_full_evals=null"], "at least one limit"),
        (["+method=random", "budget.max_full_evals=-3"], "budget.max_full_evals > 0"),
        (["+method=random", "budget.max_full_evals=lots"], "budget.max_full_evals"),
        (["+method=random", "+budget.max_job=3"], "Did you mean 'max_jobs'"),
        (["+method=random", "budget.max_time=10"], "clock"),
        (["+method=random", "limits.seconds=0"], "limits.seconds > 0"),
        (["+method=random", "executor=fast"], "unknown executor 'fast'"),
        (["+method=random", "baselines=[randm]"], "Did you mean 'random'"),
        (["+method=bohb", "suite=synthetic_blackbox"], "needs a task with a fidelity"),
        (["+method=random", "suite=store"], "HPTBENCH_STORE"),
        (["+method=random", "suite=store", "suite.path=nowhere"], "nowhere"),
        (["+method=random", "suite.instances=[]"], "at least one task"),
        (["+method=random", "suite.instances=[{data: irisz, learner: svm}]"], "Did you mean 'iris'"),
        (["+method=random", "suite.instances=[{data: iris, learner: svmm}]"], "Did you mean 'svm'"),
        (["+method=random", "suite.instances=[{data: iris, learner: svm, spilt: 1}]"], "Did you mean 'split'"),
        (["+method=random", "suite.instances=[{data: iris, learner: svm},{data: iris, learner: svm}]"], "twice"),
        (
            ["+method=random", "suite.instances=[{data: iris, learner: svm}]", "space.svm.cost.upper=0"],
            "space.svm.cost",
        ),
        (
            ["+method=random", "suite.instances=[{data: iris, learner: svm}]", "space.svm=null", "space.svm={}"],
            "parameter",
        ),
        (["+method=random", "method.random=3"], "random"),
        (["method.bohb.eta=3"], "method"),
        (["+experiment=quik"], "Did you mean 'quick'"),
        (["compare", "nowhere"], "expected the folder of a study"),
        (["comparee", "x"], "Did you mean 'compare'"),
        (["list", "method"], "Did you mean 'methods'"),
    ],
)
def test_bad_input_is_one_message_code_2_and_nothing_written(
    argv: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HPTBENCH_STORE", raising=False)
    if not argv or "=" in argv[0]:
        argv = [*argv, "executor=serial"] if not any(a.startswith("executor=") for a in argv) else argv
    assert dispatch(argv) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.err.count("\n") == 1, captured.err
    assert captured.err.startswith("hptbench: ")
    assert list(tmp_path.iterdir()) == []


def test_a_study_from_command_to_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ok("+method=[hyperband,bohb]", *QUICK)
    out = capsys.readouterr().out
    for word in ("hyperband", "bohb", "random", "default", "Mean ranks", "p Holm", "the smallest possible p"):
        assert word in out
    study = tmp_path / "results" / "smoke"
    runs = pd.read_parquet(study / "runs.parquet")
    assert sorted(runs["method"].unique()) == ["bohb", "default", "hyperband", "random"]
    assert len(runs) == 2 * 2 * 4
    assert (study / "anytime.png").read_bytes().startswith(b"\x89PNG")
    jobs = pd.read_parquet(study / "jobs.parquet")
    spent = jobs.groupby(["task", "method", "seed"])["units"].sum()
    assert (spent.drop("default", level="method").between(5 - 1e-9, 6 + 1e-9)).all()
    before = {p: p.stat().st_mtime_ns for p in study.rglob("journal.jsonl")}
    ok("+method=[hyperband,bohb]", *QUICK)
    assert {p: p.stat().st_mtime_ns for p in study.rglob("journal.jsonl")} == before
    capsys.readouterr()
    ok("compare", "results/smoke", "--measure", "validation", "--accounting", "from_zero")
    assert "normalised validation loss" in capsys.readouterr().out


@pytest.mark.slow
def test_methods_compared_with_themselves_under_labels(tmp_path: Path) -> None:
    ok("+method=bohb", "+method@method.bohb4=bohb", "method.bohb4.eta=4", "baselines=[]", *QUICK)
    runs = pd.read_parquet(tmp_path / "results/smoke/runs.parquet")
    assert set(runs["method"]) == {"bohb", "bohb4", "default"}
    assert set(runs[runs["method"] == "bohb4"]["provenance"]) == {'{"changed": {"eta": 4}}'}


@pytest.mark.slow
def test_how_hyperparameters_were_chosen_is_recorded_and_changes_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("+method=[tpe_hyperopt,hyperband]", "method.hyperband.eta=4", "baselines=[]", *QUICK)
    ok(*words, "method.hyperband.provenance={tuned: {on: [iris], cost: 2 h of processors}}")
    runs = pd.read_parquet(tmp_path / "results/smoke/runs.parquet").set_index("method")["provenance"]
    assert set(runs["hyperband"]) == {'{"changed": {"eta": 4}, "tuned": {"cost": "2 h of processors", "on": ["iris"]}}'}
    assert all(json.loads(text)["paper"].startswith("the defaults of hyperopt") for text in runs["tpe_hyperopt"])
    assert "hyperband was tuned on iris, which it is" in " ".join(capsys.readouterr().out.split())
    ok(*words)  # nothing to do again: it is no part of a run's id
    assert "finished before" in capsys.readouterr().err


def test_the_plus_before_method_may_be_left_out(tmp_path: Path) -> None:
    ok("method=random", "seeds=[3,7]", *[word for word in QUICK if "seeds" not in word])
    assert set(pd.read_parquet(tmp_path / "results/smoke/runs.parquet")["seed"]) == {3, 7}


@pytest.mark.slow
def test_mixed_protocols_are_refused_unless_named(capsys: pytest.CaptureFixture[str]) -> None:
    ok("+method=random", "plot=false", *QUICK)
    ok("+method=random", "plot=false", *QUICK, "workers=3")
    ok("+method=hyperband", "plot=false", "baselines=[]", *QUICK)
    ok("+method=hyperband", "plot=false", "baselines=[]", *QUICK, "budget.max_full_evals=7")
    capsys.readouterr()
    for argv, message in [
        ([], "differ in budget"),
        (["--where", "budget.max_full_evals=5"], "differ in workers"),
        (["--where", "budget.max_full_evals=5", "--unequal", "workers"], "expected one run for each"),
        (["--where", "workers=9"], "no run satisfies"),
        (["--where", "budget.nothing=9"], "no run satisfies"),
        (["--where", "workers.x=9"], "expected COLUMN=VALUE"),
        (["--where", "wrkers=9"], "expected COLUMN=VALUE"),
        (["--unequal", "budgets"], "Did you mean 'budget'"),
    ]:
        assert dispatch(["compare", "results/smoke", *argv]) == 2
        assert message in capsys.readouterr().err
    ok("compare", "results/smoke", "--where", "budget.max_full_evals=5", "workers=1", "--no-plot")
    assert "Wilcoxon p" in capsys.readouterr().out
    ok("compare", "results/smoke", "--where", "workers=1", "budget.max_full_evals=5", "seed=0", "--no-plot")
    ok("compare", "results/smoke", "--where", "workers=1", "--where", "budget.max_full_evals=7", "--no-plot")


@pytest.mark.slow
def test_one_label_for_two_settings_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    ok("+method=bohb", "plot=false", *QUICK)
    ok("+method=bohb", "method.bohb.eta=4", "plot=false", *QUICK)
    assert dispatch(["compare", "results/smoke"]) == 2
    assert "different hyperparameters" in capsys.readouterr().err


@pytest.mark.slow
def test_bounds_of_a_space_change_on_the_command_line(tmp_path: Path) -> None:
    one = "suite.instances=[{data: iris, learner: knn}]"
    ok("+method=random", one, "space.knn.n_neighbors.upper=5", "reference=false", "baselines=[]", "plot=false", *QUICK)
    jobs = pd.read_parquet(tmp_path / "results/smoke/jobs.parquet")
    ks = [yaml.safe_load(config)["n_neighbors"] for config in jobs["config"]]
    assert max(ks) <= 5


def test_the_configuration_shows_the_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    ok("+method=random", "--cfg", "job")
    assert "n_neighbors:" in capsys.readouterr().out


def test_a_damaged_journal_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ok("+method=random", "plot=false", *QUICK)
    journal = next((tmp_path / "results").rglob("random/*/journal.jsonl"))
    (journal.parent / "run.json").unlink()
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], b"garbage\n", *lines[2:]]))
    capsys.readouterr()
    assert dispatch(["+method=random", "plot=false", *QUICK]) == 2
    assert "line 2 is damaged" in capsys.readouterr().err


def test_somebody_elses_method_needs_no_registration(tmp_path: Path) -> None:
    ok("+method.mine._target_=hptbench.methods.sobol.Sobol", "plot=false", *QUICK)
    assert set(pd.read_parquet(tmp_path / "results/smoke/runs.parquet")["method"]) == {"mine", "random", "default"}


def test_a_method_that_leaves_the_space_is_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["+method.mine._target_=rogue.Outside", "plot=false", *QUICK]) == 1
    out = capsys.readouterr()
    assert "proposed what is not in the search space" in out.err
    assert "nonsense" in out.err
    assert set(pd.read_parquet(tmp_path / "results/smoke/runs.parquet")["method"]) == {"random", "default"}


def test_functions_with_negative_values_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    functions = "suite.instances=[{function: mf_branin}, {function: mf_hartmann3_good}]"
    ok("+method=hyperband", "suite=synthetic", functions, "budget=tiny", "seeds=2", "executor=serial", "plot=false")
    out = capsys.readouterr().out
    assert "Comparison" in out
    assert "No comparison" not in out


def test_without_the_reference_there_is_a_comparison_and_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    ok("+method=sobol", "reference=false", "plot=false", *QUICK)
    out = capsys.readouterr().out
    assert "Losses as they are" in out
    assert "Mean ranks" in out


@pytest.mark.slow
def test_labels_of_one_method_are_kept_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ok("+method=sobol", "+method@method.other=sobol", "plot=false", *QUICK)
    capsys.readouterr()
    ok("+method=sobol", "plot=false", *QUICK)
    assert "other" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_failing_learner_is_shown_and_ends_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrap = "suite.instances=[{data: iris, learner: logistic, wrap: [{failing: {rate: 0.4, kind: not_finite}}]}]"
    ok("+method=successive_halving", wrap, *QUICK)
    out = capsys.readouterr().out
    assert "jobs failed" in out
    assert "nan" in out
    assert (pd.read_parquet(tmp_path / "results/smoke/jobs.parquet")["status"] == "nan").any()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    frame = pd.DataFrame({"a": range(60), "b": [*"xyz"] * 20, "target": [0.0, 1.0, 2.0] * 20})
    frame.to_parquet(folder / "good.parquet")
    frame.assign(target=[None, *frame["target"][1:]]).to_parquet(folder / "holes.parquet")
    frame.drop(columns="target").to_parquet(folder / "blind.parquet")
    (folder / "torn.parquet").write_bytes((folder / "good.parquet").read_bytes()[:300])
    frame.head(4).to_parquet(folder / "tiny.parquet")
    names = ["good", "holes", "blind", "torn", "tiny", "lost"]
    pd.DataFrame({"name": names, "task_type": "classification"}).to_csv(folder / "index.csv", index=False)
    return folder


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("holes", "the target 'target' is missing in 1 rows"),
        ("blind", "unknown target column"),
        ("torn", "expected a parquet file"),
        ("tiny", "expected at least 8 rows"),
        ("lost", "expected the data set's file"),
        ("god", "Did you mean 'good'"),
    ],
)
def test_bad_data_are_named_before_anything_is_written(
    store: Path, data: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    argv = ["+method=random", *QUICK, "suite=store", f"suite.path={store}"]
    assert dispatch([*argv, f"suite.data=[good,{data}]"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_bad_data_beside_good_ones_do_no_harm(store: Path) -> None:
    ok("+method=random", *QUICK, "suite=store", f"suite.path={store}", "suite.data=[good]", "plot=false")


@pytest.mark.slow
def test_hydras_multirun_sweeps_settings(tmp_path: Path) -> None:
    ok("-m", "+method=random", "workers=1,2", "plot=false", *QUICK)
    assert set(pd.read_parquet(tmp_path / "results/smoke/runs.parquet")["workers"]) == {1, 2}


@pytest.mark.slow
def test_every_experiment_and_suite_file_composes_and_names_its_command() -> None:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        for file in (conf_dir() / "experiment").glob("*.yaml"):
            registry.add_to_hydra(names_spaces([f"+experiment={file.stem}"]))
            compose("config", [f"+experiment={file.stem}"])
            own = f"+experiment={file.stem}"
            command = {"evaluations": "collect-evaluations", "curves": f"collect-evaluations {own}"}.get(file.stem, own)
            assert f"python -m hptbench {command}" in file.read_text().splitlines()[1]
        registry.add_to_hydra(spaces=False)
        for file in (conf_dir() / "suite").glob("*.yaml"):
            compose("config", [f"suite={file.stem}"])
            assert f"suite={file.stem}" in file.read_text().splitlines()[0]
        for file in (conf_dir() / "budget").glob("*.yaml"):
            compose("config", [f"budget={file.stem}"])


def test_list_and_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    ok("list")
    out = capsys.readouterr().out
    for name in [*registry.methods(), *registry.tasks(), "embedded", "svm"]:
        assert name in out
    ok("list", "suites")
    assert "bohb" not in capsys.readouterr().out.split()
    assert dispatch(["doctor"]) in (0, 1)
    out = capsys.readouterr().out
    for name in ("python", "numpy", "neural", "journal", "workers", "tabular", "yahpo", "bbob", "peers", "HEBO"):
        assert name in out


def _python(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hptbench", *argv], cwd=cwd, capture_output=True, text=True, timeout=120
    )


def test_help_imports_next_to_nothing(tmp_path: Path) -> None:
    for argv in (["--help"], []):
        assert "python -m hptbench +method=bohb" in _python(*argv, cwd=tmp_path).stdout
    code = "import sys; sys.argv[1:] = ['--help']; import hptbench.__main__ as m; m.main(); print(len(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) < 200


@pytest.mark.slow
def test_an_interrupted_study_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["+method=random", "suite=smoke", "budget=tiny", "seeds=8", "reference=false", "plot=false"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hptbench", *argv, "executor.processes=1"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # background jobs ignore it
    )
    while not list(tmp_path.rglob("run.json")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same command goes on from here" in err
    assert "Traceback" not in err
    done = len(list(tmp_path.rglob("run.json")))
    assert 0 < done < 16
    ok(*argv, "executor=serial")
    assert len(list(tmp_path.rglob("run.json"))) == 16
    assert f"{os.sep}smoke" in capsys.readouterr().err
