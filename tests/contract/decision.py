"""The decision which label and which group a result gives.

See docs/stream-contract.md#label-and-group and docs/stream-contract.md#novelty.
"""

from __future__ import annotations

import math
from typing import Any

from settings import LABELS, Settings


def combine(settings: Settings, outputs: list[list[float]]) -> tuple[list[float], float | None]:
    """Returns the posterior and the novelty score of the outputs that count, oldest first.

    Each output consists of the logits and, after them, of the projection.
    """
    mean = compute_mean(outputs)
    if settings.label_rule == "mean_probabilities":
        logits = [output[:LABELS] for output in outputs]
        posterior = compute_mean([softmax(settings, values) for values in logits])
        if settings.energy:
            energies = [[compute_energy(settings, values)] for values in logits]
            return posterior, compute_mean(energies)[0]
        return posterior, score_novelty(settings, [], mean[LABELS:])
    values = outputs[-1] if settings.label_rule == "newest" else mean
    if settings.head:
        values = compute_head(values)
    return softmax(settings, values[:LABELS]), score_novelty(
        settings, values[:LABELS], values[LABELS:]
    )


def compute_head(features: list[float]) -> list[float]:
    """Computes logits from features, with a formula that replaces a head that is not linear."""
    following = [*features[1:], features[0]]
    return [max(f - 4, 0.0) - 0.5 * g for f, g in zip(features, following, strict=True)]


def compute_mean(rows: list[list[float]]) -> list[float]:
    """Returns the mean of each column."""
    return [sum(values) / len(rows) for values in zip(*rows, strict=True)]


def softmax(settings: Settings, logits: list[float]) -> list[float]:
    """Returns the posterior of logits."""
    largest = max(logits)
    powers = [math.exp((value - largest) / settings.temperature) for value in logits]
    return [power / sum(powers) for power in powers]


def compute_energy(settings: Settings, logits: list[float]) -> float:
    """Returns the energy of logits."""
    powers = [math.exp(value / settings.temperature) for value in logits]
    return -settings.temperature * math.log(sum(powers))


def score_novelty(settings: Settings, logits: list[float], projection: list[float]) -> float | None:
    """Returns the novelty score, or None if the package defines none."""
    if settings.energy:
        return compute_energy(settings, logits)
    distances = [
        sum((z - m) ** 2 for z, m in zip(projection, mean, strict=True)) for mean in settings.means
    ]
    return min(distances, default=None)


def decide(settings: Settings, posterior: list[float], novelty: float | None) -> dict[str, Any]:
    """Returns the label and the group, or -1 for each that is withheld, and the reasons."""
    view = posterior.index(max(posterior))
    reasons = ["abstained"] if posterior[view] < settings.threshold else []
    more: dict[str, Any] = {}
    if settings.groups:
        sums = [0.0] * (max(settings.groups) + 1)
        for value, group in zip(posterior, settings.groups, strict=True):
            sums[group] += value
        group = sums.index(max(sums))
        if settings.groups[view] != group:
            reasons.append("outside_group")
        if sums[group] < settings.group_threshold:
            reasons.append("group_abstained")
        more = {"group": group, "group_confidence": sums[group]}
    if novelty is not None:
        more["novelty"] = novelty
        if novelty > settings.novelty_threshold:
            reasons.append("novel")
    if settings.groups and {"group_abstained", "novel"} & set(reasons):
        more["group"] = -1
    return {"label": -1 if reasons else view, **more, "withheld": reasons}
