"""The check-lists of AutoML-Conf and for NAS, and pitfalls, answered from the logs of a study as far as they go.

The questions are put in our words after the author checklist of the AutoML Conference, M. Lindauer & F. Hutter, "Best
practices for scientific research on neural architecture search", JMLR 21(243), 2020, and K. Eggensperger, M. Lindauer &
F. Hutter, "Pitfalls and best practices in algorithm configuration", JAIR 64, 2019. What logs cannot say is left to the
author, visibly: intentions, claims, what will be published, and everything about data that a study does not record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hptbench.provenance import by_method, is_said
from hptbench.report.data import Data
from hptbench.report.summary import complete, compute, licences, reasons, verdict
from hptbench.results import conclusions
from hptbench.results.table import DEFAULT, RANDOM

Answer = Literal["yes", "partly", "no", "author"]
_BOXES = {"yes": "[x] Yes.", "partly": "[ ] **Partly.**", "no": "[ ] **No.**", "author": "[ ] **Author must answer.**"}


@dataclass(frozen=True)
class Item:
    """A question and what is known."""

    question: str
    answer: Answer
    words: str
    """What the logs say, or what the author has to say."""


def checklist(data: Data) -> dict[str, list[Item]]:
    """Heading -> items."""
    return {
        "AutoML-Conf: experiments": list(_experiments(data)),
        "AutoML-Conf: code and results": list(_code(data)),
        "AutoML-Conf: claims, data and people": list(_claims(data)),
        "NAS: releasing code": list(_nas_code(data)),
        "NAS: comparing methods": list(_nas_comparison(data)),
        "NAS: details": list(_nas_details(data)),
        "Pitfalls": list(_pitfalls(data)),
    }


def markdown(data: Data, command: str = "") -> str:
    """The check-lists as Markdown."""
    found = checklist(data)
    items = [item for part in found.values() for item in part]
    left = sum(item.answer == "author" for item in items)
    lacking = sum(item.answer in ("no", "partly") for item in items)
    lines = [
        f"# Check-lists of the study {data.study.folder.resolve().name}",
        "",
        f"{len(items) - left} of {len(items)} questions are answered from the logs, {lacking} of them no or partly; "
        f"**{left} are left to the author**. Questions are in our words; the conference's own form decides. The NAS "
        "list is for studies of neural architecture search.",
    ]
    lines += ["", f"Made by `{command}`."] if command else []
    for heading, part in found.items():
        lines += ["", f"## {heading}", ""]
        for item in part:
            lines += [f"- **{item.question}**", f"  {_BOXES[item.answer]} {item.words}"]
    return "\n".join(lines) + "\n"


def _experiments(data: Data) -> Iterator[Item]:
    runs = data.runs[data.runs["method"] != DEFAULT]
    same = (runs.groupby("task")["protocol"].nunique() == 1).all()
    yield Item(
        "The same evaluation protocol for all methods: data, splits, search space, resources?",
        "yes" if same and complete(data) else "partly" if same else "no",
        (f"{runs['protocol'].nunique()} protocol hashes for {runs['task'].nunique()} tasks"
         + (", one per task" if same else ", several on a task")
         + ("." if complete(data) else "; some methods lack runs on some tasks or seeds.")),
    )  # fmt: skip
    yield Item(
        "All details: splits, preprocessing, search spaces, fixed hyperparameters, seeds?",
        "yes",
        f"In `runs.parquet` for each of {len(data.runs)} runs: task_identity (data hash, split, learner), space, "
        f"hyperparameters, limits, budget, seed. Seeds: {', '.join(map(str, data.seeds))}.",
    )
    repeats = len(data.seeds)
    identities = [json.loads(text) for text in runs["task_identity"].dropna()]
    splits = {identity["split"] for identity in identities if "split" in identity}
    yield Item(
        "Repeated with several seeds, and splits?",
        "no" if repeats < 2 else "partly" if len(splits) < 2 else "yes",
        f"{repeats} seed(s)" + (f"; outer split(s): {sorted(splits)}." if splits else "; tasks without splits."),
    )
    yield Item(
        "Uncertainty reported?",
        "yes" if repeats > 1 else "no",
        "`compare` and `report` give 95 % t intervals of means over seeds, and of aggregates stratified bootstraps."
        if repeats > 1
        else "One seed: no intervals.",
    )
    said = verdict(data)
    yield Item(
        "Statistical significance tested?",
        "no" if said.comparison is None else "partly" if said.warnings else "yes",
        " ".join([said.headline, *said.warnings]),
    )
    yield Item("Tabular or surrogate benchmarks for depth?", *_cheap(data))
    yield Item(
        "Performance over time, and how the longest time was chosen?",
        "yes" if (why := reasons(data)) else "author",
        f"Curves over the whole budget are in `report`; budget of a run: "
        f"{'; '.join(map(conclusions.budget_words, sorted(runs['budget'].dropna().unique()))) or 'not known'}. "
        + (conclusions.reason_words(why) if why else "Why so long is for the author to say (`budget.reason`)."),
    )
    yield Item(
        "Total compute and kind of resources?",
        "yes",
        f"{compute(data)}; {'; '.join(sorted(data.runs['device'].unique()))}; highest memory "
        f"{data.runs['peak_memory'].max():.0f} MB.",
    )
    yield Item("Ablations?", *_ablations(data))


def _cheap(data: Data) -> tuple[Answer, str]:
    """Whether trainings are looked up or predicted."""
    trained = sorted(data.jobs.loc[data.jobs["cpu"].notna(), "task"].unique())
    return (
        "author" if trained else "yes",
        f"{len(data.tasks) - len(trained)} of {len(data.tasks)} tasks are functions, tables or surrogates; "
        f"{len(trained)} are real trainings, for which the author says why none stands in.",
    )


def _ablations(data: Data) -> tuple[Answer, str]:
    """Whether settings of one method were compared."""
    of_class = data.runs.groupby("method_class")["method"].unique()
    several = [", ".join(sorted(labels)) for labels in of_class if len(labels) > 1]
    if several:
        return "yes", f"Settings of one method are compared: {'; '.join(several)}."
    return (
        "author",
        "No method was run with several settings in this study (`ablation={NAME: {SETTING: [VALUES]}}` does).",
    )


def _code(data: Data) -> Iterator[Item]:
    commits = {str(commit) for commit in data.runs["commit"].dropna()}
    clean = bool(commits) and not any(commit.endswith("+") for commit in commits)
    recorded = data.runs["versions"].dropna()
    versions = json.loads(recorded.iloc[0]) if len(recorded) else {}
    yield Item(
        "Code, exact versions of what it needs, seeds?",
        "yes" if clean else "partly",
        f"Commit(s) {', '.join(sorted(commits)) or 'not recorded'}"
        + ("" if clean else " (+: files were changed since, so that the commit alone does not give these results)")
        + f"; versions of {len(versions)} packages in `runs.parquet`, Python {versions.get('python', 'not known')}. "
        "That the code is published is for the author to see to.",
    )
    again = (data.study.folder / "configs").is_dir()
    yield Item(
        "A minimal example that replicates results?",
        "yes" if again else "author",
        "`python -m hptbench reproduce write STUDY --out DIR`: what was run, exact versions, the results to expect, "
        "and a test of a minute that compares bit for bit. Say where it is published."
        if again
        else "Name a command and the result to expect.",
    )
    yield Item("Code of sufficient quality, documented, runnable by others?", "author", "Answer for your own code.")
    yield Item(
        "Raw results released?",
        "author",
        f"They are there: `jobs.parquet` ({len(data.jobs)} jobs) and `runs.parquet`; say where they are published.",
    )
    yield Item(
        "Code that makes tables and figures from raw results?",
        "yes",
        "`python -m hptbench report STUDY --figures pdf`: each figure with a side-car of command, hashes and numbers.",
    )


def _claims(data: Data) -> Iterator[Item]:
    yield Item("Do the claims match what was shown?", "author", f"The tests support: {verdict(data).headline}")
    yield Item("Limitations described?", "author", "The power note of `compare` and its warnings are some of them.")
    yield Item("Possible harm to society discussed?", "author", "Discuss it.")
    yield Item("Ethics guidelines read and kept?", "author", "Those of the conference.")
    yield Item(
        "Creators of data, code and models cited, and their licences named?",
        "author",
        f"Data sets or functions by licence, as their sources state it: {_licences(data)}. Say what you cite.",
    )
    yield Item("Consent of the people whose data are used, where it is needed?", "author", "Say how it was obtained.")
    yield Item("Personal or offensive content in the data?", "author", "Say whether there is any.")
    yield Item("Licence and documentation of what is new?", "author", "Say what you release, and under which licence.")
    yield Item("What is new included, or its address given?", "author", "Give it.")
    yield Item("Crowds or human subjects: instructions, risks, pay?", "author", "Where there were any.")
    yield Item("Theory: all assumptions stated, all proofs given?", "author", "Where there is any.")


def _licences(data: Data) -> str:
    return "; ".join(f"{name}: {', '.join(units)}" for name, units in licences(data).items())


def _nas_code(data: Data) -> Iterator[Item]:
    yield Item("Training pipeline of the final evaluations released?", "author", "Say where; its identity is logged.")
    yield Item(
        "Search space released as code?", "yes", "As JSON of ConfigSpace in the column `space` of `runs.parquet`."
    )
    yield Item(
        "Hyperparameters and seeds of the final evaluations and of the NAS method released?",
        "yes",
        "Columns `hyperparameters`, `provenance`, `seed`, and the configuration of every job.",
    )
    yield Item("Code of the NAS method released?", "author", "Say where, if it is not one of this package.")


def _nas_comparison(data: Data) -> Iterator[Item]:
    runs = data.runs[data.runs["method"] != DEFAULT]
    same = (runs.groupby("task")["protocol"].nunique() == 1).all()
    yield Item(
        "The same benchmark for all methods: data, space and training pipeline, not just the same data set?",
        "yes" if same else "no",
        "The hash `protocol` covers task, space, split, budget, workers and limits; it is "
        + ("one per task." if same else "not one per task."),
    )
    devices, versions = data.runs["device"].nunique(), data.runs["versions"].nunique()
    yield Item(
        "Confounding factors controlled: hardware, versions of libraries, running times?",
        "yes" if devices == versions == 1 else "no",
        f"{devices} kind(s) of machine, {versions} set(s) of versions; "
        f"clock: {', '.join(sorted(set(runs['clock'].dropna()))) or 'not known'}.",
    )
    yield Item("Ablations?", *_ablations(data))
    of_tasks = zip(runs["high"], runs["fidelity_unit"], strict=True)
    levels = {f"{high:g} {unit}" for high, unit in of_tasks if isinstance(unit, str)}
    yield Item(
        "The same protocol in search and final evaluation, or both described?",
        "author",
        f"Incumbents are judged by {data.measure} scores of the same trainings that the search saw; fidelities up to "
        f"{', '.join(sorted(levels)) or '1 (no fidelity)'}.",
    )
    yield Item("Performance over time?", "yes", "Anytime curves, against training or time: `report`, `compare`.")
    there = RANDOM in set(runs["method"])
    yield Item(
        "Compared with random sampling and random search?",
        "yes" if there else "no",
        "`random` was run." if there else "`random` was not run: leave `baselines=[random]` as it is.",
    )
    yield Item(
        "Several runs, their seeds reported?",
        "yes" if len(data.seeds) > 1 else "no",
        f"{len(data.seeds)}: {', '.join(map(str, data.seeds))}.",
    )
    yield Item("Tabular or surrogate NAS benchmarks for depth?", *_cheap(data))


def _nas_details(data: Data) -> Iterator[Item]:
    found = by_method(data.runs[data.runs["method"] != DEFAULT])
    yield Item(
        "How were the methods' own hyperparameters chosen, and what did that cost?",
        "author" if any(not is_said(text) for texts in found.values() for text in texts) else "yes",
        " ".join([conclusions.origins(found), *conclusions.chosen_warnings(found, sorted(set(data.runs["unit"])))]),
    )
    yield Item(
        "Time of the whole search, end to end?", "yes", f"{compute(data)}; per run in `runs.parquet` (wall, ask, tell)."
    )
    yield Item("All other details of the set-up?", "author", "Anything that was done outside this study's logs.")


def _pitfalls(data: Data) -> Iterator[Item]:
    runs, jobs = data.runs[data.runs["method"] != DEFAULT], data.jobs
    yield Item(
        "Time and memory measured and limited from outside, by one clock?",
        "yes",
        "By the runner, each training in a process of its own. Limits: "
        f"{'; '.join(sorted(set(runs['limits'].dropna()))) or 'not known'}.",
    )
    lost = jobs["status"].value_counts().drop("ok", errors="ignore")
    yield Item(
        "Crashes neither ignored nor taken for results?",
        "yes",
        f"{int(lost.sum())} of {len(jobs)} jobs failed"
        + (f" ({', '.join(f'{status} {n}' for status, n in lost.items())})" if len(lost) else "")
        + "; they are told as infinitely bad, and charged what they took.",
    )
    unpriced = [method for method, what in data.warm.items() if "not recorded" in what]
    yield Item(
        "Methods that began with knowledge of other tasks or of good configurations told apart, and its cost stated?",
        "partly" if unpriced else "yes",
        "No method did." if not data.warm else
        f"A block of their own in `compare` and `report`: {'; '.join(f'{m}: {w}' for m, w in data.warm.items())}.",
    )  # fmt: skip
    hidden = bool(jobs["test"].notna().any())
    yield Item(
        "Test data outside of all tuning?",
        "yes" if hidden else "no",
        "Test scores are hidden from methods and never choose." if hidden else "There are no test scores.",
    )
    found = data.overtuning
    yield Item(
        "Over-tuning looked for?",
        "yes" if found else "no",
        "In test an earlier incumbent was better in "
        + ", ".join(f"{one.any:.0%} of the runs of {method}" for method, one in sorted(found.items()))
        + "."
        if found
        else "Needs test scores of every incumbent of tasks of one objective.",
    )
    yield Item(
        "Parallel work and unequal running times told apart from sequential search?",
        "yes",
        f"Workers: {', '.join(sorted(set(runs['workers'].dropna().map(str))))}; "
        f"clock: {', '.join(sorted(set(runs['clock'].dropna()))) or 'not known'}; "
        f"simulation: {'; '.join(sorted(set(runs['simulation'].dropna()))) or 'none'}.",
    )
    loads = data.runs["load"].dropna()
    busy = (
        f"{loads.gt(1).mean():.0%} of {len(loads)} runs ended while more processes ran or waited than it has processors"
        f" (column `load`, at most {loads.max():.2g} for each)"
        if len(loads)
        else "Loads were not logged"
    )
    yield Item(
        "The machine not overloaded, files not on a slow shared disk?",
        "author",
        f"{busy}; say what measured times are worth, and where the files were.",
    )
