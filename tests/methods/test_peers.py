"""Peers, each with few evaluations: what the wrapper adds must be right; how good they are is not ours to test."""

from __future__ import annotations

import json
import logging
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import ConfigSpace as CS
import numpy as np
import pytest

from hptbench import registry
from hptbench.errors import UserError
from hptbench.methods._peers import Sandbox, branches, filled, grow, missing, trials, varied
from hptbench.protocol import Budget, Fidelity, Job, Method, Point, Problem, Proposal, Record, Report, Status
from hptbench.space import Space
from hptbench.spacefile import space_from_yaml
from hptbench.testing.methods import fitting, incumbent, is_a_frozen_recipe, problem_of, records_of
from hptbench.testing.problems import Bowl

PEERS = [name for name, cls in registry.methods().items() if cls.traits.requires]  # type: ignore[attr-defined]
SLOW = {
    "ext_ax": 7,
    "ext_hpbandster_bohb": 16,
    "ext_optuna_gp": 12,
    "ext_skopt_gp": 12,
    "ext_smac_blackbox": 5,
    "ext_smac_hpo": 7,
    "ext_smac_multifidelity": 9,
    "ext_syne_tune_bore": 8,
    "ext_syne_tune_cqr": 7,
}
"""Those that take seconds, and how many evaluations they get: enough for a model."""
LEARNS = {
    "ext_cmaes_catcmawm",
    "ext_hyperopt_tpe",
    "ext_optuna_tpe",
    "ext_optuna_tpe_group",
    "ext_optuna_tpe_univariate",
}
"""Beat random search within 40 evaluations of the sphere."""
EPOCHS = Fidelity(1, 9, continues=True)
MIXED, SPHERE = Bowl(fidelity=None, noise=0.0), Bowl(over="sphere", fidelity=None, noise=0.0)


def peer(name: str) -> Method:
    cls = registry.find("method", name)
    if lack := missing(cls.traits.requires):  # type: ignore[attr-defined]
        pytest.skip(lack)
    return cls()  # type: ignore[no-any-return]


def suited(method: Method, task: Bowl) -> Bowl:
    """``task`` with what the method needs of it."""
    wants = type(method).traits.fidelity and task.fidelity is None
    return fitting(method, replace(task, fidelity=EPOCHS) if wants else task)


def marked(names: Sequence[str]) -> list[object]:
    return [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in names]


every_peer = pytest.mark.parametrize("name", marked(PEERS))


def enough(name: str) -> int:
    return SLOW.get(name, 25)


def run(name: str, task: Bowl, jobs: int | None = None, seed: int = 0, workers: int = 1) -> list[Record]:
    method = peer(name)
    return records_of(method, suited(method, task), seed, Budget(max_jobs=jobs or enough(name)), workers)


def configs(records: Sequence[Record]) -> list[dict[str, object]]:
    return [dict(record.job.proposal.config) for record in records]


def test_there_are_peers_and_all_show_what_they_need_where_they_are_missing() -> None:
    assert {"ext_optuna_tpe", "ext_optuna_gp"} <= set(PEERS)
    for name in PEERS:
        cls = registry.find("method", name)
        is_a_frozen_recipe(cls())
        if missing(cls.traits.requires):  # type: ignore[attr-defined]
            with pytest.raises(UserError, match="pip install"):
                cls().begin(problem_of(suited(cls(), MIXED)), np.random.default_rng(0))


@every_peer
def test_proposals_lie_in_a_conditional_space(name: str) -> None:
    seen = configs(run(name, MIXED, workers=3))
    for config in seen:
        MIXED.space.check(config)
        assert all(type(value) in (bool, int, float, str) for value in config.values()), config
    assert len(seen) == enough(name)
    assert {"plain", "deep", "wide"} >= {config["kind"] for config in seen} != {"plain"}


@every_peer
def test_equal_seed_equal_trace(name: str) -> None:
    first, again, other = (configs(run(name, MIXED, seed=seed, workers=2)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


_TRACE = """
import json, sys
from test_peers import MIXED, configs, run
print(json.dumps(configs(run(sys.argv[1], MIXED, seed=1, workers=2))))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", PEERS)
def test_another_process_does_the_same(name: str) -> None:
    """Sets of texts have another order in each."""
    peer(name)
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": path}
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _TRACE, name],
        env=env,
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(out.stdout.splitlines()[-1]) == configs(run(name, MIXED, seed=1, workers=2))


@every_peer
@pytest.mark.parametrize("task", [replace(MIXED, fail=0.3, nan=0.2), replace(MIXED, fail=1.0), Bowl("point", None)])
def test_failures_are_survived(name: str, task: Bowl) -> None:
    assert len(run(name, task, workers=2)) == enough(name)


@every_peer
def test_global_states_are_left_alone(name: str) -> None:
    peer(name)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    expected = random.getstate(), np.random.get_state()[1].tolist(), logging.root.manager.disable  # noqa: NPY002
    first = configs(run(name, MIXED))
    assert (random.getstate(), np.random.get_state()[1].tolist(), logging.root.manager.disable) == expected  # noqa: NPY002
    random.seed(4)
    np.random.seed(4)  # noqa: NPY002
    assert configs(run(name, MIXED)) == first, "what the library does depends on a global state"


@pytest.mark.slow
@every_peer
def test_two_searches_side_by_side_do_as_each_alone(name: str) -> None:
    """Runs in lockstep share a process."""
    method = peer(name)
    task = suited(method, MIXED)

    def steps(seed: int):  # type: ignore[no-untyped-def]
        search = method.begin(problem_of(task, Budget(max_jobs=enough(name))), np.random.default_rng(seed))
        for i in range(enough(name)):
            [proposal] = search.ask(1, [])
            yield dict(proposal.config)
            search.tell([report_of(task, proposal, i)])

    alone = [list(steps(1)), list(steps(2))]
    assert list(zip(steps(1), steps(2), strict=True)) == list(zip(*alone, strict=True))


def report_of(task: Bowl, proposal: Proposal, job: int) -> Report:
    stop = proposal.fidelity or (task.fidelity.high if task.fidelity else 1.0)
    [outcome] = task.evaluate([Job(job, job, proposal, 0.0, stop, (job,))])
    value = outcome.curve[-1].values
    return Report(job, job, proposal, stop, Status.OK, value, outcome.curve, 1.0)


@every_peer
def test_other_peoples_reports_are_no_error_not_even_such_as_look_like_its_own(name: str) -> None:
    method = peer(name)
    task = suited(method, MIXED)
    donor = method.begin(problem_of(task), np.random.default_rng(5))
    foreign = [report_of(task, proposal, i) for i, proposal in enumerate(donor.ask(6, []))]
    failed = replace(foreign[0], status=Status.FAILED, values=(np.inf,) * len(task.objectives))
    search = method.begin(problem_of(task), np.random.default_rng(6))
    proposals = search.ask(2, [])
    search.tell([*foreign, failed, *foreign[:1]])
    search.tell([report_of(task, proposal, i) for i, proposal in enumerate(proposals)])
    for i in range(3 if name in SLOW else 8):
        for proposal in search.ask(1, []):
            task.space.check(proposal.config)
            search.tell([report_of(task, proposal, i)])


@every_peer
def test_reports_of_lower_fidelities_are_ignored(name: str) -> None:
    method = peer(name)
    if type(method).traits.fidelity:
        pytest.skip("looks at them")
    task = fitting(method, replace(MIXED, fidelity=EPOCHS))
    traces = []
    for low in ([], [1.0, 3.0]):
        search = method.begin(problem_of(task), np.random.default_rng(0))
        trace = []
        for i in range(enough(name)):
            [proposal] = search.ask(1, [])
            trace.append(proposal)
            value = (sum(map(len, map(str, proposal.config.values()))) / 10,) * len(task.objectives)
            for fidelity in [*low, 9.0]:
                search.tell([Report(i, i, proposal, fidelity, Status.OK, value, (Point(fidelity, value),), 1.0)])
        traces.append(trace)
    assert traces[0] == traces[1]


@every_peer
def test_forbidden_configurations_are_not_proposed(name: str) -> None:
    configspace = CS.ConfigurationSpace(seed=0)
    kind, x = CS.CategoricalHyperparameter("kind", ["a", "b", "c"], default_value="c"), CS.Float("x", (0.0, 1.0))
    configspace.add(kind, x, CS.Integer("n", (1, 9)))
    configspace.add(CS.ForbiddenInClause(kind, ["a", "b"]))
    method = peer(name)
    task = suited(method, MIXED)
    names = task.objectives
    search = method.begin(
        Problem(Space(configspace), names, task.fidelity, Budget(max_jobs=enough(name)), 1), np.random.default_rng(0)
    )
    for i in range(enough(name)):
        [proposal] = search.ask(1, [])
        assert proposal.config["kind"] == "c"
        value, reached = (float(proposal.config["x"]),) * len(names), proposal.fidelity or 9.0
        search.tell([Report(i, i, proposal, reached, Status.OK, value, (Point(reached, value),), 1.0)])


@pytest.mark.parametrize("name", marked(sorted(LEARNS)))
def test_learns_on_a_sphere(name: str) -> None:
    own = [incumbent(run(name, SPHERE, jobs=40, seed=seed)) for seed in range(3)]
    rand = [incumbent(run_random(SPHERE, jobs=40, seed=seed)) for seed in range(3)]
    assert np.median(own) < np.median(rand)


def run_random(task: Bowl, jobs: int, seed: int) -> list[Record]:
    return records_of(registry.find("method", "random")(), task, seed, Budget(max_jobs=jobs))


# what the wrappers share


def test_the_sandbox_has_random_states_of_its_own_and_puts_the_others_back() -> None:
    def draws() -> tuple[float, ...]:
        return random.random(), float(np.random.random()), float(np.random.standard_normal())  # noqa: NPY002

    np.random.seed(5)  # noqa: NPY002
    np.random.standard_normal()  # noqa: NPY002  leaves another normal number in store
    before = random.getstate(), [np.array(part).tolist() for part in np.random.get_state()]  # noqa: NPY002
    alone, seen = Sandbox(1, torch=False), []
    for _ in range(3):
        with alone():
            seen.append(draws())
    assert (random.getstate(), [np.array(part).tolist() for part in np.random.get_state()]) == before  # noqa: NPY002
    assert len(set(seen)) == 3
    again = Sandbox(1, torch=False)
    with again():
        assert draws() == seen[0]
        np.random.seed(9)  # noqa: NPY002
    draws()
    with again():
        warnings.warn("silenced", UserWarning, stacklevel=1)
        assert not logging.getLogger("library").isEnabledFor(logging.CRITICAL)
    with pytest.raises(ZeroDivisionError), again():
        raise ZeroDivisionError
    assert logging.root.manager.disable == 0


def test_a_configuration_grows_along_its_conditions_and_constants_are_not_asked_for() -> None:
    space = space_from_yaml(
        {
            "kind": {"type": "categorical", "choices": ["a", "b"]},
            "fix": {"type": "constant", "value": 7},
            "one": {"type": "categorical", "choices": ["only"]},
            "x": {"type": "float", "lower": 0, "upper": 1, "when": {"kind": "a"}},
            "y": {"type": "integer", "lower": 1, "upper": 5, "when": {"kind": ["a", "b"]}},
        }
    )
    asked: list[str] = []

    def suggest(hp: CS.Hyperparameter) -> object:  # type: ignore[name-defined]
        asked.append(hp.name)
        return {"kind": "b", "x": 0.5, "y": 2}[hp.name]

    assert grow(space, suggest) == {"kind": "b", "fix": 7, "one": "only", "y": 2}  # type: ignore[arg-type]
    assert sorted(asked) == ["kind", "y"]
    asked.clear()
    assert grow(space, suggest, flat=True) == {"kind": "b", "fix": 7, "one": "only", "y": 2}  # type: ignore[arg-type]
    assert sorted(asked) == ["kind", "x", "y"]
    assert branches(space) == {"x": ("kind", ("a",)), "y": ("kind", ("a", "b"))}
    assert sorted(hp.name for hp in varied(space)) == ["kind", "x", "y"]
    assert filled(space, {"kind": "b", "fix": 7, "y": 2})["x"] == 0.5


def test_conditions_on_numbers_are_no_branches() -> None:
    configspace = CS.ConfigurationSpace()
    n, x = CS.Integer("n", (1, 9)), CS.Float("x", (0.0, 1.0))
    configspace.add(n, x, CS.GreaterThanCondition(x, n, 4))
    space = Space(configspace)
    assert branches(space) == {}
    assert grow(space, lambda hp: 5 if hp.name == "n" else 0.1) == {"n": 5, "x": 0.1}
    assert grow(space, lambda hp: 4 if hp.name == "n" else 0.1) == {"n": 4}


def test_the_number_of_trials_is_that_of_the_first_limit() -> None:
    assert trials(Budget(max_jobs=30, max_full_evals=12.5), 100) == 13
    assert trials(Budget(max_time=9.0), 100) == 100


def test_what_is_missing_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing(("json", "csv")) is None
    assert missing(("json", "json.decoder", "importlib.resources")) is None
    assert "the installed json has no json.gone" in str(missing(("json", "json.gone")))
    assert missing(("json", "no_such_module")) == 'no_such_module is not installed: pip install "hptbench[peers]"'
    monkeypatch.setattr("hptbench.methods._peers.find_spec", lambda module: None)
    assert all("--no-deps" in str(missing((name,))) for name in ("syne_tune", "dehb", "hpbandster"))


def test_catcma_gets_binary_numbers_as_categories_and_very_wide_ones_as_floats() -> None:
    method = peer("ext_cmaes_catcmawm")
    space = space_from_yaml(
        {
            "n": {"type": "integer", "lower": -5, "upper": 2**31},
            "log": {"type": "integer", "lower": 1, "upper": 2**31, "log": True},
            "two": {"type": "integer", "lower": 4, "upper": 5},
            "size": {"type": "ordinal", "choices": ["s", "l"]},
            "k": {"type": "integer", "lower": 1, "upper": 9},
            "x": {"type": "float", "lower": 0, "upper": 1},
        }
    )
    search = method.begin(Problem(space, ("loss",), None, Budget(max_jobs=40)), np.random.default_rng(0))
    assert [{hp.name for hp in hps} for hps in (search._x, search._z, search._c)] == [  # type: ignore[attr-defined]
        {"n", "log", "x"}, {"k"}, {"two", "size"}
    ]  # fmt: skip
    seen = []
    for i in range(40):
        [proposal] = search.ask(1, [])
        space.check(proposal.config)
        seen.append(proposal.config)
        value = (float(proposal.config["two"]) + float(proposal.config["x"]),)
        search.tell([Report(i, i, proposal, 1.0, Status.OK, value, (Point(1.0, value),), 1.0)])
    assert {config["two"] for config in seen} == {4, 5}
    assert {config["size"] for config in seen} == {"s", "l"}
    assert sum(config["two"] == 4 for config in seen[20:]) > 10
