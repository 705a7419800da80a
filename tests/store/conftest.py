"""A local OpenML, an empty home, and a store to be filled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fetching import TASKS
from openml_server import Server, credit, prices


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, which must stay so."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home))
    for name in ("HPTBENCH_STORE", "OPENML_SERVER", "OPENML_APIKEY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture
def server() -> Iterator[Server]:
    with Server([credit(), prices()], TASKS, {(99, "OpenML-CC18"): [3, 4, 5]}) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"
