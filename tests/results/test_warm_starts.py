from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hptbench.commands.publish import main as publish
from hptbench.errors import UserError
from hptbench.methods.random import RandomSearch
from hptbench.protocol import Budget, Clock
from hptbench.results.published import read
from hptbench.results.regret import Axis, Standing
from hptbench.run import Driver, Evaluator, Plan, execute
from hptbench.tasks.synthetic import SyntheticTask
from hptbench.workers import Limits


@pytest.fixture(scope="module")
def script() -> Any:
    path = Path(__file__).parents[2] / "scripts" / "warm.py"
    spec = importlib.util.spec_from_file_location("warm", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def planted(ahead: int, never: int = 0, units: int = 30) -> Standing:
    """Curves of 50 evaluations that fall by the same amount each: the warm one is that many evaluations ahead, but on
    the last units it never gets better than at first."""
    falling = -np.linspace(0, 2, 50)[:, None] - np.random.default_rng(0).normal(0, 0.001, units)
    warm = np.concatenate([falling[ahead:], np.repeat(falling[-1:], ahead, axis=0)])
    warm[:, units - never :] = 0.0
    scores = np.stack([falling, warm], axis=2)
    return Standing(Axis(np.arange(1.0, 51)), tuple(f"u{i}" for i in range(units)), ("gp", "warm_gp"), scores)


def test_a_planted_advantage_is_found(script: Any) -> None:
    at = planted(ahead=30)
    assert script.caught_up(at, "gp").tolist() == [20.0] * 30
    text = script.page(at, 3)
    assert "| gp | 20 | [20, 20] | 0% |" in text
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| gp | ")][1:]
    assert [row[1] for row in rows] == ["1", "4", "8", "16", "25", "50"]
    assert [row[4] for row in rows] == ["30/0/0"] * 5 + ["0/30/0"]
    assert all(float(row[-1]) < 0.01 for row in rows[:5])
    assert float(rows[-1][-1]) == 1


def test_no_advantage_takes_all_evaluations_and_a_loss_is_never_made_up(script: Any) -> None:
    assert script.caught_up(planted(ahead=0), "gp").tolist() == [50.0] * 30
    lost = script.caught_up(planted(ahead=30, never=24), "gp")
    assert lost.tolist() == [20.0] * 6 + [np.inf] * 24
    assert "| gp | inf | [inf, inf] | 80% |" in script.page(planted(ahead=30, never=24), 3)
    assert "| gp | inf | [20, inf] | 67% |" in script.page(planted(ahead=30, never=20), 3)


def test_scores_come_from_a_published_study(script: Any, tmp_path: Path) -> None:
    def run(label: str, seeds: int) -> None:
        for seed in range(seeds):
            plan = Plan(
                SyntheticTask("branin"), label, RandomSearch(), seed, Budget(max_full_evals=4), 1, Clock.UNITS,
                Limits(None, None), tmp_path,
            )  # fmt: skip
            execute(plan, Driver(Evaluator(), lambda *_: None))
        publish([str(tmp_path), "--at", "4"])

    run("random", 2)
    with pytest.raises(UserError, match="names begin with warm_"):
        script.scores(read(tmp_path))
    run("warm_random", 1)
    with pytest.raises(UserError, match="expected 2 seeds of every method"):
        script.scores(read(tmp_path))
    run("warm_random", 2)
    at = script.scores(read(tmp_path))
    assert at.axis.at.tolist() == [1, 2, 3, 4]
    assert at.methods == ("random", "warm_random")
    run("warm_tpe", 2)
    with pytest.raises(UserError, match="none for warm_tpe"):
        script.scores(read(tmp_path))
