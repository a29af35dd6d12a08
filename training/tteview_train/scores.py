"""Scores of the final labels: confusion, accuracy, precision, recall, F1 and their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .predictions import Cines, Floats, Ints, Json

RESAMPLES = 1000
SEED = 1
HEADLINE = ("accuracy", "macro_precision", "macro_recall", "macro_f1")


def count_confusion(truth: Ints, predicted: Ints, labels: int, weights: Ints | None = None) -> Ints:
    """Counts the cines with each true label (row) and each predicted label (column)."""
    counts = np.bincount(truth * labels + predicted, weights=weights, minlength=labels * labels)
    return counts.reshape(labels, labels).astype(np.int64)


def compute_headline(table: Ints) -> tuple[float, float, float, float]:
    """Computes accuracy, macro precision, macro recall and macro F1 from a confusion table.

    The macro figures are means over the labels that have cines. The precision of a label that is
    never predicted is 0.
    """
    hits, count, predicted = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    present = count > 0
    classes = int(present.sum())
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(count, 1)
    f1 = 2 * hits / np.maximum(count + predicted, 1)
    macro = [float(values[present].sum()) / classes for values in (precision, recall, f1)]
    return float(hits.sum()) / float(table.sum()), macro[0], macro[1], macro[2]


def draw_splitmix64(seed: int, first: int, count: int) -> npt.NDArray[np.uint64]:
    """Generates `count` outputs of SplitMix64, starting with output `first`.

    Steele, Lea and Flood (2014) describe the generator.
    """
    with np.errstate(over="ignore"):
        steps = np.arange(first + 1, first + count + 1, dtype=np.uint64)
        z = np.uint64(seed) + steps * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def bootstrap_headline(cines: Cines, labels: int) -> Json:
    """Computes the headline figures with their 95 % bootstrap intervals.

    Patients are resampled with replacement. The interval ranges from the 2.5th to the 97.5th
    percentile of the resamples. The draw with number `j` of resample `r` selects patient `n mod P`,
    where `n` is output `r * P + j` of SplitMix64 and the `P` patients are sorted by name. All
    numbers count from 0.
    """
    names = sorted(set(cines.patients))
    rank = {name: i for i, name in enumerate(names)}
    patient = np.array([rank[name] for name in cines.patients], dtype=np.int64)
    figures = np.empty((RESAMPLES, len(HEADLINE)))
    for resample in range(RESAMPLES):
        drawn = draw_splitmix64(SEED, resample * len(names), len(names)) % np.uint64(len(names))
        weights = np.bincount(drawn.astype(np.int64), minlength=len(names))[patient]
        table = count_confusion(cines.truth, cines.predicted, labels, weights)
        figures[resample] = compute_headline(table)
    figures.sort(axis=0)
    value = compute_headline(count_confusion(cines.truth, cines.predicted, labels))
    return {
        name: {
            "value": value[i],
            "low": _interpolate_percentile(figures[:, i], 0.025),
            "high": _interpolate_percentile(figures[:, i], 0.975),
        }
        for i, name in enumerate(HEADLINE)
    }


def _interpolate_percentile(ordered: Floats, part: float) -> float:
    """Interpolates a percentile linearly between two neighbouring values of `ordered`."""
    at = part * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (at - low) * (ordered[high] - ordered[low]))


def score_classes(labels: Sequence[str], table: Ints) -> list[Json]:
    """Scores each label. Recall and F1 are null for a label without cines."""
    rows = []
    for i, label in enumerate(labels):
        hits, count, predicted = (int(n) for n in (table[i, i], table[i].sum(), table[:, i].sum()))
        rows.append(
            {
                "label": label,
                "count": count,
                "predicted": predicted,
                "precision": hits / max(predicted, 1),
                "recall": hits / count if count else None,
                "f1": 2 * hits / (count + predicted) if count else None,
            }
        )
    return rows
