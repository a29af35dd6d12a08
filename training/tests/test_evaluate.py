"""The metrics against other formulas, and against the fixture that `tteview eval` is held to as well."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tteview_train import evaluate
from tteview_train.metrics import (
    PredictionsError,
    cines_of,
    coverage,
    fit_temperature,
    intervals,
    metrics,
    splitmix64,
)

FIXTURES = Path(__file__).parent / "fixtures"
HEADER = {"predictions": 1, "labels": ["A", "B", "C"], "model": None, "temperature": 1.0, "threshold": 0.5}


def row(path: str, label: str, patient: str, *posteriors: list[float], **more: Any) -> dict[str, Any]:
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


def small() -> list[dict[str, Any]]:
    return [
        row("a0", "A", "p0", [0.2, 0.7, 0.1], [0.8, 0.1, 0.1]),
        row("a1", "A", "p1", [0.1, 0.6, 0.3]),
        row("b0", "B", "p0", [0.2, 0.7, 0.1]),
        row("b1", "B", "p1", [0.3, 0.45, 0.25]),
    ]


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


def test_the_fixture_gives_the_metrics_that_the_command_line_gives_too(tmp_path: Path) -> None:
    assert evaluate.main([str(FIXTURES / "predictions.jsonl"), "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert_close(found, json.loads((FIXTURES / "metrics.json").read_text()))


def test_the_headline_of_a_small_set_is_what_one_counts_by_hand() -> None:
    found = metrics(HEADER, small())
    values = {name: figure["value"] for name, figure in found["headline"].items()}
    # A: one of two found, one given and right. B: two of two found, three given. C is nowhere.
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


def test_withheld_labels_count_only_under_coverage() -> None:
    cines = cines_of(HEADER["labels"], small())  # type: ignore[arg-type]
    assert coverage(cines, 0.5) == {
        "threshold": 0.5,
        "count": 3,
        "coverage": 0.75,
        "accuracy": pytest.approx(2 / 3),
    }
    assert coverage(cines, 0.95)["accuracy"] is None


def test_splitmix64_is_the_published_sequence() -> None:
    # Reference outputs for seed 1234567.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [int(value) for value in splitmix64(1234567, 0, 3)] == expected
    assert int(splitmix64(1234567, 2, 1)[0]) == expected[2]


def test_patients_are_resampled_whole() -> None:
    # Two patients, one all right and one all wrong: accuracy of a resample is 0, 0.5 or 1 and nothing else.
    rows = [row(f"r{i}", "A", "right", [0.8, 0.1, 0.1]) for i in range(5)]
    rows += [row(f"w{i}", "A", "wrong", [0.1, 0.8, 0.1]) for i in range(5)]
    found = intervals(cines_of(["A", "B", "C"], rows), 3)["accuracy"]
    assert found == {"value": 0.5, "low": 0.0, "high": 1.0}


def test_the_temperature_that_made_a_model_overconfident_is_found() -> None:
    rng = np.random.default_rng(3)
    rows = []
    for i in range(4000):
        logits = rng.normal(0, 1.5, 3)
        posterior = np.exp(logits) / np.exp(logits).sum()
        label = "ABC"[rng.choice(3, p=posterior)]
        sharp = np.exp(2.5 * logits) / np.exp(2.5 * logits).sum()
        rows.append(row(str(i), label, f"p{i % 40}", sharp.tolist()))
    assert fit_temperature(cines_of(["A", "B", "C"], rows)) == pytest.approx(2.5, rel=0.06)
    found = metrics(HEADER, rows)["calibration"]
    assert found["scaled"]["fitted_on"] == "patient halves"
    assert found["ece"] > 0.1
    assert found["scaled"]["ece"] < 0.03


def test_a_validation_split_sets_the_temperature_and_is_not_judged() -> None:
    rows = small() + [row("v", "C", "p9", [0.1, 0.1, 0.8], split="val")]
    found = metrics(HEADER, rows)
    assert found["cines"] == 4
    assert found["splits"] == ["test"]
    assert found["calibration"]["scaled"]["fitted_on"] == "val"


def test_a_duration_takes_the_last_chunk_that_had_ended_and_only_cines_as_long() -> None:
    rows = [
        row("long", "A", "p0", [0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]),
        row("short", "A", "p1", [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]),
    ]
    found = metrics(HEADER, rows)["durations"]
    # Chunks end at 0, 0.2, 0.4 and 0.6 s: at 0.5 s the third counts, and the short cine is not there.
    assert found[0] == {"seconds": 0.5, "count": 1, "accuracy": 0.0}
    assert found[1] == {"seconds": 2.0, "count": 0, "accuracy": None}


def test_numbers_are_grouped_in_terciles_and_texts_by_value() -> None:
    rows = [
        row(f"c{i}", "A", f"p{i}", [0.8, 0.1, 0.1], attributes={"gain": str(i), "burned_in": "yn"[i % 2]})
        for i in range(9)
    ]
    found = metrics(HEADER, rows)["robustness"]
    groups = [(r["column"], r["group"], r["from"], r["to"], r["count"]) for r in found]
    assert groups == [
        ("burned_in", "n", None, None, 4),
        ("burned_in", "y", None, None, 5),
        ("gain", "low", 0.0, 2.0, 3),
        ("gain", "middle", 3.0, 5.0, 3),
        ("gain", "high", 6.0, 8.0, 3),
    ]


def test_after_a_change_the_live_label_is_judged_with_the_rule_off_and_on() -> None:
    def pair(rule: str, *posteriors: list[float]) -> dict[str, Any]:
        return row(f"x-{rule}", "B", "p0", *posteriors, change={"rule": rule, "time_ns": 0})

    off = [[0.8, 0.1, 0.1]] * 6
    on = [[0.8, 0.1, 0.1]] * 3 + [[0.1, 0.8, 0.1]] * 3
    found = metrics(HEADER, [*small(), pair("off", *off), pair("on", *on)])["changes"]
    assert found["pairs"] == 1
    table = {(r["rule"], r["after_s"]): (r["count"], r["accuracy"]) for r in found["rows"]}
    assert [table["off", 1.0], table["off", None]] == [(1, 0.0), (1, 0.0)]
    assert [table["on", 0.5], table["on", 1.0], table["on", 2.0]] == [(1, 0.0), (1, 1.0), (0, None)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{}"], "no header"),
        ([json.dumps(HEADER), "{"], "line 2"),
        ([json.dumps(HEADER), '{"path": "x"}'], "no label"),
        ([json.dumps(HEADER), json.dumps(small()[0]), json.dumps(small()[0])], "a0 is there twice"),
    ],
)
def test_predictions_that_cannot_be_read_are_refused_by_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: list[str], message: str
) -> None:
    file = tmp_path / "predictions.jsonl"
    file.write_text("\n".join(lines))
    assert evaluate.main([str(file), "--out", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err


def test_a_label_that_the_model_does_not_have_is_named() -> None:
    with pytest.raises(PredictionsError, match="odd: the model has no label D"):
        metrics(HEADER, [row("odd", "D", "p0", [0.8, 0.1, 0.1])])
