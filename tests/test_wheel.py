from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*command: str, cwd: Path, **env: str) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, **env})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_runs_from_an_empty_folder_without_the_checkout(tmp_path: Path) -> None:
    """Through the sdist, as a release is made; the dependencies are those of this environment."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(ROOT), cwd=tmp_path)
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        "hptbench/conf/config.yaml",
        "hptbench/conf/space/svm.yaml",
        "hptbench/surrogates/svm/model.npz",
        "hptbench/openapi.yaml",
        "hptbench/meta/recommender.npz",
        "hptbench/meta/methods.json",
        "hydra_plugins/hptbench_sweeper/sweeper.py",
    ):
        assert name in names
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    run(
        str(python),
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "--disable-pip-version-check",
        str(wheel),
        cwd=tmp_path,
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    # On the path, the libraries' folder is searched, but its links to checkouts (.pth) are not followed.
    libraries = {"PYTHONPATH": sysconfig.get_path("purelib")}
    where = run(str(python), "-c", "import hptbench; print(hptbench.__file__)", cwd=empty, **libraries)
    assert where.startswith(str(tmp_path / "venv"))
    for suite in ("smoke", "surrogate"):
        words = ("+method=bohb", f"suite={suite}", "budget=tiny", "seeds=1")
        assert "bohb" in run(str(python), "-m", "hptbench", *words, cwd=empty, **libraries)
        assert (empty / "results" / suite / "runs.parquet").is_file()
