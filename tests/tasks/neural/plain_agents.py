"""One agent trained by plain PyTorch, one environment after the other: what crowds of agents are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
import plain_training as plain
import torch
import torch.nn.functional as F
from torch import nn

from hptbench.rng import entropy, stream
from hptbench.tasks.neural import _streams
from hptbench.tasks.neural._agents import BATCH, CROWD, ROLLOUT, Agent
from hptbench.tasks.neural._environments import Environment

Draws = dict[str, np.ndarray[Any, Any]]


class PlainAgent:
    """Holds a network, its optimiser and its environments; each environment is stepped by itself."""

    def __init__(self, environment: Environment, agent: Agent) -> None:
        self.environment, self.agent, net = environment, agent, agent.net
        self.module, self.target = (plain.network(net, (), lambda _: nn.Identity()) for _ in range(2))
        first = plain.weights(net, net.initial(_streams.initial(agent.seed)))
        with torch.no_grad():
            for module in (self.module, self.target):
                for p, value in zip(module.parameters(), first, strict=True):
                    p.copy_(value)
        self.optimizer = plain.optimizer(self.module.parameters(), agent.optimizer)
        uniform = stream(entropy(*agent.seed, "environments")).random((CROWD, len(environment.first)))
        self.states = [environment.begin(torch.from_numpy(u)) for u in uniform]
        self.clocks = [0] * CROWD
        self.memory: list[tuple[Any, ...]] = []

    def step(self, actions: list[int], fresh: np.ndarray[Any, Any]) -> list[tuple[Any, ...]]:
        """(seen before, action, reward, seen after, over, done) of each environment."""
        out = []
        for e, action in enumerate(actions):
            before = self.environment.observe(self.states[e])
            state, reward, over = self.environment.step(self.states[e], torch.tensor(action))
            self.clocks[e] += 1
            done = bool(over) or self.clocks[e] >= self.environment.limit
            seen = (
                before,
                action,
                float(reward) * self.environment.scale,
                self.environment.observe(state),
                bool(over),
                done,
            )
            out.append(seen)
            self.states[e] = state
            if done:
                self.states[e], self.clocks[e] = self.environment.begin(torch.from_numpy(fresh[e])), 0
        return out

    def says(self, module: nn.Module, rows: list[torch.Tensor]) -> torch.Tensor:
        with torch.no_grad():
            return module(torch.stack(rows))

    def update(self, loss: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), self.agent.settings["clip"])
        self.optimizer.step()

    def a2c(self, draws: Draws) -> None:
        actions, s = self.environment.actions, self.agent.settings
        for start in range(0, len(draws["choice"]), ROLLOUT):
            seen = []
            for k in range(start, start + ROLLOUT):
                logits = self.says(self.module, [self.environment.observe(state) for state in self.states])[:, :actions]
                cumulative = torch.softmax(logits, 1).cumsum(1).numpy()
                chosen = [int((draws["choice"][k, e] >= cumulative[e, :-1]).sum()) for e in range(CROWD)]
                seen.append(self.step(chosen, draws["fresh"][k]))
            loss = torch.zeros(())
            for e in range(CROWD):
                advantage, mine = 0.0, [row[e] for row in seen]
                out = self.module(torch.stack([one[0] for one in mine]))
                following = self.says(self.module, [one[3] for one in mine])[:, actions]
                for k in reversed(range(ROLLOUT)):
                    _, action, reward, _, over, done = mine[k]
                    value = out[k, actions]
                    now = value.item()
                    error = reward + s["discount"] * (0.0 if over else float(following[k])) - now
                    advantage = error + (0.0 if done else s["discount"] * s["trace"] * advantage)
                    distribution = torch.distributions.Categorical(logits=out[k, :actions])
                    loss = loss - advantage * distribution.log_prob(torch.tensor(action))
                    loss = loss - s["entropy"] * distribution.entropy()
                    loss = loss + s["value_weight"] * 0.5 * (advantage + now - value) ** 2
            self.update(loss / (ROLLOUT * CROWD))

    def dqn(self, draws: Draws, unit: int) -> None:
        actions, s, steps = self.environment.actions, self.agent.settings, len(draws["choice"])
        for k in range(steps):
            q = self.says(self.module, [self.environment.observe(state) for state in self.states])
            share = (unit * steps + k) / (self.agent.units * steps)
            epsilon = max(1 - (1 - s["final_epsilon"]) * share / s["exploration"], s["final_epsilon"])
            chosen = [
                int(draws["choice"][k, e])
                if draws["explore"][k, e] < np.float32(epsilon)
                else int(q[e, :actions].argmax())
                for e in range(CROWD)
            ]
            self.memory += self.step(chosen, draws["fresh"][k])
            if len(self.memory) < max(s["warmup"], BATCH):
                continue
            rows = [self.memory[int(u * len(self.memory))] for u in draws["sample"][k]]
            best = self.says(self.target, [row[3] for row in rows]).max(1).values
            rewards, over = (torch.tensor([row[i] for row in rows], dtype=torch.float32) for i in (2, 4))
            out = self.module(torch.stack([row[0] for row in rows]))
            value = out.gather(1, torch.tensor([[row[1]] for row in rows]))[:, 0]
            self.update(F.smooth_l1_loss(value, rewards + s["discount"] * (1 - over) * best))
            with torch.no_grad():
                for slow, fast in zip(self.target.parameters(), self.module.parameters(), strict=True):
                    slow += s["follow"] * (fast - slow)
