from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from hptbench.errors import UserError
from hptbench.integrations.mlflow import Logger
from hptbench.tuning import tune

SPACE = {"x": {"type": "float", "lower": 0, "upper": 1}, "kind": {"type": "categorical", "choices": ["a", "b"]}}


class Client:
    """The calls of MLflow 3's ``MlflowClient`` that are used, with its signatures; what it has been told."""

    def __init__(self, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.experiments: dict[str, str] = {}
        CLIENTS.append(self)

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id=self.experiments[name]) if name in self.experiments else None

    def create_experiment(self, name: str, artifact_location: str | None = None, tags: Any = None) -> str:
        self.experiments[name] = "7"
        return "7"

    def create_run(
        self, experiment_id: str, start_time: int | None = None, tags: Any = None, run_name: str | None = None
    ) -> Any:
        assert experiment_id == "7"
        run = f"run{len(self.runs)}"
        self.runs[run] = {"tags": dict(tags), "params": {}, "metrics": [], "status": "RUNNING"}
        return SimpleNamespace(info=SimpleNamespace(run_id=run))

    def log_param(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> None:
        assert key not in self.runs[run_id]["params"], "MLflow refuses to change a parameter"
        assert isinstance(value, str)
        assert len(value) <= 500
        self.runs[run_id]["params"][key] = value

    def log_metric(self, run_id: str, key: str, value: float, timestamp: int | None = None, step: int = 0) -> None:
        assert self.runs[run_id]["status"] == "RUNNING"
        self.runs[run_id]["metrics"].append((key, float(value), step))

    def set_tag(self, run_id: str, key: str, value: Any) -> None:
        self.runs[run_id]["tags"][key] = value

    def set_terminated(self, run_id: str, status: str | None = None, end_time: int | None = None) -> None:
        self.runs[run_id]["status"] = status


CLIENTS: list[Client] = []


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    CLIENTS.clear()
    package, tracking = ModuleType("mlflow"), ModuleType("mlflow.tracking")
    tracking.MlflowClient = Client  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", package)
    monkeypatch.setitem(sys.modules, "mlflow.tracking", tracking)


@pytest.mark.usefixtures("mlflow")
def test_a_tuning_is_a_run_and_its_jobs_are_nested_in_it() -> None:
    def fn(config: dict[str, Any]) -> float:
        if config["kind"] == "b":
            raise RuntimeError("not b")
        return float(config["x"])

    with Logger("mine") as log:
        tuned = tune(fn, SPACE, "random", budget=8, callbacks=[log])
    [client] = CLIENTS
    parent, *children = client.runs.values()
    assert parent["params"]["method"] == "random"
    assert parent["status"] == "FINISHED"
    assert [m[1] for m in parent["metrics"]][-1] == tuned.value
    assert [m[2] for m in parent["metrics"]] == sorted(m[2] for m in parent["metrics"])
    assert len(children) == 8
    for child, result in zip(children, tuned.history, strict=True):
        assert child["tags"]["mlflow.parentRunId"] == "run0"
        assert child["params"]["kind"] == result.config["kind"]
        ok = result.config["kind"] == "a"
        assert child["status"] == ("FINISHED" if ok else "FAILED")
        assert ("value", result.value, 0) in child["metrics"] or not ok
        assert ok or child["tags"]["message"] == "RuntimeError: not b"


def test_without_mlflow_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UserError, match="pip install mlflow-skinny"):
        Logger("mine")
