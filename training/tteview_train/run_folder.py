"""Reads a trained network back from its run's folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from .checkpoint import load_checkpoint
from .config import TrainConfig, load_config
from .model import SlowFast


class RunError(Exception):
    """A run's folder that cannot be used; the message names the file."""


def load_run(run: Path, checkpoint: str = "best", device: str = "cpu") -> tuple[SlowFast, TrainConfig, str]:
    """The network in evaluation mode, its settings, and the SHA-256 of the checkpoint.

    `checkpoint` is `best` (averaged weights, best on `val`) or `last` (averaged weights of the last epoch).
    Raises `RunError`.
    """
    path = run / f"{checkpoint}.pt"
    try:
        config = load_config(run)
        state = load_checkpoint(path)
        model = SlowFast(config.model)
        model.load_state_dict(state["average" if checkpoint == "last" else "model"])
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except Exception as error:
        raise RunError(f"{path}: {error}") from error
    return model.eval().to(torch.device(device)), config, digest
