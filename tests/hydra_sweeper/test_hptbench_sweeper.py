from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import yaml
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.test_utils.launcher_common_tests import (
    IntegrationTestSuite,
    LauncherTestSuite,
)
from hydra.test_utils.test_utils import TSweepRunner
from hydra.version import VersionBase

from hptbench.errors import UserError
from hptbench.tuner import Tuner
from hydra_plugins.hptbench_sweeper.sweeper import JOURNAL, RESULTS, HptbenchSweeper, _check_fixed, _Overrides

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Future Hydra versions"),
    pytest.mark.filterwarnings("ignore:.*version_base parameter"),
]
APP = Path(__file__).parent / "app.py"
GRID = ["hydra/sweeper=hptbench", "hydra.sweeper.method=grid", "+hydra.sweeper.settings.shuffle=false"]


@pytest.fixture(autouse=True)
def version_base() -> Iterator[None]:
    """As in a fresh process: other tests have run our own program, which sets it."""
    before = VersionBase.instance()
    del Singleton._instances[VersionBase]
    yield
    VersionBase.set_instance(before)


def test_hydra_finds_it() -> None:
    assert HptbenchSweeper.__name__ in [found.__name__ for found in Plugins.instance().discover(Sweeper)]


@pytest.mark.parametrize(("launcher_name", "overrides"), [("basic", [*GRID, "hydra.sweeper.max_batch_size=9"])])
class TestAsALauncherOfJobs(LauncherTestSuite):  # type: ignore[misc]
    test_sweep_and_override = None
    """Launches an application that returns nothing: there is nothing to minimise. So does the suite of batches."""


@pytest.mark.slow
@pytest.mark.parametrize(("task_launcher_cfg", "extra_flags"), [({}, ["-m", *GRID, "hydra/launcher=basic"])])
class TestAsAProgram(IntegrationTestSuite):  # type: ignore[misc]
    pass


def sweep(runner: TSweepRunner, folder: Path, *overrides: str, function: Any = None) -> Any:
    return runner(
        calling_file=None,
        calling_module="hydra.test_utils.a_module",
        task_function=function or (lambda cfg: float((cfg.foo - 3) ** 2 + cfg.bar)),
        config_path="configs",
        config_name="compose.yaml",
        overrides=["hydra/sweeper=hptbench", "hydra/launcher=basic", *overrides],
        temp_dir=folder,
    )


def results(folder: Path) -> Any:
    return yaml.safe_load((folder / RESULTS).read_text())


@pytest.mark.slow
@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1), ("maximize", -1)])
def test_it_is_the_tuner_that_searches(
    hydra_restore_singletons: Any, hydra_sweep_runner: TSweepRunner, tmp_path: Path, direction: str, sign: int
) -> None:
    run = sweep(
        hydra_sweep_runner, tmp_path, "hydra.sweeper.method=tpe", "hydra.sweeper.budget=6", "foo=interval(-5, 5)",
        ["bar=int(interval(1, 64))", "(x, 3)"][0], f"hydra.sweeper.direction={direction}",
        "hydra.sweeper.max_batch_size=2", function=lambda cfg: sign * float((cfg.foo - 3) ** 2 + cfg.bar),
    )  # fmt: skip
    with run:
        assert [len(batch) for batch in run.returns] == [2, 2, 2]
        configs = [(job.cfg.foo, job.cfg.bar) for batch in run.returns for job in batch]
        found = results(Path(run.temp_dir))
    space = {
        "foo": {"type": "float", "lower": -5, "upper": 5},
        "bar": {"type": "integer", "lower": 1, "upper": 64},
    }
    tuner = Tuner(space, "tpe", budget=6, workers=2)
    while jobs := tuner.ask(2):
        for job in jobs:
            tuner.tell(job, (job.config["foo"] - 3) ** 2 + job.config["bar"])
    assert [(result.config["foo"], result.config["bar"]) for result in tuner.history] == configs
    assert tuner.best is not None
    assert found["best_evaluated_result"] == sign * tuner.best.value


def test_a_journal_is_not_gone_on_with_in_the_other_direction(tmp_path: Path) -> None:
    def tuner(direction: str) -> Tuner:
        space = {"foo": {"type": "float", "lower": -5, "upper": 5}}
        return HptbenchSweeper(fidelity={}, direction=direction)._tuner(space, tmp_path)

    tuner("minimize").close()
    tuner("minimize").close()
    with pytest.raises(UserError, match="expected the journal of run"):
        tuner("maximize")


def test_a_sweep_is_not_gone_on_with_under_other_fixed_overrides(tmp_path: Path) -> None:
    for fixed in (["bar=5"], ["bar=${group1.foo}"]):
        _check_fixed(fixed, tmp_path)  # nothing has begun
    space = {"foo": {"type": "float", "lower": -5, "upper": 5}}
    HptbenchSweeper(fidelity={})._tuner(space, tmp_path).close()
    _check_fixed(["bar=${group1.foo}"], tmp_path)
    message = r"began with, \['bar=\$\{group1.foo\}'\], got \['bar=5'\]: give those to go on, or name another folder"
    with pytest.raises(HydraException, match=message):
        _check_fixed(["bar=5"], tmp_path)


@pytest.mark.slow
def test_spaces_in_the_configuration_and_on_the_command_line(
    hydra_restore_singletons: Any, hydra_sweep_runner: TSweepRunner, tmp_path: Path
) -> None:
    run = sweep(
        hydra_sweep_runner, tmp_path, "hydra.sweeper.method=random", "hydra.sweeper.budget=12",
        "+hydra.sweeper.params={+kind: {type: categorical, choices: ['a b', \"it's\"]}, "
        "+width: {type: integer, lower: 8, upper: 64, when: {+kind: 'a b'}}, +fixed: 3, bar: 'range(1,9,4)'}",
        "group1=file1,file2", "+rate=tag(log, interval(1e-5, 1))", "bar=range(1,9,2)",
        function=lambda cfg: float(cfg.bar),
    )  # fmt: skip
    with run:
        jobs = [job.cfg for batch in run.returns for job in batch]
    assert {job.kind for job in jobs} == {"a b", "it's"}
    assert all(("width" in job) == (job.kind == "a b") for job in jobs)
    assert {job.bar for job in jobs} == {1, 3, 5, 7}
    assert {job.foo for job in jobs} == {10, 20}
    assert {job.fixed for job in jobs} == {3}
    assert min(job.rate for job in jobs) < 1e-2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["hydra.sweeper.method=gpp", "foo=1,2"], "unknown method 'gpp'"),
        (["hydra.sweeper.method=bohb", "foo=1,2"], "trains part of the way"),
        (["hydra.sweeper.direction=up", "foo=1,2"], "unknown direction 'up'"),
        (["foo=interval(3, 1)"], "expected interval"),
        (["+hydra.sweeper.params={foo: {type: flaot}}"], "Did you mean 'float'"),
        (["hydra.sweeper.asynchronous=true", "foo=1,2"], "processes of their own, got BasicLauncher"),
    ],
)
def test_what_cannot_be_is_said(
    hydra_restore_singletons: Any,
    hydra_sweep_runner: TSweepRunner,
    tmp_path: Path,
    overrides: list[str],
    message: str,
) -> None:
    with pytest.raises(HydraException, match=message), sweep(hydra_sweep_runner, tmp_path, *overrides):
        pass


def test_an_application_that_returns_nothing_is_a_mistake(
    hydra_restore_singletons: Any, hydra_sweep_runner: TSweepRunner, tmp_path: Path
) -> None:
    run = sweep(hydra_sweep_runner, tmp_path, "foo=1,2", function=lambda cfg: None)
    with pytest.raises(HydraException, match=r"expected the application to return 1 number\(s\)"), run:
        pass


def program(folder: Path, *words: str, die_at: int = 0, ends: int = 0) -> None:
    environment = {**os.environ, "CALLS": str(folder / "calls"), "DIE_AT": str(die_at), "HYDRA_FULL_ERROR": "1"}
    command = [sys.executable, str(APP), "-m", "hydra/sweeper=hptbench", f"hydra.sweep.dir={folder}/sweep", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=300, text=True)
    assert done.returncode == ends, done.stderr


@pytest.mark.slow
def test_killed_and_started_again_with_fidelity_checkpoints_and_failures(tmp_path: Path) -> None:
    words = [
        "hydra.sweeper.method=hyperband", "hydra.sweeper.budget=3", "+x=interval(-5,5)", "+kind='fine','it\\'s bad'",
        "hydra.sweeper.fidelity={override: +epochs, low: 1, high: 9, load: +load, save: +save}",
    ]  # fmt: skip
    calls = tmp_path / "calls"
    program(tmp_path, *words, die_at=5, ends=9)
    program(tmp_path, *words, "+other=1", ends=1)  # the values would be of something else
    program(tmp_path, *words)
    trained = [int(line) for line in calls.read_text().splitlines()]
    assert sum(trained) - trained[4] <= 3 * 9 + 8, "nothing is done again but what was running"
    found = results(tmp_path / "sweep")
    with Tuner.load(tmp_path / "sweep" / JOURNAL, checkpoints=tmp_path / "sweep" / "checkpoints") as tuner:
        history = tuner.history
    assert found["jobs"] == len(history) == len(trained) - 1
    assert any(result.job.start > 0 for result in history)
    assert {str(result.status) for result in history} == {"ok", "failed"}
    assert found["best_evaluated_params"]["+kind"] == "'fine'"
    assert (tmp_path / "sweep" / str(history[-1].job.id) / ".hydra").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize(("launcher", "dies"), [("joblib", False), ("submitit_local", False), ("submitit_local", True)])
def test_asynchronously_a_job_begins_as_soon_as_another_has_ended(tmp_path: Path, launcher: str, dies: bool) -> None:
    pytest.importorskip(
        f"hydra_plugins.hydra_{launcher.split('_')[0]}_launcher", reason="the extra `launchers` is missing"
    )
    words = [
        f"hydra/launcher={launcher}", "hydra.sweeper.asynchronous=true", "hydra.sweeper.max_batch_size=2",
        "hydra.sweeper.method=tpe", "hydra.sweeper.budget=6", "+x=interval(-5,5)", f"+waits={tmp_path}/two",
        *(["hydra.launcher.n_jobs=2"] if launcher == "joblib" else []), *(["+dies=true"] if dies else []),
    ]  # fmt: skip
    program(tmp_path, *words)  # the first job waits for the third, with which no batch of two would ever end
    with Tuner.load(tmp_path / "sweep" / JOURNAL) as tuner:
        history = tuner.history
    assert {result.job.id for result in history} == set(range(6))
    assert history[0].job.id == 1, "the first job ends after the third has begun"
    lost = {result.job.id for result in history if str(result.status) == "failed"}
    assert lost == ({3} if dies else set()), "the job whose process died, and no other"
    assert results(tmp_path / "sweep")["jobs"] == 6


def test_asynchronously_joblib_needs_processes(
    hydra_restore_singletons: Any, hydra_sweep_runner: TSweepRunner, tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="the extra `launchers` is missing")
    words = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "hydra.sweeper.asynchronous=true", "foo=1,2"]
    with pytest.raises(HydraException, match="n_jobs > 1"), sweep(hydra_sweep_runner, tmp_path, *words):
        pass


class SlurmLauncher:
    """Stands in for one whose jobs are processes elsewhere; ``launched``: the jobs, in the order of their beginning."""

    def __init__(self, work: Callable[[int], Any]) -> None:
        self._work, self.launched, self.states = work, [], []

    def launch(self, batch: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        self.launched.append(initial_job_idx)
        self.states.append(Singleton.get_state())
        [overrides] = batch
        value = self._work(initial_job_idx)
        return [JobReturn(overrides=overrides, status=JobStatus.COMPLETED, _return_value=value)]


@contextmanager
def asynchronous(folder: Path, work: Callable[[int], Any], n: int = 2) -> Iterator[tuple[Any, Any, Tuner]]:
    """A sweep of six jobs to be begun, its launcher, its tuner."""
    sweeper: Any = HptbenchSweeper(fidelity={}, method="random", budget=6, max_batch_size=n, asynchronous=True)
    sweeper.launcher = launcher = SlurmLauncher(work)
    sweeper.validate_batch_is_legal = lambda batch: None
    with sweeper._tuner({"foo": {"type": "float", "lower": -5, "upper": 5}}, folder) as tuner:
        yield partial(sweeper._asynchronously, tuner, _Overrides([], {})), launcher, tuner


@pytest.mark.parametrize("n", [1, 3])
def test_asynchronously_all_jobs_are_done_once_with_one_copy_of_the_state_of_hydra(tmp_path: Path, n: int) -> None:
    before = Singleton.get_state
    with asynchronous(tmp_path, float, n) as (sweep, launcher, tuner):
        assert len(sweep()) == 6
        assert sorted(launcher.launched) == list(range(6))
        assert {result.job.id: result.value for result in tuner.history} == {i: i for i in range(6)}
    assert len(set(map(id, launcher.states))) == 1, "copied by threads, it would be taken apart"
    assert Singleton.get_state is before


def test_asynchronously_what_was_pending_is_done_first(tmp_path: Path) -> None:
    with asynchronous(tmp_path, float) as (_, _, tuner):
        asked = tuner.ask(2)
        tuner.tell(asked[0], 0.0)
    with asynchronous(tmp_path, float) as (sweep, launcher, tuner):
        sweep()
        assert launcher.launched[0] == asked[1].id
        assert sorted(launcher.launched) == list(range(1, 6)), "and what was told is not done again"
        assert len(tuner.history) == 6


def broken() -> None:
    raise RuntimeError("no such partition")


@pytest.mark.parametrize(("wrong", "message"), [(lambda: None, "to return 1 number"), (broken, "no such partition")])
def test_asynchronously_an_error_waits_for_what_is_under_way(
    tmp_path: Path, wrong: Callable[[], Any], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    def work(job: int) -> Any:
        if job == 1:
            return wrong()
        end = time.monotonic() + 10
        while not caplog.messages and time.monotonic() < end:
            time.sleep(0.01)
        return 0.5

    with asynchronous(tmp_path, work) as (sweep, launcher, tuner):
        with pytest.raises((HydraException, RuntimeError), match=message):
            sweep()
        assert sorted(launcher.launched) == [0, 1], "nothing begins any more"
        assert [result.job.id for result in tuner.history] == [0]
        assert [job.id for job in tuner.pending] == [1]
    assert "1 under way" in caplog.messages[0]


def test_asynchronously_ctrl_c_waits_for_nothing(tmp_path: Path) -> None:
    for_ever = Event()

    def work(job: int) -> float:
        if job == 0:
            raise KeyboardInterrupt
        for_ever.wait(60)
        return 0.0

    with asynchronous(tmp_path, work) as (sweep, _, tuner):
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            sweep()
        assert time.monotonic() - began < 30
        assert len(tuner.pending) == 2
    for_ever.set()
