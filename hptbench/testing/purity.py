"""Makes the clock and all global random state raise: methods and simulated runs use neither."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np

_CLOCK = ("time", "monotonic", "perf_counter", "process_time", "time_ns", "perf_counter_ns")
_PYTHON = ("random", "randint", "randrange", "choice", "shuffle", "sample", "uniform", "gauss", "seed", "getrandbits")
_NUMPY = ("rand", "randn", "randint", "random", "choice", "normal", "uniform", "permutation", "shuffle", "seed")


@contextmanager
def no_clock_no_global_random() -> Iterator[None]:
    """Within, reading a clock or drawing from global random state raises AssertionError."""
    with ExitStack() as stack:
        for module, names in ((time, _CLOCK), (random, _PYTHON), (np.random, _NUMPY)):
            for name in names:
                stack.enter_context(patch.object(module, name, _raiser(f"{module.__name__}.{name}")))
        stack.enter_context(patch.object(np.random, "default_rng", _seeded))
        stack.enter_context(patch.object(os, "urandom", _raiser("os.urandom")))
        yield


_default_rng = np.random.default_rng


def _seeded(seed: Any = None) -> np.random.Generator:
    if seed is None:
        raise AssertionError("numpy.random.default_rng() without a seed: a method has the generator that it is given")
    return _default_rng(seed)


def _raiser(name: str) -> Callable[..., Any]:
    def call(*_: object, **__: object) -> Any:
        raise AssertionError(f"{name} was called: methods and simulated runs use no clock and no global random state")

    return call
