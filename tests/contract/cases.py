"""The cases for which `oracle.py` computes the expected results.

See docs/stream-contract.md for the rules that the cases test.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

INT64_MAX = 2**63 - 1

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


def frames_at(times_ns: Iterable[int]) -> list[Event]:
    """Returns the events of frames at these times."""
    return [["frame", time_ns] for time_ns in times_ns]


@dataclass(frozen=True)
class Case:
    """A case of the fixtures. `settings` omits the settings that have their default values."""

    name: str
    settings: dict[str, Any]
    events: list[Event]
    queries: list[tuple[int, int]] = field(default_factory=list)


def usual(**more: Any) -> dict[str, Any]:
    """Returns the settings of most cases."""
    return {"interval_ns": 33_333_333, "alpha": 4, "clip_samples": 32, **more}


def create_clock_cases() -> Iterator[Case]:
    """Returns the cases in which the times of frames run back."""
    forward = frames(30, 1.0)
    later = frames(30, 1.0, start_ns=2_000_000_000)
    yield Case(
        "one frame far ahead",
        usual(),
        [*forward, ["frame", 2**62], *later],
        [(1_000_000_000, 3_000_000_000), (2_000_000_000, 3_000_000_000)],
    )
    yield Case(
        "clock steps back",
        usual(),
        forward + frames(30, 2.0, start_ns=500_000_000),
        [(0, 9_000_000_000), (500_000_000, 1_300_000_000), (650_000_000, 1_300_000_000)],
    )
    yield Case(
        "clock steps back, label span",
        usual(span_ns=1_000_000_000),
        forward + frames(30, 0.6, start_ns=500_000_000),
    )
    yield Case(
        "clock steps back by less than five frames",
        usual(),
        forward + frames(30, 1.0, 1_900_000_000),
    )
    yield Case("four late frames agree", usual(), [*forward, *forward[:4], *later])
    yield Case("five late frames agree", usual(), [*forward, *forward[:5], *later])
    yield Case(
        "late frames too far apart to agree",
        usual(gap_ns=100_000_000),
        [*forward, *frames_at(i * 100_000_001 for i in range(9)), *later],
    )
    yield Case("late frames with equal times", usual(), [*forward, *([forward[3]] * 20), *later])
    yield Case("late frames that run back", usual(), [*forward, *reversed(forward[:-1]), *later])
    yield Case(
        "two clocks alternate",
        usual(),
        [event for pair in zip(later, forward, strict=True) for event in pair],
    )
    yield Case(
        "a change before the clock steps",
        usual(),
        [*later, ["change"], *forward, ["change"], *forward],
    )
    near_end = [INT64_MAX - 20 * 33_333_333 + i * 33_333_333 for i in range(41)]
    yield Case(
        "clock wraps",
        usual(),
        frames_at((t + 2**63) % 2**64 - 2**63 for t in near_end),
        [(-(2**63), INT64_MAX)],
    )
    yield Case("clock steps twice", usual(), [*later, *forward, *later, *forward])
    yield Case("one frame at the largest time", usual(), frames_at([INT64_MAX]))
    yield Case("frames up to the largest time", usual(), frames_at([INT64_MAX - 1, INT64_MAX, 5]))
    yield Case(
        "from the smallest time to the largest",
        usual(),
        frames_at([-(2**63), -(2**63) + 33_333_333, -1, 0, INT64_MAX]),
        [(-(2**63), INT64_MAX)],
    )


def create_failure_cases() -> Iterator[Case]:
    """Returns the cases in which steps of the network fail."""
    second = frames(30, 2.0)
    yield Case(
        "a chunk fails",
        usual(fails=[9]),
        second,
        [(0, 9_000_000_000), (1_266_000_000, 1_367_000_000), (1_000_000_000, 1_367_000_000)],
    )
    yield Case("the first and the last chunk fail", usual(fails=[0, 59]), second)
    yield Case("every chunk fails", usual(fails=list(range(60))), second, [(0, 9_000_000_000)])
    yield Case("the only chunk is partial and fails", usual(fails=[1]), frames(30, 0.11))
    yield Case(
        "a partial chunk counts if the others failed",
        usual(fails=[0], partial="drop"),
        frames(30, 0.2),
    )
    yield Case(
        "every chunk since the change fails",
        usual(fails=list(range(30, 42))),
        [*frames(30, 1.0), ["change"], *frames(30, 0.4, start_ns=2_000_000_000)],
    )
    yield Case(
        "a chunk before the change fails",
        usual(fails=[3]),
        [*frames(30, 1.0), ["change"], *frames(30, 0.4, start_ns=2_000_000_000)],
    )
    yield Case(
        "every chunk of the label span fails",
        usual(fails=list(range(32, 60)), span_ns=500_000_000),
        second,
    )
    yield Case(
        "some chunks of the label span fail",
        usual(fails=[50, 59], span_ns=800_000_000),
        second,
    )
    yield Case(
        "a chunk fails before a gap",
        usual(fails=[28]),
        frames(30, 1.0) + frames(30, 1.0, start_ns=3_500_000_000),
    )


def create_decision_cases() -> Iterator[Case]:
    """Returns the cases in which a label or a group can be withheld."""
    length = frames(30, 2.0)
    queries = [(1_000_000_000, 1_400_000_000), (1_500_000_000, 2_200_000_000)]
    yield Case("threshold", usual(temperature=8.0, threshold=0.4), length, queries)
    for groups in ([0, 0, 1, 1], [0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]):
        for threshold, group_threshold in ((0.0, 0.0), (0.31, 0.0), (0.2, 0.62), (0.31, 0.9)):
            settings = usual(
                temperature=12.0,
                threshold=threshold,
                groups=groups,
                group_threshold=group_threshold,
            )
            name = f"groups {groups}, thresholds {threshold} and {group_threshold}"
            yield Case(name, settings, length, queries)
    means = [[20.0, 30.0], [27.0, 25.0]]
    for novelty in ({"means": means}, {"means": means[:1]}, {"energy": True}):
        for threshold in (-45.0, 0.5, 10.0, 40.0):
            settings = usual(
                temperature=12.0,
                groups=[0, 0, 1, 1],
                threshold=0.3,
                novelty_threshold=threshold,
                **novelty,
            )
            kind = "energy" if "energy" in novelty else f"{len(novelty['means'])} means"
            yield Case(f"novelty, {kind}, threshold {threshold}", settings, length, queries)


def create_cases() -> Iterator[Case]:
    """Returns all cases. Their names are part of the fixtures."""
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
    yield from create_clock_cases()
    yield from create_failure_cases()
    yield from create_decision_cases()
    yield Case(
        "tie goes to the earlier",
        {"interval_ns": 30_000_000, "alpha": 2, "clip_samples": 8},
        [["frame", time_ns] for time_ns in range(0, 400_000_000, 20_000_000)],
    )
