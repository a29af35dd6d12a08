"""From frame times to samples, chunks and windows: the trainer's side of the stream contract.

All times are integer nanoseconds. The library decides in the same way, frame by frame; the fixtures in
`tests/contract` hold for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

GAP_NS = 250_000_000
"""Two frames further apart are no neighbours: a new segment starts."""

Times = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Segment:
    """Frames without a gap, on one grid."""

    t0_ns: int
    samples: list[int]
    """The frame of each sample."""


@dataclass(frozen=True)
class Chunk:
    """What one step of the network takes."""

    segment: int
    fast: list[int]
    """The frames of its alpha samples; the first one is the slow sample too."""
    first_ns: int
    last_ns: int
    """Grid time of the last sample that was decided."""
    held: int
    """Samples that repeat the last one, because the segment ended."""

    @property
    def slow(self) -> int:
        """The frame of the slow sample."""
        return self.fast[0]


@dataclass(frozen=True)
class Plan:
    """The samples and chunks of an acquisition."""

    segments: list[Segment]
    chunks: list[Chunk]
    since_change: int
    """Index of the first chunk that counts for the label."""


def accepted(times_ns: Iterable[int]) -> list[int]:
    """Indices of the frames that are later than all before; the stream refuses the others."""
    kept: list[int] = []
    newest: int | None = None
    for index, time in enumerate(times_ns):
        if newest is None or time > newest:
            kept.append(index)
            newest = time
    return kept


def grid_samples(times_ns: Times, interval_ns: int) -> list[int]:
    """The frame of each decided sample of one segment.

    Sample k is the frame nearest in time to `times_ns[0] + k * interval_ns`, of two equally near ones the
    earlier. It is decided if some frame is as late as its grid time.
    """
    t0, last = int(times_ns[0]), int(times_ns[-1])
    grid = t0 + np.arange((last - t0) // interval_ns + 1, dtype=np.int64) * interval_ns
    later = np.searchsorted(times_ns, grid, side="left")
    earlier = np.maximum(later - 1, 0)
    nearer = (later > 0) & (grid - times_ns[earlier] <= times_ns[later] - grid)
    frames: list[int] = np.where(nearer, earlier, later).tolist()
    return frames


def segment_starts(times_ns: Times, gap_ns: int = GAP_NS, changes: Sequence[int] = ()) -> list[int]:
    """First frame of each segment; `changes` are the frames before which the host marked a change."""
    gaps = np.flatnonzero(np.diff(times_ns) > gap_ns) + 1
    return sorted({0, *gaps.tolist(), *changes}) if len(times_ns) else []


def plan(
    times_ns: Sequence[int] | Times,
    interval_ns: int,
    alpha: int,
    gap_ns: int = GAP_NS,
    partial: str = "auto",
    changes: Sequence[int] = (),
) -> Plan:
    """Samples and chunks of accepted frames at `times_ns` (strictly increasing)."""
    times = np.asarray(times_ns, np.int64)
    starts = segment_starts(times, gap_ns, changes)
    result = Plan([], [], 0)
    since_change = 0
    for number, (start, end) in enumerate(zip(starts, starts[1:] + [len(times)], strict=True)):
        if start in changes:
            since_change = len(result.chunks)
        samples = [start + frame for frame in grid_samples(times[start:end], interval_ns)]
        segment = Segment(int(times[start]), samples)
        result.segments.append(segment)
        decided = len(samples) % alpha
        for c in range(len(samples) // alpha):
            result.chunks.append(_chunk(segment, number, c, alpha, interval_ns))
        first = len(result.chunks) == since_change
        if decided and _completed(partial, decided, alpha, first):
            result.chunks.append(_chunk(segment, number, len(samples) // alpha, alpha, interval_ns))
    return Plan(result.segments, result.chunks, since_change)


def _completed(partial: str, decided: int, alpha: int, first: bool) -> bool:
    """Whether a partial chunk at the end of a segment is completed by repeating its last sample."""
    if partial not in ("auto", "drop", "hold"):
        raise ValueError(f"partial is {partial!r}: it must be auto, drop or hold")
    return first or partial == "hold" or (partial == "auto" and 2 * decided >= alpha)


def _chunk(segment: Segment, number: int, c: int, alpha: int, interval_ns: int) -> Chunk:
    fast = segment.samples[c * alpha : (c + 1) * alpha]
    held = alpha - len(fast)
    first_ns = segment.t0_ns + c * alpha * interval_ns
    last_ns = first_ns + (alpha - 1 - held) * interval_ns
    return Chunk(number, fast + [fast[-1]] * held, first_ns, last_ns, held)


def slow_indices(clip_samples: int, slow_frames: int) -> list[int]:
    """SlowFast's own slow samples of a clip: the truncated linspace from its first to its last sample."""
    if slow_frames == 1:
        return [0]
    return [i * (clip_samples - 1) // (slow_frames - 1) for i in range(slow_frames)]


def windows(samples: Sequence[int], clip_samples: int, hop: int) -> list[list[int]]:
    """The windows of a segment with these samples.

    They start at multiples of the hop, the last one ends at the last sample; a segment shorter than a window
    repeats its last sample.
    """
    if not samples:
        return []
    if len(samples) < clip_samples:
        return [list(samples) + [samples[-1]] * (clip_samples - len(samples))]
    last = len(samples) - clip_samples
    starts = [*range(0, last, hop), last]
    return [list(samples[start : start + clip_samples]) for start in starts]
