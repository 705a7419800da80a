"""The page: one HTML file that needs nothing else, with the figures as data that its own script draws."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from hptbench import __version__
from hptbench.errors import UserError
from hptbench.plots.figure import Axis, Figure, Mark, Panel
from hptbench.report import aggregates, comparison, configurations, costs, curves, objectives, populations
from hptbench.report.data import Data
from hptbench.report.summary import Verdict, facts, in_short, methods_table, problems, tasks_table, verdict
from hptbench.report.trials import packed, trials
from hptbench.results import conclusions
from hptbench.results.collect import inputs
from hptbench.results.comparison import Comparison
from hptbench.results.table import DEFAULT
from hptbench.results.unfinished import Progress

_Found = Figure | Sequence[Figure] | None
SECTIONS: tuple[tuple[str, str, tuple[tuple[str, Callable[[Data], _Found]], ...]], ...] = (
    ("time", "Along the runs", (("anytime curves", curves.anytime), ("ranks along the runs", curves.ranks))),
    (
        "end",
        "At the end",
        (
            ("tasks by methods", comparison.heat_map),
            ("critical difference", aggregates.critical_differences),
            ("profiles", aggregates.profiles),
        ),
    ),
    (
        "trade-offs",
        "Several objectives",
        (("fronts", objectives.fronts), ("pairs of objectives", objectives.projections)),
    ),
    (
        "overtuning",
        "Validation and test",
        (("validation and test", comparison.validation_and_test), ("overtuning", aggregates.overtuned)),
    ),
    (
        "configurations",
        "Configurations",
        (("configurations", configurations.parallel), ("importance of hyperparameters", configurations.models)),
    ),
    ("populations", "Populations", (("populations", populations.populations),)),
    ("costs", "Costs", (("overhead", costs.overhead), ("workers", costs.workers))),
)
"""(place, heading, (what, how it is made)): the sections of figures, in their order."""


@dataclass(frozen=True)
class Page:
    """A report and its parts."""

    title: str
    methods: tuple[str, ...]
    figures: Mapping[str, Sequence[Figure]]
    """Section -> its figures; sections without any are left out."""
    missing: tuple[tuple[str, str], ...]
    """(what, why) of figures that could not be made."""
    data: Data | None
    """None: no run is finished."""
    verdict: Verdict
    progress: tuple[Progress, ...] = ()
    footer: Mapping[str, str] = field(default_factory=dict)

    @property
    def drawn(self) -> list[Figure]:
        """All figures."""
        return [figure for figures in self.figures.values() for figure in figures]


def page(title: str, data: Data | None, progress: Sequence[Progress] = (), command: str = "") -> Page:
    """Make all parts of the report of a study; ``data``: its finished runs, None without any.

    What cannot be made is named with its reason. UserError if nothing has begun."""
    if data is None and not progress:
        raise UserError(f"expected a study with runs that have begun, got none in {title}; run it first")
    found: dict[str, list[Figure]] = {}
    missing: list[tuple[str, str]] = []
    if progress:
        found["progress"] = [in_progress(progress)]
    for place, _, builders in SECTIONS if data is not None else ():
        for what, build in builders:
            try:
                made = build(data)  # type: ignore[arg-type]  # there are no sections without data
            except UserError as error:
                missing.append((what, str(error)))
                continue
            figures = [made] if isinstance(made, Figure) else list(made or ())
            if figures:
                found.setdefault(place, []).extend(figures)
    said = verdict(data) if data is not None else Verdict("No run is finished yet: nothing can be concluded.")
    methods = set(data.methods if data is not None else ()) | {one.method for one in progress}
    footer = {"Made by": f"hptbench {__version__}"} | ({"Command": command} if command else {})
    if data is not None:
        footer |= {f"SHA-256 of {name}": digest for name, digest in inputs(data.study.folder).items()}
        footer["Commits"] = ", ".join(sorted({str(c) for c in data.runs["commit"].dropna()})) or "not known"
    return Page(title, tuple(sorted(methods - {DEFAULT})), found, tuple(missing), data, said, tuple(progress), footer)


def in_progress(progress: Sequence[Progress]) -> Figure:
    """What unfinished runs have found so far."""
    panels = []
    for task in sorted({one.task for one in progress}):
        marks = [
            Mark("step", {"x": list(range(1, one.jobs + 1)), "y": list(one.best)}, one.method)
            for one in progress
            if one.task == task and one.jobs
        ]
        panels.append(
            Panel(tuple(marks), Axis("finished jobs", "log"), Axis("validation, first objective"), task, task)
        )
    caption = (
        "A line per unfinished run: the incumbent's validation value so far. They are in no other figure or table."
    )
    return Figure("progress", "Runs that are not finished", caption, f"{len(progress)} lines.", tuple(panels))


def render(made: Page, watch: str = "") -> str:
    """The page as HTML. ``watch``: what a server's /state said when it was made; the page reloads when that changes."""
    asset = {name: files("hptbench.report").joinpath(name).read_text(encoding="utf-8") for name in
             ("page.html", "page.css", "page.js")}  # fmt: skip
    table, rows = ("", 0) if made.data is None else trials(made.data)
    headings = {place: heading for place, heading, _ in SECTIONS} | {"progress": "In progress"}
    places = [(place, headings[place]) for place in made.figures]
    if made.data is not None:
        places.append(("trials-section", "Trials"))
    nav = "".join(f'<a href="#{place}">{_text(heading)}</a>' for place, heading in [("summary", "Summary"), *places])
    footer = "<br>".join(f"{_text(what)}: {_text(value)}" for what, value in made.footer.items())
    drawn = {"methods": list(made.methods), "figures": [figure.to_json() for figure in made.drawn]}
    slots = {
        "title": _text(made.title), "style": asset["page.css"], "script": asset["page.js"], "nav": nav,
        "body": "\n".join(_body(made, headings, rows)), "footer": footer, "watch": _text(watch),
        "figures": packed(drawn), "trials": table,
    }  # fmt: skip
    parts = asset["page.html"].split("{{")
    return parts[0] + "".join(slots[name] + rest for name, _, rest in (part.partition("}}") for part in parts[1:]))


def _body(made: Page, headings: Mapping[str, str], rows: int) -> Iterable[str]:
    yield from _summary(made)
    if made.drawn:
        yield _controls(made)
    for place, figures in made.figures.items():
        yield f'<section id="{place}" aria-labelledby="h-{place}"><h2 id="h-{place}">{headings[place]}</h2>'
        yield from (_figure(figure) for figure in figures)
        yield "</section>"
    if made.data is not None:
        yield _trials(made.data, rows)
    if made.missing:
        lines = _list(f"{what}: {why}" for what, why in made.missing)
        yield f'<section id="missing"><h2>Not shown</h2><div class="caption">{lines}</div></section>'


def _summary(made: Page) -> Iterable[str]:
    said = made.verdict
    yield '<section id="summary" aria-label="Summary">'
    if made.data is not None:
        yield f'<p class="lead">{_text(in_short(made.data))}</p>'
    yield f"<h1>{_text(said.headline)}</h1>"
    if made.progress:
        yield _note(f"{len(made.progress)} run(s) are not finished, and in no table or conclusion: see In progress.")
    yield from map(_note, said.warnings)
    if made.data is not None:
        notes = problems(made.data)
        if notes[:3]:
            yield from map(_note, notes[:3])
        if notes[3:]:
            head = f"{len(notes) - 3} more notes on missing results"
            yield f"<details><summary>{head}</summary>{_list(notes[3:])}</details>"
        c, score = said.comparison, ""
        if c is not None:
            yield from _planned(c)
            score = f" Ranks: {c.scores.name}, over {len(c.units)} data set(s), seeds averaged first."
        yield from _methods(made.data, said, score)
        if c is not None:
            yield from _tests(c)
        yield "<details><summary>Each task in numbers</summary>"
        words = "Means over seeds ± half a 95 % t interval; lower is better."
        yield _table(*tasks_table(made.data), words) + "</details>"
        listed = "".join(f"<dt>{_text(what)}</dt><dd>{_text(value)}</dd>" for what, value in facts(made.data))
        yield f'<h2 id="compared">What was compared</h2><dl class="facts">{listed}</dl>'
    yield "</section>"


def _methods(data: Data, said: Verdict, score: str) -> Iterable[str]:
    """Those that began cold, and then the others."""
    head, cold = methods_table(data, said)
    words = f"Methods, the best first.{score}"
    if not data.warm:
        yield _table(head, cold, words, swatch=True)
        return
    knew = "; ".join(f"{method}: {what}" for method, what in data.warm.items())
    began = f"Warm-started: what they knew before their runs is in no budget here ({knew})"
    blocks = (("Began cold", cold), (began, methods_table(data, said, warm=True)[1]))
    yield _table(head, [], f"{words} Ranks are over both blocks.", swatch=True, blocks=blocks)


def _planned(c: Comparison) -> Iterable[str]:
    """What was written down before the study, apart from all else."""
    if c.registration is not None:
        when = f"Hypotheses registered on {c.registration.when} UTC ({c.registration.sha})"
        yield f'<h2 id="planned">{_text(when)}</h2>{_list(conclusions.planned(c))}<h2 id="explored">Exploratory</h2>'


def _tests(c: Comparison) -> Iterable[str]:
    said = [*conclusions.explored(c), *conclusions.overtuned(c), conclusions.power(c)]
    yield f"<details><summary>The tests behind this</summary>{_list(filter(None, said))}"
    yield _table(*conclusions.method_rows(c), _sentence(conclusions.caption(c)))
    yield _table(*conclusions.pair_rows(c), _sentence(conclusions.pairs_caption(c))) + "</details>"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _list(sentences: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{_text(sentence)}</li>" for sentence in sentences) + "</ul>"


def _controls(made: Page) -> str:
    tasks = sorted({panel.task for figure in made.drawn for panel in figure.panels if panel.task})
    options = "".join(f'<option value="{_text(task)}">{_text(task)}</option>' for task in tasks)
    default = made.data is not None and DEFAULT in set(made.data.runs["method"])
    series = [*made.methods, *([DEFAULT] if default else [])]
    buttons = "".join(
        f'<button type="button" aria-pressed="true" data-method="{_text(m)}">{_text(m)}</button>' for m in series
    )
    choose = f'<label for="task">Task</label><select id="task"><option value="">all tasks</option>{options}</select>'
    chosen = f"{choose}<span>Methods</span>{buttons}"
    return f'<div id="controls" role="toolbar" aria-label="What the figures show">{chosen}</div>'


def _figure(figure: Figure) -> str:
    return (
        f'<figure id="figure-{figure.name}" aria-labelledby="t-{figure.name}"><h3 id="t-{figure.name}">'
        f"{_text(figure.title)}</h3><figcaption>{_text(figure.caption)}</figcaption>"
        f'<div class="panels"></div><button type="button" class="more" hidden></button>'
        '<details><summary>The numbers</summary><div class="numbers wide"></div></details></figure>'
    )


def _trials(data: Data, rows: int) -> str:
    part = "" if rows == len(data.jobs) else (
        f" The page holds {rows:,} of {len(data.jobs):,} jobs, evenly from each run; all are in jobs.parquet."
    )  # fmt: skip
    words = (
        "Each row is a job. Filter by words that all have to be in a row, or by comparisons: "
        "test&lt;0.2 fidelity=27 status=failed."
    )
    return (
        '<section id="trials-section" aria-labelledby="h-trials"><h2 id="h-trials">Trials</h2>'
        f'<p class="caption">{words}{part}</p><div class="filter"><label for="filter">Filter</label>'
        '<input id="filter" type="search" autocomplete="off" spellcheck="false"><span id="count" role="status"></span>'
        '</div><div id="table" tabindex="0" role="region" aria-label="Trials, scrolls"></div></section>'
    )


def _table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    caption: str,
    swatch: bool = False,
    blocks: Sequence[tuple[str, Sequence[Sequence[str]]]] = (),
) -> str:
    """``blocks``: more rows, each under a heading; those without rows are left out."""
    heads = "".join(f'<th scope="col">{_text(name)}</th>' for name in head)
    bodies = [_rows(rows, swatch)] if rows else []
    for heading, part in blocks:
        if part:
            over = f'<tr><th class="block" scope="rowgroup" colspan="{len(head)}">{_text(heading)}</th></tr>'
            bodies.append(over + _rows(part, swatch))
    body = "".join(f"<tbody>{lines}</tbody>" for lines in bodies)
    return (
        f'<p class="caption">{_text(caption)}</p><div class="wide"><table><thead><tr>{heads}</tr></thead>'
        f"{body}</table></div>"
    )


def _rows(rows: Sequence[Sequence[str]], swatch: bool) -> str:
    lines = []
    for row in rows:
        first = f'<td class="first" data-swatch="{_text(row[0])}">' if swatch else "<td>"
        lines.append(f"<tr>{first}{_text(row[0])}</td>" + "".join(f"<td>{_text(v)}</td>" for v in row[1:]) + "</tr>")
    return "".join(lines)


def _note(text: str) -> str:
    return f'<p class="note" role="note">{_text(text)}</p>'


def _text(value: object) -> str:
    return html.escape("–" if isinstance(value, float) and math.isnan(value) else str(value))
