"""The paper says nothing that its script did not make, and what it made is what was published."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from studies import small

from hptbench.commands.publish import main as publish

ROOT = Path(__file__).resolve().parent.parent
PAPER = ROOT / "paper"
TEXTS = ("paper.tex", "study.tex", "claims.tex")
NAMES = {"SMAC3", "NAS-Bench-201"}
"""Names that hold digits, in \\name{…}."""
SILENT = re.compile(
    r"\\(?:get|of|ref|label|cite[pt]?|input|includegraphics|begin|end|study|claims|bibliography|bibliographystyle)\*?"
    r"(?:\[[^]]*\])?\{[^}]*\}"
)
"""Commands whose arguments are keys, files and lengths, not words."""


def words(text: str) -> str:
    """What a reader sees of a text that was typed by hand."""
    text = text.partition(r"\begin{document}")[2] or text
    text = re.sub(r"(?<!\\)%.*", "", text)
    text = re.sub(r"\\name\{([^}]*)\}", lambda m: "" if m[1] in NAMES else m[1], text)
    return SILENT.sub("", text)


@pytest.mark.parametrize("name", TEXTS)
def test_no_number_is_typed_by_hand(name: str) -> None:
    assert re.findall(r".*\d.*", words((PAPER / name).read_text())) == []


@pytest.mark.parametrize(
    "typed", ["It is 3 times better.", r"\get{a}7", r"\textbf{0.05}", r"\name{2 methods}", r"\caption{95 per cent}"]
)
def test_typed_numbers_would_be_seen(typed: str) -> None:
    assert re.search(r"\d", words(typed))
    assert not re.search(r"\d", words(r"\get{s1}, \of{k2} \citep[a]{b2020c}, \name{SMAC3} % 5"))


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("paper", ROOT / "scripts" / "paper.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published study, claims, and a part of the table of evaluations."""
    folder = tmp_path_factory.mktemp("paper") / "results"
    publish([str(small(folder / "two_methods")), "--at", "4", "8", "--reference", "sobol"])
    shutil.rmtree(folder / "two_methods" / "runs")
    one = {"spec": {"claim": "50 % & more", "paper": "Someone, 2020"}, "verdict": "not shown", "runs": 8}
    (folder / "claims_mine").mkdir()
    (folder / "claims_mine" / "claims.json").write_text(json.dumps({"first": one}))
    table = pd.read_parquet(ROOT / "results" / "evaluations" / "tabular.parquet")
    few = table["data"].isin(["autompg", "car", "wdbc"]) & table["learner"].isin(["knn", "svm", "svr"])
    (folder / "evaluations").mkdir()
    table[few & (table["configuration"] < 12)].to_parquet(folder / "evaluations" / "tabular.parquet")
    return folder


@pytest.fixture(scope="module")
def made(script: ModuleType, results: Path) -> tuple[Path, dict[str, str]]:
    out = results.parent / "generated"
    return out, script.make(results, out)


def test_every_number_is_generated_and_used(made: tuple[Path, dict[str, str]]) -> None:
    out, numbers = made
    texts = {name: (PAPER / name).read_text() for name in TEXTS}
    used = set(re.findall(r"\\get\{([^}]*)\}", "".join(texts.values()))) - {"#1", r"\studyname.#1", "KEY"}
    for name, study in (("study.tex", "two_methods"), ("claims.tex", "claims_mine")):
        used |= {f"{study}.{key}" for key in re.findall(r"\\of\{([^}]*)\}", texts[name])} - {f"{study}.KEY"}
    assert used == set(numbers)
    written = set(re.findall(r"csname get@(.*?)\\endcsname", (out / "numbers.tex").read_text()))
    assert written == set(numbers)
    assert (out / "studies.tex").read_text().splitlines()[1:] == [r"\study{two_methods}", r"\claims{claims_mine}"]


def test_every_file_is_there(made: tuple[Path, dict[str, str]]) -> None:
    out, _ = made
    for name, study in (("paper.tex", ""), ("study.tex", "two_methods"), ("claims.tex", "claims_mine")):
        text = (PAPER / name).read_text().replace(r"\studyname", study)
        files = re.findall(r"\\(?:input|includegraphics)(?:\[[^]]*\])?\{generated/([^}]*)\}", text)
        assert files
        for file in files:
            assert (out / file).with_suffix(Path(file).suffix or ".tex").is_file(), file


def test_numbers_are_those_that_were_published(made: tuple[Path, dict[str, str]], results: Path) -> None:
    out, numbers = made
    text = (results / "two_methods" / "comparison.md").read_text()
    rows = re.findall(r"^\| (random|sobol) \| (.*) \|$", text, re.MULTILINE)
    assert len(rows) == 3  # two methods, one test
    tables = "".join((out / f"two_methods-{part}.tex").read_text() for part in ("methods", "tests"))
    for method, cells in rows:
        assert f"{method} & {cells.replace(' | ', ' & ')} " in re.sub(r"\$-\$", "-", tables)
    assert numbers["two_methods.best.rank"] == re.findall(r"^\| \w+ \| [\d.]+ \| ([\d.]+)", text, re.MULTILINE)[0]
    assert numbers["two_methods.runs"] == "12"
    assert numbers["claims_mine.open"] == numbers["claims_mine.claims"] == "1"
    assert r"50 \% \& more" in (out / "claims_mine.tex").read_text()


def test_searches_of_the_table_are_what_they_should_be(script: ModuleType) -> None:
    """The chosen configuration, 2, is better in test than the default, 0, and worse than an earlier incumbent, 1."""
    columns = {"configuration": [0, 1, 2, 3], "fidelity": 1.0, "validation": [4, 3, 2, 5], "test": [1.0, 0.2, 0.5, 0.1]}
    found = script._searched(pd.DataFrame(columns))
    assert (found["earlier"], found["first"], found["gain"]) == (1.0, 0.0, 0.5)


def test_every_citation_has_an_entry() -> None:
    cited = re.findall(r"\\cite[pt]?(?:\[[^]]*\])?\{([^}]*)\}", (PAPER / "paper.tex").read_text())
    entries = re.findall(r"^@\w+\{([^,]+),", (PAPER / "references.bib").read_text(), re.MULTILINE)
    assert {key for keys in cited for key in keys.split(",")} == set(entries)
    assert len(entries) == len(set(entries))


def copied(folder: Path, made: tuple[Path, dict[str, str]]) -> Path:
    """The paper's folder, with what was made after everything else."""
    (folder / "results").mkdir()
    (folder / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "paper.py", folder / "scripts")
    shutil.copytree(PAPER, folder / "paper", ignore=shutil.ignore_patterns("generated", "paper.[!t]*"))
    shutil.copytree(made[0], folder / "paper" / "generated")
    (folder / "paper" / "generated" / "numbers.tex").touch()
    return folder / "paper"


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_without_a_tex_a_message_says_what_to_do(made: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "make").symlink_to(str(shutil.which("make")))
    done = subprocess.run(
        ["make"], cwd=copied(tmp_path, made), env={"PATH": str(tmp_path / "bin")}, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "expected pdflatex and bibtex to build paper.pdf, found none; install a TeX" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("pdflatex") and shutil.which("bibtex")), reason="needs a TeX")
def test_a_tex_builds_it(made: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder = copied(tmp_path, made)
    done = subprocess.run(
        ["make"], cwd=folder, env=os.environ | {"PYTHON": sys.executable}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "paper.pdf").read_bytes().startswith(b"%PDF")
