"""The stream contract (docs/stream-contract.md) as a program.

The program prints the fixtures in `stream_fixtures.json`:

    python3 tests/contract/oracle.py > tests/contract/stream_fixtures.json

The program favours clarity over speed: it keeps all frames and outputs, and computes results at the
end. It needs Python 3.10 or later and no other packages.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any

from cases import Case, create_cases
from decision import combine, decide
from frame_cases import create_frame_cases
from settings import LABELS, Settings

WINDOW = 3
"""Number of samples in the lateral window of the formula for frame steps."""

AGREEING_FRAMES = 5
"""Number of consecutive late frames that must agree before the last of them is accepted."""


@dataclass
class FrameState:
    """The states of both parts in frame steps, and the lateral window."""

    fast: list[float] = field(default_factory=lambda: [0.0] * LABELS)
    slow: list[float] = field(default_factory=lambda: [0.0] * LABELS)
    window: list[int] = field(default_factory=lambda: [0] * WINDOW)


@dataclass
class Segment:
    """A run of samples on one time grid. `samples` contains the frame index of each sample."""

    start_ns: int
    first_frame: int
    state: list[float]
    samples: list[int] = field(default_factory=list)
    frame_state: FrameState = field(default_factory=FrameState)


@dataclass(frozen=True)
class Chunk:
    """A chunk and its output, which has the value None if the step or one of the runs failed.

    `held` is the number of repetitions of the last sample.
    """

    segment: int
    slow: int
    fast: list[int]
    first_ns: int
    last_ns: int
    held: int
    logits: list[float] | None


def compute_logits(fast: list[int], slow: int, state: list[float]) -> list[float]:
    """Computes an output from frame indices, with a formula that replaces the network."""
    logits = []
    for label in range(len(state)):
        fast_sum = sum((frame * (label + 3) + i) % 11 for i, frame in enumerate(fast))
        logits.append(fast_sum + (slow * (label + 1)) % 5 + 0.5 * state[label])
    return logits


class Acquisition:
    """An acquisition in stream mode, with chunk steps."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.times: list[int] = []
        self.refused = 0
        self.clock_steps = 0
        self.segments: list[Segment] = []
        self.chunks: list[Chunk] = []
        self._open: Segment | None = None
        # Index of the first chunk after the last change.
        self._first_counted = 0
        # Index of the first chunk whose time can be compared with later times.
        self._first_comparable = 0
        # Times of the late frames that agree with one another, up to the newest frame.
        self._late: list[int] = []

    def add_frame(self, time_ns: int) -> None:
        """Accepts or refuses a frame, and decides the samples up to the time of the frame."""
        if self.times and time_ns <= self.times[-1]:
            if not (self._late and 0 < time_ns - self._late[-1] <= self.settings.gap_ns):
                self._late = []
            self._late.append(time_ns)
            if len(self._late) < AGREEING_FRAMES:
                self.refused += 1
                return
            self._step_clock(time_ns)
        self._late = []
        if self.times and time_ns - self.times[-1] > self.settings.gap_ns:
            self._end_segment()
        self.times.append(time_ns)
        if self._open is None:
            self._open = Segment(
                time_ns, first_frame=len(self.times) - 1, state=[0.0] * self.settings.values
            )
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
        chunks = self.chunks[self._first_counted :]
        label = self._label(self._within_span(chunks))
        has_failed = any(chunk.logits is None for chunk in chunks)
        return {**label, "error": has_failed and label["chunks"] == 0}

    def query(self, from_ns: int, to_ns: int) -> dict[str, Any]:
        """Returns the result for an interval, its coverage and the number of failed chunks."""
        first = self._first_comparable
        comparable = self.chunks[first:]
        inside = [c for c in comparable if c.first_ns >= from_ns and c.last_ns <= to_ns]
        is_partial = first > 0 and comparable and from_ns < comparable[0].first_ns
        if not inside:
            coverage = "empty"
        elif all(chunk.logits is None for chunk in inside):
            coverage = "error"
        else:
            coverage = "partial" if is_partial else "complete"
        failed = sum(chunk.logits is None for chunk in inside)
        return {"result": self._label(inside), "coverage": coverage, "failed": failed}

    def _step_clock(self, time_ns: int) -> None:
        self._end_segment()
        self.clock_steps += 1
        earlier = self.chunks[self._first_comparable :]
        if any(chunk.last_ns >= time_ns for chunk in earlier):
            self._first_comparable = len(self.chunks)

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
        logits: list[float] | None = None
        if any(frame in self.settings.fails for frame in fast):
            segment.state = [0.0] * self.settings.values
        else:
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
        if decided > 0 and (held := self._count_held(decided)) is not None:
            fast = segment.samples[-decided:] + [segment.samples[-1]] * held
            self._run_step(segment, fast, held)

    def _count_held(self, decided: int) -> int | None:
        """Returns how often the last sample of a partial chunk is repeated.

        Returns None if the partial chunk does not count.
        """
        is_completed = {
            "auto": self._is_first() or 2 * decided >= self.settings.alpha,
            "drop": self._is_first(),
            "hold": True,
        }[self.settings.partial]
        return self.settings.alpha - decided if is_completed else None

    def _is_first(self) -> bool:
        """Returns whether no chunk counts yet."""
        return all(chunk.logits is None for chunk in self.chunks[self._first_counted :])

    def _within_span(self, chunks: list[Chunk]) -> list[Chunk]:
        """Returns the chunks that lie within `span_ns` of the newest chunk."""
        if not self.settings.span_ns:
            return chunks
        comparable = len(self.chunks) - self._first_comparable
        chunks = chunks[max(0, len(chunks) - comparable) :]
        return [c for c in chunks if c.last_ns > chunks[-1].last_ns - self.settings.span_ns]

    def _label(self, chunks: list[Chunk]) -> dict[str, Any]:
        chunks = [chunk for chunk in chunks if chunk.logits is not None]
        if not chunks:
            return {"label": -1, "posterior": [], "chunks": 0}
        posterior, novelty = combine(self.settings, [chunk.logits for chunk in chunks])
        return {
            **decide(self.settings, posterior, novelty),
            "posterior": posterior,
            "chunks": len(chunks),
            "first_ns": chunks[0].first_ns,
            "last_ns": chunks[-1].last_ns,
        }


class FrameAcquisition(Acquisition):
    """An acquisition in stream mode, with frame steps."""

    def _run_step(self, segment: Segment, fast: list[int], held: int) -> None:
        """Runs the fast runs of a chunk and, after the sample at the reach, the slow run.

        A partial chunk that counts alone has fewer than `alpha` samples.
        """
        settings = self.settings
        first = (len(segment.samples) - 1) // settings.alpha * settings.alpha
        state = segment.frame_state
        fast_sum, slow_logits = [0.0] * LABELS, [0.0] * LABELS
        fast_failed = slow_failed = False
        for position, frame in enumerate(fast):
            if frame in settings.fails_fast:
                fast_failed = True
                break
            logits = [(frame * (j + 3)) % 11 + 0.5 * state.fast[j] for j in range(LABELS)]
            state.fast = [value / 2 for value in logits]
            # A frame differs from the zeros of the initial state.
            state.window = [*state.window[1:], frame + 1]
            fast_sum = [a + b for a, b in zip(fast_sum, logits, strict=True)]
            if position == settings.reach and settings.alpha > 1:
                slow_failed = fast[0] in settings.fails_slow
                slow_logits = self._run_slow(fast[0], state)
        if fast_failed:
            segment.frame_state = FrameState()
        elif slow_failed:
            state.slow = [0.0] * LABELS
        means = [value / len(fast) for value in fast_sum]
        logits = [a + b for a, b in zip(slow_logits, means, strict=True)]
        self.chunks.append(
            Chunk(
                segment=len(self.segments) - 1,
                slow=fast[0],
                fast=fast,
                first_ns=self._grid_time(segment, first),
                last_ns=self._grid_time(segment, first + len(fast) - 1 - held),
                held=held,
                logits=None if fast_failed or slow_failed else logits,
            )
        )

    @staticmethod
    def _run_slow(slow: int, state: FrameState) -> list[float]:
        lateral = sum(weight * frame for weight, frame in enumerate(state.window, start=1))
        logits = [
            (slow * (j + 1)) % 5 + (lateral * (j + 2)) % 7 + 0.5 * state.slow[j]
            for j in range(LABELS)
        ]
        state.slow = [value / 2 for value in logits]
        return logits

    def _count_held(self, decided: int) -> int | None:
        if self.settings.partial == "hold":
            return self.settings.alpha - decided
        return max(0, self.settings.reach + 1 - decided) if self._is_first() else None


def run_case(case: Case, kind: type[Acquisition] = Acquisition) -> dict[str, Any]:
    """Runs a case and returns it with its expected results."""
    lists = {key: tuple(value) for key, value in case.settings.items() if isinstance(value, list)}
    settings = Settings(**{**case.settings, **lists})
    acquisition = kind(settings)
    live = []
    for event in case.events:
        if event[0] == "change":
            acquisition.mark_change()
        else:
            acquisition.add_frame(event[1])
        if kind is FrameAcquisition:
            # The live label is the final label of an acquisition that ends here.
            live.append(copy.deepcopy(acquisition).end())
    final = acquisition.end()
    segments = [{"t0": s.start_ns, "samples": s.samples} for s in acquisition.segments]
    queries = [
        {"from_ns": from_ns, "to_ns": to_ns, **acquisition.query(from_ns, to_ns)}
        for from_ns, to_ns in case.queries
    ]
    more = {"live": live} if kind is FrameAcquisition else {}
    return {
        "name": case.name,
        "settings": case.settings,
        "events": [*case.events, ["end"]],
        "expect": {
            "refused": acquisition.refused,
            "clock_steps": acquisition.clock_steps,
            "segments": segments,
            "chunks": [vars(chunk) for chunk in acquisition.chunks],
            "final": final,
            "queries": queries,
            **more,
        },
    }


def main() -> None:
    """Prints the fixtures, one case per line."""
    cases = ",\n".join(json.dumps(run_case(case)) for case in create_cases())
    frame_cases = ",\n".join(
        json.dumps(run_case(case, FrameAcquisition)) for case in create_frame_cases()
    )
    print(f'{{"labels": {LABELS}, "cases": [\n{cases}\n], "frame_cases": [\n{frame_cases}\n]}}')


if __name__ == "__main__":
    main()
