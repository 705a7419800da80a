"""Make every number, table and figure of the paper from what is published in results/: python scripts/paper.py

Into paper/generated/: numbers.tex (what ``\\get{KEY}`` says), studies.tex (one line per published study and list of
claims, which the text goes through), tables, and figures as PDF, each with a side-car. The text of a study is
paper/study.tex, the same for all, so that nothing can be told of a study that is not there. Its comparison is the
published one: the words of the command that made it, from ranks.json.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hptbench import __version__, registry
from hptbench.commands._formats import escaped, latex_table
from hptbench.commands.compare import selected
from hptbench.commands.publish import arguments
from hptbench.learners import learners
from hptbench.plots.draw import draw
from hptbench.plots.figure import Axis, Figure, Mark, Panel
from hptbench.report.curves import standings
from hptbench.results import comparison
from hptbench.results.published import is_published, read
from hptbench.results.ranking import COARSE, Ranking, ranked
from hptbench.results.regret import FLOOR
from hptbench.results.table import USED
from hptbench.stats import aggregate, bayes, overtuning
from hptbench.stats.intervals import t_interval
from hptbench.stats.power import detectable
from hptbench.stats.ranks import critical_difference, mean_ranks
from hptbench.stats.words import friedman_sentence, power_sentence

ROOT = Path(__file__).resolve().parent.parent
PEER = "ext_"
_WORTH = {
    "seen": "value at the full fidelity",
    "full": "configuration's value when trained in full, which the task knows and no method sees",
}
_HEX = 16
_LEAST = 8
"""Configurations from which a rank correlation over them is taken."""
Numbers = dict[str, str]


def make(results: Path, out: Path) -> Numbers:
    """Write everything; returns the numbers, LaTeX by key."""
    out.mkdir(parents=True, exist_ok=True)
    numbers, parts, used = package(), list[str](), list[Path]()
    for folder in sorted(path for path in results.iterdir() if path.is_dir()):
        if is_published(folder):
            numbers |= study(folder, out)
            parts.append(rf"\study{{{folder.name}}}")
            used += [folder / name for name in ("incumbents.parquet", "published.parquet", "references.json")]
    for path in sorted(results.glob("*/claims.json")):
        numbers |= claims(path, out)
        parts.append(rf"\claims{{{path.parent.name}}}")
        used.append(path)
    table = results / "evaluations" / "tabular.parquet"
    numbers |= evaluations(table, out)
    used.append(table)
    rows = [[str(path.relative_to(results)), _sha(path)[:_HEX]] for path in used]
    _table(out, "inputs", ["file", "SHA-256, its beginning"], rows, "What this text was made from.")
    _write(out / "studies.tex", parts)
    _write(out / "numbers.tex", [rf"\expandafter\def\csname get@{key}\endcsname{{{text}}}" for key, text in
                                 sorted(numbers.items())])  # fmt: skip
    return numbers


def package() -> Numbers:
    """What the code itself says: how much there is of what, and constants behind results."""
    methods = registry.methods()
    peers = [name for name in methods if name.startswith(PEER)]
    return {
        "package.version": escaped(__version__),
        "package.methods": str(len(methods) - len(peers)),
        "package.peers": str(len(peers)),
        "package.tasks": str(len(registry.tasks())),
        "package.suites": str(len(list((ROOT / "conf" / "suite").glob("*.yaml")))),
        "package.learners": str(len(learners())),
        "package.alpha": f"{comparison.ALPHA:g}",
        "package.bootstrap": f"{aggregate.DRAWS:,}",
        "package.level": f"{100 * inspect.signature(t_interval).parameters['level'].default:g}",
        "package.posterior": f"{bayes.DRAWS:,}",
        "package.mixed": str(comparison.MIXED_UNITS),
        "package.floor": f"{FLOOR:g}",
        "package.coarse": f"{COARSE:g}",
    }


def study(folder: Path, out: Path) -> Numbers:
    """The comparison that was published in ``folder``."""
    words = shlex.split(json.loads((folder / "ranks.json").read_text(encoding="utf-8"))["command"])
    options = arguments(words[words.index("publish") + 1 :])
    found = read(folder)
    ranking = ranked(found, selected(found.runs, options.where), options.by, options.at, options.reference)
    name, command = folder.name, "python scripts/paper.py"
    inputs = {file: _sha(folder / file) for file in ("incumbents.parquet", "published.parquet", "references.json")}
    for figure in (standings(ranking.fine), _ends(ranking), _problems(ranking)):
        draw(figure, out / name, ranking.methods, ("pdf",), command, inputs)
    last = f"{ranking.at[-1]:g} {USED[ranking.fine.axis.by]}"
    _table(
        out, f"{name}-methods", *ranking.method_rows(),
        f"{name}: mean ranks (1: the best) and scores (mean log10 normalised regret, lower is better) after numbers of "
        f"{USED[ranking.fine.axis.by]}; coarse: regrets below {COARSE:g} count as equal; CPU s: median processor "
        "seconds of a run that the method itself took.",
    )  # fmt: skip
    _table(
        out, f"{name}-tests", *ranking.test_rows(ranking.reference),
        f"{name}: {ranking.reference} against each other method. Wilcoxon signed-rank tests over the problems that "
        f"both have, Holm over all {len(ranking.tests[ranking.reference])} of this table; Hodges–Lehmann differences "
        f"of the scores, negative where {ranking.reference} is better.",
    )  # fmt: skip
    numbers = _numbers(ranking, last) | {
        "name": escaped(name),
        "command": escaped(shlex.join(words)).replace("--", "-{}-"),
    }
    return {f"{name}.{key}": text for key, text in numbers.items()}


def _numbers(found: Ranking, last: str) -> Numbers:
    runs, methods = found.part.runs, found.methods
    seeds = runs.groupby(["task", "method"]).size()
    ranks = dict(zip(found.fine.methods, mean_ranks(found.fine.after(found.at[-1])), strict=True))
    coarse = found.coarse.methods[int(np.argmin(mean_ranks(found.coarse.after(found.at[-1]))))]
    ahead = {p.b for p in found.final_tests() if p.p_holm <= comparison.ALPHA and p.rank_biserial > 0}
    behind = {p.b for p in found.final_tests() if p.p_holm <= comparison.ALPHA and p.rank_biserial < 0}
    cpu, tests = found.cpu, len(found.tests[found.reference])
    units, tasks = len(found.fine.units), len(found.part.references)
    peers = [m for m in methods if m.startswith(PEER)]
    note = (
        "It ranks first because it was chosen so, which favours it."
        if found.chosen_after
        else "It was named for the comparison, and not registered before the runs"
        + ("; as it also ranks first, the tests favour it." if found.reference == methods[0] else ".")
    )
    return {
        "methods": str(len(methods)),
        "ours": str(len(methods) - len(peers)),
        "peers": str(len(peers)),
        "units": str(units),
        "tasks": str(tasks),
        "once": "" if units == tasks else "Tasks of one data set are averaged first and count once.",
        "seeds": str(seeds.min()) if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}",
        "runs": f"{len(runs):,}",
        "evaluations": f"{int(runs['jobs'].sum()):,}",
        "failed": f"{int(runs['failed'].sum()):,}",
        "last": escaped(last),
        "worth": _WORTH[found.fine.axis.worth],
        "best": _name(methods[0]),
        "best.rank": f"{ranks[methods[0]]:.2f}",
        "order": _names(methods[1:4]),
        "coarse.best": _name(coarse),
        "random.rank": f"{ranks['random']:.2f}" if "random" in ranks else "--",
        "reference": _name(found.reference),
        "reference.note": note,
        "tests": str(tests),
        "ahead": _names(m for m in methods if m in ahead),
        "behind": _names(m for m in methods if m in behind),
        "open": _names(m for m in methods if m not in ahead | behind | {found.reference}),
        "friedman": escaped(friedman_sentence(found.friedman)),
        "cpu.best": _two_digits(cpu[methods[0]]),
        "cpu.most": _two_digits(cpu[list(methods)].max()),
        "cpu.most.name": _name(str(cpu[list(methods)].idxmax())),
        "cpu.total": f"{(runs['ask'] + runs['tell']).sum() / 3600:.1f}",
        "power": escaped(power_sentence(units, detectable(units, comparisons=tests), tests)),
        "partial": _sentence(
            "Not ranked, since they have no runs on some tasks yet, but tested on the others:", found.partial
        ),
        "lacking": _sentence(
            "Ranked, though runs of some seeds are missing:", {m: f"{n} runs" for m, n in found.lacking.items()}
        ),
        "machines": escaped("; ".join(sorted(runs["device"].dropna().unique()))),
        "commits": escaped(", ".join(sorted(str(one)[:8] for one in runs["commit"].dropna().unique()))),
    }  # fmt: skip


def _ends(found: Ranking) -> Figure:
    """Where methods stand at the end, and how long they think."""
    names, units = found.methods, len(found.fine.units)
    cd = critical_difference(len(names), units) / 2 if len(names) > 1 else float("nan")
    ranks = dict(zip(found.fine.methods, mean_ranks(found.fine.after(found.at[-1])), strict=True))
    y, x = np.arange(len(names)), np.array([ranks[m] for m in names])
    cpu = np.array([found.cpu[m] for m in names])
    rows = Axis("", "category", names)
    panels = (
        Panel((Mark("dots", {"x": x, "y": y, "low": x - cd, "high": x + cd}),), Axis("mean rank (1: best)"), rows),
        Panel((Mark("dots", {"x": cpu, "y": y}),), Axis("processor seconds of a run", "log"), rows),
    )
    caption = "Mean ranks with half of Nemenyi's critical difference to both sides, and the time that methods take."
    return Figure("ends", "At the end", caption, "A row per method.", panels)


def _problems(found: Ranking) -> Figure:
    """The score of each method on each problem, shaded within the problem."""
    order = [found.fine.methods.index(m) for m in found.methods]
    scores = found.fine.after(found.at[-1])[:, order]
    low, high = scores.min(axis=1, keepdims=True), scores.max(axis=1, keepdims=True)
    shade = np.divide(scores - low, high - low, out=np.zeros_like(scores), where=high > low)
    y, x = np.indices(scores.shape)
    labels = [f"{score:.1f}" for score in scores.ravel()]
    cells = Mark("cells", {"x": x.ravel(), "y": y.ravel(), "shade": shade.ravel(), "label": labels})
    panel = Panel((cells,), Axis("", "category", found.methods), Axis("", "category", found.fine.units))
    caption = "Scores of methods on problems; the colour compares within a problem."
    return Figure("problems", "Each problem", caption, "A grid of problems and methods.", (panel,))


def _two_digits(value: float) -> str:
    """Two digits that count, without an exponent."""
    return f"{float(f'{value:.2g}'):,g}"


def claims(path: Path, out: Path) -> Numbers:
    """Verdicts on claims of papers."""
    entries: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    name = path.parent.name
    rows = [
        " & ".join(escaped(text) for text in (one["spec"]["claim"], one["spec"]["paper"], one["verdict"])) + r" \\"
        for one in entries.values()
    ]
    head = r"\begin{longtable}{p{.53\linewidth}p{.24\linewidth}p{.15\linewidth}}"
    caption = rf"\caption{{{escaped(name)}: claims of papers, tested by our own runs.}}\label{{tab:{name}}}\\"
    columns = [r"\toprule", r"claim & paper & verdict \\", r"\midrule"]
    lines = [head, caption, *columns, r"\endfirsthead", *columns, r"\endhead"]  # a label on each page would be several
    _write(out / f"{name}.tex", [*lines, *rows, r"\bottomrule", r"\end{longtable}"])
    verdicts = [str(one["verdict"]) for one in entries.values()]
    numbers = {"claims": len(entries), "runs": sum(one["runs"] for one in entries.values())}
    numbers |= {
        key: verdicts.count(word)
        for key, word in (("reproduced", "reproduced"), ("partly", "partly reproduced"), ("open", "not shown"),
                          ("contradicted", "contradicted"))
    }  # fmt: skip
    return {f"{name}.{key}": f"{n:,}" for key, n in numbers.items()} | {f"{name}.name": escaped(name)}


def evaluations(path: Path, out: Path) -> Numbers:
    """What choosing by validation costs, and what low fidelities tell, in the table of evaluations.

    On each data set and learner the configurations of the design are taken in their order, as one run of search."""
    table = pd.read_parquet(path)
    regression = table["validation_rmse"].notna()
    for part in _PARTS:
        table[part] = table[[f"{part}_{metric}" for metric in _METRICS]].astype(float).bfill(axis=1).iloc[:, 0]
    rows = pd.DataFrame([
        {"data": data, "learner": learner, **_searched(group)}
        for (data, learner), group in table[table["status"] == "ok"].groupby(["data", "learner"], sort=True)
    ])  # fmt: skip
    shown = [
        [
            str(learner), str(table.loc[table["learner"] == learner, "configuration"].nunique()), str(len(of)),
            _mean(of["gain"]), _share(of["earlier"]), _share(of["first"]),
            *(f"{of[f'rho{k}'].median():.2f}" for k in _LOW),
        ]
        for learner, of in rows.groupby("learner", sort=True)
    ]  # fmt: skip
    low = [f"{100 * level:.0f} %" for level in sorted(table["fidelity"].unique())[:-1]]
    _table(
        out, "evaluations",
        ["learner", "configurations", "data sets", "gain", "earlier better", "default better",
         *(f"rank correlation at {level}" for level in low)],
        shown,
        "The table of evaluations, by the RMSE of regression and the log loss of classification, or the error of "
        "learners without probabilities. Gain: what the configuration with the least validation loss has less of the "
        "default's test loss. Earlier better, default better: shares of data sets on which an earlier incumbent, or "
        "the default, has less test loss than it. In brackets 95 % intervals over data sets (Student's; of shares "
        "Wilson's). Last: median over data sets of "
        "the rank correlation, over configurations, of validation losses with those at the full share of rows.",
    )  # fmt: skip
    of_data = rows.groupby("data")[["earlier", "first", "gain"]].mean()
    numbers = {
        "evaluations": len(table), "failed": int((table["status"] != "ok").sum()), "learners": len(shown),
        "datasets": table["data"].nunique(), "searches": len(rows),
        "configurations": table[["learner", "configuration"]].drop_duplicates().shape[0],
        "regression": table.loc[regression, "data"].nunique(),
    }  # fmt: skip
    return {f"evaluations.{key}": f"{n:,}" for key, n in numbers.items()} | {
        "evaluations.earlier": escaped(_mean(of_data["earlier"])),
        "evaluations.first": escaped(_mean(of_data["first"])),
        "evaluations.gain": escaped(_mean(of_data["gain"])),
    }


_PARTS, _LOW, _METRICS = ("validation", "test"), (0, 1), ("rmse", "log_loss", "error")
"""Of a row: its losses, the lower fidelities, and the metrics of which the first that is there counts."""


def _searched(group: pd.DataFrame) -> dict[str, float]:
    """One data set and learner: whether an earlier incumbent, or the default configuration, was better in test than the
    chosen one, what was gained, and the rank correlations of the lower fidelities."""
    levels = sorted(group["fidelity"].unique())
    wide = {part: group.pivot(index="configuration", columns="fidelity", values=part) for part in _PARTS}
    full = levels[-1]
    validation, test = (wide[part][full].dropna().sort_index() for part in _PARTS)
    values = validation.to_numpy(float)
    new = np.append(True, values[1:] < np.minimum.accumulate(values)[:-1])
    tests = test.reindex(validation.index).to_numpy(float)
    of_incumbents, default = tests[new], float(test.get(0, np.nan))
    both = wide["validation"].dropna()
    rho = both.corr(method="spearman")[full] if len(both) >= _LEAST else None
    return {
        "earlier": float(overtuning.overtuning(of_incumbents) > 0),
        "first": float(of_incumbents[-1] > default) if np.isfinite(default) else np.nan,
        "gain": 1 - float(of_incumbents[-1]) / default if default > 0 else np.nan,
        **{f"rho{k}": np.nan if rho is None or k >= len(levels) - 1 else float(rho[levels[k]]) for k in _LOW},
    }


def _mean(values: pd.Series[float]) -> str:
    """Per cent: the mean and its t interval over data sets."""
    known = values.dropna().to_numpy(float)
    return _percent(*map(float, t_interval(known))) if len(known) else "–"


def _share(values: pd.Series[float]) -> str:
    """Per cent of the data sets, with Wilson's interval."""
    from scipy.stats import binomtest

    known = values.dropna().to_numpy(float)
    if not len(known):
        return "–"
    found = binomtest(int(known.sum()), len(known)).proportion_ci(method="wilson")
    return _percent(float(known.mean()), float(found.low), float(found.high))


def _percent(estimate: float, low: float, high: float) -> str:
    bounds = "" if np.isnan(low) else f" [{round(100 * low)}, {round(100 * high)}]"
    return f"{round(100 * estimate)} %{bounds}"


def _name(method: str) -> str:
    return rf"\code{{{escaped(method)}}}"


def _names(methods: Iterable[str]) -> str:
    names = list(map(_name, methods))
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0] if names else "no method"


def _sentence(head: str, of: Mapping[str, str]) -> str:
    return f"{head} {', '.join(f'{_name(m)} ({escaped(text)})' for m, text in of.items())}." if of else ""


def _table(out: Path, name: str, head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> None:
    """As wide as the page, if it has to be."""
    lines = latex_table(head, rows, caption, name)
    begin = next(i for i, line in enumerate(lines) if line.startswith(r"\begin{tabular}"))
    end = lines.index(r"\end{tabular}")
    lines[begin] = r"\fitted{" + lines[begin]
    lines[end] += "}"
    _write(out / f"{name}.tex", lines)


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("% made by scripts/paper.py\n" + "\n".join(lines) + "\n", encoding="utf-8")


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--out", type=Path, default=ROOT / "paper" / "generated")
    options = parser.parse_args()
    print(f"{len(make(options.results, options.out))} numbers, tables and figures in {options.out}")


if __name__ == "__main__":
    main()
