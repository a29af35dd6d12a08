"""The cases of frame steps for which `oracle.py` computes the expected results.

See docs/stream-contract.md#frame-steps for the rules that the cases test.
"""

from __future__ import annotations

from collections.abc import Iterator

from cases import Case, frames, usual

PERIOD_NS = 33_333_333


def create_end_cases() -> Iterator[Case]:
    """Returns acquisitions that end after each sample of the first and the third chunk."""
    for reach in (0, 1, 3):
        for partial in ("auto", "drop", "hold"):
            for samples in (1, 2, 3, 4, 9, 10, 11, 12):
                times = [["frame", 10**9 + i * PERIOD_NS] for i in range(samples)]
                name = f"reach {reach}, {samples} samples, {partial}"
                yield Case(name, usual(reach=reach, partial=partial), times)


def create_rule_cases() -> Iterator[Case]:
    """Returns acquisitions whose label is a mean of probabilities or the newest output."""
    one_pathway = {"interval_ns": PERIOD_NS, "alpha": 1, "clip_samples": 16}
    with_gap = frames(30, 0.5) + frames(30, 0.4, start_ns=3_500_000_000)
    queries = [(1_100_000_000, 1_340_000_000), (0, 9_000_000_000)]
    for rule in ("mean_probabilities", "newest"):
        more = {"label_rule": rule, "temperature": 4.0}
        name = f"label from {rule}"
        yield Case(f"{name}, one pathway", {**one_pathway, **more}, with_gap, queries)
        yield Case(
            f"{name}, failures",
            {**one_pathway, **more, "fails_fast": [3, 9, 26]},
            with_gap,
            [*queries, (1_300_000_000, 1_300_000_001)],
        )
        yield Case(
            f"{name}, label span",
            {**one_pathway, **more, "span_ns": 150_000_000, "fails_fast": [14]},
            frames(30, 0.5),
            queries,
        )
        yield Case(
            f"{name}, groups and energy",
            {
                **one_pathway,
                "label_rule": rule,
                "temperature": 12.0,
                "threshold": 0.3,
                "groups": [0, 0, 1, 1],
                "group_threshold": 0.52,
                "energy": True,
                "novelty_threshold": -24.0,
            },
            [*frames(30, 0.5), ["change"], *frames(30, 0.3, start_ns=2_000_000_000)],
            queries,
        )
        for partial in ("auto", "hold"):
            yield Case(
                f"{name}, two pathways, {partial}",
                usual(reach=1, partial=partial, fails_slow=[8], **more),
                frames(30, 0.75),
                queries,
            )
        yield Case(f"{name}, only a partial chunk", usual(reach=1, **more), frames(30, 0.08))


def create_head_cases() -> Iterator[Case]:
    """Returns acquisitions of networks whose head is not linear."""
    queries = [(1_100_000_000, 1_340_000_000), (0, 9_000_000_000)]
    more = {"head": True, "temperature": 3.0}
    yield Case(
        "nonlinear head, one pathway",
        {"interval_ns": PERIOD_NS, "alpha": 1, "clip_samples": 16, **more, "fails_fast": [4]},
        frames(30, 0.5) + frames(30, 0.4, start_ns=3_500_000_000),
        queries,
    )
    yield Case(
        "nonlinear head, label span",
        {"interval_ns": PERIOD_NS, "alpha": 1, "clip_samples": 16, **more, "span_ns": 200_000_000},
        frames(30, 0.5),
        queries,
    )
    yield Case(
        "nonlinear head, two pathways",
        usual(reach=1, fails_slow=[8], **more),
        frames(30, 0.75),
        queries,
    )
    yield Case("nonlinear head, partial chunk", usual(reach=1, **more), frames(30, 0.08))
    yield Case(
        "nonlinear head, groups and energy",
        usual(
            reach=1,
            head=True,
            temperature=8.0,
            threshold=0.3,
            groups=[0, 0, 1, 1],
            group_threshold=0.52,
            energy=True,
            novelty_threshold=-12.0,
        ),
        [*frames(30, 0.5), ["change"], *frames(30, 0.3, start_ns=2_000_000_000)],
        queries,
    )


def create_frame_cases() -> Iterator[Case]:
    """Returns all cases. Their names are part of the fixtures."""
    yield from create_end_cases()
    yield Case("frame steps, 60 Hz", usual(reach=1), frames(60, 2.21))
    yield Case("frame steps, 25 Hz, frames serve twice", usual(), frames(25, 2.0))
    yield Case(
        "frame steps, one pathway",
        {"interval_ns": PERIOD_NS, "alpha": 1, "clip_samples": 16},
        frames(30, 1.01),
        [(1_100_000_000, 1_500_000_000)],
    )
    yield Case(
        "frame steps, groups and energy",
        usual(
            reach=1,
            temperature=12.0,
            threshold=0.3,
            groups=[0, 0, 1, 1],
            group_threshold=0.52,
            energy=True,
            novelty_threshold=-24.0,
        ),
        frames(30, 1.01),
        [(1_100_000_000, 1_500_000_000)],
    )
    yield Case(
        "frame steps, alpha 8",
        {"interval_ns": 66_666_667, "alpha": 8, "clip_samples": 32, "reach": 5},
        frames(50, 3.3),
    )
    yield Case(
        "frame steps, gap in a chunk",
        usual(reach=1),
        frames(30, 0.35) + frames(30, 0.5, start_ns=3_500_000_000),
        [(1_000_000_000, 1_270_000_000), (0, 9_000_000_000)],
    )
    yield Case(
        "frame steps, gap in the first chunk",
        usual(reach=2),
        frames(30, 0.04) + frames(30, 0.5, start_ns=3_500_000_000),
    )
    yield Case(
        "frame steps, change in a chunk",
        usual(),
        [*frames(30, 0.5), ["change"], *frames(30, 0.3, start_ns=2_000_000_000)],
    )
    yield Case("frame steps, label span", usual(span_ns=500_000_000), frames(60, 2.0))
    two_seconds = frames(30, 2.0)
    everything = [(0, 9_000_000_000)]
    yield Case(
        "a fast run before the reach fails", usual(reach=2, fails_fast=[9]), two_seconds, everything
    )
    yield Case("a fast run after the reach fails", usual(fails_fast=[10]), two_seconds, everything)
    yield Case("a slow run fails", usual(fails_slow=[8]), two_seconds, everything)
    yield Case("both runs of a chunk fail", usual(fails_fast=[11], fails_slow=[8]), two_seconds)
    yield Case(
        "a partial chunk counts alone after failures",
        usual(fails_slow=[0], reach=1),
        frames(30, 0.18),
    )
    yield Case(
        "the only chunk is partial, and its slow run fails",
        usual(fails_slow=[0]),
        frames(30, 0.07),
    )
    yield from create_rule_cases()
    yield from create_head_cases()
