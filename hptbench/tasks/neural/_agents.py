"""Agents of reinforcement learning, trained many at a time: each has :data:`CROWD` environments of its own.

- ``a2c``: advantage actor-critic, the synchronous form of V. Mnih et al., ICML 2016 (arXiv:1602.01783): after every
  :data:`ROLLOUT` steps of all its environments an agent updates once, by advantages summed with a trace (J. Schulman
  et al., ICLR 2016, arXiv:1506.02438, equation 16). One network says the actions' logits and the value.
- ``dqn``: deep Q-learning, V. Mnih et al., Nature 518, 2015, with a target network that follows slowly
  (T. P. Lillicrap et al., ICLR 2016) instead of in jumps, and an update of :data:`BATCH` remembered steps after every
  step of all its environments. The error is cut to [-1, 1].

Where an episode is cut off, but not over, the value of what would have come counts (F. Pardo et al., ICML 2018). What
an agent comes to depends on its own seed, settings and environments alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hptbench.rng import entropy, stream
from hptbench.tasks.neural import _streams
from hptbench.tasks.neural._environments import Environment
from hptbench.tasks.neural._nets import MLP, Tensor
from hptbench.tasks.neural._optimizers import Coefficients, Optimizer
from hptbench.tasks.neural._tile import Snapshot, Tile, layout_of, on

CROWD = 8
"""Environments of an agent."""
ROLLOUT = 8
"""Steps of each between two updates of ``a2c``."""
BATCH = 64
"""Remembered steps of an update of ``dqn``."""
MEMORY = 8192
"""Steps that ``dqn`` remembers."""
_BACK = 3
"""Operations of a row that is learnt from in those of its way forward."""
_LOOK = 16
"""Steps between two looks whether all episodes are over."""


@dataclass(frozen=True, eq=False)
class Left:
    """What an agent has come to. Never changed in place."""

    snapshot: Snapshot
    arrays: Mapping[str, NDArray[Any]]
    """Its environments and what it remembers."""
    operations: float
    """Floating-point operations so far."""


@dataclass(frozen=True)
class Agent:
    """One configuration of one training."""

    net: MLP
    within: MLP
    """The network as whose part it is trained."""
    optimizer: Optimizer
    settings: Mapping[str, float]
    """As many as :attr:`Crowd.settings` names."""
    seed: tuple[int, ...]
    units: int
    """Of the whole training, which the schedule is for."""
    before: Left | None = None
    """What it goes on from. One of another network counts as none."""

    def begin(self, environment: Environment) -> Left:
        """What the segment begins with."""
        if self.before is not None and self.before.snapshot.net == self.net:
            return self.before
        vector = np.concatenate([part.ravel() for part in self.net.initial(_streams.initial(self.seed))])
        uniform = stream(entropy(*self.seed, "environments")).random((CROWD, len(environment.first)))
        state = (2 * uniform - 1) * environment.first
        arrays = {"state": state, "clock": np.zeros(CROWD, np.int64)}
        return Left(Snapshot(self.net, vector, np.zeros_like(vector), None, 0), arrays, 0.0)


class Seen(NamedTuple):
    """A step of all environments, (T, CROWD, …) each."""

    before: Tensor
    action: Tensor
    reward: Tensor
    after: Tensor
    """What is seen of the next state, also of one from which nothing follows."""
    over: Tensor
    done: Tensor
    """Over, or cut off."""


class Crowd(ABC):
    """T agents of one padded network and of one depth, whose environments advance together."""

    settings: ClassVar[tuple[str, ...]]
    more: ClassVar[int]
    """Outputs of a network beside one for each action."""

    def __init__(self, environment: Environment, agents: Sequence[Agent], steps: int, device: str) -> None:
        """``steps``: how many of each environment a unit has."""
        import torch

        self.environment, self.agents, self.steps, self.device = environment, agents, steps, device
        starts = [agent.begin(environment) for agent in agents]
        snapshots = [start.snapshot for start in starts]
        adaptive = agents[0].optimizer.adaptive
        self.tile = Tile(layout_of(agents[0].within), snapshots, len(agents), adaptive, device)
        self.updates = [snapshot.updates for snapshot in snapshots]
        self.operations = [start.operations for start in starts]
        kept = on(device, {name: np.stack([start.arrays[name] for start in starts]) for name in ("state", "clock")})
        self.state, self.clock = kept["state"], kept["clock"]
        self.own = {
            name: torch.tensor([[agent.settings[name]] for agent in agents], dtype=torch.float32, device=device)
            for name in self.settings
        }
        self.remember(starts)

    def remember(self, starts: Sequence[Left]) -> None:  # noqa: B027 some have nothing else
        """Take what else the agents begin with."""

    def left(self, i: int) -> Left:
        """What an agent has come to."""
        arrays = {"state": self.state[i], "clock": self.clock[i], **self.remembered(i)}
        snapshot = self.tile.snapshot(i, self.agents[i].net, self.updates[i])
        return Left(snapshot, {name: array.cpu().numpy().copy() for name, array in arrays.items()}, self.operations[i])

    def remembered(self, i: int) -> dict[str, Tensor]:
        """What else an agent leaves."""
        return {}

    def train(self, units: Sequence[int]) -> None:
        """Train each agent for its unit of that number."""
        drawn = [self.draws(stream(entropy(*a.seed, "unit", n))) for a, n in zip(self.agents, units, strict=True)]
        draws = on(self.device, {name: np.stack([one[name] for one in drawn]) for name in drawn[0]})
        updates = [self.planned(i, n) for i, n in enumerate(units)]
        most = max(len(plan) for plan in updates)
        numbers = np.zeros((len(Coefficients._fields), most, len(self.agents), 1), np.float32)
        for i, (agent, unit, plan) in enumerate(zip(self.agents, units, updates, strict=True)):
            count = int(plan.sum())
            numbers[:, : len(plan)][:, plan, i, 0] = agent.optimizer.coefficients(
                count, self.updates[i], unit / agent.units
            ).T
            self.updates[i] += count
            self.operations[i] += agent.net.flops * self.rows(count)
        self.unit(units, {name: one.unbind(1) for name, one in draws.items()}, np.stack(updates, 1), numbers)

    @abstractmethod
    def draws(self, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        """(steps, …) what an agent draws for a unit."""

    @abstractmethod
    def planned(self, i: int, unit: int) -> NDArray[np.bool_]:
        """(turns,) in which of a unit's turns an agent updates."""

    @abstractmethod
    def rows(self, updates: int) -> float:
        """How many rows' ways forward a unit with so many updates is worth."""

    @abstractmethod
    def unit(
        self, units: Sequence[int], draws: Mapping[str, Sequence[Tensor]], updates: NDArray[np.bool_], numbers: Any
    ) -> None:
        """Train all agents for a unit. ``updates`` (turns, T): who updates; ``numbers`` (coefficients, turns, T, 1)."""

    def learn(self, x: Tensor, of: Any, turn: int, updates: NDArray[np.bool_], numbers: Tensor) -> None:
        """Update those whose turn it is."""
        import torch

        who = np.nonzero(updates[turn])[0]
        ending = None if len(who) == len(self.agents) else torch.from_numpy(who).to(self.device)
        c: list[Any] = list((numbers[:, turn] if ending is None else numbers[:, turn, ending]).unbind(0))
        if not any(agent.optimizer.name == "nesterov" for agent in self.agents):
            c[Coefficients._fields.index("direct")] = None
        self.tile.learn(x, (), of, ending, Coefficients(*c), self.own["clip"])
        if ending is not None:
            self.tile.g.zero_()

    def step(self, action: Tensor, fresh: Tensor) -> Seen:
        """Act in all environments; those that are done begin again from ``fresh`` draws."""
        import torch

        environment, before = self.environment, self.environment.observe(self.state)
        state, reward, over = environment.step(self.state, action)
        clock = self.clock + 1
        done = over | (clock >= environment.limit)
        self.state = torch.where(done.unsqueeze(2), environment.begin(fresh), state)
        self.clock = torch.where(done, 0, clock)
        reward = (reward * environment.scale).float()
        return Seen(before, action, reward, environment.observe(state), over, done)

    def returns(self, first: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """(T,) each: mean return of episodes from the ``first`` states (episodes, numbers), always by the action that
        is thought best, NaN where the network has diverged; and how many steps they took."""
        import torch

        environment = self.environment
        state = on(self.device, {"first": first})["first"].expand(len(self.agents), *first.shape)
        alive = torch.ones(state.shape[:2], dtype=torch.bool, device=self.device)
        total, steps = torch.zeros_like(state[..., 0]), torch.zeros_like(state[..., 0], dtype=torch.int64)
        finite = alive.clone()
        for t in range(environment.limit):
            said = self.tile.says(environment.observe(state))[..., : environment.actions]
            finite &= said.isfinite().all(dim=2)
            following, reward, over = environment.step(state, said.argmax(dim=2))
            total += torch.where(alive, reward, 0.0)
            steps += alive
            state = torch.where(alive.unsqueeze(2), following, state)
            alive &= ~over
            if t % _LOOK == 0 and not alive.any():
                break
        mean = torch.where(finite.all(dim=1), total.mean(dim=1), np.nan)
        taken = steps.sum(dim=1).cpu().numpy()
        return mean.cpu().numpy(), taken


class A2C(Crowd):
    """Advantage actor-critic."""

    settings = ("discount", "trace", "entropy", "value_weight", "clip")
    more = 1

    def draws(self, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        shape = (self.steps, CROWD)
        return {"choice": rng.random(shape, np.float32), "fresh": rng.random((*shape, len(self.environment.first)))}

    def planned(self, i: int, unit: int) -> NDArray[np.bool_]:
        return np.ones(self.steps // ROLLOUT, bool)

    def rows(self, updates: int) -> float:
        return self.steps * CROWD * (2 + _BACK)  # acts, values what comes after, learns

    def unit(
        self, units: Sequence[int], draws: Mapping[str, Sequence[Tensor]], updates: NDArray[np.bool_], numbers: Any
    ) -> None:
        import torch

        coefficients = on(self.device, {"c": numbers})["c"]
        for turn in range(len(updates)):
            steps = []
            for k in range(turn * ROLLOUT, (turn + 1) * ROLLOUT):
                logits = self.tile.says(self.environment.observe(self.state))[..., : self.environment.actions]
                chances = torch.softmax(logits, dim=2).cumsum(dim=2)
                action = (draws["choice"][k].unsqueeze(2) >= chances[..., :-1]).sum(dim=2)
                steps.append(self.step(action, draws["fresh"][k]))
            seen = Seen(*(torch.stack(part, dim=1) for part in zip(*steps, strict=True)))
            self.learn(seen.before.flatten(1, 2), self._slope(seen), turn, updates, coefficients)

    def _slope(self, seen: Seen) -> Any:
        """Function from outputs (T, rows, …) to the derivative of the loss by them: policy gradient, entropy and half
        the squared error of the value."""
        import torch
        import torch.nn.functional as F

        actions, own = self.environment.actions, {name: one.unsqueeze(2) for name, one in self.own.items()}
        following = self.tile.says(seen.after.flatten(1, 2))[..., actions].view_as(seen.reward)
        target = seen.reward + own["discount"] * torch.where(seen.over, 0.0, following)
        fades = torch.where(seen.done, 0.0, own["discount"] * own["trace"])

        def of(outputs: Tensor) -> Tensor:
            excess = target - outputs[..., actions].view_as(target)
            advantages = [excess[:, -1]]
            for k in range(ROLLOUT - 2, -1, -1):
                advantages.append(excess[:, k] + fades[:, k] * advantages[-1])
            advantage = torch.stack(advantages[::-1], dim=1).flatten(1).unsqueeze(2)
            logs = torch.log_softmax(outputs[..., :actions], dim=2)
            chances = logs.exp()
            entropy = -(chances * logs).sum(dim=2, keepdim=True)
            slope = torch.zeros_like(outputs)
            slope[..., :actions] = advantage * (chances - F.one_hot(seen.action.flatten(1), actions))
            slope[..., :actions] += own["entropy"] * chances * (logs + entropy)
            slope[..., actions : actions + 1] = -own["value_weight"] * advantage
            return slope.div_(outputs.shape[1])

        return of


class DQN(Crowd):
    """Deep Q-learning."""

    settings = ("discount", "exploration", "final_epsilon", "follow", "warmup", "clip")
    more = 0

    def remember(self, starts: Sequence[Left]) -> None:
        width = 2 * self.environment.observed + 3
        blank = np.zeros((MEMORY, width), np.float32)
        memory = np.stack([start.arrays.get("memory", blank) for start in starts])
        own = [start.arrays.get("target") for start in starts]
        target = np.stack([p if one is None else one for p, one in zip(self.tile.p.cpu().numpy(), own, strict=True)])
        # steps remembered so far: fewer than the unit's number says of an agent that began anew
        taken = np.stack([start.arrays.get("taken", np.zeros(1, np.int64)) for start in starts])
        kept = on(self.device, {"memory": memory, "target": target, "taken": taken})
        self.memory, self.target, self.taken = kept["memory"], kept["target"], kept["taken"]

    def remembered(self, i: int) -> dict[str, Tensor]:
        return {"memory": self.memory[i], "target": self.target[i], "taken": self.taken[i]}

    def draws(self, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        shape = (self.steps, CROWD)
        return {
            "choice": rng.integers(self.environment.actions, size=shape),
            "explore": rng.random(shape, np.float32),
            "fresh": rng.random((*shape, len(self.environment.first))),
            "sample": rng.random((self.steps, BATCH)),
        }

    def planned(self, i: int, unit: int) -> NDArray[np.bool_]:
        taken = int(self.taken[i]) + np.arange(1, self.steps + 1) * CROWD
        return np.asarray(taken >= max(self.agents[i].settings["warmup"], BATCH))

    def rows(self, updates: int) -> float:
        return self.steps * CROWD + updates * BATCH * (1 + _BACK)

    def unit(
        self, units: Sequence[int], draws: Mapping[str, Sequence[Tensor]], updates: NDArray[np.bool_], numbers: Any
    ) -> None:
        import torch

        whole = np.array([agent.units for agent in self.agents]) * self.steps
        share = (np.array(units) * self.steps + np.arange(self.steps)[:, None]) / whole
        exploration, final = ([agent.settings[name] for agent in self.agents] for name in self.settings[1:3])
        epsilon = np.maximum(1 - (1 - np.array(final)) * share / np.maximum(exploration, 1e-9), final)
        there = on(self.device, {"epsilon": epsilon.astype(np.float32)[..., None], "c": numbers})
        follow = on(self.device, {"who": updates[..., None]})["who"] * self.own["follow"]
        agents = torch.arange(len(self.agents), device=self.device).unsqueeze(1)
        places = torch.arange(CROWD, device=self.device)
        for k in range(self.steps):
            best = self.tile.says(self.environment.observe(self.state))[..., : self.environment.actions].argmax(dim=2)
            action = torch.where(draws["explore"][k] < there["epsilon"][k], draws["choice"][k], best)
            seen = self.step(action, draws["fresh"][k])
            facts = torch.stack([seen.action.float(), seen.reward, seen.over.float()], dim=2)
            self.memory[agents, (self.taken + places) % MEMORY] = torch.cat([seen.before, seen.after, facts], dim=2)
            self.taken = self.taken + CROWD
            if updates[k].any():
                rows = (draws["sample"][k] * self.taken.clamp_max(MEMORY)).long()
                x, of = self._slope(self.memory[agents, rows])
                self.learn(x, of, k, updates, there["c"])
                self.target += (self.tile.p - self.target) * follow[k]

    def _slope(self, rows: Tensor) -> tuple[Tensor, Any]:
        """What was seen in remembered steps (T, BATCH, …), and the function from outputs to the derivative of Huber's
        loss of the value of what was done."""
        import torch

        seen, actions = self.environment.observed, self.environment.actions
        before, after, facts = rows.split((seen, seen, 3), dim=2)
        action, reward, over = facts.split(1, dim=2)
        following = self.tile.says(after, self.target)[..., :actions].amax(dim=2, keepdim=True)
        target = reward + self.own["discount"].unsqueeze(2) * torch.where(over > 0, 0.0, following)

        def of(outputs: Tensor) -> Tensor:
            slope, done = torch.zeros_like(outputs), action.long()
            error = (outputs.gather(2, done) - target).clamp(-1.0, 1.0) / BATCH
            return slope.scatter_(2, done, error)

        return before.contiguous(), of


ALGORITHMS: Mapping[str, type[Crowd]] = {"a2c": A2C, "dqn": DQN}
