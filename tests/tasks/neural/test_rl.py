from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra neural is not installed")

import gymnasium
import plain_training as plain
import torch
from plain_agents import PlainAgent

from hptbench import rng
from hptbench.errors import UserError
from hptbench.protocol import Job, Proposal, Task
from hptbench.rng import entropy, stream
from hptbench.spacefile import packaged_space
from hptbench.tasks.neural import rl
from hptbench.tasks.neural._agents import A2C, ALGORITHMS, CROWD, DQN, MEMORY, Agent, Crowd
from hptbench.tasks.neural._environments import ENVIRONMENTS, TORQUES, _wrapped
from hptbench.tasks.neural._nets import MLP
from hptbench.tasks.neural._optimizers import Optimizer
from hptbench.tasks.neural._tile import Layout
from hptbench.tasks.neural.rl import NeuralRL
from hptbench.testing import TASK_CHECKS

QUICK: Any = {
    "warmup": {"type": "integer", "lower": 64, "upper": 200},
    "units": {"type": "integer", "lower": 8, "upper": 40},
}
A2C_TASK = NeuralRL("cartpole", steps=128, episodes=2, high=2)
DQN_TASK = NeuralRL("cartpole", "dqn", steps=128, episodes=1, high=2, space=QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("task", [A2C_TASK, DQN_TASK], ids=lambda task: task.name)
def test_conforms(task: Task, check: Callable[[Task], None]) -> None:
    check(task)


def test_what_it_is() -> None:
    assert (A2C_TASK.name, DQN_TASK.name, DQN_TASK.unit) == ("cartpole-a2c", "cartpole-dqn", "cartpole")
    assert replace(A2C_TASK, split=1).identity() == {
        "environment": "cartpole", "algorithm": "a2c", "steps": 128, "episodes": 2, "split": 1, "low": 1, "high": 2,
    }  # fmt: skip
    assert {"test", "test_negative_return", "validation_negative_return", "flops"} == set(
        A2C_TASK.evaluate([job(A2C_TASK)])[0].hidden
    )


def job(task: NeuralRL, stop: int | None = None, **config: Any) -> Job:
    return Job(0, 0, Proposal(task.space.default() | config), 0.0, float(stop or task.high), rng.entropy("t", 0))


@pytest.mark.parametrize(
    ("name", "theirs"), [("cartpole", "CartPole-v1"), ("acrobot", "Acrobot-v1"), ("pendulum", "Pendulum-v1")]
)
def test_dynamics_are_those_of_gymnasium(name: str, theirs: str) -> None:
    """Along episodes of random actions."""
    ours, peer = ENVIRONMENTS[name], gymnasium.make(theirs)
    assert peer.spec is not None
    assert ours.limit == peer.spec.max_episode_steps
    raw: Any = peer.unwrapped
    random = np.random.default_rng(0)
    for episode in range(4):
        peer.reset(seed=episode)
        assert np.abs(np.asarray(raw.state)).max() <= max(ours.first)
        for _ in range(120):
            raw.state = before = np.array(raw.state, np.float64)  # Acrobot's first ones are in single precision
            action = int(random.integers(ours.actions))
            given: Any = np.array([4 / (TORQUES - 1) * action - 2]) if name == "pendulum" else action
            seen, reward, over, _, _ = peer.step(given)
            mine, paid, done = ours.step(torch.from_numpy(before.copy()), torch.tensor(action))
            np.testing.assert_allclose(mine, raw.state, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(ours.observe(mine), seen, rtol=1e-6, atol=1e-7)
            assert (float(paid), bool(done)) == (pytest.approx(reward, rel=1e-12), over)
            if over:
                break
    begun = ours.begin(torch.from_numpy(random.random((1000, len(ours.first)))))
    assert (begun.abs() <= torch.tensor(ours.first)).all()
    assert (begun.abs().amax(0) > 0.9 * torch.tensor(ours.first)).all()


def test_angles_are_wrapped_as_often_as_it_takes() -> None:
    angles = torch.tensor([0.0, math.pi, -math.pi, 3.2, -3.2, 10.0, -10.0], dtype=torch.float64)
    wrapped = [0, math.pi, -math.pi, 3.2 - 2 * math.pi, 2 * math.pi - 3.2, 10 - 4 * math.pi, 4 * math.pi - 10]
    np.testing.assert_allclose(_wrapped(angles), wrapped, atol=1e-14)


def agent(
    algorithm: str, environment: str, number: int = 0, units: int = 12, layers: int = 3, **settings: float
) -> Agent:
    problem, crowd = ENVIRONMENTS[environment], ALGORITHMS[algorithm]
    outputs = problem.actions + crowd.more
    net = MLP(problem.observed, (units,) * (layers - 1), outputs)
    config = packaged_space(f"neural_{algorithm}").default()
    own = {name: float(config[name]) for name in crowd.settings} | {"warmup": 80.0} | settings
    within = MLP(problem.observed, (32,) * (layers - 1), 16)
    return Agent(net, within, Optimizer("adam", 3e-3), own, (1, 2, 3, number), 3)


def ended(crowd: Crowd, i: int) -> list[np.ndarray[Any, Any]]:
    net = crowd.agents[i].net
    layout = Layout(net)
    flat = layout.spread(net, crowd.left(i).snapshot.parameters)
    return [view[0].numpy() for view in layout.views(torch.from_numpy(flat[None]))]


@pytest.mark.parametrize(("algorithm", "environment"), [("a2c", "acrobot"), ("a2c", "cartpole"), ("dqn", "cartpole")])
def test_is_plain_training_of_the_same_agent(algorithm: str, environment: str) -> None:
    one = agent(algorithm, environment, clip=0.3, entropy=0.1, trace=0.8)
    crowd = ALGORITHMS[algorithm](ENVIRONMENTS[environment], [agent(algorithm, environment, 1, 20), one], 32, "cpu")
    alone = PlainAgent(ENVIRONMENTS[environment], one)
    for unit in range(2):
        crowd.train([unit, unit])
        draws = crowd.draws(stream(entropy(*one.seed, "unit", unit)))
        alone.a2c(draws) if algorithm == "a2c" else alone.dqn(draws, unit)
    np.testing.assert_allclose(crowd.state[1], torch.stack(alone.states), rtol=1e-9, atol=1e-9)
    assert crowd.clock[1].tolist() == alone.clocks
    mine = plain.weights(one.net, ended(crowd, 1))
    for a, b in zip(mine, alone.module.parameters(), strict=True):
        assert np.abs(a.numpy() - b.detach().numpy()).max() < 2e-4
    if algorithm == "dqn":
        target = [view[1] for view in Layout(one.within).views(torch.as_tensor(crowd.target))]
        expected = [view[1] for view in Layout(one.within).views(crowd.tile.p)]
        assert not torch.equal(target[0], expected[0])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_neighbours_do_not_matter_and_two_segments_are_one(algorithm: str) -> None:
    problem = ENVIRONMENTS["cartpole"]
    agents = [agent(algorithm, "cartpole", i, 8 + 4 * i, warmup=64.0 * (i + 1)) for i in range(3)]
    together = ALGORITHMS[algorithm](problem, agents, 16, "cpu")
    for unit in range(3):
        together.train([unit] * 3)
    for i, one in enumerate(agents):
        first = ALGORITHMS[algorithm](problem, [one], 16, "cpu")
        first.train([0])
        second = ALGORITHMS[algorithm](problem, [replace(one, before=first.left(0)), agents[0]], 16, "cpu")
        for unit in (1, 2):
            second.train([unit, unit - 1])  # beside one that is not as far
        a, b = together.left(i), second.left(0)
        assert np.array_equal(a.snapshot.parameters, b.snapshot.parameters)
        assert np.array_equal(a.snapshot.second, b.snapshot.second)
        assert all(np.array_equal(a.arrays[name], b.arrays[name]) for name in a.arrays)
        assert (a.operations, a.snapshot.updates) == (b.operations, b.snapshot.updates)


def test_what_is_remembered_is_what_was_seen_last() -> None:
    crowd = DQN(ENVIRONMENTS["cartpole"], [agent("dqn", "cartpole", warmup=1e9)], MEMORY // CROWD, "cpu")
    crowd.train([0])
    first = crowd.memory[0].clone()
    assert (first.abs().sum(1) > 0).all()
    before, after, facts = first.split((4, 4, 3), dim=1)
    state, reward, over = crowd.environment.step(before.double(), facts[:, 0].long())
    np.testing.assert_allclose(state.float(), after, atol=1e-5)
    assert torch.equal(facts[:, 1], reward.float())
    assert crowd.updates == [0]
    assert 0 < facts[:, 2].mean() < 0.2
    assert (over.float() == facts[:, 2]).float().mean() > 0.999


def test_one_that_begins_anew_remembers_nothing_that_it_has_not_seen() -> None:
    problem = ENVIRONMENTS["cartpole"]
    first = DQN(problem, [agent("dqn", "cartpole", units=12)], 32, "cpu")
    first.train([0])
    anew = replace(agent("dqn", "cartpole", units=20, warmup=160.0), before=first.left(0))
    crowd = DQN(problem, [anew, replace(anew, before=None)], 32, "cpu")
    crowd.train([1, 1])
    a, b = crowd.left(0), crowd.left(1)
    assert np.array_equal(a.snapshot.parameters, b.snapshot.parameters)
    assert crowd.updates == [32 - 160 // CROWD + 1] * 2
    assert np.flatnonzero(np.abs(a.arrays["memory"]).sum(1)).tolist() == list(range(32 * CROWD))


def test_what_a_job_costs_does_not_tell_how_long_its_test_took(monkeypatch: pytest.MonkeyPatch) -> None:
    now, returns = [0.0], Crowd.returns

    def slow(crowd: Crowd, first: Any) -> Any:
        now[0] += 1.0 if len(first) == A2C_TASK.episodes else 100.0
        return returns(crowd, first)

    monkeypatch.setattr(Crowd, "returns", slow)
    monkeypatch.setattr(rl, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    [outcome] = A2C_TASK.evaluate([job(A2C_TASK)])
    assert outcome.cost == A2C_TASK.high


def test_returns_are_those_of_whole_episodes() -> None:
    one = agent("a2c", "cartpole")
    crowd = A2C(ENVIRONMENTS["cartpole"], [one, agent("a2c", "cartpole", 1)], 8, "cpu")
    first = A2C_TASK.first_states("validation")
    means, taken = crowd.returns(first)
    module = PlainAgent(ENVIRONMENTS["cartpole"], one).module
    lengths = []
    peer: Any = gymnasium.make("CartPole-v1").unwrapped
    for state in first:
        peer.reset()
        peer.state, over, length = state, False, 0
        while not over and length < 500:
            with torch.no_grad():
                seen = torch.as_tensor(np.asarray(peer.state, np.float32))
                over, length = peer.step(int(module(seen)[:2].argmax()))[2], length + 1
        lengths.append(length)
    assert means[0] == np.mean(lengths)
    assert taken[0] == sum(lengths)
    assert len(A2C_TASK.first_states("test")) == 8


def test_one_that_diverges_is_nan_alone() -> None:
    space: Any = {"learning_rate": {"type": "float", "lower": 1e-4, "upper": 1e30, "log": True, "default": 1e-3}}
    task = replace(A2C_TASK, space=space)
    fine, wild = job(task), replace(job(task), id=1, trial=1, proposal=Proposal({"learning_rate": 1e30}))
    [good, bad], [alone] = task.evaluate([fine, wild]), task.evaluate([fine])
    assert (good.curve, good.hidden) == (alone.curve, alone.hidden)
    assert [point.fidelity for point in bad.curve] == [2]
    assert math.isnan(bad.curve[-1].values[0])
    assert math.isnan(bad.hidden["test"])


def test_crowds_that_have_to_be_whole_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = A2C_TASK.evaluate([job(A2C_TASK)])
    monkeypatch.setattr(rl, "same_in_any_crowd", lambda *_: False)
    monkeypatch.setattr(NeuralRL, "tile", 3)
    assert A2C_TASK.evaluate([job(A2C_TASK)])[0].curve == expected[0].curve


@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize("task", [A2C_TASK, DQN_TASK], ids=lambda task: task.name)
def test_who_is_done_trains_no_further(task: NeuralRL, fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    some = [replace(job(task, stop), id=i, trial=i, seed=rng.entropy("t", i)) for i, stop in enumerate((1, 2, 1, 2))]
    alone = [task.evaluate([one])[0] for one in some]
    trained, train = list[list[tuple[int, ...]]](), Crowd.train

    def watched(crowd: Crowd, units: Any) -> None:
        trained.append([one.seed for one in crowd.agents])
        train(crowd, units)

    monkeypatch.setattr(Crowd, "train", watched)
    monkeypatch.setattr(rl, "same_in_any_crowd", lambda *_: fits)
    monkeypatch.setattr(NeuralRL, "tile", 5)
    outcomes = task.evaluate(some)
    assert [set(seeds) for seeds in trained] == [{one.seed for one in some}, {some[1].seed, some[3].seed}]
    assert [len(seeds) for seeds in trained] == ([4, 2] if fits else [5, 5])
    for one, own in zip(outcomes, alone, strict=True):
        assert (one.curve, one.hidden) == (own.curve, own.hidden)
        assert np.array_equal(one.state.snapshot.parameters, own.state.snapshot.parameters)


def test_out_of_memory_halves_the_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    some = [replace(job(A2C_TASK), id=i, trial=i, seed=rng.entropy("t", i)) for i in range(3)]
    expected, train = A2C_TASK.evaluate(some), Crowd.train

    def short_of_memory(crowd: Crowd, units: Any) -> None:
        if len(crowd.agents) > 1 and 1 in units:
            raise RuntimeError("can't allocate memory")
        train(crowd, units)

    monkeypatch.setattr(Crowd, "train", short_of_memory)
    monkeypatch.setattr(rl, "same_in_any_crowd", lambda *_: True)
    with pytest.warns(UserWarning, match="out of memory with 3 trainings at once on cpu: 1 from now on"):
        outcomes = A2C_TASK.evaluate(some)
    assert [one.curve for one in outcomes] == [one.curve for one in expected]


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(UserError, match="Did you mean 'cartpole'"):
        NeuralRL("cartpol")
    with pytest.raises(UserError, match="unknown algorithm 'ppo'"):
        NeuralRL("cartpole", "ppo")
    with pytest.raises(UserError, match="expected steps to be a multiple of 64, got 100"):
        NeuralRL("cartpole", steps=100)
    with pytest.raises(UserError, match="expected episodes >= 1"):
        NeuralRL("cartpole", episodes=0)
    with pytest.raises(UserError, match="expected discount to be a number in"):
        NeuralRL("cartpole", space={"discount": {"type": "constant", "value": 2.0}})  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_it_learns(algorithm: str) -> None:
    task = NeuralRL("cartpole", algorithm, high=18)
    [outcome] = task.evaluate([job(task)])
    assert min(point.values[0] for point in outcome.curve) < -150  # 22 are those of a random policy
