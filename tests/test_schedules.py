"""From a population's run to a file, and back into a task."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from studies import do, plans

from hptbench.commands.schedule import main
from hptbench.errors import UserError
from hptbench.executors.serial import Serial
from hptbench.protocol import Budget, Job, Proposal
from hptbench.results.collect import Study, collect
from hptbench.results.schedules import schedule
from hptbench.rng import entropy
from hptbench.tasks.replayed import Replayed
from hptbench.tasks.training import TrainingTask

QUADRATIC = TrainingTask("noisy_quadratic", 20)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    do(Serial(), plans(folder, ("pbt", "default"), (QUADRATIC,), seeds=(0, 1), budget=Budget(max_full_evals=6)))
    return collect(folder)


def test_a_path_has_no_gaps_and_ends_in_the_best_job(study: Study) -> None:
    found = schedule(study)
    assert found.method == "pbt"
    assert found.steps[-1].value == study.jobs.query("method == 'pbt' and stop == 20")["value"].min()
    assert [step.start for step in found.steps] == [0, *(step.stop for step in found.steps[:-1])]
    assert found.steps[-1].stop == 20
    rows = study.jobs.query("run == @found.run").set_index("job")
    for below, step in zip(found.steps, found.steps[1:], strict=False):
        assert rows.loc[step.job, "source"] == below.job
    assert len({step.trial for step in found.steps}) > 1, "the best member has copied another"


def test_it_is_replayed_to_the_same_value_from_a_file(study: Study, tmp_path: Path) -> None:
    for name in ("found.yaml", "found.json"):
        out = tmp_path / name
        assert main([str(study.folder), "--where", "method=pbt", "--out", str(out)]) == 0
        task = Replayed(QUADRATIC, file=str(out), label="found")
        [outcome] = task.evaluate([Job(0, 0, Proposal(task.space.default()), 0.0, 20.0, entropy("anything"))])
        np.testing.assert_allclose(outcome.curve[-1].values[0], schedule(study).steps[-1].value, rtol=1e-12)


def test_a_given_job_of_one_run(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--where", "method=pbt", "seed=1"]
    assert main([str(study.folder), *where, "--job", "3"]) == 0
    text = capsys.readouterr().out
    assert "job: 3" in text
    assert "seed: 1" in text
    config = json.loads(study.jobs.query("method == 'pbt' and seed == 1 and job == 3")["config"].iloc[0])
    assert f"{config['rate']}" in text


def test_what_cannot_be_found_is_said(study: Study) -> None:
    with pytest.raises(UserError, match="expected one run to find job 3 in, got 2"):
        schedule(study, 3)
    with pytest.raises(UserError, match="got 999999"):
        main([str(study.folder), "--where", "method=pbt", "seed=1", "--job", "999999"])
    two = Study(study.folder, study.jobs, study.runs.assign(task=["a", "b"] * (len(study.runs) // 2)), ())
    with pytest.raises(UserError, match="expected one task, got a, b"):
        schedule(two)
