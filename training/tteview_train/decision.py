"""The decision which label and which group a result gives (docs/stream-contract.md).

The decision is computed from predictions, so the same predictions can be decided with other
thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .predictions import Floats, Ints, Json

Mask = npt.NDArray[np.bool_]

REASONS = ("abstained", "outside_group", "group_abstained", "novel")
"""The reasons why a label can be withheld, named as the flags of a result."""


@dataclass(frozen=True)
class DecisionRule:
    """The values of a package on which the decision depends."""

    threshold: float = 0.0
    groups: Sequence[int] = ()
    """Index of each label's group; empty if the package has no groups."""
    group_threshold: float = 0.0
    novelty_threshold: float | None = None
    """Novelty score above which nothing is given, or `None` if the package has no score."""


@dataclass(frozen=True)
class Decision:
    """The decision for each cine."""

    label: Ints
    """Index of the label with the largest value."""
    confidence: Floats
    group: Ints
    """Index of the group with the largest confidence; -1 without groups."""
    group_confidence: Floats
    reasons: dict[str, Mask] = field(default_factory=dict)
    """For each reason, the cines to which it applies."""

    @property
    def gives_group(self) -> Mask:
        """The cines whose group is given."""
        given: Mask = (self.group >= 0) & ~(self.reasons["group_abstained"] | self.reasons["novel"])
        return given

    @property
    def gives_label(self) -> Mask:
        """The cines whose label is given."""
        given: Mask = ~np.any([self.reasons[reason] for reason in REASONS], axis=0)
        return given


def read_rule(header: Json) -> DecisionRule:
    """Reads the rule from the header of a predictions file."""
    groups = header.get("groups") or {}
    return DecisionRule(
        header.get("threshold") or 0.0,
        groups.get("of_label", ()),
        groups.get("threshold") or 0.0,
        header.get("novelty_threshold"),
    )


def sum_groups(posterior: Floats, groups: Sequence[int]) -> Floats:
    """Sums posteriors [cines, labels] over the labels of each group, [cines, groups]."""
    sums = np.zeros((len(posterior), max(groups) + 1))
    for label, group in enumerate(groups):
        sums[:, group] += posterior[:, label]
    return np.minimum(sums, 1.0)


def decide(posterior: Floats, rule: DecisionRule, novelty: Floats | None = None) -> Decision:
    """Decides which label and which group each cine gets.

    `novelty` is the score of each cine, or NaN for a cine without a score.
    """
    count = len(posterior)
    label = posterior.argmax(axis=1)
    confidence = posterior.max(axis=1)
    none = np.zeros(count, dtype=bool)
    reasons = {"abstained": confidence < rule.threshold, **dict.fromkeys(REASONS[1:], none)}
    if novelty is not None and rule.novelty_threshold is not None:
        reasons["novel"] = novelty > rule.novelty_threshold
    if not rule.groups:
        return Decision(label, confidence, np.full(count, -1), np.zeros(count), reasons)
    sums = sum_groups(posterior, rule.groups)
    group, group_confidence = sums.argmax(axis=1), sums.max(axis=1)
    reasons["outside_group"] = np.asarray(rule.groups)[label] != group
    reasons["group_abstained"] = group_confidence < rule.group_threshold
    return Decision(label, confidence, group, group_confidence, reasons)
