"""The stream contract (docs/stream-contract.md) as a program.

The program prints the fixtures in `stream_fixtures.json`:

    python3 tests/contract/oracle.py > tests/contract/stream_fixtures.json

The program favours clarity over speed: it keeps all frames and outputs, and computes results at the
end. It needs Python 3.10 or later and no other packages.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

LABELS = 4


@dataclass(frozen=True)
class Settings:
    """The settings that the contract takes from the package and the stream."""

    interval_ns: int
    alpha: int
    clip_samples: int
    partial: str = "auto"
    span_ns: int = 0
    gap_ns: int = 250_000_000


@dataclass
class Segment:
    """A run of samples on one time grid. `samples` contains the frame index of each sample."""

    start_ns: int
    first_frame: int
    samples: list[int] = field(default_factory=list)
    state: list[float] = field(default_factory=lambda: [0.0] * LABELS)


@dataclass(frozen=True)
class Chunk:
    """A chunk and its output. `held` is the number of repetitions of the last sample."""

    segment: int
    slow: int
    fast: list[int]
    first_ns: int
    last_ns: int
    held: int
    logits: list[float]


def compute_logits(fast: list[int], slow: int, state: list[float]) -> list[float]:
    """Computes logits from frame indices, with a formula that replaces the network."""
    logits = []
    for label in range(LABELS):
        fast_sum = sum((frame * (label + 3) + i) % 11 for i, frame in enumerate(fast))
        logits.append(fast_sum + (slow * (label + 1)) % 5 + 0.5 * state[label])
    return logits


class Acquisition:
    """An acquisition in stream mode."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.times: list[int] = []
        self.refused = 0
        self.segments: list[Segment] = []
        self.chunks: list[Chunk] = []
        self._open: Segment | None = None
        # Index of the first chunk after the last change.
        self._first_counted = 0

    def add_frame(self, time_ns: int) -> None:
        """Accepts or refuses a frame, and decides the samples up to the time of the frame."""
        if self.times and time_ns <= self.times[-1]:
            self.refused += 1
            return
        if self.times and time_ns - self.times[-1] > self.settings.gap_ns:
            self._end_segment()
        self.times.append(time_ns)
        if self._open is None:
            self._open = Segment(time_ns, first_frame=len(self.times) - 1)
            self.segments.append(self._open)
        segment = self._open
        while (grid_ns := self._grid_time(segment, len(segment.samples))) <= time_ns:
            segment.samples.append(self._nearest_frame(segment, grid_ns))
            if len(segment.samples) % self.settings.alpha == 0:
                self._run_step(segment, segment.samples[-self.settings.alpha :], held=0)

    def mark_change(self) -> None:
        """Ends the segment and restarts the mean."""
        self._end_segment()
        self._first_counted = len(self.chunks)

    def end(self) -> dict[str, Any]:
        """Ends the acquisition and returns its final result."""
        self._end_segment()
        return self._label(self.chunks[self._first_counted :])

    def query(self, from_ns: int, to_ns: int) -> dict[str, Any]:
        """Returns the result for an interval."""
        inside = [c for c in self.chunks if c.first_ns >= from_ns and c.last_ns <= to_ns]
        return self._label(inside)

    def _grid_time(self, segment: Segment, sample: int) -> int:
        return segment.start_ns + sample * self.settings.interval_ns

    def _nearest_frame(self, segment: Segment, grid_ns: int) -> int:
        """Returns the newest frame or the one before it, whichever is nearer to the grid time."""
        newest = len(self.times) - 1
        if newest == segment.first_frame:
            return newest
        before_ns, after_ns = grid_ns - self.times[newest - 1], self.times[newest] - grid_ns
        return newest - 1 if before_ns <= after_ns else newest

    def _run_step(self, segment: Segment, fast: list[int], held: int) -> None:
        alpha = self.settings.alpha
        first = (len(segment.samples) - (alpha - held)) // alpha * alpha
        logits = compute_logits(fast, fast[0], segment.state)
        segment.state = [value / 2 for value in logits]
        self.chunks.append(
            Chunk(
                segment=len(self.segments) - 1,
                slow=fast[0],
                fast=fast,
                first_ns=self._grid_time(segment, first),
                last_ns=self._grid_time(segment, first + alpha - 1 - held),
                held=held,
                logits=logits,
            )
        )

    def _end_segment(self) -> None:
        segment, self._open = self._open, None
        if segment is None:
            return
        alpha = self.settings.alpha
        decided = len(segment.samples) % alpha
        is_first = len(self.chunks) == self._first_counted
        is_completed = {
            "auto": is_first or 2 * decided >= alpha,
            "drop": is_first,
            "hold": True,
        }[self.settings.partial]
        if decided > 0 and is_completed:
            held = alpha - decided
            fast = segment.samples[-decided:] + [segment.samples[-1]] * held
            self._run_step(segment, fast, held)

    def _label(self, chunks: list[Chunk]) -> dict[str, Any]:
        if self.settings.span_ns and chunks:
            newest_ns = max(chunk.last_ns for chunk in chunks)
            oldest_ns = newest_ns - self.settings.span_ns
            chunks = [chunk for chunk in chunks if chunk.last_ns > oldest_ns]
        if not chunks:
            return {"label": -1, "posterior": []}
        mean = [sum(chunk.logits[j] for chunk in chunks) / len(chunks) for j in range(LABELS)]
        largest = max(mean)
        powers = [math.exp(value - largest) for value in mean]
        posterior = [power / sum(powers) for power in powers]
        return {
            "label": posterior.index(max(posterior)),
            "posterior": posterior,
            "chunks": len(chunks),
            "first_ns": chunks[0].first_ns,
            "last_ns": chunks[-1].last_ns,
        }


Event = list[Any]


def frames(
    rate_hz: float,
    seconds: float,
    start_ns: int = 1_000_000_000,
    jitter_ns: tuple[int, ...] = (0,),
    dropped: tuple[int, ...] = (),
) -> list[Event]:
    """Returns the events of frames at `rate_hz`, without the frames in `dropped`."""
    events = []
    for i in range(int(rate_hz * seconds)):
        if i not in dropped:
            time_ns = start_ns + round(i * 1e9 / rate_hz) + jitter_ns[i % len(jitter_ns)]
            events.append(["frame", time_ns])
    return events


@dataclass(frozen=True)
class Case:
    """A case of the fixtures. `settings` omits the settings that have their default values."""

    name: str
    settings: dict[str, Any]
    events: list[Event]
    queries: list[tuple[int, int]] = field(default_factory=list)


def create_cases() -> Iterator[Case]:
    """Returns all cases. Their names are part of the fixtures."""

    def usual(**more: Any) -> dict[str, Any]:
        return {"interval_ns": 33_333_333, "alpha": 4, "clip_samples": 32, **more}

    yield Case("30 Hz, whole chunks", usual(), frames(30, 64 / 30))
    yield Case("60 Hz, ends in a chunk", usual(), frames(60, 2.21))
    yield Case("25 Hz, frames serve twice", usual(), frames(25, 2.0))
    yield Case("121 Hz, jitter", usual(), frames(121, 1.5, jitter_ns=(0, 900_000, -700_000)))
    yield Case(
        "alpha 8, 50 Hz",
        {"interval_ns": 66_666_667, "alpha": 8, "clip_samples": 32},
        frames(50, 3.3),
    )
    yield Case("one frame", usual(), frames(30, 0.04))
    yield Case("three samples, drop", usual(partial="drop"), frames(30, 0.11))
    for partial in ("auto", "drop", "hold"):
        yield Case(f"nine samples, {partial}", usual(partial=partial), frames(30, 0.31))
    yield Case("dropped frames", usual(), frames(60, 2.0, dropped=(17, 18, 60)))
    yield Case(
        "gap",
        usual(),
        frames(60, 1.0) + frames(60, 1.0, start_ns=3_500_000_000),
        [(1_000_000_000, 1_700_000_000), (0, 9_000_000_000)],
    )
    yield Case(
        "gap, one nanosecond above the default",
        usual(),
        [["frame", time_ns] for time_ns in (1_000_000_000, 1_250_000_000, 1_500_000_001)],
    )
    yield Case(
        "change",
        usual(),
        [*frames(60, 1.0), ["change"], *frames(60, 0.6, start_ns=2_016_666_667)],
    )
    forward = frames(30, 1.0)
    yield Case("time runs back", usual(), [*forward[:10], ["frame", forward[4][1]], *forward[10:]])
    yield Case(
        "label span",
        usual(span_ns=1_000_000_000),
        frames(60, 4.0),
        [(2_000_000_000, 3_000_000_000)],
    )
    yield Case(
        "tie goes to the earlier",
        {"interval_ns": 30_000_000, "alpha": 2, "clip_samples": 8},
        [["frame", time_ns] for time_ns in range(0, 400_000_000, 20_000_000)],
    )


def run_case(case: Case) -> dict[str, Any]:
    """Runs a case and returns it with its expected results."""
    acquisition = Acquisition(Settings(**case.settings))
    for event in case.events:
        if event[0] == "change":
            acquisition.mark_change()
        else:
            acquisition.add_frame(event[1])
    final = acquisition.end()
    segments = [{"t0": s.start_ns, "samples": s.samples} for s in acquisition.segments]
    queries = [
        {"from_ns": from_ns, "to_ns": to_ns, "result": acquisition.query(from_ns, to_ns)}
        for from_ns, to_ns in case.queries
    ]
    return {
        "name": case.name,
        "settings": case.settings,
        "events": [*case.events, ["end"]],
        "expect": {
            "refused": acquisition.refused,
            "segments": segments,
            "chunks": [vars(chunk) for chunk in acquisition.chunks],
            "final": final,
            "queries": queries,
        },
    }


def main() -> None:
    """Prints the fixtures, one case per line."""
    cases = ",\n".join(json.dumps(run_case(case)) for case in create_cases())
    print(f'{{"labels": {LABELS}, "cases": [\n{cases}\n]}}')


if __name__ == "__main__":
    main()
