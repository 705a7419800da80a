from __future__ import annotations

import re
import shlex
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from hptbench import registry
from hptbench.commands.shell import names_spaces
from hptbench.paths import conf_dir
from hptbench.protocol import Method
from hptbench.testing import METHOD_CHECKS

ROOT = Path(__file__).resolve().parent.parent


def test_the_results_page_is_that_of_the_schema() -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from results_md import markdown
    finally:
        sys.path.pop(0)
    assert (ROOT / "docs" / "RESULTS.md").read_text() == markdown(), "run `python scripts/results_md.py`"


def test_the_readme_names_the_two_commands() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert "pip install -c constraints.txt -e . && python -m hptbench +method=bohb" in lines
    assert 'pip install -c constraints.txt -e ".[test]" && pytest' in lines


def test_python_in_the_readme_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    [block] = [b for b in blocks if "simulate(" in b]
    exec(compile(block, "README.md", "exec"), {})
    assert "learning_rate" in capsys.readouterr().out
    [block] = [b for b in blocks if "hptbench.tune(" in b]
    exec(compile(block, "README.md", "exec"), {})
    assert "{'x': 2.0" in capsys.readouterr().out


@pytest.mark.parametrize("check", METHOD_CHECKS[1:], ids=lambda check: check.__name__)
def test_the_recipe_for_a_method_passes_the_conformance_suite(
    check: Callable[[Method], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.methods()  # those of the package are registered before
    monkeypatch.setattr(registry, "method", lambda name: lambda cls: cls)  # it shall not be found by other tests
    [recipe] = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    module: dict[str, Any] = {"__name__": "recipe"}
    sys.modules["recipe"] = types.ModuleType("recipe")
    exec(compile(recipe, "CONTRIBUTING.md", "exec"), module)
    check(module["HillClimbing"]())


def test_commands_in_the_readme_are_accepted() -> None:
    """Hydra composes their settings."""
    text = "".join(re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL))
    commands = [
        shlex.split(line, comments=True)[3:] for line in text.splitlines() if line.startswith("python -m hptbench")
    ]
    settings = [argv for argv in commands if argv and argv[0].startswith("+")]
    assert len(settings) >= 4
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        for argv in settings:
            registry.add_to_hydra(names_spaces(argv))
            assert compose("config", argv).method


def test_links_in_the_docs_lead_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_pages_name_what_is_there(page: Path) -> None:
    """Links to files, experiments and suites; in the guidelines' page all files and folders, too."""
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    for kind in ("experiment", "suite"):
        named = set(re.findall(rf"\b{kind}=([a-z_]+)\b(?!\.)", text))
        there = {file.stem for file in (ROOT / "conf" / kind).glob("*.yaml")}
        assert named <= there | {"mine", "several"}, named - there
    if page.stem == "GUIDELINES":
        files = re.findall(r"`((?:hptbench|scripts|conf)/[^`*]+)`", text)
        assert len(files) > 5
        assert [file for file in files if not (ROOT / file).exists()] == []
