"""Studies in parts: one after another, side by side by mistake, and through Hydra's launchers."""

from __future__ import annotations

import multiprocessing as mp
import os
from importlib.util import find_spec
from pathlib import Path

import pytest
import rogue
from studies import do, plans, run_all, same

from hptbench.commands._shard import Shard
from hptbench.commands.shell import dispatch
from hptbench.executors.serial import Serial

STUDY = ["+method=sobol", "suite=synthetic",
         "suite.instances=[{function: branin},{function: hartmann3}]", "budget.max_full_evals=3", "seeds=2",
         "executor=serial", "plot=false"]  # fmt: skip
RUNS = 2 * (2 * 2 + 2)
"""Two functions; two methods and the reference with two seeds each."""


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_shards_are_equal_parts_that_make_up_the_whole_in_its_order(tmp_path: Path) -> None:
    whole = plans(tmp_path, ["random", "sobol"], seeds=range(5))
    names = [plan.key_in_tables for plan in whole]
    for of in (1, 3, 8, len(whole), len(whole) + 2):
        shares = [[plan.key_in_tables for plan in Shard(i, of).share(whole)] for i in range(1, of + 1)]
        assert sorted(name for share in shares for name in share) == sorted(names)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
        assert all(share == [name for name in names if name in share] for share in shares)
    methods = [{plan.label for plan in Shard(i, 2).share(whole)} for i in (1, 2)]
    assert methods == [{"random", "sobol"}] * 2


def test_shards_one_by_one_are_the_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch([*STUDY, "study=whole"]) == 0
    for i in (2, 3, 1):
        assert dispatch([*STUDY, "study=parts", f"shard={i}/3"]) == 0
        err = capsys.readouterr().err
        assert f"Shard {i}/3: 4 of its 4 runs are finished" in err
    assert not (tmp_path / "results/parts/runs.parquet").exists()
    assert dispatch([*STUDY, "study=parts", "shard=13/13"]) == 0
    assert "Shard 13/13: 0 of its 0 runs" in capsys.readouterr().err
    assert dispatch([*STUDY, "study=parts"]) == 0
    assert f"{RUNS} of them finished before" in " ".join(capsys.readouterr().err.split())
    same(tmp_path / "results/whole", tmp_path / "results/parts")


def test_a_shard_started_twice_does_no_harm(tmp_path: Path) -> None:
    assert do(Serial(), plans(tmp_path / "once", ["random", "bohb"])) == []
    todo = plans(tmp_path / "twice", ["random", "bohb"])
    context = mp.get_context("forkserver")
    both = [context.Process(target=run_all, args=(Serial(), todo)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert all(plan.finished for plan in todo)
    same(tmp_path / "once", tmp_path / "twice")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_hydras_launchers_do_the_shards(
    launcher: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``submitit_local`` goes the way of ``submitit_slurm``, without Slurm."""
    if find_spec(f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher") is None:
        pytest.skip(f"Hydra's {launcher} launcher is not installed: the extra launchers")
    monkeypatch.setenv("PYTHONPATH", str(Path(rogue.__file__).parent), prepend=os.pathsep)
    sweep = ["--multirun", *STUDY, "study=parts", "shard=1/2,2/2", f"hydra/launcher={launcher}"]
    sweep += ["hydra.launcher.n_jobs=2"] if launcher == "joblib" else ["hydra.launcher.timeout_min=5"]
    assert dispatch(sweep) == 0
    assert len(list((tmp_path / "results/parts").rglob("run.json"))) == RUNS
    assert dispatch([*STUDY, "study=parts"]) == 0
    assert dispatch([*STUDY, "study=whole"]) == 0
    same(tmp_path / "results/whole", tmp_path / "results/parts")
    capfd.readouterr()
    assert dispatch([*sweep, "seeds=0"]) == 2
    assert "expected seeds to be a number >= 1" in capfd.readouterr().err
    assert dispatch([*sweep, "study=broken", "+method.mine._target_=rogue.Outside"]) == 1
    assert "runs broke" in capfd.readouterr().err
