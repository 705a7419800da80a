"""The page in a real browser: headless Chromium draws it, and what it drew is looked at."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hptbench.commands.report import main

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH (Debian: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def page(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "report.html"
    assert main([str(study), "--out", str(out)]) == 0
    return out


def browse(page: Path, profile: Path, *flags: str) -> str:
    command = [
        str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        "--enable-logging=stderr", f"--user-data-dir={profile}", "--virtual-time-budget=10000", *flags, page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    assert "Uncaught" not in done.stderr
    assert "Refused to" not in done.stderr  # the page's own rules allow all that it does
    return done.stdout


def test_the_script_draws_every_figure_and_the_table(page: Path, tmp_path: Path) -> None:
    text = browse(page, tmp_path, "--window-size=1280,9000", "--dump-dom")
    assert 'data-ready="all"' in text
    for figure in re.findall(r"<figure id=.*?</figure>", text, re.DOTALL):
        assert re.search(r'<svg viewBox="[\d .]+" role="img" tabindex="0" aria-label="[^"]{20,}', figure), figure[:200]
        assert "NaN" not in figure
    assert len(re.findall(r"<tr aria-rowindex", text)) > 20
    assert re.search(r'id="count" role="status">116 of 116 rows', text)


@pytest.mark.parametrize(("size", "scheme"), [((1280, 2000), 1), ((1280, 2000), 0), ((420, 2000), 1)])
def test_it_is_light_or_dark_and_fits(page: Path, tmp_path: Path, size: tuple[int, int], scheme: int) -> None:
    from matplotlib.image import imread

    shot = tmp_path / "shot.png"
    flags = f"--window-size={size[0]},{size[1]}", f"--blink-settings=preferredColorScheme={scheme}"
    browse(page, tmp_path / "profile", *flags, f"--screenshot={shot}")
    seen = np.asarray(imread(shot))[..., :3]
    assert seen.shape[:2] == size[::-1]
    background = float(np.median(seen))
    assert background > 0.95 if scheme else background < 0.2
    coloured = (seen.max(axis=2) - seen.min(axis=2) > 0.3).mean()
    assert coloured > 0.002  # lines of methods
