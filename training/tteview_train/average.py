"""Average of the weights of several checkpoints.

Networks that were trained further from the same weights can be averaged. The average is often more
accurate on other scanners than each of them (Wortsman et al., "Model soups", ICML 2022).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from .checkpoint import save_checkpoint
from .config import save_config
from .run_folder import RunError, load_run


def average_checkpoints(checkpoints: Sequence[Path], out: Path) -> None:
    """Averages the networks of checkpoints, and writes a run to the folder `out`.

    Each checkpoint is `best.pt` or `last.pt` in the folder of a run. The runs must have equal
    networks. The new run has the settings of the last checkpoint and a `best.pt`.

    Raises `RunError` or `ValueError`.
    """
    if len(checkpoints) < 2:
        raise ValueError(f"average needs at least two checkpoints, got {len(checkpoints)}")
    if (out / "best.pt").exists():
        raise RunError(f"{out}: the folder contains a run; set another --out")
    for path in checkpoints:
        if path.name not in ("best.pt", "last.pt"):
            raise RunError(f"{path}: a checkpoint must be named best.pt or last.pt")
    loaded = [load_run(path.parent, path.stem) for path in checkpoints]
    model, config, _ = loaded[-1]
    for path, (_, other, _) in zip(checkpoints, loaded, strict=True):
        if other.model != config.model or other.labels != config.labels:
            raise RunError(f"{path}: the network or its labels differ from {checkpoints[-1]}")
    states = [network.state_dict() for network, _, _ in loaded]
    mean = {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
        for name, value in model.state_dict().items()
    }
    out.mkdir(parents=True, exist_ok=True)
    save_config(out, config)
    save_checkpoint(out / "best.pt", {"model": mean, "epoch": 0, "macro_f1": -1.0})


def add_average_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options and sets the function that runs the command."""
    add = parser.add_argument
    add("checkpoints", type=Path, nargs="+", help="best.pt or last.pt in the folders of runs")
    add("--out", type=Path, required=True, help="folder of the new run")
    parser.set_defaults(command=_average)


def _average(options: argparse.Namespace) -> None:
    average_checkpoints(options.checkpoints, options.out)
    print(f"{options.out}: the average of {len(options.checkpoints)} checkpoints")
