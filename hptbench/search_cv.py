"""``HPTSearchCV``: any method as a hyperparameter search of scikit-learn, in the place of ``RandomizedSearchCV``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import check_random_state, resample
from sklearn.utils.validation import _num_samples

from hptbench.errors import UserError
from hptbench.protocol import Fidelity
from hptbench.space import Config
from hptbench.suggestions import Suggestion
from hptbench.tuner import Tuner

SAMPLES = "n_samples"


class HPTSearchCV(BaseSearchCV):  # type: ignore[misc]
    """Search the parameters of an estimator by cross-validation with any method of hptbench.

    ``space``: as for :class:`Tuner`, names as in ``estimator.get_params()``. ``method``, ``settings``, ``budget`` (full
    evaluations, each a cross-validation) and ``start`` are those of :class:`Tuner`; ``workers`` configurations are
    proposed at a time. The result depends on ``workers`` and ``random_state``, not on ``n_jobs``, which says how many
    fits run at a time.

    Methods that train part of the way need a ``resource``: ``n_samples`` (training rows; test folds stay whole) or an
    integer parameter of the estimator (``n_estimators``), from ``min_resource`` to ``max_resource`` (None: all rows).
    The best is then among the candidates with most of it, and ``cv_results_["resource"]`` says how much each had.

    Candidates of which no fit works are told to the method as failed; where that is all that were proposed at a time,
    they are not in ``cv_results_``. All else is as in
    scikit-learn's own searches, whose estimator checks it passes."""

    def __init__(
        self,
        estimator: Any,
        space: Any,
        *,
        method: Any = "gp",
        settings: Mapping[str, Any] | None = None,
        budget: Any = 50,
        start: Sequence[Config] | None = None,
        workers: int = 1,
        resource: str | None = None,
        min_resource: int | None = None,
        max_resource: int | None = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: Any = "2*n_jobs",
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ) -> None:
        super().__init__(
            estimator=estimator, scoring=scoring, n_jobs=n_jobs, refit=refit, cv=cv, verbose=verbose,
            pre_dispatch=pre_dispatch, error_score=error_score, return_train_score=return_train_score,
        )  # fmt: skip
        self.space = space
        self.method = method
        self.settings = settings
        self.budget = budget
        self.start = start
        self.workers = workers
        self.resource = resource
        self.min_resource = min_resource
        self.max_resource = max_resource
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, **params: Any) -> HPTSearchCV:
        """Search, then refit the best. UserError (a ValueError) for settings that do not fit together."""
        self._rows = _num_samples(X) if self.resource == SAMPLES else 0
        super().fit(X, y, **params)
        return self

    def _run_search(self, evaluate_candidates: Any) -> None:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        tuner = Tuner(
            self.space, self.method, seed, budget=self.budget, settings=self.settings, start=self.start or (),
            fidelity=self._fidelity(), workers=self.workers,
        )  # fmt: skip
        metric = f"mean_test_{self.refit if isinstance(self.refit, str) else 'score'}"
        worked, failure = 0, None
        while jobs := tuner.ask(self.workers):
            for part in self._together(jobs):
                try:
                    results = self._evaluated(evaluate_candidates, part, seed)
                except ValueError as error:
                    if self.error_score == "raise" or "fits failed" not in str(error):
                        raise
                    failure = error
                    for job in part:
                        tuner.tell(job, status="failed", message=str(error).strip().splitlines()[0])
                    continue
                if metric not in results:
                    raise UserError(
                        "expected one score to search by, got several: name one of scoring's with refit, "
                        f"got refit={self.refit!r}"
                    )
                for job, score in zip(part, results[metric][worked:], strict=True):
                    tuner.tell(job, -float(score))
                worked += len(part)
        if not worked and failure is not None:
            raise failure

    def _fidelity(self) -> Fidelity | None:
        if self.resource is None:
            return None
        rows = self.resource == SAMPLES
        high = self._rows if rows and self.max_resource is None else self.max_resource
        if self.min_resource is None or high is None:
            raise UserError(
                f"expected min_resource and max_resource for resource={self.resource!r} (max_resource is all rows of "
                f"{SAMPLES}), got {self.min_resource} and {self.max_resource}"
            )
        if rows and high > self._rows:
            raise UserError(f"expected max_resource to be at most the {self._rows} rows that there are, got {high}")
        if not rows and self.resource not in self.estimator.get_params():
            raise UserError(f"expected resource to be {SAMPLES} or a parameter of the estimator, got {self.resource!r}")
        return Fidelity(float(self.min_resource), float(high), self.resource)

    def _together(self, jobs: Sequence[Suggestion]) -> list[list[Suggestion]]:
        """Jobs that one call can evaluate: those on equally many rows."""
        if self.resource != SAMPLES:
            return [list(jobs)]
        return [list(part) for _, part in groupby(jobs, key=lambda job: job.fidelity)]

    def _evaluated(self, evaluate_candidates: Any, jobs: Sequence[Suggestion], seed: int) -> Mapping[str, Any]:
        """scikit-learn's results, of all that was evaluated so far."""
        candidates, cv, more = [dict(job.config) for job in jobs], None, None
        if self.resource is not None:
            levels = [int(job.fidelity or 0) for job in jobs]
            more = {"resource": levels}
            if self.resource == SAMPLES:
                cv = _Subsampled(self._checked_cv_orig, levels[0] / self._rows, seed)
            else:
                for candidate, level in zip(candidates, levels, strict=True):
                    candidate[self.resource] = level
        results: Mapping[str, Any] = evaluate_candidates(candidates, cv, more_results=more)
        return results

    @staticmethod
    def _select_best_index(refit: Any, refit_metric: str, results: Mapping[str, Any]) -> int:
        """As scikit-learn does, but among those with most of the resource."""
        if callable(refit) or "resource" not in results:
            return int(BaseSearchCV._select_best_index(refit, refit_metric, results))
        most = np.asarray(results["resource"]) == max(results["resource"])
        ranks = np.where(most, results[f"rank_test_{refit_metric}"], np.iinfo(np.int32).max)
        return int(ranks.argmin())


class _Subsampled:
    """A splitter that keeps a share of the training rows of each fold, the same ones for all candidates."""

    def __init__(self, cv: Any, share: float, seed: int) -> None:
        self._cv, self._share, self._seed = cv, share, seed

    def split(self, X: Any, y: Any = None, **params: Any) -> Iterator[tuple[Any, Any]]:
        """The folds of the splitter, with fewer training rows."""
        for train, test in self._cv.split(X, y, **params):
            n = max(1, round(self._share * len(train)))
            kept = resample(train, replace=False, n_samples=n, random_state=self._seed) if n < len(train) else train
            yield kept, test
