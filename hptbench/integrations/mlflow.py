"""Tunings in MLflow: a callback of :func:`hptbench.tune`. Needs ``mlflow`` or ``mlflow-skinny``, which no extra brings.

    with hptbench.integrations.mlflow.Logger("my-experiment") as log:
        hptbench.tune(fn, space, callbacks=[log])

The tuning is one run, with its settings as parameters and the incumbent's value over the number of jobs; each job is a
run nested in it, with its configuration, values, fidelity and seconds. Other runs that are active are left alone.
"""

from __future__ import annotations

from typing import Any, Self

from hptbench.errors import UserError
from hptbench.identity import as_json
from hptbench.protocol import Status
from hptbench.suggestions import Result
from hptbench.tuner import Tuner

_LONGEST = 500
"""Characters of a parameter, MLflow's limit in some stores."""


class Logger:
    """Logs results to an experiment, which is created if it is not there. UserError without MLflow."""

    def __init__(self, experiment: str, name: str = "hptbench", tracking_uri: str | None = None) -> None:
        try:
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise UserError(f"expected MLflow: pip install mlflow-skinny ({error})") from error
        self._client: Any = MlflowClient(tracking_uri)
        found = self._client.get_experiment_by_name(experiment)
        self._experiment = self._client.create_experiment(experiment) if found is None else found.experiment_id
        self._name = name
        self._parent: str | None = None

    def __call__(self, tuner: Tuner, result: Result) -> None:
        """Log a result, and what is best now."""
        client = self._client
        if self._parent is None:
            about = {key: value for key, value in tuner.about.items() if key != "space"}
            self._parent = self._begin(self._name, {})
            self._params(self._parent, about)
        job = result.job
        run = self._begin(str(job.id), {"mlflow.parentRunId": self._parent})
        self._params(run, job.config)
        if result.status is Status.OK:
            for name, value in zip(tuner.about["objectives"], result.values, strict=True):
                client.log_metric(run, name, value)
        client.log_metric(run, "seconds", result.cost)
        if job.fidelity is not None:
            client.log_metric(run, "fidelity", job.fidelity)
        if result.message:
            client.set_tag(run, "message", result.message)
        client.set_terminated(run, "FINISHED" if result.status is Status.OK else "FAILED")
        if len(tuner.about["objectives"]) == 1 and (best := tuner.best) is not None:
            client.log_metric(self._parent, f"best_{tuner.about['objectives'][0]}", best.value, step=len(tuner.history))

    def close(self) -> None:
        """The tuning is over."""
        if self._parent is not None:
            self._client.set_terminated(self._parent, "FINISHED")
            self._parent = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, name: str, tags: dict[str, str]) -> str:
        run = self._client.create_run(self._experiment, tags={"mlflow.runName": name, **tags})
        return str(run.info.run_id)

    def _params(self, run: str, given: Any) -> None:
        for name, value in given.items():
            text = value if isinstance(value, str) else as_json(value)
            self._client.log_param(run, name, text[:_LONGEST])
