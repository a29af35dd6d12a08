"""Computes samples, chunks and windows from frame times.

The module implements docs/stream-contract.md#samples, docs/stream-contract.md#chunks-and-steps and
docs/stream-contract.md#window-mode.

All times are integers in nanoseconds. The library makes the same decisions frame by frame, and the
fixtures in `tests/contract` test both implementations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

GAP_NS = 250_000_000
"""Maximum time between two consecutive frames of a segment."""

AGREEING_FRAMES = 5
"""Number of consecutive late frames that must agree before the last of them is accepted."""

Times = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Segment:
    """Consecutive samples on one time grid, without a gap or a change between them."""

    t0_ns: int
    samples: list[int]
    """Frame index of each sample."""


@dataclass(frozen=True)
class Chunk:
    """The samples of one step of the network."""

    segment: int
    fast: list[int]
    """Frame indices of the `alpha` samples. The first sample is also the slow sample."""
    first_ns: int
    last_ns: int
    """Grid time of the last sample that is not a repetition."""
    held: int
    """Number of samples at the end of the chunk that repeat its last decided sample."""

    @property
    def slow(self) -> int:
        """Frame index of the slow sample."""
        return self.fast[0]


@dataclass(frozen=True)
class Plan:
    """The samples and chunks of an acquisition."""

    segments: list[Segment]
    chunks: list[Chunk]
    since_change: int
    """Index of the first chunk that counts for the label."""


def select_accepted(times_ns: Iterable[int], gap_ns: int = GAP_NS) -> list[int]:
    """Returns the indices of the frames that the stream accepts.

    The stream accepts a frame if its time is later than that of the last accepted frame. It also
    accepts the fifth of five late frames in a row that agree: their times increase by at most
    `gap_ns` from one to the next. Only then can an accepted frame be earlier than the one before.
    """
    accepted: list[int] = []
    newest: int | None = None
    late: list[int] = []
    for index, time in enumerate(times_ns):
        if newest is not None and time <= newest:
            if not (late and 0 < time - late[-1] <= gap_ns):
                late = []
            late.append(time)
            if len(late) < AGREEING_FRAMES:
                continue
        accepted.append(index)
        newest, late = time, []
    return accepted


def sample_segment(times_ns: Times, interval_ns: int) -> list[int]:
    """Returns the frame index of each decided sample of one segment.

    Sample k is the frame nearest in time to `times_ns[0] + k * interval_ns`. If two frames are
    equally near, the earlier one is used. A sample is decided when the first frame at or after its
    grid time arrives.
    """
    t0, last = int(times_ns[0]), int(times_ns[-1])
    grid = t0 + np.arange((last - t0) // interval_ns + 1, dtype=np.int64) * interval_ns
    later = np.searchsorted(times_ns, grid, side="left")
    earlier = np.maximum(later - 1, 0)
    is_earlier_nearer = (later > 0) & (grid - times_ns[earlier] <= times_ns[later] - grid)
    frames: list[int] = np.where(is_earlier_nearer, earlier, later).tolist()
    return frames


def find_segment_starts(
    times_ns: Times, gap_ns: int = GAP_NS, changes: Sequence[int] = ()
) -> list[int]:
    """Returns the index of the first frame of each segment.

    A segment starts after a gap, and at a frame that is not later than the one before, because the
    clock has stepped. `changes` contains the index of the first frame after each change that the
    host marked.
    """
    earlier, later = times_ns[:-1], times_ns[1:]
    # The difference of two times can exceed the range of int64, but not that of uint64.
    elapsed = later.astype(np.uint64) - earlier.astype(np.uint64)
    starts = np.flatnonzero((later <= earlier) | (elapsed > np.uint64(gap_ns))) + 1
    return sorted({0, *starts.tolist(), *changes}) if len(times_ns) else []


def plan_chunks(
    times_ns: Sequence[int] | Times,
    interval_ns: int,
    alpha: int,
    gap_ns: int = GAP_NS,
    partial: str = "auto",
    changes: Sequence[int] = (),
    reach: int | None = None,
) -> Plan:
    """Plans the samples and chunks of the frames that `select_accepted` returns.

    `reach` is the lateral reach of frame steps, or None for chunk steps.
    """
    times = np.asarray(times_ns, np.int64)
    starts = find_segment_starts(times, gap_ns, changes)
    result = Plan([], [], 0)
    since_change = 0
    for number, (start, end) in enumerate(zip(starts, starts[1:] + [len(times)], strict=True)):
        if start in changes:
            since_change = len(result.chunks)
        samples = [start + frame for frame in sample_segment(times[start:end], interval_ns)]
        segment = Segment(int(times[start]), samples)
        result.segments.append(segment)
        decided = len(samples) % alpha
        for c in range(len(samples) // alpha):
            result.chunks.append(_build_chunk(segment, number, c, alpha, interval_ns))
        is_first = len(result.chunks) == since_change
        if decided:
            held = _count_held(partial, decided, alpha, reach, is_first)
            if held is not None:
                c = len(samples) // alpha
                result.chunks.append(_build_chunk(segment, number, c, alpha, interval_ns, held))
    return Plan(result.segments, result.chunks, since_change)


def _count_held(
    partial: str, decided: int, alpha: int, reach: int | None, is_first: bool
) -> int | None:
    """Returns how often the last sample of a partial chunk is repeated, or None to leave it out.

    `decided` of its `alpha` samples are decided. A chunk is always kept if no other chunk counts
    for the label yet; with frame steps, it then counts alone, and has samples up to the reach.
    """
    if partial not in ("auto", "drop", "hold"):
        raise ValueError(f"partial must be auto, drop or hold, got {partial!r}")
    if partial == "hold":
        return alpha - decided
    if reach is not None:
        return max(0, reach + 1 - decided) if is_first else None
    is_completed = is_first or (partial == "auto" and 2 * decided >= alpha)
    return alpha - decided if is_completed else None


def _build_chunk(
    segment: Segment, number: int, c: int, alpha: int, interval_ns: int, held: int = 0
) -> Chunk:
    fast = segment.samples[c * alpha : (c + 1) * alpha]
    first_ns = segment.t0_ns + c * alpha * interval_ns
    last_ns = first_ns + (len(fast) - 1) * interval_ns
    return Chunk(number, fast + [fast[-1]] * held, first_ns, last_ns, held)


def compute_slow_indices(clip_samples: int, slow_frames: int) -> list[int]:
    """Computes the indices of the slow samples of a clip as in the original SlowFast.

    The indices are evenly spaced numbers, truncated to integers.
    """
    if slow_frames == 1:
        return [0]
    return [i * (clip_samples - 1) // (slow_frames - 1) for i in range(slow_frames)]


def split_into_windows(samples: Sequence[int], clip_samples: int, hop: int) -> list[list[int]]:
    """Splits the samples of a segment into windows.

    The windows start at multiples of the hop, except that the last window ends at the last sample.
    If the segment is shorter than a window, its only window repeats the last sample.
    """
    if not samples:
        return []
    if len(samples) < clip_samples:
        return [list(samples) + [samples[-1]] * (clip_samples - len(samples))]
    last = len(samples) - clip_samples
    starts = [*range(0, last, hop), last]
    return [list(samples[start : start + clip_samples]) for start in starts]
