"""Scores of a network during training. `metrics.py` evaluates a finished network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .cine_cache import Cache
from .config import TrainConfig
from .manifest import Entry
from .model import SlowFast
from .streaming import run_cine


@dataclass(frozen=True)
class Scores:
    """Scores of a network over whole cines."""

    macro_f1: float
    accuracy: float
    loss: float
    """Mean negative log-likelihood of the true label."""


def compute_macro_f1(truth: Sequence[int], predicted: Sequence[int]) -> float:
    """Computes the mean F1 over the classes that occur in `truth`."""
    true, given = np.asarray(truth), np.asarray(predicted)
    scores = []
    for c in np.unique(true):
        hits = int(((true == c) & (given == c)).sum())
        scores.append(2 * hits / (int((true == c).sum()) + int((given == c).sum())))
    return float(np.mean(scores))


def validate(
    model: SlowFast, entries: Sequence[Entry], cache: Cache, config: TrainConfig
) -> Scores:
    """Streams each cine from its first to its last frame and scores the final labels."""
    numbers = {label.code: number for number, label in enumerate(config.labels)}
    model.eval()
    truth, predicted, losses = [], [], []
    for entry in entries:
        final = run_cine(model, cache.load(entry), config).log_posterior[-1]
        truth.append(numbers[entry.label])
        predicted.append(int(final.argmax()))
        losses.append(-float(final[truth[-1]]))
    accuracy = float(np.mean(np.asarray(truth) == np.asarray(predicted)))
    return Scores(compute_macro_f1(truth, predicted), accuracy, float(np.mean(losses)))
