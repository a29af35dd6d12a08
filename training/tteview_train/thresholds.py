"""Fits the thresholds of a package, so that a given share of the labels and groups is right.

The thresholds are fitted on cines that are unlike the training cines, for example from other
scanners. Thresholds that are fitted on cines like the training cines are too low elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .decision import DecisionRule, Mask, decide
from .predictions import Cines, Floats


@dataclass(frozen=True)
class Level:
    """A fitted threshold, and the cines of the fit whose label or group is given at it."""

    threshold: float
    given: int
    right: int
    cines: int

    def describe(self, name: str) -> str:
        """Returns one line about the threshold."""
        accuracy = self.right / self.given if self.given else 0.0
        return (
            f"{name} {self.threshold:.4f}: given for {self.given} of {self.cines} cines, "
            f"{self.right} right ({accuracy:.3f})"
        )


def fit_threshold(confidence: Floats, right: Mask, eligible: Mask, accuracy: float) -> Level:
    """Fits the smallest threshold at which a share of at least `accuracy` is right.

    Only cines that are `eligible` can be given. The threshold lies halfway between the smallest
    confidence that is given and the next one below. If no threshold reaches the accuracy, it is 1.
    """
    cines = len(confidence)
    order = np.argsort(-confidence[eligible], kind="stable")
    sorted_confidence = confidence[eligible][order]
    hits = np.cumsum(right[eligible][order])
    given = np.arange(1, len(order) + 1)
    # Cines with equal confidence are given together, so a threshold can only lie below the last.
    is_last = np.append(sorted_confidence[1:] < sorted_confidence[:-1], True)[: len(order)]
    possible = np.flatnonzero((hits >= accuracy * given) & is_last)
    if not len(possible):
        return Level(1.0, 0, 0, cines)
    last = int(possible[-1])
    below = float(sorted_confidence[last + 1]) if last + 1 < len(order) else 0.0
    threshold = (float(sorted_confidence[last]) + below) / 2
    return Level(threshold, last + 1, int(hits[last]), cines)


def fit_novelty_threshold(cines: Cines, share: float) -> float:
    """Fits the smallest threshold that withholds at most this share of the cines as novel."""
    scores = np.sort(cines.novelty)
    kept = min(len(scores), math.ceil((1 - share) * len(scores)))
    return float(scores[kept - 1]) if kept else float(scores[0])


def fit_rule(
    cines: Cines, rule: DecisionRule, accuracy: float, group_accuracy: float
) -> tuple[DecisionRule, Level, Level | None]:
    """Fits the thresholds of a rule: first that of the groups, then that of the labels.

    The threshold of the labels is fitted on the cines whose label lies in a group that is given. A
    novelty threshold is kept, and cines above it count as not given. Returns the fitted rule, and
    the fitted levels of the labels and of the groups.
    """
    rule = replace(rule, threshold=0.0, group_threshold=0.0)
    posterior = cines.posterior
    group_level = None
    if rule.groups:
        decision = decide(posterior, rule, cines.novelty)
        right = decision.group == np.asarray(rule.groups)[cines.truth]
        group_level = fit_threshold(
            decision.group_confidence, right, decision.gives_group, group_accuracy
        )
        rule = replace(rule, group_threshold=group_level.threshold)
    decision = decide(posterior, rule, cines.novelty)
    level = fit_threshold(
        decision.confidence, decision.label == cines.truth, decision.gives_label, accuracy
    )
    return replace(rule, threshold=level.threshold), level, group_level
