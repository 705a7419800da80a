"""``hydra/sweeper=hptbench``: any Hydra application, tuned with any method of hptbench.

    python app.py -m hydra/sweeper=hptbench hydra.sweeper.method=bohb 'lr=tag(log,interval(1e-5,1))' 'kind=choice(a,b)'
        hydra.sweeper.fidelity.override=epochs hydra.sweeper.fidelity.low=1 hydra.sweeper.fidelity.high=27

The application returns the number that is minimised (one per objective). Jobs that fail count and never end the sweep.
Each is a job of Hydra's launcher in a folder of its own, named by the number of the job. The journal is in
``hydra.sweep.dir``: with the same one, the same command goes on. The best is in ``optimization_results.yaml`` there.
"""

# Without `from __future__ import annotations`: for those, dataclasses look into sys.modules, where this is not yet when
# Hydra runs it.
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, groupby
from numbers import Real
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, Quote, QuotedString
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from hptbench.suggestions import Suggestion
    from hptbench.tuner import Tuner

_log = logging.getLogger(__name__)
_APART = ("JoblibLauncher", "LocalLauncher", "SlurmLauncher")
"""Launchers whose jobs are processes of their own."""
_DIED = ("UncompletedJobError",)
"""What launchers (submitit's) raise for a job whose process has died; one that raised returns its exception."""
JOURNAL, FIXED, RESULTS = "hptbench.jsonl", "hptbench_fixed.json", "optimization_results.yaml"


@dataclass
class Axis:
    """How far a job can train. ``override`` None: no fidelity."""

    override: str | None = None
    """The setting of the application that says how far to train (``trainer.epochs``)."""
    low: float = 1
    high: float = 1
    integer: bool = True
    load: str | None = None
    """The setting that is given the path of the checkpoint to go on from, or null. With it and ``save``, trainings go
    on instead of beginning anew."""
    save: str | None = None
    """The setting that is given the path at which to leave a checkpoint, or null where nobody will go on."""


@dataclass
class Settings:
    """The node ``hydra.sweeper``."""

    _target_: str = "hydra_plugins.hptbench_sweeper.sweeper.HptbenchSweeper"
    method: str = "gp"
    settings: dict[str, Any] = field(default_factory=dict)
    """The method's own hyperparameters."""
    params: dict[str, Any] = field(default_factory=dict)
    """The search space: sweeps as on the command line (``choice``, ``range``, ``interval``), or parameters as in
    docs/TUNER.md; what is no sweep is set in every job."""
    budget: float = 20
    """Full evaluations."""
    seed: int = 0
    max_batch_size: int = 1
    """Jobs that the launcher has at a time."""
    asynchronous: bool = False
    """The next job begins as soon as one has ended, instead of when the whole batch has. Needs a launcher whose jobs
    are processes of their own: ``joblib``, ``submitit_local``, ``submitit_slurm``."""
    direction: str = "minimize"
    """Or ``maximize``."""
    objectives: list[str] = field(default_factory=lambda: ["value"])
    """Names of the numbers that the application returns."""
    fidelity: Axis = field(default_factory=Axis)


ConfigStore.instance().store(group="hydra/sweeper", name="hptbench", node=Settings, provider="hptbench")


class HptbenchSweeper(Sweeper):
    """A sweep as one tuning; returns the batches of jobs that this session has launched."""

    def __init__(self, **settings: Any) -> None:
        made: dict[str, Any] = {
            name: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for name, value in settings.items()
        }
        self.settings = Settings(**{**made, "fidelity": Axis(**made["fidelity"])})
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None
        self.hydra_context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what a sweep needs."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Tune. HydraException for what cannot be."""
        from hptbench.errors import UserError

        assert self.config is not None, "setup comes first"
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        try:
            return self._sweep(arguments, folder)
        except UserError as error:
            raise HydraException(str(error)) from error

    def _sweep(self, arguments: list[str], folder: Path) -> list[Sequence[JobReturn]]:
        if self.settings.asynchronous:
            self._check_apart()
        overrides = _Overrides(self._parsed(arguments), self.settings.params)
        if not overrides.space:
            self.validate_batch_is_legal([overrides.of({})])
            [job] = self._launch([overrides.of({})], 0)
            return [[job]]
        _check_fixed(overrides.fixed, folder)
        with self._tuner(overrides.space, folder) as tuner:
            returns = (self._asynchronously if self.settings.asynchronous else self._in_batches)(tuner, overrides)
            self._conclude(tuner, folder)
            return returns

    def _in_batches(self, tuner: "Tuner", overrides: "_Overrides") -> list[Sequence[JobReturn]]:
        returns: list[Sequence[JobReturn]] = []
        while jobs := tuner.pending[: self.settings.max_batch_size] or tuner.ask(self.settings.max_batch_size):
            done: list[JobReturn] = []
            for _, part in groupby(zip(jobs, count(), strict=False), key=lambda pair: pair[0].id - pair[1]):
                together = [one for one, _ in part]  # a launcher numbers its jobs one after the other
                done += self._launch([self._overrides(overrides, one) for one in together], together[0].id)
            for asked, returned in zip(jobs, done, strict=True):
                self._tell(tuner, asked, returned)
            returns.append(done)
        return returns

    def _asynchronously(self, tuner: "Tuner", overrides: "_Overrides") -> list[Sequence[JobReturn]]:
        """A thread for each job under way waits for the launcher; this one alone composes, asks and tells.

        After an error nothing begins any more; what is under way is waited for and told. Ctrl-C waits for nothing."""
        n, begun, running = self.settings.max_batch_size, tuner.pending, 0
        returns: list[Sequence[JobReturn]] = []
        errors: list[Exception] = []
        ended: SimpleQueue[tuple[Suggestion, Sequence[JobReturn] | BaseException]] = SimpleQueue()

        def launch(job: "Suggestion", made: list[str]) -> None:
            try:
                ended.put((job, self._launch([made], job.id)))
            except BaseException as error:
                ended.put((job, error))

        # Launchers copy Hydra's state for each job. OmegaConf takes configurations apart while it copies them, and two
        # threads at it leave them apart: so it is copied once.
        state = Singleton.get_state()
        with patch.object(Singleton, "get_state", lambda: state):
            while running or not errors:
                try:
                    if not errors:
                        free = n - running
                        jobs, begun = begun[:free], begun[free:]
                        for job in [*jobs, *(tuner.ask(free - len(jobs)) if free > len(jobs) else [])]:
                            made = self._overrides(overrides, job)
                            Thread(target=launch, args=(job, made), daemon=True).start()
                            running += 1
                        if not running:
                            return returns
                    job, done = ended.get()
                    running -= 1
                    if isinstance(done, BaseException):
                        raise done
                    self._tell(tuner, job, done[0])
                    returns.append(done)
                except Exception as error:
                    _log.error(f"no job begins any more; {running} under way: {type(error).__name__}: {error}")
                    errors.append(error)
        raise errors[0]

    def _check_apart(self) -> None:
        """HydraException unless the launcher's jobs are processes of their own: then several calls may be under way."""
        kind = type(self.launcher).__name__
        if kind not in _APART:
            raise HydraException(
                "hydra.sweeper.asynchronous=true: expected hydra/launcher=joblib, submitit_local or submitit_slurm, "
                f"whose jobs are processes of their own, got {kind}"
            )
        settings: Any = getattr(self.launcher, "joblib", None)
        if settings is not None:
            import joblib

            if joblib.effective_n_jobs(settings.get("n_jobs")) == 1:
                raise HydraException(
                    "hydra.sweeper.asynchronous=true: expected hydra.launcher.n_jobs > 1, got "
                    f"{settings.get('n_jobs')}, with which joblib starts no processes here"
                )

    def _tuner(self, space: Mapping[str, Any], folder: Path) -> "Tuner":
        from hptbench.errors import unknown
        from hptbench.protocol import Fidelity
        from hptbench.tuner import Tuner

        s, axis = self.settings, self.settings.fidelity
        if s.direction not in ("minimize", "maximize"):
            raise unknown("direction", s.direction, ("minimize", "maximize"))
        goes_on = axis.load is not None and axis.save is not None
        fidelity = Fidelity(axis.low, axis.high, axis.override, axis.integer, goes_on) if axis.override else None
        # Names that differ, or a journal of the other direction would be gone on with.
        sign = "-" if s.direction == "maximize" else ""
        return Tuner(
            space, s.method, s.seed, budget=s.budget, settings=s.settings, fidelity=fidelity,
            objectives=[f"{sign}{name}" for name in s.objectives], workers=s.max_batch_size,
            path=folder / JOURNAL, checkpoints=folder / "checkpoints" if goes_on else None,
        )  # fmt: skip

    def _parsed(self, arguments: list[str]) -> list[Override]:
        assert self.hydra_context is not None, "setup comes first"
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        sweeps = [f"{name}={text}" for name, text in self.settings.params.items() if not isinstance(text, dict)]
        return parser.parse_overrides([*sweeps, *arguments])

    def _overrides(self, overrides: "_Overrides", job: "Suggestion") -> list[str]:
        axis = self.settings.fidelity
        more: dict[str, Any] = {}
        if axis.override is not None and job.fidelity is not None:
            more[axis.override] = int(job.fidelity) if axis.integer else job.fidelity
            if axis.load is not None and axis.save is not None:
                more |= {axis.load: job.load and str(job.load), axis.save: job.save and str(job.save)}
        made = overrides.of(job.config) + [f"{name}={_text(value)}" for name, value in more.items()]
        self.validate_batch_is_legal([made])
        return made

    def _launch(self, batch: list[list[str]], first: int) -> Sequence[JobReturn]:
        assert self.launcher is not None, "setup comes first"
        try:
            return self.launcher.launch(batch, initial_job_idx=first)
        except Exception as error:
            if len(batch) > 1 or type(error).__name__ not in _DIED:
                raise
            return [JobReturn(overrides=batch[0], status=JobStatus.FAILED, _return_value=error)]

    def _tell(self, tuner: "Tuner", job: "Suggestion", returned: JobReturn) -> None:
        """Of a job that has ended. HydraException if it returned no number: that is a mistake of the application."""
        if returned.status is not JobStatus.COMPLETED:
            error: Any = returned._return_value
            message = " ".join(f"{type(error).__name__}: {error}".split())
            tuner.tell(job, status="failed", message=message)
            _log.warning(f"job {job.id} failed and counts as the worst: {message}")
            return
        value: Any = returned.return_value
        values = list(value) if isinstance(value, list | tuple) else [value]
        n = len(self.settings.objectives)
        if len(values) != n or not all(isinstance(v, Real) and not isinstance(v, bool) for v in values):
            raise HydraException(
                f"expected the application to return {n} number(s) ({', '.join(self.settings.objectives)}), got "
                f"{value!r} from job {job.id}"
            )
        sign = -1.0 if self.settings.direction == "maximize" else 1.0
        tuner.tell(job, [sign * float(v) for v in values])

    def _conclude(self, tuner: "Tuner", folder: Path) -> None:
        """Write down what is best, in the form of Hydra's other sweepers."""
        sign = -1.0 if self.settings.direction == "maximize" else 1.0
        found: dict[str, Any] = {"name": "hptbench", "method": self.settings.method, "jobs": len(tuner.history)}
        if len(self.settings.objectives) > 1:
            found["solutions"] = [
                {"job": r.job.id, "params": dict(r.config), "values": [sign * v for v in r.values]} for r in tuner.front
            ]
        elif (best := tuner.best) is not None:
            found |= {
                "best_job": best.job.id, "best_evaluated_params": dict(best.config),
                "best_evaluated_result": sign * best.value,
            }  # fmt: skip
        else:
            _log.warning(f"none of {len(tuner.history)} jobs succeeded")
        OmegaConf.save(OmegaConf.create(found), folder / RESULTS)
        _log.info(f"{RESULTS}: {found}")


def _check_fixed(fixed: list[str], folder: Path) -> None:
    """HydraException if the sweep of ``folder`` began with other fixed overrides: its values are of something else."""
    from hptbench.journal import begun

    path = folder / FIXED
    if not begun(folder / JOURNAL) or not path.is_file():
        path.write_text(json.dumps(fixed) + "\n", encoding="utf-8")  # as they are: they may hold interpolations
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    if before != fixed:
        raise HydraException(
            f"expected the fixed overrides that the sweep in {folder} began with, {before}, got {fixed}: give those to "
            "go on, or name another folder with hydra.sweep.dir"
        )


class _Overrides:
    """What a job is given: fixed settings and the values of the space, in the order in which they were written."""

    def __init__(self, overrides: Sequence[Override], params: Mapping[str, Any]) -> None:
        self.space: dict[str, Any] = {}
        """The search space in the form of docs/TUNER.md."""
        self._fixed: dict[str, str] = {}
        self._names: dict[str, None] = {}
        """Of both, in order."""
        for name, parameter in params.items():
            if isinstance(parameter, dict):
                self.space[name], self._names[name] = parameter, None
        self._plain = set(self.space)
        """Parameters whose values are no text of an override yet."""
        for override in overrides:
            name = override.get_key_element()
            self._names[name] = None
            self.space.pop(name, None)
            self._fixed.pop(name, None)
            if override.is_interval_sweep():
                self.space[name] = _interval(name, override)
                self._plain.add(name)
            elif override.is_sweep_override():
                self.space[name] = _choice(override)
                self._plain.discard(name)
            else:
                self._fixed[name] = f"{name}={override.get_value_element_as_str()}"

    @property
    def fixed(self) -> list[str]:
        """Those that are the same in every job, in alphabetical order."""
        return sorted(self._fixed.values())

    def of(self, config: Mapping[str, Any]) -> list[str]:
        """The overrides of a job; inactive parameters are left to the application."""
        texts = {name: f"{name}={_text(v) if name in self._plain else v}" for name, v in config.items()}
        return [found for name in self._names if (found := self._fixed.get(name) or texts.get(name)) is not None]


def _interval(name: str, override: Override) -> Mapping[str, Any]:
    sweep = override.value()
    assert isinstance(sweep, IntervalSweep)
    whole = isinstance(sweep.start, int) and isinstance(sweep.end, int)
    if sweep.start is None or sweep.end is None or not sweep.start < sweep.end:
        raise HydraException(f"expected interval(low, high) with low < high for {name}, got {override.input_line}")
    kind = "integer" if whole else "float"
    return {"type": kind, "lower": sweep.start, "upper": sweep.end, "log": "log" in sweep.tags}


def _choice(override: Override) -> Mapping[str, Any]:
    """Choices as texts; a range, and choices with the tag ``ordinal``, in their order."""
    texts: list[str] = list(dict.fromkeys(override.sweep_string_iterator()))
    if len(texts) == 1:
        return {"type": "constant", "value": texts[0]}
    sweep: Any = override.value()
    ordered = override.is_range_sweep() or "ordinal" in sweep.tags
    return {"type": "ordinal" if ordered else "categorical", "choices": texts}


def _text(value: Any) -> str:
    """A value in the grammar of overrides."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return QuotedString(value, Quote.single).with_quotes() if isinstance(value, str) else repr(value)
