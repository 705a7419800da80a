from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pandas as pd
import pytest

from hptbench import machine
from hptbench.check import check_resources
from hptbench.commands.shell import dispatch
from hptbench.errors import UserError
from hptbench.journal import Journal, journaled, outcome_entry, outcome_of
from hptbench.methods.random import RandomSearch
from hptbench.protocol import Budget, Clock, Job, Outcome, Point, Proposal, Record, Status
from hptbench.report.summary import compute, green
from hptbench.simulate import simulate
from hptbench.states import States
from hptbench.testing.methods import drive, problem_of
from hptbench.testing.problems import Bowl
from hptbench.workers import Limits, Pool


def counter(folder: Path, name: str, value: int, span: int = 999_999) -> Path:
    package = folder / name
    package.mkdir(exist_ok=True)
    (package / "max_energy_range_uj").write_text(str(span))
    (package / "energy_uj").write_text(str(value))
    return package


def test_energy_is_that_of_all_packages_and_the_counters_may_run_over(tmp_path: Path) -> None:
    counter(tmp_path, "intel-rapl:0", 999_000)
    counter(tmp_path, "intel-rapl:1", 0)
    counter(tmp_path, "intel-rapl:0:0", 0)
    joules = machine.Joules(tmp_path)
    assert joules.readable
    assert joules.total() == 0
    counter(tmp_path, "intel-rapl:0", 1_000)
    counter(tmp_path, "intel-rapl:1", 500_000)
    counter(tmp_path, "intel-rapl:0:0", 900_000)
    assert joules.total() == pytest.approx(0.502)
    counter(tmp_path, "intel-rapl:1", 600_000)
    assert joules.total() == pytest.approx(0.602)


def test_where_there_is_no_counter_energy_is_not_known(tmp_path: Path) -> None:
    assert machine.Joules(tmp_path).total() is None
    package = counter(tmp_path, "intel-rapl:0", 5)
    joules = machine.Joules(tmp_path)
    (package / "energy_uj").unlink()
    assert joules.total() is None
    assert not machine.Joules(tmp_path).readable


class Costly(Bowl):
    """A bowl whose trainings take half an hour of processors each and 1.8 megajoules, a third of them of cards."""

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        return [replace(outcome, cpu=1800.0, energy=1.2e6, gpu_energy=0.6e6) for outcome in super().evaluate(jobs)]


def run(path: Path, budget: Budget, task: Bowl) -> list[Record]:
    with Journal(path, "r") as journal:
        simulated = simulate(RandomSearch(), problem_of(task, budget, workers=1), ("t", 0), Clock.COST)
        return drive(journaled(simulated, journal), task)


class OnCards(Bowl):
    """A bowl whose trainings take half an hour of a card each; from the fifth on they are elsewhere."""

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        where = [1800.0 if job.id < 4 else None for job in jobs]
        return [replace(outcome, gpu=gpu) for outcome, gpu in zip(super().evaluate(jobs), where, strict=True)]


def test_a_run_ends_when_its_time_on_cards_is_up_and_where_that_is_unknown_it_is_said(tmp_path: Path) -> None:
    assert len(run(tmp_path / "one", Budget(max_jobs=10, gpu_hours=1.5), OnCards())) == 3
    assert len(run(tmp_path / "two", Budget(max_jobs=10), OnCards())) == 10
    with pytest.raises(UserError, match=r"budget\.gpu_hours cannot be kept: expected job 4 on a graphics card"):
        run(tmp_path / "three", Budget(max_jobs=10, gpu_hours=8), OnCards())


class Nvml(ModuleType):
    """NVIDIA's library as :class:`hptbench.machine.CardJoules` uses it, with two cards."""

    class NVMLError(Exception):
        pass

    def __init__(self, counters: list[int]) -> None:
        super().__init__("pynvml")
        self.counters = counters

    def nvmlInit(self) -> None:
        if not self.counters:
            raise self.NVMLError("driver not loaded")

    def nvmlDeviceGetCount(self) -> int:
        return len(self.counters)

    def nvmlDeviceGetHandleByIndex(self, i: int) -> int:
        return i

    def nvmlDeviceGetTotalEnergyConsumption(self, card: int) -> int:
        return self.counters[card]


def test_energy_of_cards_is_that_of_all_of_them_or_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = Nvml([5_000, 1_000_000])
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    joules = machine.CardJoules()
    assert joules.readable
    nvml.counters = [7_500, 1_001_000]
    assert joules.total() == pytest.approx(3.5)
    nvml.counters = [7_500]
    assert joules.total() is None, "a card is gone"
    nvml.counters = []
    assert joules.total() is None
    blind = machine.CardJoules()
    assert not blind.readable
    nvml.counters = [7_500]
    assert blind.total() is None, "a card that came later is not looked for"
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert not machine.CardJoules().readable


@pytest.mark.parametrize("limit", [{"cpu_hours": 1.5}, {"energy_kwh": 1.5}])
def test_limits_of_resources_end_a_run_and_are_kept_when_it_is_resumed(tmp_path: Path, limit: dict[str, float]) -> None:
    path, budget = tmp_path / "journal", Budget(max_jobs=10, **limit)  # type: ignore[arg-type]
    records = run(path, budget, Costly())
    assert len(records) == 3
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    assert run(path, budget, Costly()) == records
    assert path.read_bytes() == data


def test_a_limit_of_energy_that_can_no_longer_be_kept_ends_the_run(tmp_path: Path) -> None:
    class Unreadable(Costly):
        """The counters are gone after the second job, and with the first one that failed early."""

        def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
            gone = Outcome(Status.FAILED, (), 1.0)
            known = super().evaluate(jobs)
            return [
                gone if job.id == 0 else replace(outcome, energy=None) if job.id > 1 else outcome
                for job, outcome in zip(jobs, known, strict=True)
            ]

    path = tmp_path / "journal"
    assert len(run(path, Budget(max_jobs=4), Unreadable())) == 4
    path.unlink()
    with pytest.raises(UserError, match=r"budget.energy_kwh cannot be kept: expected the energy of job 2, got none"):
        run(path, Budget(max_jobs=4, energy_kwh=100), Unreadable())
    assert path.read_bytes().count(b"\n") == 4, "what was finished is kept"


def test_what_was_killed_is_charged_its_workers_time(tmp_path: Path) -> None:
    class Killed(Bowl):
        def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
            return [Outcome(Status.TIMEOUT, (), 3600.0) for _ in jobs]

    assert len(run(tmp_path / "journal", Budget(max_jobs=10, cpu_hours=2), Killed())) == 2


def test_a_run_without_such_limits_is_what_it_always_was() -> None:
    assert Budget(max_jobs=3).to_json() == {"max_time": None, "max_full_evals": None, "max_jobs": 3}
    assert Budget(max_jobs=3, cpu_hours=1).to_json()["cpu_hours"] == 1.0
    outcome = Outcome(Status.OK, (Point(1.0, (0.5,)),), 1.0)
    assert "energy" not in outcome_entry(outcome)
    known = replace(outcome, energy=3.5, gpu=2.0, gpu_energy=4.5, left=0.25)
    assert outcome_of(outcome_entry(known)) == known == known.bare()
    with pytest.raises(UserError, match=r"budget\.energy_kwh > 0"):
        Budget(energy_kwh=0)


def test_the_energy_of_a_job_is_measured_from_when_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 1000, 10))

    class Ticking:
        readable = True

        def total(self) -> float:
            return float(next(ticks))

    monkeypatch.setattr(machine, "Joules", Ticking)
    monkeypatch.setattr(machine, "CardJoules", Ticking)
    job = Job(0, 0, Proposal(Bowl().space.default()), 0.0, 1.0, (1, 2, 3, 4))
    with Pool(Bowl(), 1, Limits(seconds=60)) as pool:
        [outcome] = pool.evaluate([job])
    assert outcome.energy == outcome.gpu_energy == 20.0, "both meters take from the same ticks"


class Leaving(Bowl):
    """A bowl whose trainings leave as many bytes as their job's number says, times 100,000."""

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        left = [b"x" * (100_000 * job.id) or None for job in jobs]
        return [replace(outcome, state=state) for outcome, state in zip(super().evaluate(jobs), left, strict=True)]


def test_the_size_of_the_state_that_a_job_leaves_is_what_it_takes_on_the_disk(tmp_path: Path) -> None:
    jobs = [Job(i, i, Proposal(Bowl().space.default()), 0.0, 1.0, (1, 2, 3, 4)) for i in range(3)]
    with Pool(Leaving(), 1, Limits(seconds=60)) as pool:
        outcomes = pool.evaluate(jobs)
    states = States(tmp_path / "states")
    for job, outcome in zip(jobs, outcomes, strict=True):
        states.keep(job.id, outcome.state, 1.0, 0.5)
    sizes = {int(path.stem): path.stat().st_size / 1e6 for path in (tmp_path / "states").iterdir()}
    assert [outcome.left for outcome in outcomes] == [None, sizes[1], sizes[2]]
    assert sizes[2] > 0.2


def test_limits_that_cannot_be_kept_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert dispatch(["+method=random", "suite=synthetic", "budget.cpu_hours=1"]) == 2
    assert "are looked up, run several at a time" in capsys.readouterr().err
    monkeypatch.setattr(machine.Joules, "readable", False)
    with pytest.raises(UserError, match="cannot be read here"):
        check_resources(Budget(energy_kwh=1), Bowl(), isolated=True)
    check_resources(Budget(cpu_hours=1), Bowl(), isolated=True)


def test_the_line_green_says_what_was_measured_and_of_how_many_jobs() -> None:
    jobs = pd.DataFrame({"energy": [3.6e6, None, 1.8e6], "gpu_energy": [None, None, 7.2e6]})
    said = green(SimpleNamespace(jobs=jobs))  # type: ignore[arg-type]
    assert (
        said == "1.5 kWh of the machine's processors while 2 jobs ran, "
        "2 kWh of the machine's graphics cards while 1 jobs ran"
    )
    assert "not measured" in green(SimpleNamespace(jobs=jobs * float("nan")))  # type: ignore[arg-type]


def test_the_line_compute_says_how_large_the_states_were_that_jobs_left() -> None:
    runs = pd.DataFrame({"wall": [60.0], "ask": [1.0], "tell": [1.0]})
    jobs = pd.DataFrame({"cpu": [90.0, 30.0], "cost": 1.0, "gpu": None, "left": [2.5, None]})
    said = "1.0 min of runs, 2 s of thinking, 2.0 min of processors in jobs"
    assert compute(SimpleNamespace(runs=runs, jobs=jobs.assign(left=None))) == said  # type: ignore[arg-type]
    assert compute(SimpleNamespace(runs=runs, jobs=jobs)) == f"{said}, 2.5 MB of states to go on from"  # type: ignore[arg-type]


def test_only_time_on_a_card_is_a_cards() -> None:
    pytest.importorskip("torch", reason="the extra `neural` is not installed")
    from hptbench.tasks.neural._trainer import card_seconds

    assert card_seconds("cuda", 2.5) == 2.5
    assert card_seconds("cpu", 2.5) is None
