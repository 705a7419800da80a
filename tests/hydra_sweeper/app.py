"""An application of somebody else: knows nothing of hptbench."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path=None)
def app(cfg: DictConfig) -> float:
    done = 0
    if cfg.get("load"):
        done = int(Path(cfg.load).read_text())
    if cfg.get("save"):
        Path(cfg.save).write_text(str(cfg.epochs))
    with open(os.environ["CALLS"], "a") as file:
        file.write(f"{cfg.get('epochs', 1) - done}\n")
    if cfg.get("waits"):  # the first job for the second one after it: there is none in a batch of two
        number = HydraConfig.get().job.num
        if number == 2:
            Path(cfg.waits).touch()
        while number == 0 and not Path(cfg.waits).exists():
            time.sleep(0.05)
        if number == 3 and cfg.get("dies"):
            os._exit(9)
    if len(Path(os.environ["CALLS"]).read_text().splitlines()) == int(os.environ.get("DIE_AT", "0")):
        os._exit(9)
    if cfg.get("kind") == "it's bad":
        raise RuntimeError("no such kind")
    return float((cfg.x - 1) ** 2 + cfg.get("width", 0) + 30 - cfg.get("epochs", 30))


if __name__ == "__main__":
    sys.exit(app())
