"""What was run, kept beside a study: every configuration that its runs came from, as Hydra resolved it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.identity import digest, encoded

FOLDER = "configs"
_NO_MATTER: Mapping[str, Any] = {"results": "", "shard": None, "plot": False}
"""Settings that decide where and how runs are done and shown, not which."""


def keep(study: Path, cfg: DictConfig) -> None:
    """Write ``cfg`` and the command that it came from to the folder ``configs`` of a study, if it is not there."""
    config = encoded(OmegaConf.to_container(cfg, resolve=True), "the configuration") | dict(_NO_MATTER)
    path = study / FOLDER / f"{digest(config)}.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = {"command": shlex.join(["python", "-m", "hptbench", *sys.argv[1:]]), "config": config}
        text = json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
        write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def kept(study: Path) -> dict[str, Mapping[str, Any]]:
    """Command -> configuration, of all that were kept. UserError if there is none, or a file is damaged."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted((study / FOLDER).glob("*.json")):
        try:
            whole = json.loads(path.read_text(encoding="utf-8"))
            found[f"{whole['command']}  # {path.name}"] = dict(whole["config"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path} is damaged ({error}); give the study's command again, it does nothing else"
            ) from error
    if not found:
        raise UserError(
            f"expected {study / FOLDER}, which says what was run, but the study is of an earlier version, or was "
            "imported; its command given again writes it, and does no finished run again"
        )
    return found
