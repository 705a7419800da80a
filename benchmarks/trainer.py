"""The trainer of many networks against plain PyTorch: python benchmarks/trainer.py

The same configurations (uniform from the space of neural_mlp, or of another --family), rows and epochs in one run:
trained N at once by the vectorised trainer, and one after the other by plain PyTorch (nn.Sequential, torch.optim with
fused=True, rows picked by index: a DataLoader would take longer; cells and stages are the modules of the tests). One
thread each, repeated in turn. Printed are medians of trainings per processor second, which neighbours on the machine
disturb least, their ratio, and that of the wall-clock seconds. Of many configurations the first --plain are trained one
by one. --processes adds plain training spread over two processes. Target on a processor: 4 times as many trainings per
second on the MLP space.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import nn

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests" / "tasks" / "neural"))
from plain_images import images

from hptbench.protocol import Job, Proposal
from hptbench.rng import entropy
from hptbench.tasks.neural._nets import MLP
from hptbench.tasks.neural._optimizers import SCHEDULES
from hptbench.tasks.neural._tile import Layout
from hptbench.tasks.neural._trainer import Data, Member, Recipe, Trainer
from hptbench.tasks.neural._wired import Wired
from hptbench.tasks.neural.cell import NeuralCell
from hptbench.tasks.neural.cnn import NeuralCNN
from hptbench.tasks.neural.macro import NeuralMacro
from hptbench.tasks.neural.mlp import NeuralMLP

FAMILIES: dict[str, Any] = {"mlp": NeuralMLP, "cnn": NeuralCNN, "cell": NeuralCell, "macro": NeuralMacro}


def network(recipe: Recipe) -> nn.Sequential:
    """That of a configuration, with dropout of PyTorch's own."""
    net, layers = recipe.net, list[nn.Module]()
    if isinstance(net, Wired):
        return images(net)
    side = getattr(net, "side", 1)
    for shape, width, dropout in zip(net.layers, net.hidden, recipe.dropout, strict=True):
        if isinstance(net, MLP):
            layers += [nn.Linear(shape[0], width), nn.ReLU(), nn.Dropout(dropout)]
        else:
            pool = [nn.MaxPool2d(2)] if side > 1 else []
            layers += [nn.Conv2d(shape[0], width, 3, padding=1), nn.ReLU(), *pool, nn.Dropout2d(dropout)]
            side //= 2
    flat = [] if isinstance(net, MLP) else [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, *flat, nn.Linear(net.features, net.outputs))


def plain(data: Data, recipe: Recipe, epochs: int, device: str) -> None:
    """Train one configuration, predicting the held-out rows after every epoch."""
    o, module = recipe.optimizer, network(recipe).to(device)
    rates: dict[str, Any] = {"lr": o.learning_rate, "weight_decay": o.weight_decay, "fused": True}
    optimizer: torch.optim.Optimizer
    if o.name == "adamw":
        optimizer = torch.optim.AdamW(module.parameters(), betas=(o.momentum, o.decay), **rates)
    else:
        optimizer = torch.optim.SGD(module.parameters(), momentum=o.momentum, nesterov=o.name == "nesterov", **rates)
    factor = SCHEDULES[o.schedule]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: factor(epoch / recipe.epochs))
    X, y, held = (torch.from_numpy(array).to(device) for array in (data.X, data.y, data.held))
    for _ in range(epochs):
        module.train()
        for rows in torch.randperm(len(X), device=device).split(recipe.batch_size):
            optimizer.zero_grad()
            F.cross_entropy(module(X[rows]), y[rows], label_smoothing=recipe.smoothing).backward()
            optimizer.step()
        schedule.step()
        module.eval()
        with torch.no_grad():
            torch.softmax(module(held), dim=1).cpu().numpy()


def one_by_one(data: Data, members: Sequence[Member], device: str) -> None:
    torch.set_num_threads(1)
    for member in members:
        plain(data, member.recipe, member.stop, device)


def in_processes(data: Data, members: Sequence[Member], device: str) -> None:
    with mp.get_context("spawn").Pool(2) as pool:
        pool.starmap(one_by_one, [(data, members[i::2], device) for i in range(2)])


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """(processor, wall-clock)."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 4, 16, 64, 256, 1024], help="N")
    parser.add_argument(
        "--plain", type=int, default=64, help="configurations that are also trained one by one, at most"
    )
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--rows", type=int, default=None, help="of the data set; default: all")
    parser.add_argument("--family", choices=FAMILIES, default="mlp")
    parser.add_argument("--processes", action="store_true")
    options = parser.parse_args()
    task = FAMILIES[options.family](options.data, max_rows=options.rows)
    ready = task.ready()
    trainer: Trainer = ready.trainer
    data, device = trainer.data, trainer.device
    configs = task.space.decode(task.space.sample(np.random.default_rng(0), max(options.members)))
    jobs = [Job(i, i, Proposal(config), 0, options.epochs, entropy("m", i)) for i, config in enumerate(configs)]
    members = [Member(task.recipe(ready, job), job.seed, 0, options.epochs) for job in jobs]
    print(f"{task.name} on {device}: {len(data.X)} training rows, {options.epochs} epochs, {options.repeats} repeats")
    one_by_one(data, members[:1], device)
    trainer.train(members, lambda *_: None)  # the checks of the device are made once
    sizes = [12 * Layout(member.recipe.within).size for member in members]
    print(f"memory of parameters, gradient and moment: {statistics.mean(sizes) / 1e3:.0f} kB per member on average")
    print(f"{'N':>5} {'ours /s':>9} {'plain /s':>9} {'ratio':>6} {'wall':>6}" + "  2 processes" * options.processes)
    for n in options.members:
        ours, theirs, spread = [], [], []
        m = min(n, options.plain)
        for _ in range(options.repeats):
            ours.append(seconds(lambda: trainer.train(members[:n], lambda *_: None)))  # noqa: B023
            theirs.append(seconds(lambda: one_by_one(data, members[:m], device)))  # noqa: B023
            if options.processes:
                spread.append(seconds(lambda: in_processes(data, members[:m], device))[1])  # noqa: B023
        (a, a_wall), (b, b_wall) = (
            [statistics.median(t) for t in zip(*times, strict=True)] for times in (ours, theirs)
        )
        text = f"{n:5} {n / a:9.2f} {m / b:9.2f} {n / a * b / m:6.2f} {n / a_wall * b_wall / m:6.2f}"
        print(text + (f" {n / a_wall * statistics.median(spread) / m:12.2f}" if spread else ""), flush=True)


if __name__ == "__main__":
    main()
