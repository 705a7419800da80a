"""Fixtures that all tests share."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import numpy as np
import pytest


def _forbidden(name: str) -> object:
    def call(*_: object, **__: object) -> object:
        raise AssertionError(f"{name} was called: methods and simulated runs use no clock and no global random state")

    return call


@pytest.fixture()
def pure(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within the test, the clock and all global random state raise."""
    for name in ("time", "monotonic", "perf_counter", "process_time", "time_ns"):
        monkeypatch.setattr(time, name, _forbidden(f"time.{name}"))
    for name in ("random", "randint", "choice", "shuffle", "uniform", "gauss", "seed"):
        monkeypatch.setattr(random, name, _forbidden(f"random.{name}"))
    for name in ("rand", "randn", "randint", "random", "choice", "normal", "uniform", "permutation", "shuffle", "seed"):
        monkeypatch.setattr(np.random, name, _forbidden(f"numpy.random.{name}"))
    yield
