"""A comparison as JSON, Markdown and LaTeX."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from hptbench.results import conclusions
from hptbench.results.comparison import Comparison

FORMATS = ("text", "json", "markdown", "latex")
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--"}
_MINUS = re.compile(r"(?<!\w)-(?=\d)")


def formatted(c: Comparison, form: str, study: str, command: str) -> str:
    """The comparison of ``study`` in one of FORMATS but text; ``command`` made it."""
    return {"json": _json, "markdown": _markdown, "latex": _latex}[form](c, study, command)


def _json(c: Comparison, study: str, command: str) -> str:
    methods = {
        m: {
            "began": c.warm.get(m, "cold"), "provenance": c.origins[m],
            "mean_rank": c.ranks[i], "aggregate": c.aggregates.estimate[i], "low": c.aggregates.low[i],
            "high": c.aggregates.high[i], "overtuning": c.overtuning.get(m),
        }
        for i, m in enumerate(c.methods)
    }  # fmt: skip
    pairs = [
        {f.name: getattr(p, f.name) for f in dataclasses.fields(p)}
        | {
            "a12": p.a12,
            "improvement": c.improvement[p.a, p.b]._asdict(),
            "posterior": c.posteriors.get((p.a, p.b)),
            "hierarchical": c.hierarchies.get((p.a, p.b)),
        }
        for p in c.pairs
    ]
    whole = {
        "study": study, "command": command, "score": c.scores.name, "units": c.units, "seeds": c.seeds,
        "scores": {m: c.scores.matrix[m].to_numpy() for m in c.methods},
        "dropped": c.scores.dropped, "filled": c.scores.filled, "unequal": c.unequal,
        "where": c.where, "budgets": [json.loads(text) for text in c.budgets], "budget_reasons": c.reasons,
        "registered": c.registration and {"when": c.registration.when, "sha": c.registration.sha},
        "hypotheses": [dataclasses.asdict(tested) for tested in c.hypotheses],
        "exploratory": {
            "friedman": c.friedman, "critical_difference_for_pictures": c.critical_difference, "aggregate": c.aggregate,
            "caption": conclusions.caption(c), "methods": methods, "pairs": pairs, "rope": c.rope,
            "resampled": c.resampled, "detectable_effect": c.detectable, "mixed_model": c.mixed,
            "seed_effect": c.seed_effect, "informative_units": c.informative,
        },
        "sentences": {
            "horizon": conclusions.horizon(c), "hyperparameters": conclusions.origins(c.origins),
            "warnings": conclusions.warnings(c), "planned": conclusions.planned(c),
            "exploratory": conclusions.explored(c), "overtuning": conclusions.overtuned(c),
            "power": conclusions.power(c),
        },
    }  # fmt: skip
    return json.dumps(_plain(whole), indent=1, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    """As JSON knows it: NaN and infinity are null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _markdown(c: Comparison, study: str, command: str) -> str:
    lines = [
        f"# {study}: {len(c.methods)} methods on {len(c.units)} data set(s)",
        "",
        f"Made by `{command}`.",
        "",
        conclusions.horizon(c),
        "",
        conclusions.origins(c.origins),
        "",
    ]
    lines += [f"**{warning}**\n" for warning in conclusions.warnings(c)]
    if c.registration:
        lines += [f"## Hypotheses registered on {c.registration.when} UTC ({c.registration.sha})", ""]
        lines += [f"- {sentence}" for sentence in conclusions.planned(c)] + ["", "## Exploratory", ""]
    for (head, rows), text in (
        (conclusions.method_rows(c), conclusions.caption(c)),
        (conclusions.pair_rows(c), conclusions.pairs_caption(c)),
    ):
        lines += [f"{text[0].upper()}{text[1:]}.", "", *markdown_table(head, rows), ""]
    said = [*conclusions.explored(c), *conclusions.overtuned(c), conclusions.power(c)]
    return "\n".join([*lines, *(f"- {sentence}" for sentence in said if sentence)])


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(f"| {' | '.join(row)} |" for row in rows)]


def _latex(c: Comparison, study: str, command: str) -> str:
    """Two tables for booktabs; hypotheses and warnings as comments above them."""
    notes = [
        command,
        conclusions.horizon(c),
        conclusions.origins(c.origins),
        *conclusions.warnings(c),
        *conclusions.planned(c),
        *conclusions.explored(c),
        conclusions.power(c),
    ]
    parts, label = [f"% {note}" for note in notes if note], re.sub("[^a-zA-Z0-9]+", "-", study)
    for name, (head, rows), text in (
        ("methods", conclusions.method_rows(c), conclusions.caption(c)),
        ("pairs", conclusions.pair_rows(c), conclusions.pairs_caption(c)),
    ):  # fmt: skip
        parts += [*latex_table(head, rows, f"{text[0].upper()}{text[1:]}.", f"{label}-{name}"), ""]
    return "\n".join(parts)


def latex_table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, label: str) -> list[str]:
    """The lines of a floating table for booktabs, its first column flush left; all text is escaped."""
    body = [" & ".join(_MINUS.sub("$-$", escaped(cell)) for cell in row) + r" \\" for row in rows]
    return [
        r"\begin{table}", r"\centering", rf"\caption{{{escaped(caption)}}}", rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", r"\toprule", " & ".join(map(escaped, head)) + r" \\",
        r"\midrule", *body, r"\bottomrule", r"\end{tabular}", r"\end{table}",
    ]  # fmt: skip


def escaped(text: str) -> str:
    """As LaTeX takes it."""
    return "".join(_LATEX.get(char, rf"\{char}" if char in "&%$#_{}" else char) for char in text)
