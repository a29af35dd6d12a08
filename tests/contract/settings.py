"""The settings of a case."""

from __future__ import annotations

from dataclasses import dataclass

LABELS = 4
"""Number of labels."""


@dataclass(frozen=True)
class Settings:
    """The settings that the contract takes from the package and the stream."""

    interval_ns: int
    alpha: int
    clip_samples: int
    partial: str = "auto"
    span_ns: int = 0
    gap_ns: int = 250_000_000
    fails: tuple[int, ...] = ()
    """Indices of the frames that make the step of their chunk fail."""
    reach: int = 0
    """Lateral reach of frame steps."""
    fails_fast: tuple[int, ...] = ()
    """Indices of the frames that make their fast run fail."""
    fails_slow: tuple[int, ...] = ()
    """Indices of the slow frames that make their slow run fail."""
    label_rule: str = "mean_logits"
    """`mean_logits`, `mean_probabilities` or `newest`."""
    head: bool = False
    """Whether the outputs of the runs are features, which a head that is not linear reads."""
    temperature: float = 1.0
    threshold: float = 0.0
    groups: tuple[int, ...] = ()
    """Group of each label; empty if the package has no groups."""
    group_threshold: float = 0.0
    means: tuple[tuple[float, ...], ...] = ()
    """Means of the projection; empty if the network has none."""
    energy: bool = False
    """Whether the novelty score is the energy of the logits."""
    novelty_threshold: float = 0.0

    @property
    def values(self) -> int:
        """Number of values of an output: the logits, and the projection after them."""
        return LABELS + (len(self.means[0]) if self.means else 0)
