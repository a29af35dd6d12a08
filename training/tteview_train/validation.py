"""How well the network labels cines during training; the evaluation of a finished model is not made here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .config import TrainConfig
from .data import Cache
from .manifest import Entry
from .model import SlowFast
from .streaming import run_cine


@dataclass(frozen=True)
class Scores:
    """Of whole cines."""

    macro_f1: float
    accuracy: float
    loss: float
    """Mean negative log of the posterior of the true label."""


def macro_f1(truth: Sequence[int], labelled: Sequence[int]) -> float:
    """Mean F1 of the classes that occur in `truth`."""
    true, got = np.asarray(truth), np.asarray(labelled)
    scores = []
    for c in np.unique(true):
        hits = int(((true == c) & (got == c)).sum())
        scores.append(2 * hits / (int((true == c).sum()) + int((got == c).sum())))
    return float(np.mean(scores))


def validate(model: SlowFast, entries: Sequence[Entry], cache: Cache, config: TrainConfig) -> Scores:
    """Streams each cine from its first frame to its last and takes the final label."""
    numbers = {label.code: number for number, label in enumerate(config.labels)}
    model.eval()
    truth, labelled, losses = [], [], []
    for entry in entries:
        final = run_cine(model, cache.load(entry), config).log_posterior[-1]
        truth.append(numbers[entry.label])
        labelled.append(int(final.argmax()))
        losses.append(-float(final[truth[-1]]))
    accuracy = float(np.mean(np.asarray(truth) == np.asarray(labelled)))
    return Scores(macro_f1(truth, labelled), accuracy, float(np.mean(losses)))
