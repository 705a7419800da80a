"""``list``: methods, tasks, suites, and what their models are, with one line each."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hptbench import registry
from hptbench.methods._peers import missing
from hptbench.paths import conf_dir


def main(argv: list[str]) -> int:
    """Print what there is."""
    kinds = {
        "methods": _methods,
        "tasks": _tasks,
        "suites": _suites,
        "learners": _learners,
        "forecasters": _forecasters,
        "recommenders": _recommenders,
    }
    parser = argparse.ArgumentParser("python -m hptbench list", description=__doc__)
    parser.add_argument("what", nargs="*", help=f"{', '.join(kinds)}; all if left out")
    what = parser.parse_args(argv).what or list(kinds)
    for kind in what:
        if kind not in kinds:
            from hptbench.errors import unknown

            raise unknown("kind", kind, kinds)
    console = Console()
    for kind in what:
        shown = Table(kind, "", box=None, title_justify="left", padding=(0, 2, 0, 0))
        for name, line in kinds[kind]().items():
            shown.add_row(f"[bold]{name}[/]", escape(line))
        console.print(shown)
        console.print()
    return 0


def _methods() -> dict[str, str]:
    """And their variants: what the third comment line of each file says, after its package and its command."""
    files = (conf_dir() / "method").glob("*.yaml")
    found = {f.stem: f.read_text(encoding="utf-8").splitlines()[2].lstrip("# ") for f in files}
    for name, cls in registry.methods().items():
        lack = missing(cls.traits.requires)  # type: ignore[attr-defined]
        found[name] = f"{registry.summary(cls)}{f' Not usable: {lack}.' if lack else ''}"
    return dict(sorted(found.items()))


def _tasks() -> dict[str, str]:
    return {name: registry.summary(cls) for name, cls in registry.tasks().items()}


def _suites() -> dict[str, str]:
    """What the second comment line of each file says; the first is the command that runs it."""
    files = sorted((conf_dir() / "suite").glob("*.yaml"))
    return {f.stem: f.read_text(encoding="utf-8").splitlines()[1].lstrip("# ") for f in files}


def _learners() -> dict[str, str]:
    from hptbench.learners import learners

    return {
        name: registry.summary(type(learner))
        + ("" if learner.installed else ' Not installed: pip install "hptbench[boosting]"')
        for name, learner in learners().items()
    }


def _forecasters() -> dict[str, str]:
    from hptbench.forecasters import forecasters

    return {name: registry.summary(type(forecaster)) for name, forecaster in forecasters().items()}


def _recommenders() -> dict[str, str]:
    from hptbench.recommenders import recommenders

    return {name: registry.summary(type(recommender)) for name, recommender in recommenders().items()}
