from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.methods.design import Design
from hptbench.protocol import Budget, Clock, Fidelity, Problem, Record, Status
from hptbench.simulate import simulate
from hptbench.spacefile import space_from_yaml
from hptbench.testing.problems import Bowl


def run(design: Design, task: Bowl, seed: int = 0, workers: int = 1) -> list[Record]:
    problem = Problem(task.space, task.objectives, task.fidelity, Budget(max_jobs=10_000), workers)
    coroutine = simulate(design, problem, (task.name, seed), Clock.UNITS)
    try:
        jobs = next(coroutine)
        while True:
            jobs = coroutine.send(task.evaluate(jobs))
    except StopIteration as stop:
        return sorted(stop.value, key=lambda record: (record.job.proposal.note["config"], record.job.stop))


def asked(records: list[Record]) -> list[tuple[Any, ...]]:
    return [(r.job.proposal.note["config"], r.job.stop, r.job.proposal.config) for r in records]


def test_every_configuration_reaches_every_level_in_one_trial() -> None:
    records = run(Design(configs=5), Bowl())
    assert [(r.job.proposal.note["config"], r.job.stop) for r in records] == [
        (i, s) for i in range(5) for s in (3, 9, 27)
    ]
    assert len({r.job.trial for r in records}) == 5
    assert [r.job.start for r in records[:3]] == [0, 3, 9], "a training goes on where it can"
    assert records[0].job.proposal.config == Bowl().space.default()


def test_the_configurations_are_the_spaces_alone() -> None:
    one = asked(run(Design(configs=6), Bowl()))
    assert one == asked(run(Design(configs=6), Bowl(name="other", noise=1.0), seed=3, workers=4))
    more = asked(run(Design(configs=9), Bowl()))
    assert more[: len(one)] == one
    assert asked(run(Design(configs=3, first=6), Bowl())) == more[len(one) :], "a table grows"
    other = asked(run(Design(configs=6, number=1), Bowl()))
    assert other[:3] == one[:3]
    assert all(a[2] != b[2] for a, b in zip(other[3:], one[3:], strict=True))


def test_no_configuration_comes_twice_and_a_small_space_ends_the_design() -> None:
    configs = [c for _, _, c in asked(run(Design(configs=64, levels=(1.0,)), Bowl(over="point")))]
    assert configs == [{"only": 1}]
    space = {"k": {"type": "integer", "lower": 1, "upper": 5}, "w": {"type": "categorical", "choices": ["a", "b"]}}
    problem = Problem(space_from_yaml(space), ("loss",), None, Budget(max_jobs=99))
    search = Design(configs=64).begin(problem, np.random.default_rng(0))
    configs = [p.config for p in search.ask(99, [])]
    assert len(configs) == len({(c["k"], c["w"]) for c in configs}) == 10


def test_a_failed_configuration_is_not_trained_further() -> None:
    records = run(Design(configs=20), Bowl(fail=0.3))
    failed = {r.job.proposal.note["config"]: r.job.stop for r in records if r.outcome.status is not Status.OK}
    assert failed
    for config, level in failed.items():
        assert max(r.job.stop for r in records if r.job.proposal.note["config"] == config) == level
    done = [r for r in records if r.job.stop == 27 and r.outcome.status is Status.OK]
    assert len(done) == 20 - len(failed)


def test_levels_that_the_task_cannot_tell_apart_are_one() -> None:
    records = run(Design(configs=2), replace(Bowl(), fidelity=Fidelity(1, 3, "epoch", continues=True)))
    assert [r.job.stop for r in records] == [1, 3, 1, 3]
    records = run(Design(configs=2), replace(Bowl(), fidelity=None))
    assert [r.job.stop for r in records] == [1, 1]


@pytest.mark.parametrize(("fields", "message"), [
    ({"configs": 0}, "design.configs >= 1"),
    ({"first": -1}, "design.first >= 0"),
    ({"levels": ()}, "rising shares"),
    ({"levels": (0.5, 0.1)}, "rising shares"),
    ({"levels": (0.5, 1.5)}, "rising shares"),
    ({"levels": (0.0, 1.0)}, "rising shares"),
])  # fmt: skip
def test_bad_fields(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(Design(**fields), Bowl())
