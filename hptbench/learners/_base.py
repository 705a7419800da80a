"""What a learner is: how one configuration is trained over a segment of its fidelity, and how it predicts."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hptbench.learners._encode import Encoder
from hptbench.learners._table import Table, TaskType
from hptbench.protocol import Fidelity
from hptbench.space import Config, Floats, Mask

Encode: TypeAlias = Callable[[Floats], Floats]
"""(n, d) as in :class:`Table` -> (n, e), finite unless the learner knows missing values."""
Spaces: TypeAlias = Mapping[TaskType, str]
FRACTION = Fidelity(1 / 27, 1.0, unit="fraction", integer=False)
"""The fidelity of learners without a number of trees, iterations or epochs: a share of the training rows."""


@dataclass(frozen=True, eq=False)
class Model:
    """A trained model; what a later segment goes on from. Never changed in place."""

    encode: Encode
    estimator: Any
    """The library's, trained."""
    shift: float
    scale: float
    """The target is ``shift + scale *`` what the estimator predicts."""


class Segment(NamedTuple):
    """What one call of :meth:`Learner.fit` has to do."""

    config: Config
    seed: tuple[int, ...]
    """Entropy of the trial: the same for all its segments."""
    start: int
    stop: int
    """Trees, iterations or epochs before and after; both 0 if the fidelity is a share of the rows."""
    X: Floats
    """(n, e) encoded training rows."""
    y: NDArray[Any]
    """(n,) classes or (standardised) numbers."""
    n_classes: int
    """0 for regression."""
    categorical: Mask
    """(d,) of the columns before encoding."""


class Learner(ABC):
    """A family of models that can be trained on any table. Stateless."""

    spaces: ClassVar[Spaces]
    """The task types that it can do -> the name of its search space."""
    fidelity: ClassVar[Fidelity] = FRACTION
    encoder: ClassVar[type[Encoder]]
    probabilities: ClassVar[bool] = True
    """Whether it predicts probabilities of classes."""
    requires: ClassVar[str] = ""
    """The package of the extra ``boosting`` that it needs."""
    standardises_target: ClassVar[bool] = False

    @property
    def installed(self) -> bool:
        """Whether the package that it needs is there."""
        return not self.requires or importlib.util.find_spec(self.requires) is not None

    @abstractmethod
    def fit(self, segment: Segment, before: Any) -> Any:
        """The trained estimator. ``before`` is the estimator to go on from, to be changed at will, or None.

        Parameters that a configuration lacks keep the library's default."""

    def prepare(self, config: Config, seed: tuple[int, ...], rows: Table, y: NDArray[Any]) -> tuple[Encode, Floats]:
        """(an encoder learnt from the training rows; the training rows encoded). ``y`` is their target as
        :meth:`fit` sees it."""
        encode = self.encoder.fit(rows)
        return encode, encode(rows.X)

    def train(
        self, config: Config, seed: tuple[int, ...], rows: Table, start: float, stop: float, before: Model | None
    ) -> Model:
        """Train over one segment, from nothing (``before`` is None) or from a model, which stays as it is.

        The rows are the same in all segments of a training. Two segments give what one gives, bit for bit."""
        shift, scale = 0.0, 1.0
        if before is not None:
            shift, scale = before.shift, before.scale
        elif self.standardises_target and not rows.n_classes:
            shift, scale = float(rows.y.mean()), float(rows.y.std()) or 1.0
        y = rows.y if rows.n_classes else (rows.y - shift) / scale
        encode, X = (before.encode, before.encode(rows.X)) if before else self.prepare(config, seed, rows, y)
        whole = (0, 0) if self.fidelity.unit == FRACTION.unit else (int(start), int(stop))
        segment = Segment(config, seed, *whole, X, y, rows.n_classes, rows.categorical)
        estimator = self.fit(segment, copy.deepcopy(before.estimator) if before else None)
        return Model(encode, estimator, shift, scale)

    def predict(self, model: Model, X: Floats, n_classes: int) -> Floats:
        """(n, n_classes) probabilities, or for learners without any scores, the largest of which says the class; or
        (n,) numbers."""
        encoded = model.encode(X)
        if not n_classes:
            return np.asarray(model.shift + model.scale * model.estimator.predict(encoded))
        if self.probabilities:
            return np.asarray(model.estimator.predict_proba(encoded))
        scores = np.asarray(model.estimator.decision_function(encoded))
        return np.stack([-scores, scores], axis=1) if n_classes == 2 else scores


def pick(config: Config, *same: str, **renamed: str) -> dict[str, Any]:
    """The parameters that are there, for scikit-learn: under their own names, or ``new_name="name"``."""
    wanted = {name: name for name in same} | renamed
    return {new: config[old] for new, old in wanted.items() if old in config}


@cache
def _controller() -> Any:
    # made once, after scikit-learn has loaded its libraries: looking for them takes milliseconds
    import sklearn.ensemble
    import sklearn.linear_model  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextlib.contextmanager
def quiet_single_thread() -> Iterator[None]:
    """One thread, so that results do not depend on the number of cores, and no warnings (of convergence)."""
    with _controller().limit(limits=1), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
