"""Claims of papers, each with the study that tests it: ``run`` with the node ``claims`` (docs/CLAIMS.md).

Each claim's study is composed from overrides of the configuration and executed like any other, into a folder of its
own below that of the whole; then <results>/<study>/claims.md, claims.json and claims.parquet are written: verdicts
(rule: :mod:`hptbench.results.claims`), the numbers behind them, and the score of every run.
"""

from __future__ import annotations

import json
import math
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.markup import escape

from hptbench.commands._claims import entry, markdown, raw
from hptbench.commands._reproduction import keep
from hptbench.commands.run import do, planned
from hptbench.commands.shell import names_spaces, user_error
from hptbench.errors import UserError, unknown
from hptbench.executors import Executor
from hptbench.files import write_whole
from hptbench.protocol import Budget
from hptbench.registry import add_to_hydra
from hptbench.results.claims import Comparison, judged, results
from hptbench.results.collect import collect
from hptbench.results.regret import Axis, Worth
from hptbench.results.table import DEFAULT, RANDOM, Accounting
from hptbench.run import Plan

if TYPE_CHECKING:
    import pandas as pd

_LIMITS: Mapping[Accounting, Callable[[Budget], tuple[float | None, ...]]] = {
    "evaluations": lambda b: (b.max_jobs, b.max_full_evals),
    "credited": lambda b: (b.max_full_evals,),
    "from_zero": lambda b: (b.max_full_evals,),
    "time": lambda b: (b.max_time,),
}
"""What of a budget limits each of what is counted."""
_OWN = {"experiment", "claims", "seeds", "executor", "results", "study"}
"""Settings that are the whole's; others belong to the studies of the claims."""


@dataclass(frozen=True)
class Claim:
    """A claim as the configuration has it."""

    name: str
    paper: str
    claim: str
    study: tuple[str, ...]
    """Overrides of the configuration; in them ``${seeds.0}`` is the seed of the run."""
    seeds: int
    compare: tuple[Comparison, ...]
    by: Accounting = "evaluations"
    """What ``at`` counts in the comparisons."""
    worth: Worth = "seen"
    """What incumbents are worth (:class:`hptbench.results.regret.Axis`)."""

    @property
    def spec(self) -> dict[str, Any]:
        """What makes results of this claim results of this claim."""
        said: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return said


@dataclass(frozen=True)
class Study:
    """A claim's runs, planned."""

    claim: Claim
    configs: Sequence[DictConfig]
    """Of each seed."""
    plans: Sequence[Plan]
    executor: Executor
    problems: Mapping[str, str]
    """Task -> problem: tasks that take each other's place from seed to seed are one."""


def run(cfg: DictConfig) -> int:
    """Do what is left of the chosen claims' studies and write what they show. Returns the exit code."""
    console = Console(stderr=True)
    for word in HydraConfig.get().overrides.task:
        name = re.split(r"[.=@]", word.lstrip("+~"), maxsplit=1)[0]
        if name not in _OWN:
            raise UserError(f"expected settings of {', '.join(sorted(_OWN))} beside claims, got {word!r}; "
                            "add it to claims.common, a list of settings for all studies")  # fmt: skip
    claims, chosen = read(cfg)
    studies = [study_of(claim, cfg) for claim in chosen]
    home = Path(cfg.results) / str(cfg.study)
    code = 0
    for study in studies:
        console.print(
            f"[bold]{escape(study.claim.name)}[/]: {escape(study.claim.claim)}", highlight=False, soft_wrap=True
        )
        for config in study.configs:
            keep(study.plans[0].study, config)
        if broken := do(study.plans, study.executor, console):
            console.print(f"[red]No verdict on {study.claim.name}[/]: {len(broken)} of its runs broke.")
            code = 1
            continue
        found, rows = _found(study)
        _write(home, claims, study.claim.name, found, rows)
        console.print(f"[bold]{found['verdict']}[/]", highlight=False)
    if (home / "claims.md").is_file():
        console.print(f"Verdicts: {home / 'claims.md'}", highlight=False, soft_wrap=True)
    return code


def read(cfg: DictConfig) -> tuple[list[Claim], list[Claim]]:
    """(all claims of the configuration, those of ``claims.only``); UserError for what makes no sense."""
    node = OmegaConf.to_container(cfg.claims, resolve=False)
    if not isinstance(node, dict) or set(node) != {"only", "common", "tests"} or not isinstance(node["tests"], dict):
        raise UserError("expected claims to have only, common and tests (docs/CLAIMS.md)")
    common = _texts("claims.common", node["common"])
    seeds = cfg.seeds
    claims = [_claim(str(name), given, common, seeds) for name, given in node["tests"].items() if given is not None]
    by_name = {claim.name: claim for claim in claims}
    only = [node["only"]] if isinstance(node["only"], str) else list(by_name) if node["only"] is None else node["only"]
    if not isinstance(only, list):
        raise UserError(f"expected claims.only to be a list of claims, got {only!r}")
    for name in only:
        if name not in by_name:
            raise unknown("claim", name, by_name)
    return claims, [by_name[name] for name in by_name if name in only]


def _claim(name: str, given: Any, common: Sequence[str], seeds: Any) -> Claim:
    where = f"claims.tests.{name}"
    _check_fields(where, given, {f.name for f in fields(Claim)} - {"name"}, {"by", "worth"})
    by, worth = given.get("by", "evaluations"), given.get("worth", "seen")
    for field, value, known in (("by", by, get_args(Accounting)), ("worth", worth, get_args(Worth))):
        if value not in known:
            raise unknown(f"{where}.{field}", str(value), known)
    seeds = given["seeds"] if seeds is None else seeds
    if not isinstance(seeds, int) or isinstance(seeds, bool) or seeds < 1:
        raise UserError(f"expected {where}.seeds to be a number >= 1, got {seeds!r}")
    if not isinstance(given["compare"], list) or not given["compare"]:
        raise UserError(f"expected {where}.compare to be a list of comparisons, got {given['compare']!r}")
    compare = []
    for one in given["compare"]:
        _check_fields(f"{where}.compare", one, {f.name for f in fields(Comparison)}, {"margin", "than_at"})
        margin = one.get("margin", 0.0)
        for field in ("at", "than_at"):
            at = one.get(field, one["at"])
            if isinstance(at, bool) or not isinstance(at, int | float) or not 0 < at < math.inf:
                raise UserError(f"expected {where}.compare.{field} to be a number > 0, got {at!r}")
            if by == "evaluations" and not float(at).is_integer():
                raise UserError(f"expected {where}.compare.{field} to be a whole number of evaluations, got {at!r}")
        if not isinstance(margin, int | float) or isinstance(margin, bool) or not 0 <= margin < math.inf:
            raise UserError(f"expected {where}.compare.margin to be a number >= 0, got {margin!r}")
        than_at = float(one["than_at"]) if "than_at" in one else None
        compare.append(Comparison(str(one["better"]), str(one["than"]), float(one["at"]), float(margin), than_at))
    study = (*common, *_texts(f"{where}.study", given["study"]))
    return Claim(name, str(given["paper"]), str(given["claim"]), study, seeds, tuple(compare), by, worth)


def _check_fields(where: str, given: Any, known: set[str], optional: set[str]) -> None:
    if not isinstance(given, dict):
        raise UserError(f"expected {where} to have {', '.join(sorted(known))}, got {given!r}")
    for name in given:
        if name not in known:
            raise unknown(f"field of {where}", name, known)
    if missing := known - optional - set(given):
        raise UserError(f"expected {where} to have {', '.join(sorted(known))}, got no {', '.join(sorted(missing))}")


def _texts(where: str, given: Any) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise UserError(f"expected {where} to be a list of settings such as +method=[random,grid], got {given!r}")
    return tuple(given)


def study_of(claim: Claim, cfg: DictConfig) -> Study:
    """The study of a claim, planned and checked; nothing is written. ``cfg``: results, study, executor of the whole."""
    try:
        add_to_hydra(spaces=names_spaces(claim.study))
        study = compose("config", list(claim.study))
        study.results, study.study, study.executor = cfg.results, f"{cfg.study}/{claim.name}", cfg.executor
        by_seed, configs = [], []
        for seed in range(claim.seeds):
            study.seeds = [seed]
            plans, executor = planned(study)
            by_seed.append(plans)
            configs.append(deepcopy(study))
    except (HydraException, OmegaConfBaseException, UserError) as error:
        raise UserError(f"claim {claim.name}: {user_error(error)}") from error
    problems = problems_of(claim, [list(dict.fromkeys(plan.task.name for plan in plans)) for plans in by_seed])
    plans = [plan for plans in by_seed for plan in plans]
    labels = {plan.label for plan in plans}
    for label in [RANDOM, *(name for one in claim.compare for name in (one.better, one.than))]:
        if label not in labels:
            raise UserError(f"claim {claim.name}: {unknown('method', label, labels)}")
    budgets = [plan.budget for plan in plans if plan.label != DEFAULT]
    limit = min(limit for b in budgets for limit in (*_LIMITS[claim.by](b), math.inf) if limit is not None)
    if (latest := max(at for one in claim.compare for _, at in one.ends)) > limit:
        raise UserError(f"claim {claim.name}: expected to compare within the budget of {limit:g}, got at={latest}")
    moving = [plan for plan in plans if problems[plan.task.name] != plan.task.name]
    optima_of(moving, problems)  # what is wrong with them shall be known before anything is run
    return Study(claim, configs, plans, executor, problems)


def problems_of(claim: Claim, by_seed: Sequence[Sequence[str]]) -> dict[str, str]:
    """Task -> the name of its problem: that of the tasks at its place in the suite, without the numbers that differ
    from seed to seed."""
    out: dict[str, str] = {}
    for names in zip(*by_seed, strict=True):
        parts = zip(*(re.split(r"(\d+)", name) for name in names), strict=True)
        name = "".join(part[0] for part in parts if len(set(part)) == 1)
        out |= dict.fromkeys(names, re.sub(r"[-+]+(?=\+|$)", "", name))
    if len(set(out.values())) < len(by_seed[0]):
        raise UserError(f"claim {claim.name}: expected problems with different names, got {sorted(set(out.values()))}")
    return out


def optima_of(plans: Sequence[Plan], problems: Mapping[str, str]) -> dict[str, float]:
    """Problem -> its optimum, where it is known; UserError if its tasks have several."""
    out: dict[str, float] = {}
    for name, task in {plan.task.name: plan.task for plan in plans}.items():
        if (optimum := getattr(task, "optimum", None)) is not None and optimum != out.setdefault(
            problems[name], optimum
        ):
            raise UserError(f"expected the tasks of {problems[name]} to have one optimum for all seeds, got "
                            f"{out[problems[name]]:g} and {optimum:g}; give them a fixed instance")  # fmt: skip
    return out


def _found(study: Study) -> tuple[dict[str, Any], pd.DataFrame]:
    """The claim's entry in claims.json, and its rows in claims.parquet."""
    claim, command = study.claim, shlex.join([
        "python", "-m", "hptbench", *(word for word in sys.argv[1:] if not word.startswith("claims.only=")),
        f"claims.only=[{study.claim.name}]",
    ])  # fmt: skip
    tables = collect(study.plans[0].study, only={plan.key_in_tables for plan in study.plans})
    at = np.array(sorted({at for one in claim.compare for _, at in one.ends}))
    optima, axis = optima_of(study.plans, study.problems), Axis(at, claim.by, claim.worth)
    found = results(tables.jobs, tables.runs, study.problems, optima, axis)
    judgements = judged(claim.compare, found, list(dict.fromkeys(study.problems.values())))
    return entry(claim.spec, judgements, found, tables.runs, command), raw(claim.name, judgements, found)


def _write(home: Path, claims: Sequence[Claim], name: str, found: Mapping[str, Any], rows: pd.DataFrame) -> None:
    """Put one claim's results in the place of its earlier ones. Those of claims that are no longer the same go."""
    import pandas as pd

    stored, table = home / "claims.json", home / "claims.parquet"
    try:
        before = json.loads(stored.read_text(encoding="utf-8")) if stored.is_file() else {}
    except ValueError as error:
        raise UserError(
            f"{stored} is damaged ({error}); delete it: the claims are read from their runs again"
        ) from error
    kept = {one.name: before[one.name] for one in claims if before.get(one.name, {}).get("spec") == one.spec}
    kept[name] = found
    kept = {one.name: kept[one.name] for one in claims if one.name in kept}
    if table.is_file():
        try:
            old = pd.read_parquet(table)
        except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
            raise UserError(
                f"{table} is damaged ({error}); delete it and {stored}: the claims are read from their runs again"
            ) from error
        rows = pd.concat([old[old["claim"].isin(kept.keys() - {name})], rows], ignore_index=True)
    rows = rows.sort_values(["claim", "problem", "method", "at", "seed"], ignore_index=True)
    text = markdown(kept, [one.name for one in claims if one.name not in kept])
    write_whole(table, lambda part: rows.to_parquet(part, compression="zstd", index=False))
    write_whole(stored, lambda part: part.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8"))
    write_whole(home / "claims.md", lambda part: part.write_text(text, encoding="utf-8"))
