"""Agents that learn to act in small control problems, many at a time."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError, unknown
from hptbench.protocol import COMPUTED, JSON, Fidelity, Job, Outcome, Point, Status
from hptbench.registry import task
from hptbench.rng import entropy, stream
from hptbench.space import Space
from hptbench.spacefile import packaged_space
from hptbench.tasks._jobs import lost_since
from hptbench.tasks._space import resolved
from hptbench.tasks.neural._agents import ALGORITHMS, CROWD, ROLLOUT, Agent, Crowd, Left
from hptbench.tasks.neural._environments import ENVIRONMENTS
from hptbench.tasks.neural._nets import GRAIN, MLP, rung, up
from hptbench.tasks.neural._optimizers import Optimizer
from hptbench.tasks.neural._tile import on
from hptbench.tasks.neural._trainer import alone, best_device, card_seconds, halved
from hptbench.tasks.neural._trainings import check_space, check_torch, check_whole

_CHECKED = 4 * ROLLOUT
"""Steps of the agents that the device is tried with."""
_TEST = 4
"""Test episodes for one of validation."""
Watch = Callable[[int, int, float], None]
"""Told (which agent, units trained so far, its mean return in validation episodes)."""


class Ended(NamedTuple):
    """What came of an agent."""

    left: Left
    test: float
    """Its mean return in test episodes."""
    seconds: float
    """Its share of the time of its crowd, by floating-point operations."""


@task("neural_rl")
@dataclass(frozen=True)
class NeuralRL:
    """Reinforcement learning of small control problems, many agents trained at once.

    Every agent has 8 environments of its own and trains for ``high`` units of ``steps`` steps, of all its environments
    together. After each it acts in ``episodes`` episodes without learning or exploring; what is told is their mean
    return with its sign turned. These always begin in the same states, drawn by ``split``; so do four times as many
    test episodes, in other ones, whose score is hidden. ``flops`` and ``cost`` are as in the other families of
    networks, with the steps of evaluation that were taken.

    An agent whose network diverges is NaN for itself alone, and ends with the unit. Training that goes on under another
    configuration keeps weights, moments, environments and memory; if the sizes of the network differ, it begins anew.
    """

    constraints: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 2
    licence: ClassVar[str] = COMPUTED
    measured: ClassVar[bool] = True
    together: ClassVar[int] = 256
    tile: ClassVar[int] = 16
    """Agents trained at once, at most."""
    objectives: ClassVar[tuple[str, ...]] = ("negative_return",)

    environment: str
    """cartpole, acrobot, pendulum."""
    algorithm: str = "a2c"
    """Or dqn."""
    steps: int = 2048
    """Of a unit, a multiple of 64."""
    episodes: int = 16
    split: int = 0
    """In which states episodes of evaluation begin."""
    low: int = 1
    high: int = 27
    space: Space = None  # type: ignore[assignment]
    """Also the parameters of a space as in YAML, or None for the packaged one of the algorithm. May lack parameters,
    which then have the packaged one's default."""

    def __post_init__(self) -> None:
        check_torch()
        if self.environment not in ENVIRONMENTS:
            raise unknown("environment", self.environment, ENVIRONMENTS)
        if self.algorithm not in ALGORITHMS:
            raise unknown("algorithm", self.algorithm, ALGORITHMS)
        if self.steps < 1 or self.steps % (CROWD * ROLLOUT):
            raise UserError(f"expected steps to be a multiple of {CROWD * ROLLOUT}, got {self.steps}")
        if self.episodes < 1:
            raise UserError(f"expected episodes >= 1, got {self.episodes}")
        check_whole(self)
        space = resolved(self.space, self.space_name(self.environment, self.algorithm), self.algorithm)
        object.__setattr__(self, "space", space)
        check_space(self.space)

    # what the task is

    @property
    def name(self) -> str:
        return f"{self.environment}-{self.algorithm}" + (f"-s{self.split}" if self.split else "")

    @property
    def unit(self) -> str:
        return self.environment

    @property
    def fidelity(self) -> Fidelity:
        return Fidelity(self.low, self.high, unit="unit", continues=True)

    def identity(self) -> Mapping[str, JSON]:
        names = ("environment", "algorithm", "steps", "episodes", "split", "low", "high")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def space_name(cls, environment: str, algorithm: str = "a2c", **_: Any) -> str:
        """Which packaged space a task with these fields has."""
        return f"neural_{algorithm}"

    # evaluation

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome per job."""
        states: list[Left | None] = []
        chains: list[list[Job]] = []
        for job in jobs:
            state, lost = lost_since(job)
            states.append(state)
            chains.append([*lost, job])
        while again := [i for i, chain in enumerate(chains) if len(chain) > 1]:
            made = self._train([chains[i].pop(0) for i in again], [states[i] for i in again], lambda *_: None)
            for i, one in zip(again, made, strict=True):
                states[i] = one.left
        curves: list[dict[int, Point]] = [{} for _ in jobs]  # by unit: short of memory, some are trained again

        def watch(i: int, unit: int, mean: float) -> None:
            curves[i][unit] = Point(float(unit if math.isfinite(mean) else jobs[i].stop), (-mean,))

        [name], outcomes = self.objectives, []
        for i, ended in enumerate(self._train(jobs, states, watch)):
            hidden = {"test": -ended.test, f"test_{name}": -ended.test, "flops": ended.left.operations}
            hidden[f"validation_{name}"] = list(curves[i].values())[-1].values[0]
            gpu, curve = card_seconds(best_device(), ended.seconds), tuple(curves[i].values())
            outcomes.append(Outcome(Status.OK, curve, ended.seconds, hidden, ended.left, gpu=gpu))
        return outcomes

    def _train(self, jobs: Sequence[Job], states: Sequence[Left | None], watch: Watch) -> list[Ended]:
        """What each job's agent came to."""
        device, tile, done = best_device(), self.tile, dict[int, Ended]()
        agents = [self.agent(job, state) for job, state in zip(jobs, states, strict=True)]
        groups: dict[Any, list[int]] = {}
        for i, agent in enumerate(agents):
            groups.setdefault((agent.within, agent.optimizer.name), []).append(i)
        with alone():
            for kind, todo in groups.items():
                todo.sort(key=lambda i: (jobs[i].stop - jobs[i].start, i))
                while todo:
                    full = not same_in_any_crowd(self.environment, self.algorithm, *kind, tile, device, self.episodes)
                    some, todo = todo[:tile], todo[tile:]
                    size = tile if full else len(some)
                    try:
                        make = partial(self._crowd, tile if full else 1, device)
                        done |= self._together(make, {i: agents[i] for i in some}, {i: jobs[i] for i in some}, watch)
                    except (RuntimeError, MemoryError) as error:
                        tile = halved(size, device, error)
                        todo = some + todo
        return [done[i] for i in range(len(jobs))]

    def _crowd(self, least: int, device: str, agents: Sequence[Agent]) -> Crowd:
        """A crowd that begins with ``agents``, filled up with the last one to at least so many."""
        filled = [*agents, *[agents[-1]] * (least - len(agents))]
        return ALGORITHMS[self.algorithm](ENVIRONMENTS[self.environment], filled, self.steps // CROWD, device)

    def _together(
        self,
        make: Callable[[Sequence[Agent]], Crowd],
        agents: Mapping[int, Agent],
        jobs: Mapping[int, Job],
        watch: Watch,
    ) -> dict[int, Ended]:
        """Train the jobs' agents as one crowd, in which those that are done go no further."""
        took, ended, going = 0.0, dict[int, tuple[Left, float]](), list(jobs)
        crowd = make([agents[i] for i in going])
        before = dict(zip(going, crowd.operations, strict=False))
        for unit in itertools.count():
            began = time.perf_counter()
            starts = [int(jobs[i].start) for i in going]
            crowd.train([start + unit for start in [*starts, *starts[-1:] * (len(crowd.agents) - len(going))]])
            means, taken = crowd.returns(self.first_states("validation"))
            crowd.operations = [
                done + agent.net.flops * int(steps)
                for done, agent, steps in zip(crowd.operations, crowd.agents, taken, strict=True)
            ]
            took += time.perf_counter() - began  # without tests: how long these take tells how good the agents are
            tests = None
            for at, i in enumerate(going):
                now = int(jobs[i].start) + unit + 1
                watch(i, now, float(means[at]))
                if now >= jobs[i].stop or not math.isfinite(means[at]):
                    tests = crowd.returns(self.first_states("test"))[0] if tests is None else tests
                    ended[i] = crowd.left(at), float(tests[at])
            stay = [at for at, i in enumerate(going) if i not in ended]
            if not stay:
                break
            if len(stay) < len(going):
                crowd = make([replace(crowd.agents[at], before=crowd.left(at)) for at in stay])
                going = [going[at] for at in stay]
        worked = {i: ended[i][0].operations - before[i] for i in jobs}
        return {i: Ended(*ended[i], took * worked[i] / math.fsum(worked.values())) for i in jobs}

    def first_states(self, what: str) -> NDArray[np.float64]:
        """(episodes, numbers) of the episodes of evaluation."""
        first = ENVIRONMENTS[self.environment].first
        rng = stream(entropy(self.environment, what, self.split))
        return (2 * rng.random((self.episodes * (_TEST if what == "test" else 1), len(first))) - 1) * first

    def agent(self, job: Job, before: Left | None) -> Agent:
        """The job's configuration in the words of agents."""
        space = packaged_space(self.space_name(self.environment, self.algorithm))
        config: dict[str, Any] = {**space.default(), **job.proposal.config}
        environment, crowd = ENVIRONMENTS[self.environment], ALGORITHMS[self.algorithm]
        optimizer = Optimizer(
            config["optimizer"], config["learning_rate"], 0.0, config["momentum"], config["decay"], config["schedule"]
        )
        layers, units, outputs = int(config["num_layers"]), int(config["units"]), environment.actions + crowd.more
        net = MLP(environment.observed, (units,) * (layers - 1), outputs)
        within = MLP(environment.observed, (rung(units),) * (layers - 1), up(outputs, 2 * GRAIN))
        settings = {name: float(config[name]) for name in crowd.settings}
        return Agent(net, within, optimizer, settings, job.seed, self.high, before)


@lru_cache(maxsize=256)
def same_in_any_crowd(
    environment: str, algorithm: str, within: MLP, optimizer: str, tile: int, device: str, episodes: int
) -> bool:
    """Whether crowds of any size give agents of this kind the same bits on this device, in training and in so many
    episodes of evaluation. RuntimeError if even in whole crowds they depend on their place."""
    config = packaged_space(f"neural_{algorithm}").default()
    crowd, problem = ALGORITHMS[algorithm], ENVIRONMENTS[environment]
    settings = {name: float(config[name]) for name in crowd.settings} | {"warmup": 0.0}
    agents = [
        Agent(within, within, Optimizer(optimizer, 10.0 ** (-1 - i % 4)), settings, (1, 2, 3, i), 2)
        for i in range(tile)
    ]

    rng = stream(entropy("invariance", tile))
    rows = {str(n): rng.normal(size=(n, problem.observed)).astype(np.float32) for n in (episodes, _TEST * episodes)}
    asked = on(device, rows).values()

    def ends(some: Sequence[int]) -> list[Any]:
        made = crowd(problem, [agents[i] for i in some], _CHECKED, device)
        made.train([0] * len(some))
        said = [made.tile.says(seen.expand(len(some), *seen.shape)) for seen in asked]
        return [[part[at].cpu().numpy() for part in (made.tile.p, made.state, *said)] for at in range(len(some))]

    def equal(a: Any, b: Any) -> bool:
        return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))

    everyone = list(range(tile))
    whole = ends(everyone)
    few = [everyone[:1], everyone[-1:], everyone[1:3], everyone[::2]]
    if all(equal(whole[i], one) for some in few for i, one in zip(some, ends(some), strict=True)):
        return True
    if not all(equal(a, b) for a, b in zip(whole, ends(everyone[::-1])[::-1], strict=True)):
        raise RuntimeError(f"{device}: training of {environment} by {algorithm} depends on the place among {tile}")
    return False
