"""Peers that train along a fidelity: rungs, segments and decisions are the library's own. The rest: test_peers.py."""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from hptbench import registry
from hptbench.errors import UserError
from hptbench.journal import Journal, journaled
from hptbench.methods._brackets import levels
from hptbench.methods._peer_rungs import segments
from hptbench.methods._peers import missing
from hptbench.protocol import Budget, Clock, Fidelity, Method, Point, Problem, Record, Report, Status
from hptbench.rng import entropy, stream
from hptbench.simulate import simulate
from hptbench.testing.methods import drive, problem_of, records_of
from hptbench.testing.problems import Bowl

TASK = Bowl(noise=0.0)
SPHERE = Bowl(over="sphere", noise=0.0)
LEVELS = (1.0, 3.0, 9.0, 27.0)
PEERS = [n for n, cls in registry.methods().items() if cls.traits.requires and cls.traits.fidelity]  # type: ignore[attr-defined]
SLOW = {"ext_smac_multifidelity": 30}
STOPPING = ["ext_optuna_hyperband", "ext_syne_tune_asha", "ext_syne_tune_bohb"]
every_peer = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in PEERS]
)


def peer(name: str, **settings: object) -> Method:
    cls = registry.find("method", name)
    if lack := missing(cls.traits.requires):  # type: ignore[attr-defined]
        pytest.skip(lack)
    if name == "ext_smac_multifidelity":
        settings = {"challengers": 50, "retrain_after": 50, "n_configs_per_hyperparameter": 2, **settings}
    return cls(**settings)  # type: ignore[no-any-return]


def run(name: str, task: Bowl = TASK, jobs: int = 80, seed: int = 0, workers: int = 1) -> list[Record]:
    return records_of(peer(name), task, seed, Budget(max_jobs=jobs), workers)


def value_of(record: Record) -> float:
    return record.outcome.curve[-1].values[0]


def test_all_are_here() -> None:
    assert {"ext_dehb", "ext_smac_multifidelity", *STOPPING} <= set(PEERS)


@every_peer
@pytest.mark.parametrize("workers", [1, 4])
def test_jobs_train_from_rung_to_rung(name: str, workers: int) -> None:
    records = run(name, workers=workers)
    assert len(records) == 80
    assert {record.job.stop for record in records} <= set(LEVELS)
    jobs = {record.job.id: record.job for record in records}
    continued = [record.job for record in records if record.job.proposal.source is not None]
    assert continued
    for job in continued:
        below = jobs[job.proposal.source]  # type: ignore[index]
        assert (job.start, job.proposal.config) == (below.stop, below.proposal.config)
        assert job.trial == below.trial
        assert job.start in LEVELS
    assert len({job.proposal.source for job in continued}) == len(continued), "a job is gone on from once"


@every_peer
def test_no_worker_idles(name: str) -> None:
    records = run(name, workers=5, jobs=60)
    began = sorted(record.began for record in records)
    for record in sorted(records, key=lambda record: record.ended)[: 60 - 5]:
        assert any(abs(record.ended - at) < 1e-9 for at in began), "nothing begins when this job ends"


@every_peer
def test_a_run_resumes_from_any_cut(name: str, tmp_path: Path) -> None:
    method, task = peer(name), Bowl(fail=0.1)
    problem, path = problem_of(task, Budget(max_jobs=SLOW.get(name, 40)), workers=3), tmp_path / "journal.jsonl"

    def again() -> list[Record]:
        with Journal(path, "peers") as journal:
            return drive(journaled(simulate(method, problem, ("bowl", 7), Clock.COST), journal), task)

    whole = again()
    data = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == ord("\n")]
    path.write_bytes(data[: ends[len(ends) // 2] + 7])
    assert again() == whole
    assert path.read_bytes() == data


@every_peer
def test_failed_jobs_never_go_on(name: str) -> None:
    records = run(name, Bowl(fail=0.3, nan=0.2), workers=3)
    assert len(records) == 80
    bad = {r.job.id for r in records if r.outcome.status is not Status.OK or not math.isfinite(value_of(r))}
    assert bad
    assert not bad & {record.job.proposal.source for record in records}


@every_peer
def test_needs_a_fidelity(name: str) -> None:
    with pytest.raises(UserError, match="fidelity"):
        peer(name).begin(problem_of(Bowl(fidelity=None)), np.random.default_rng(0))


@every_peer
def test_fidelities_are_such_as_the_task_can_train(name: str) -> None:
    for fidelity in (Fidelity(1, 50, continues=True), Fidelity(0.1, 1.0, integer=False, continues=True)):
        method = peer(name)
        problem = Problem(SPHERE.space, ("loss",), fidelity, Budget(max_jobs=45))
        search, seen = method.begin(problem, np.random.default_rng(0)), set()
        for i in range(45):
            for proposal in search.ask(1, []):
                assert proposal.fidelity is not None
                seen.add(proposal.fidelity)
                value = (float(proposal.config["a"]),)  # type: ignore[arg-type]
                curve = (Point(proposal.fidelity, value),)
                search.tell([Report(i, i, proposal, proposal.fidelity, Status.OK, value, curve, 1.0)])
        assert seen == set(levels(fidelity, 3)) or seen == set(levels(fidelity, 3)[: len(seen)])
        assert len(seen) >= 2


def test_dehb_wants_two_rungs() -> None:
    with pytest.raises(UserError, match="two rungs"):
        peer("ext_dehb").begin(problem_of(Bowl(fidelity=Fidelity(2, 4, continues=True))), np.random.default_rng(0))


def test_jobs_of_a_budget_in_full_evaluations_are_those_of_hyperbands_brackets() -> None:
    # eta 3, R 27: brackets of 27, 9, 3, 1; 12, 4, 1; 6, 2; 4 jobs: 69 that train 4 + 99/27 + 4 + 4 full evaluations
    assert segments(Budget(max_full_evals=12 + 99 / 27), LEVELS, 3, otherwise=5) == 69
    assert segments(Budget(max_full_evals=12 + 99 / 27, max_jobs=20), LEVELS, 3, otherwise=5) == 20
    assert segments(Budget(max_jobs=20), LEVELS, 3, otherwise=5) == 20
    assert segments(Budget(max_time=9), LEVELS, 3, otherwise=5) == 5


# against the libraries' own loops


def test_optuna_prunes_what_it_prunes_in_its_own_loop() -> None:
    records = run("ext_optuna_hyperband", SPHERE, jobs=120)
    optuna = pytest.importorskip("optuna")
    from hptbench.methods._peer_optuna import tpe

    search = peer("ext_optuna_hyperband").begin(problem_of(SPHERE), rng_of_run())
    curves: dict[int, dict[int, float]] = {}
    for record in records:
        curves.setdefault(record.job.trial, {})[round(record.job.stop)] = value_of(record)
    first = {r.job.trial: r.job.proposal.config for r in records if r.job.start == 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(
            sampler=tpe(search.method, search.seed, 1),  # type: ignore[attr-defined]
            pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=27, reduction_factor=3),
            study_name=f"hptbench-{search.seed}",  # type: ignore[attr-defined]
        )
    pruned = 0
    for number in sorted(curves)[:-1]:  # the last one may have been cut off by the budget
        trial = study.ask()
        assert {name: trial.suggest_float(name, 0.0, 1.0) for name in "abc"} == first[number]
        for step, value in curves[number].items():
            trial.report(value, step)
            if step < 27 and trial.should_prune():
                assert step == max(curves[number])
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                pruned += 1
                break
        else:
            assert max(curves[number]) == 27
            study.tell(trial, curves[number][27])
    assert 0 < pruned < len(curves) - 1


def rng_of_run() -> np.random.Generator:
    """That of ``run`` on the sphere."""
    return stream(entropy(SPHERE.name, 0, "search"))


@pytest.mark.parametrize("workers", [1, 6])
def test_syne_tune_stops_what_is_not_among_the_best_third_so_far(workers: int) -> None:
    """ASHA's rule, counted anew: of n at a rung, itself included, at most n / 3 are better."""
    records = run("ext_syne_tune_asha", jobs=150, workers=workers)
    goes_on = {record.job.proposal.source for record in records}
    rungs: dict[float, list[float]] = {}
    last = max(record.job.id for record in records)
    for record in sorted(records, key=lambda record: (record.ended, record.job.id)):
        if record.job.stop == 27:
            continue
        rung = rungs.setdefault(record.job.stop, [])
        rung.append(value_of(record))
        better = sum(value < value_of(record) for value in rung)
        expected = len(rung) == 1 or better <= len(rung) / 3
        if record.ended < max(r.began for r in records if r.job.id == last):
            assert (record.job.id in goes_on) == expected
    assert len(rungs[1.0]) > 3 * len(rungs[9.0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_dehb_is_asked_and_told_as_in_its_own_loop_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    records = run("ext_dehb", SPHERE, jobs=90)
    assert os.listdir(tmp_path) == []
    search = peer("ext_dehb").begin(problem_of(SPHERE), rng_of_run())
    from dehb import DEHB

    native = DEHB(
        cs=SPHERE.space.configspace, min_fidelity=1, max_fidelity=27, n_workers=1, seed=search.seed,  # type: ignore[attr-defined]
        output_path=str(tmp_path), log_level="ERROR",
    )  # fmt: skip
    for record in records:
        job = native.ask()
        assert (dict(job["config"]), job["fidelity"]) == (dict(record.job.proposal.config), record.job.stop)
        native.tell(job, {"fitness": value_of(record), "cost": 1.0})
    assert capsys.readouterr().out == ""
