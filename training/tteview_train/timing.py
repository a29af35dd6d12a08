"""The times of frames, chosen from the statements of a file as `tools/cli/src/cine/timing.rs` does.

The program `tteview` and the model kit must choose the same times, because samples are chosen by
time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

ASSUMED_PERIOD_NS = 33_333_333
"""Frame period of a cine that contains no times."""

LONGEST_STEP_NS = 200e9
"""Longest time between two frames that is used."""

ECHO_STEPS_NS = (2e6, 200e6)
"""Times between two frames of an echo cine: 5 to 500 frames per second."""

USUAL_STEPS_NS = (8e6, 125e6)
"""Times between two frames that show that another unit was meant: 8 to 125 frames per second."""


@dataclass(frozen=True)
class FrameRate:
    """A statement of a file about the times of its frames."""

    steps_ns: Sequence[float]
    """One time between two frames for the whole cine, or an entry for each frame.

    Such an entry is the time since the previous frame. Entry 0 is then not used.
    """

    def compute_typical_step(self, frames: int) -> float | None:
        """Computes the median of the usable steps.

        Returns `None` if fewer than half of the steps are usable.
        """
        if len(self.steps_ns) == 1:
            return self.steps_ns[0] if _round_step(self.steps_ns[0]) is not None else None
        usable = self._list_usable(frames)
        if not usable or 2 * len(usable) < max(frames - 1, 1):
            return None
        return _compute_median(usable)

    def compute_times(self, frames: int, factor: float) -> list[int]:
        """Computes the times of the frames. `factor` converts the steps to nanoseconds.

        An unusable or missing step is replaced by the median of the others.
        """
        if len(self.steps_ns) == 1:
            period = _round_step(self.steps_ns[0] * factor) or ASSUMED_PERIOD_NS
            return compute_times(frames, period)
        usable = self._list_usable(frames)
        typical = _compute_median(usable) if usable else ASSUMED_PERIOD_NS
        times = [0]
        for frame in range(1, frames):
            step = _round_step(self.steps_ns[frame]) if frame < len(self.steps_ns) else None
            step = typical if step is None else step
            times.append(times[-1] + (_round_step(step * factor) or ASSUMED_PERIOD_NS))
        return times

    def _list_usable(self, frames: int) -> list[int]:
        steps = map(_round_step, self.steps_ns[1:frames])
        return [step for step in steps if step is not None]


def choose_times(frames: int, rates: Sequence[FrameRate]) -> list[int]:
    """Chooses the times of frames from the statements of a file, in order of preference.

    The first statement is used whose times can be those of an echo cine. A statement in another
    unit, such as microseconds instead of milliseconds, is corrected. If no statement can be right,
    the first usable one is used.
    """
    doubtful: FrameRate | None = None
    for rate in rates:
        step = rate.compute_typical_step(frames)
        if step is None:
            continue
        if ECHO_STEPS_NS[0] <= step <= ECHO_STEPS_NS[1]:
            return rate.compute_times(frames, 1.0)
        for factor in (1e-3, 1e3):
            if USUAL_STEPS_NS[0] <= step * factor <= USUAL_STEPS_NS[1]:
                return rate.compute_times(frames, factor)
        doubtful = doubtful or rate
    if doubtful is not None:
        return doubtful.compute_times(frames, 1.0)
    return compute_times(frames, ASSUMED_PERIOD_NS)


def compute_times(frames: int, period_ns: int) -> list[int]:
    """Computes the times of frames with a constant period."""
    return [i * period_ns for i in range(frames)]


def _compute_median(values: Sequence[int]) -> int:
    """Computes the upper median."""
    return sorted(values)[len(values) // 2]


def _round_step(step_ns: float) -> int | None:
    """Rounds the time between two frames, halves upwards. Returns `None` if it is not usable."""
    return math.floor(step_ns + 0.5) if 1 <= step_ns <= LONGEST_STEP_NS else None
