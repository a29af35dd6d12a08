"""Checks the metrics against independent formulas and the fixture of the `tteview eval` tests."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tteview_train import evaluate
from tteview_train.calibration import fit_temperature
from tteview_train.metrics import compute_metrics, measure_coverage
from tteview_train.predictions import PredictionsError, collect_cines
from tteview_train.scores import bootstrap_headline, draw_splitmix64

FIXTURES = Path(__file__).parent / "fixtures"
HEADER = {
    "predictions": 1,
    "labels": ["A", "B", "C"],
    "model": None,
    "temperature": 1.0,
    "threshold": 0.5,
}


def build_row(
    path: str, label: str, patient: str, *posteriors: list[float], **more: Any
) -> dict[str, Any]:
    return {
        "path": path,
        "label": label,
        "patient": patient,
        "split": "test",
        "attributes": {},
        "times_ns": [i * 200_000_000 for i in range(len(posteriors))],
        "log_posterior": [[math.log(p) for p in posterior] for posterior in posteriors],
        **more,
    }


def build_small_set() -> list[dict[str, Any]]:
    return [
        build_row("a0", "A", "p0", [0.2, 0.7, 0.1], [0.8, 0.1, 0.1]),
        build_row("a1", "A", "p1", [0.1, 0.6, 0.3]),
        build_row("b0", "B", "p0", [0.2, 0.7, 0.1]),
        build_row("b1", "B", "p1", [0.3, 0.45, 0.25]),
    ]


def test_coverage_and_accuracy_are_measured_at_each_level():
    header = {**HEADER, "groups": {"codes": ["G", "H"], "of_label": [0, 1, 1], "threshold": 0.65}}
    rows = [
        build_row("right", "A", "p0", [0.8, 0.1, 0.1]),
        build_row("right group", "C", "p1", [0.25, 0.4, 0.35]),
        build_row("wrong", "B", "p2", [0.7, 0.2, 0.1]),
        build_row("outside", "B", "p3", [0.45, 0.3, 0.25]),
    ]
    decision = compute_metrics(header, rows)["decision"]
    assert decision["label"] == {"count": 2, "coverage": 0.5, "accuracy": 0.5}
    assert decision["group"] == {"count": 3, "coverage": 0.75, "accuracy": 2 / 3}
    withheld = {"abstained": 2, "outside_group": 1, "group_abstained": 1, "novel": 0}
    assert decision["withheld"] == withheld
    assert decision["group_coverage"][0]["accuracy"] == 0.75
    novel = [{**row, "novelty": [0.5, 3.0]} for row in rows[:1]] + rows[1:]
    decision = compute_metrics({**header, "novelty_threshold": 2.0}, novel)["decision"]
    assert (decision["label"]["count"], decision["group"]["count"]) == (1, 2)
    assert decision["withheld"]["novel"] == 1
    ungrouped = compute_metrics(HEADER, rows)["decision"]
    assert ungrouped["label"] == {"count": 2, "coverage": 0.5, "accuracy": 0.5}
    assert (ungrouped["group"], ungrouped["group_coverage"]) == (None, None)


def assert_close(found: Any, expected: Any, where: str = "metrics") -> None:
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            assert_close(found[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for i, value in enumerate(expected):
            assert_close(found[i], value, f"{where}[{i}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-9, rel=0), where
    else:
        assert found == expected, where


def test_the_fixture_has_the_metrics_of_the_command_line(tmp_path: Path) -> None:
    assert evaluate.main([str(FIXTURES / "predictions.jsonl"), "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert_close(found, json.loads((FIXTURES / "metrics.json").read_text()))


def test_the_headline_of_a_small_set_is_right() -> None:
    found = compute_metrics(HEADER, build_small_set())
    values = {name: figure["value"] for name, figure in found["headline"].items()}
    # Class A has two cines and is predicted once, correctly. Class B has two cines and is predicted
    # three times. Class C does not occur.
    assert values["accuracy"] == 0.75
    assert values["macro_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert values["macro_recall"] == pytest.approx((0.5 + 1) / 2)
    assert values["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    assert found["confusion"] == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert found["classes"][2] == {
        "label": "C",
        "count": 0,
        "predicted": 0,
        "precision": 0.0,
        "recall": None,
        "f1": None,
    }
    assert found["errors"] == [
        {"path": "a1", "label": "A", "predicted": "B", "confidence": pytest.approx(0.6)}
    ]
    assert [chunk["accuracy"] for chunk in found["chunks"]] == [0.5, 1.0]


def test_withheld_labels_count_only_in_the_coverage() -> None:
    cines = collect_cines(HEADER["labels"], build_small_set())  # type: ignore[arg-type]
    assert measure_coverage(cines, 0.5) == {
        "threshold": 0.5,
        "count": 3,
        "coverage": 0.75,
        "accuracy": pytest.approx(2 / 3),
    }
    assert measure_coverage(cines, 0.95)["accuracy"] is None


def test_splitmix64_gives_the_published_sequence() -> None:
    # These are the published outputs of SplitMix64 for the seed 1234567.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [int(value) for value in draw_splitmix64(1234567, 0, 3)] == expected
    assert int(draw_splitmix64(1234567, 2, 1)[0]) == expected[2]


def test_patients_are_resampled_whole() -> None:
    # All predictions are right for one patient and wrong for the other, so the accuracy of a
    # resample is 0, 0.5 or 1.
    rows = [build_row(f"r{i}", "A", "right", [0.8, 0.1, 0.1]) for i in range(5)]
    rows += [build_row(f"w{i}", "A", "wrong", [0.1, 0.8, 0.1]) for i in range(5)]
    found = bootstrap_headline(collect_cines(["A", "B", "C"], rows), 3)["accuracy"]
    assert found == {"value": 0.5, "low": 0.0, "high": 1.0}


def test_the_fit_recovers_the_temperature_of_the_model() -> None:
    rng = np.random.default_rng(3)
    rows = []
    for i in range(4000):
        logits = rng.normal(0, 1.5, 3)
        posterior = np.exp(logits) / np.exp(logits).sum()
        label = "ABC"[rng.choice(3, p=posterior)]
        sharp = np.exp(2.5 * logits) / np.exp(2.5 * logits).sum()
        rows.append(build_row(str(i), label, f"p{i % 40}", sharp.tolist()))
    assert fit_temperature(collect_cines(["A", "B", "C"], rows)) == pytest.approx(2.5, rel=0.06)
    found = compute_metrics(HEADER, rows)["calibration"]
    assert found["scaled"]["fitted_on"] == "patient halves"
    assert found["ece"] > 0.1
    assert found["scaled"]["ece"] < 0.03


def test_the_split_val_decides_only_the_temperature() -> None:
    rows = build_small_set() + [build_row("v", "C", "p9", [0.1, 0.1, 0.8], split="val")]
    found = compute_metrics(HEADER, rows)
    assert found["cines"] == 4
    assert found["splits"] == ["test"]
    assert found["calibration"]["scaled"]["fitted_on"] == "val"


def test_a_duration_takes_the_last_chunk_of_long_cines() -> None:
    rows = [
        build_row(
            "long", "A", "p0", [0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]
        ),
        build_row("short", "A", "p1", [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]),
    ]
    found = compute_metrics(HEADER, rows)["durations"]
    # Chunks end at 0, 0.2, 0.4 and 0.6 s. The score at 0.5 s uses the third chunk of the long cine
    # and leaves out the short cine, which ends before 0.5 s.
    assert found[0] == {"seconds": 0.5, "count": 1, "accuracy": 0.0}
    assert found[1] == {"seconds": 2.0, "count": 0, "accuracy": None}


def test_numbers_are_grouped_by_terciles_and_texts_by_value() -> None:
    rows = [
        build_row(
            f"c{i}",
            "A",
            f"p{i}",
            [0.8, 0.1, 0.1],
            attributes={"gain": str(i), "burned_in": "yn"[i % 2]},
        )
        for i in range(9)
    ]
    found = compute_metrics(HEADER, rows)["robustness"]
    groups = [(r["column"], r["group"], r["from"], r["to"], r["count"]) for r in found]
    assert groups == [
        ("burned_in", "n", None, None, 4),
        ("burned_in", "y", None, None, 5),
        ("gain", "low", 0.0, 2.0, 3),
        ("gain", "middle", 3.0, 5.0, 3),
        ("gain", "high", 6.0, 8.0, 3),
    ]


def test_a_change_is_scored_with_the_rule_off_and_on() -> None:
    def build_change(rule: str, *posteriors: list[float]) -> dict[str, Any]:
        return build_row(f"x-{rule}", "B", "p0", *posteriors, change={"rule": rule, "time_ns": 0})

    off = [[0.8, 0.1, 0.1]] * 6
    on = [[0.8, 0.1, 0.1]] * 3 + [[0.1, 0.8, 0.1]] * 3
    found = compute_metrics(
        HEADER, [*build_small_set(), build_change("off", *off), build_change("on", *on)]
    )["changes"]
    assert found["pairs"] == 1
    table = {(r["rule"], r["after_s"]): (r["count"], r["accuracy"]) for r in found["rows"]}
    assert [table["off", 1.0], table["off", None]] == [(1, 0.0), (1, 0.0)]
    assert [table["on", 0.5], table["on", 1.0], table["on", 2.0]] == [(1, 0.0), (1, 1.0), (0, None)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{}"], "line 1 must be the header"),
        ([json.dumps(HEADER), "{"], "line 2"),
        (
            [json.dumps(HEADER), '{"path": "x"}'],
            "label, patient, split, times_ns, log_posterior must be present",
        ),
        (
            [
                json.dumps(HEADER),
                json.dumps(build_small_set()[0]),
                json.dumps(build_small_set()[0]),
            ],
            "a0 repeats",
        ),
    ],
)
def test_invalid_predictions_are_refused_with_their_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: list[str], message: str
) -> None:
    file = tmp_path / "predictions.jsonl"
    file.write_text("\n".join(lines))
    assert evaluate.main([str(file), "--out", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err


def test_a_label_that_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(PredictionsError, match="odd: label must be one of A, B, C, got 'D'"):
        compute_metrics(HEADER, [build_row("odd", "D", "p0", [0.8, 0.1, 0.1])])
