import json
from pathlib import Path

import numpy as np
import pytest

from tteview_train.sampling import (
    GAP_NS,
    compute_slow_indices,
    plan_chunks,
    select_accepted,
    split_into_windows,
)

FIXTURES = Path(__file__).parents[2] / "tests" / "contract" / "stream_fixtures.json"
CASES = [
    case for cases in ("cases", "frame_cases") for case in json.loads(FIXTURES.read_text())[cases]
]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_samples_and_chunks_match_the_contract(case):
    settings, expect = case["settings"], case["expect"]
    gap_ns = settings.get("gap_ns", GAP_NS)
    frames, changes, times = [], [], []
    for event in case["events"]:
        if event[0] == "frame":
            frames.append(event[1])
        elif event[0] == "change":
            changes.append(len(select_accepted(frames, gap_ns)))
    kept = select_accepted(frames, gap_ns)
    times = [frames[i] for i in kept]
    assert len(frames) - len(kept) == expect["refused"]
    got = plan_chunks(
        times,
        settings["interval_ns"],
        settings["alpha"],
        gap_ns,
        settings.get("partial", "auto"),
        changes,
        settings.get("reach", 0) if "live" in expect else None,
    )
    if any(settings.get(key) for key in ("fails", "fails_fast", "fails_slow")):
        # The kit plans the steps before any of them runs, so that no step has failed yet.
        return
    assert [(s.t0_ns, s.samples) for s in got.segments] == [
        (s["t0"], s["samples"]) for s in expect["segments"]
    ]
    fields = ("segment", "slow", "fast", "first_ns", "last_ns", "held")
    assert [[getattr(c, f) for f in fields] for c in got.chunks] == [
        [c[f] for f in fields] for c in expect["chunks"]
    ]
    if not settings.get("span_ns"):
        assert len(got.chunks) - got.since_change == expect["final"]["chunks"]


def test_slow_indices_are_a_truncated_linspace():
    assert compute_slow_indices(32, 8) == [0, 4, 8, 13, 17, 22, 26, 31]
    assert compute_slow_indices(32, 4) == [0, 10, 20, 31]
    assert compute_slow_indices(5, 1) == [0]


def test_windows_cover_the_whole_segment():
    assert [w[0] for w in split_into_windows(range(10), 4, 3)] == [0, 3, 6]
    assert [w[0] for w in split_into_windows(range(11), 4, 3)] == [0, 3, 6, 7]
    assert split_into_windows([5, 6], 4, 2) == [[5, 6, 6, 6]]
    assert split_into_windows([], 4, 2) == []
    assert split_into_windows(range(4), 4, 2) == [[0, 1, 2, 3]]


def test_a_frame_that_is_not_later_is_refused():
    assert select_accepted([0, 10, 10, 5, 11]) == [0, 1, 4]


def test_late_frames_that_agree_are_accepted():
    late = [0, 20, 40, 60, 80, 100]
    assert select_accepted([1000, *late], 20) == [0, 5, 6]
    assert select_accepted([1000, *late], 19) == [0]
    assert select_accepted([1000, *late[:4], 1001, *late[:4]], 20) == [0, 5]
    assert select_accepted([1000, *([5] * 20)], 20) == [0]


def test_an_unknown_rule_for_partial_chunks_is_refused():
    with pytest.raises(ValueError, match="partial must be"):
        plan_chunks(np.arange(3) * 33_333_333, 33_333_333, 4, partial="maybe")
