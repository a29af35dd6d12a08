"""Loads a trained network from the folder of its run."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from .checkpoint import load_checkpoint
from .config import TrainConfig, load_config
from .model import SlowFast


class RunError(Exception):
    """An error in the folder of a run. The message begins with the path of the file."""


def load_run(
    run: Path, checkpoint: str = "best", device: str = "cpu"
) -> tuple[SlowFast, TrainConfig, str]:
    """Loads a run: the network in evaluation mode, the settings and the SHA-256 of the checkpoint.

    `checkpoint` is `best` for the averaged weights with the best macro F1 on `val`, or `last` for
    the averaged weights of the last epoch. Raises `RunError`.
    """
    path = run / f"{checkpoint}.pt"
    try:
        config = load_config(run)
        state = load_checkpoint(path)
        model = SlowFast(config.model)
        model.load_state_dict(state["average" if checkpoint == "last" else "model"])
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise RunError(f"{error.filename or path}: {error.strerror or error}") from error
    except Exception as error:
        raise RunError(f"{path}: {error}") from error
    return model.eval().to(torch.device(device)), config, digest
