"""``run``: a study of methods × tasks × seeds, resumed where it was interrupted."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hptbench import registry
from hptbench.check import check_names, check_pair, check_resources, clock_for
from hptbench.commands._ablation import configured
from hptbench.commands._advice import NO_ADVICE, advice_of, started
from hptbench.commands._reproduction import keep
from hptbench.commands._shard import shard_of
from hptbench.commands.tables import View, show
from hptbench.errors import UserError, unknown
from hptbench.executors import Broken, Executor, check_whole
from hptbench.ledger import check_clock
from hptbench.protocol import Budget, Clock, Method, Task
from hptbench.provenance import FIELD, stated
from hptbench.results.collect import collect
from hptbench.results.registered import parsed, register
from hptbench.results.table import DEFAULT
from hptbench.run import Plan
from hptbench.simulate import MEASURED, PLAIN, Simulation
from hptbench.stats.words import power_warning
from hptbench.workers import Limits


def run(cfg: DictConfig) -> int:
    """Do what is left of the study, collect it, show it; of a shard, only do it. Returns the exit code."""
    if "claims" in cfg:
        from hptbench.commands import claims

        return claims.run(cfg)
    shard = shard_of(cfg.shard)
    console = Console(stderr=True, force_terminal=False if shard else None)  # bars of many shards would mix
    plot = _switch(cfg, "plot")
    plans, broken = execute(cfg, console)
    if shard:
        console.print(
            f"Shard {shard}: {len(plans) - len(broken)} of its {len(plans)} runs are finished. When all are, the "
            "same command without shard= collects and compares.", highlight=False, soft_wrap=True,
        )  # fmt: skip
    elif len(broken) < len(plans):
        study = plans[0].study
        command = shlex.join(["python", "-m", "hptbench", *sys.argv[1:]])
        found = collect(study, only={plan.key_in_tables for plan in plans})
        try:
            show(found, View(plot=plot, missing="drop" if broken else "refuse"), command=command)
        except UserError as error:  # the runs are done and shown; only their comparison is not possible
            console.print(f"[yellow]No comparison:[/] {escape(str(error))}", highlight=False)
        others = len(list((study / "runs").glob("*/*/*/run.json"))) - len(found.runs)
        if others:
            console.print(
                f"[yellow]The study's tables also hold {others} other run(s), of other methods, settings or budgets.[/]"
            )
    return 1 if broken else 0


def execute(cfg: DictConfig, console: Console) -> tuple[list[Plan], list[Broken]]:
    """Do what is left of the study, or of a shard of it; (its runs, those that broke, which have been shown)."""
    shard = shard_of(cfg.shard)
    plans, executor = planned(cfg)
    for task in {plan.task.name: plan.task for plan in plans}.values():
        task.identity()  # reads the data: what is wrong with them is said before anything is written
    keep(plans[0].study, cfg)
    node = cfg.get("hypotheses")
    given = OmegaConf.to_container(node, resolve=True) if isinstance(node, ListConfig) else node or []
    if found := register(plans[0].study, parsed(given), list(dict.fromkeys(plan.label for plan in plans))):
        console.print(
            f"Registered on {found.when} UTC ({found.sha}): {'; '.join(map(str, found.hypotheses))}", highlight=False
        )
    compared = {plan.label for plan in plans} - {DEFAULT}
    units = len({plan.task.unit for plan in plans})
    if len(compared) > 1 and (warning := power_warning(units, len(compared) * (len(compared) - 1) // 2)):
        console.print(f"[yellow]{warning}[/]", highlight=False)
    mine = plans if shard is None else shard.share(plans)
    return mine, do(mine, executor, console) if mine else []


def planned(cfg: DictConfig) -> tuple[list[Plan], Executor]:
    """All runs of the study that ``cfg`` describes, and what is to do them."""
    executor: Executor = _made(cfg, "executor", Executor)
    return plans_of(cfg, _methods(cfg), live=executor.live), executor


def do(plans: Sequence[Plan], executor: Executor, console: Console) -> list[Broken]:
    """Do what is left of the runs of one study; those that broke, which have been shown."""
    methods = list(dict.fromkeys(plan.label for plan in plans))
    todo = [plan for plan in plans if not plan.finished]
    tasks = {plan.task.name for plan in plans}
    console.print(
        f"[bold]{escape(str(plans[0].study))}[/]: {', '.join(methods)} on {len(tasks)} task(s), {len(plans)} runs"
        + (f", {len(plans) - len(todo)} of them finished before" if len(todo) < len(plans) else "")
    )
    broken: list[Broken] = []
    if todo:
        try:
            with _Bar(console, todo) as bar:
                broken = executor.run(todo, bar)
        except KeyboardInterrupt:
            left = sum(not plan.finished for plan in plans)
            console.print(
                f"\n[bold]Interrupted[/] with {left} of {len(plans)} runs to go. Nothing is lost: "
                "the same command goes on from here."
            )
            raise
    _print_broken(console, broken)
    return broken


def _print_broken(console: Console, broken: Sequence[Broken]) -> None:
    """Each kind of break once."""
    kinds: dict[str, list[Broken]] = {}
    for case in broken:
        kinds.setdefault(case.why, []).append(case)
    for why, cases in kinds.items():
        console.print(f"[red]{len(cases)} run(s) broke[/], the first of them {escape(str(cases[0].plan.folder))}:")
        console.print(why, markup=False, highlight=False, soft_wrap=True)


def plans_of(cfg: DictConfig, methods: Mapping[str, Method], live: bool) -> list[Plan]:
    """All runs of the study that ``cfg`` describes, checked; nothing is written."""
    tasks: list[Task] = _made(cfg, "suite", list)
    check_names(tasks)
    budget, reason = _budget(cfg.budget)
    limits = Limits(**_plain(cfg.limits, "limits", Limits))
    simulation = Simulation(**_plain(cfg.simulation, "simulation", Simulation, words=(MEASURED,)))
    if live and simulation != PLAIN:
        raise UserError(
            "simulation.overhead and simulation.spread are of simulated workers, but this executor has real ones"
        )
    seeds = _seeds(cfg.seeds)
    check_whole("workers", cfg.workers)
    study = _folder(cfg)
    warm = _warm(cfg)
    said = _stated(cfg, methods)
    methods = {label: started(label, method) if label in warm else method for label, method in methods.items()}
    plans = []
    for task in tasks:
        clock = clock_for(str(cfg.clock), task)
        advice = advice_of(task) if warm else NO_ADVICE
        for label, method in methods.items():
            plan = Plan(task, label, method, seeds[0], budget, cfg.workers, clock, limits, study, live, simulation)
            told, trainings = advice if label in warm else NO_ADVICE
            plan = replace(plan, advice=told, learnt_from=trainings, budget_reason=reason)
            plan = replace(plan, stated=said.get(label, {}))
            if label == DEFAULT:  # one protocol, so that the reference is made once for all budgets
                one = Budget(max_jobs=1)
                plan = replace(plan, budget=one, workers=1, clock=Clock.UNITS, live=False, simulation=PLAIN)
                plan = replace(plan, budget_reason=None)
            check_resources(plan.budget, task, plan.isolated)
            plan.simulation.check_clock(plan.clock)
            check_clock(plan.budget, Clock.COST if plan.live else plan.clock)
            check_pair(label, method, task.name, plan.problem)
            plans += [replace(plan, seed=seed) for seed in seeds]
    return plans


def _methods(cfg: DictConfig) -> dict[str, Method]:
    """The chosen methods by label, then the baselines, then the reference."""
    chosen = configured(cfg)
    if not chosen:
        names = ", ".join(registry.methods())
        raise UserError(f"no method chosen: add one with +method=NAME, or several with +method=[A,B]. Known: {names}")
    methods: dict[str, Method] = {}
    for label, node in chosen.items():
        if not isinstance(node, DictConfig) or "_target_" not in node:
            raise UserError(f"method.{label} has settings, but no method: choose it with +method={label}")
        own = OmegaConf.masked_copy(node, [str(key) for key in node if key != FIELD])
        method = instantiate(own, _convert_="object")
        if not isinstance(method, Method) or not is_dataclass(method):
            raise UserError(f"expected method.{label} to be a method (docs/RULES.md), got {node['_target_']}")
        methods[str(label)] = method
    if DEFAULT in methods and type(methods[DEFAULT]) is not registry.find("method", DEFAULT):
        raise UserError(f"the label {DEFAULT!r} is that of the default configuration; give the method another one")
    baselines = [cfg.baselines] if isinstance(cfg.baselines, str) else cfg.baselines or []
    for name in [*baselines, *([DEFAULT] if _switch(cfg, "reference") else [])]:
        if name not in methods:
            methods[name] = registry.find("method", name)()
    return methods


def _stated(cfg: DictConfig, methods: Mapping[str, Method]) -> dict[str, Mapping[str, Any]]:
    """How the hyperparameters of the chosen methods were chosen, by label."""
    out = {}
    for label, node in configured(cfg).items():
        given = node.get(FIELD)
        plain = OmegaConf.to_container(given, resolve=True) if OmegaConf.is_config(given) else given
        out[label] = stated(label, methods[label], plain)
    return out


def _warm(cfg: DictConfig) -> set[str]:
    """The labels of the methods that begin with advice: with ``meta=auto`` all that were chosen."""
    if cfg.meta not in ("none", "auto"):
        raise unknown("meta", cfg.meta, ("none", "auto"))
    return set(configured(cfg)) - {DEFAULT} if cfg.meta == "auto" else set()


def _budget(node: Any) -> tuple[Budget, str | None]:
    """The limits of a run, and why they are what they are: ``budget.reason``, no part of the protocol."""
    reason = node.get("reason") if isinstance(node, DictConfig) else None
    if reason is not None and not (isinstance(reason, str) and reason.strip()):
        raise UserError(f"expected budget.reason to say in words why a run is as long as it is, got {reason!r}")
    given = _plain(node, "budget", Budget, notes=("reason",))
    return Budget(**given), " ".join(reason.split()) if reason else None


def _plain(node: Any, name: str, cls: Any, words: Sequence[str] = (), notes: Sequence[str] = ()) -> dict[str, Any]:
    """The fields of ``cls`` that ``node`` sets: numbers, nulls or one of ``words``; without its ``notes``."""
    values = OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else node
    known = list(cls.__dataclass_fields__)
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(f"expected {name} to map {', '.join(known)} to numbers, got {values!r}")
    values = {key: value for key, value in values.items() if key not in notes}
    for key, value in values.items():
        if key not in known:
            raise unknown(f"setting of {name}", key, known)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (value is None or number or value in words):
            also = "".join(f"{word}, " for word in words)
            raise UserError(f"expected {name}.{key!s} to be {also}a number or null, got {value!r}")
    return {str(key): value for key, value in values.items()}


def _made(cfg: DictConfig, name: str, kind: Any) -> Any:
    """What the node ``name`` stands for; UserError if it is nothing of that kind."""
    node = cfg.get(name)
    thing = instantiate(node, _convert_="all") if isinstance(node, DictConfig) and "_target_" in node else None
    if not isinstance(thing, kind):
        raise UserError(f"expected {name}=NAME, one of those in conf/{name}/, got {node!r}")
    return thing


def _switch(cfg: DictConfig, name: str) -> bool:
    if not isinstance(cfg[name], bool):
        raise UserError(f"expected {name} to be true or false, got {cfg[name]!r}")
    return bool(cfg[name])


def _folder(cfg: DictConfig) -> Path:
    """The study's folder, which can be written to."""
    if not isinstance(cfg.results, str) or not isinstance(cfg.study, str | int) or not str(cfg.study).strip("/. "):
        raise UserError(f"expected results and study to name folders, got {cfg.results!r} and {cfg.study!r}")
    study = Path(cfg.results) / str(cfg.study)
    there = next(folder for folder in (study, *study.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UserError(f"expected a folder that can be written to for the results, got {study}; set results=")
    return study


def _seeds(value: Any) -> list[int]:
    if isinstance(value, int) and not isinstance(value, bool):
        seeds: list[Any] = list(range(value))
    else:
        seeds = list(value) if isinstance(value, ListConfig) else [value]
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**63 for seed in seeds)
    if not seeds or not whole or len(set(seeds)) < len(seeds):
        raise UserError(f"expected seeds to be a number >= 1 or a list of different whole numbers, got {value!r}")
    return seeds


class _Bar:
    """A progress bar over the budget of all runs."""

    def __init__(self, console: Console, plans: Sequence[Plan]) -> None:
        self._bar = Progress(
            TextColumn("{task.fields[runs]}/{task.fields[all]} runs"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[now]}"),
            console=console,
            transient=True,
        )
        self._shares = dict.fromkeys(map(id, plans), 0.0)
        self._runs = 0
        self._task = self._bar.add_task("", total=len(plans), runs=0, all=len(plans), now="")

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begun(self, plan: Plan, jobs: int, full_evals: float) -> None:
        budget = plan.budget
        shares = [jobs / budget.max_jobs if budget.max_jobs else 0.0]
        shares += [full_evals / budget.max_full_evals if budget.max_full_evals else 0.0]
        self._show(plan, min(max(shares), 0.99))

    def ended(self, plan: Plan) -> None:
        self._runs += 1
        self._show(plan, 1.0)

    def _show(self, plan: Plan, share: float) -> None:
        self._shares[id(plan)] = share
        now = f"{plan.task.name} {plan.label} seed {plan.seed}"
        self._bar.update(self._task, completed=sum(self._shares.values()), runs=self._runs, now=now)
