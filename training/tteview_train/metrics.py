"""Computes all metrics of a predictions file. `tteview eval` computes the same numbers.

The same fixture tests both implementations. The predicted label of a cine is the label with the
largest value in the cine's last posterior, or the first of several such labels. Predictions with a
confidence below the package's threshold count too, except in `coverage` and `package_threshold`.
All functions are pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .calibration import measure_calibration
from .decision import REASONS, DecisionRule, Mask, decide, read_rule
from .predictions import Cines, Json, PredictionsError, collect_cines
from .scores import (
    RESAMPLES,
    SEED,
    bootstrap_headline,
    compute_headline,
    count_confusion,
    score_classes,
)

SECONDS = (0.5, 2.0, 10.0, 60.0)
SECONDS_AFTER_CHANGE = (0.5, 1.0, 2.0)
MOST_CHUNKS = 500
MOST_ERRORS = 20
MOST_TEXT_GROUPS = 20


def compute_metrics(header: Json, rows: Sequence[Json]) -> Json:
    """Computes the content of metrics.json.

    Rows with the key `change` belong to the test of unmarked changes of view. Rows with the key
    `unreadable` represent cines that could not be read. The split `val` is used only to fit the
    temperature, unless it is the only split.
    """
    labels: list[str] = header["labels"]
    judged = [row for row in rows if "change" not in row and "unreadable" not in row]
    all_cines = collect_cines(labels, judged)
    is_val = np.array([row["split"] == "val" for row in all_cines.rows], dtype=bool)
    validation = all_cines.select(is_val)
    cines = all_cines if is_val.all() else all_cines.select(~is_val)
    if not cines.rows:
        raise PredictionsError("the predictions have no cines; predict at least one")
    if is_val.all():
        validation = cines.select(np.zeros(len(cines.rows), dtype=bool))
    table = count_confusion(cines.truth, cines.predicted, len(labels))
    return {
        "metrics": 1,
        "model": header.get("model"),
        "labels": labels,
        "splits": sorted({row["split"] for row in cines.rows}),
        "cines": len(cines.rows),
        "patients": len(set(cines.patients)),
        "unreadable": sum("unreadable" in row for row in rows),
        "headline": bootstrap_headline(cines, len(labels)),
        "bootstrap": {"resamples": RESAMPLES, "generator": "SplitMix64", "seed": SEED},
        "classes": score_classes(labels, table),
        "confusion": table.tolist(),
        "calibration": measure_calibration(cines, validation),
        "coverage": [measure_coverage(cines, step * 5 / 100) for step in range(20)],
        "package_threshold": measure_coverage(cines, header.get("threshold") or 0.0),
        "decision": measure_decision(cines, read_rule(header)),
        "chunks": _score_chunks(cines),
        "durations": [_score_duration(cines, seconds) for seconds in SECONDS],
        "robustness": _score_groups(cines, len(labels)),
        "changes": _score_changes(labels, [row for row in rows if "change" in row]),
        "errors": _list_errors(labels, cines),
    }


def measure_coverage(cines: Cines, threshold: float) -> Json:
    """Measures the fraction and the accuracy of the cines whose confidence reaches a threshold."""
    given = cines.posterior.max(axis=1) >= threshold
    count = int(given.sum())
    right = int((cines.predicted == cines.truth)[given].sum())
    return {
        "threshold": threshold,
        "count": count,
        "coverage": count / len(cines.rows),
        "accuracy": right / count if count else None,
    }


def measure_decision(cines: Cines, rule: DecisionRule) -> Json:
    """Measures how many labels and groups are given at the thresholds of the package.

    The accuracies are those of the given labels and groups. `group_coverage` contains the groups
    that would be given at other thresholds.
    """
    decision = decide(cines.posterior, rule, cines.novelty)
    label = _measure_level(decision.gives_label, decision.label == cines.truth)
    withheld = {reason: int(decision.reasons[reason].sum()) for reason in REASONS}
    if not rule.groups:
        return {"label": label, "group": None, "withheld": withheld, "group_coverage": None}
    right = decision.group == np.asarray(rule.groups)[cines.truth]
    steps = [step * 5 / 100 for step in range(20)]
    return {
        "label": label,
        "group": _measure_level(decision.gives_group, right),
        "withheld": withheld,
        "group_coverage": [
            {"threshold": step, **_measure_level(decision.group_confidence >= step, right)}
            for step in steps
        ],
    }


def _measure_level(given: Mask, right: Mask) -> Json:
    count = int(given.sum())
    return {
        "count": count,
        "coverage": count / len(given),
        "accuracy": int(right[given].sum()) / count if count else None,
    }


def _find_largest(values: Sequence[float]) -> int:
    """Finds the first index of the largest value."""
    return max(range(len(values)), key=lambda i: (values[i], -i))


def _score_chunks(cines: Cines) -> list[Json]:
    """Computes the accuracy after each chunk over the cines that have at least that many chunks."""
    scores = []
    longest = max(len(row["times_ns"]) for row in cines.rows)
    for chunk in range(min(longest, MOST_CHUNKS)):
        long = [(i, row) for i, row in enumerate(cines.rows) if len(row["times_ns"]) > chunk]
        right = sum(_find_largest(row["log_posterior"][chunk]) == cines.truth[i] for i, row in long)
        scores.append({"chunk": chunk, "count": len(long), "accuracy": int(right) / len(long)})
    return scores


def _find_last_chunk(times_ns: Sequence[int], time_ns: float) -> int | None:
    """Finds the last chunk that ends at or before a given time."""
    chunks = [i for i, time in enumerate(times_ns) if time <= time_ns]
    return chunks[-1] if chunks else None


def _score_duration(cines: Cines, seconds: float) -> Json:
    """Scores the label at a given time, for all cines that last at least that long."""
    count = right = 0
    for i, row in enumerate(cines.rows):
        chunk = _find_last_chunk(row["times_ns"], seconds * 1e9)
        if chunk is None or row["times_ns"][-1] < seconds * 1e9:
            continue
        count += 1
        right += int(_find_largest(row["log_posterior"][chunk]) == cines.truth[i])
    return {"seconds": seconds, "count": count, "accuracy": right / count if count else None}


def _parse_number(text: str) -> float | None:
    if "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _score_groups(cines: Cines, labels: int) -> list[Json]:
    """Groups the cines by each attribute and scores the groups.

    If an attribute has more than three distinct values and all of them are numbers, the cines form
    three groups of about equal size. Otherwise, each value has its own group. Cines without a value
    are left out. An attribute with only one value, or with more than 20 values that are not all
    numbers, is left out too.
    """
    groups: list[Json] = []
    attributes = [row.get("attributes") or {} for row in cines.rows]
    for column in sorted({name for row in attributes for name in row}):
        texts = [str(row.get(column, "")).strip() for row in attributes]
        given = sorted({text for text in texts if text})
        numbers = [_parse_number(text) for text in texts]
        if len(given) > 3 and all(_parse_number(text) is not None for text in given):
            values = sorted(value for value in numbers if value is not None)
            lower, upper = values[len(values) // 3], values[2 * len(values) // 3]
            cuts = [-math.inf, lower, upper, math.inf]
            for name, low, high in zip(("low", "middle", "high"), cuts, cuts[1:], strict=False):
                inside = np.array([v is not None and low <= v < high for v in numbers], dtype=bool)
                if inside.any():
                    members = [v for v in values if low <= v < high]
                    part = cines.select(inside)
                    row = _score_group(part, labels, column, name, members[0], members[-1])
                    groups.append(row)
        elif 1 < len(given) <= MOST_TEXT_GROUPS:
            for name in given:
                mask = np.array([text == name for text in texts], dtype=bool)
                groups.append(_score_group(cines.select(mask), labels, column, name, None, None))
    return groups


def _score_group(
    cines: Cines, labels: int, column: str, group: str, low: float | None, high: float | None
) -> Json:
    table = count_confusion(cines.truth, cines.predicted, labels)
    accuracy, _, _, f1 = compute_headline(table)
    return {
        "column": column,
        "group": group,
        "from": low,
        "to": high,
        "count": len(cines.rows),
        "patients": len(set(cines.patients)),
        "accuracy": accuracy,
        "macro_f1": f1,
    }


def _score_changes(labels: Sequence[str], rows: Sequence[Json]) -> Json | None:
    """Scores the live label after a change of view that the host did not mark.

    The two cines of each pair form one acquisition. Each acquisition was run twice, without and
    with the library's rule for such changes. `after_s` is the time since the change, or null for
    the end of the acquisition. A score covers only the acquisitions that reach this time.
    """
    if not rows:
        return None
    judged = [row for row in rows if not row["change"].get("left_out")]
    scores: list[Json] = []
    for rule in ("off", "on"):
        of_rule = [row for row in judged if row["change"]["rule"] == rule]
        for after in (*SECONDS_AFTER_CHANGE, None):
            count = right = 0
            for row in of_rule:
                times = row["times_ns"]
                time = times[-1] if after is None else row["change"]["time_ns"] + after * 1e9
                chunk = _find_last_chunk(times, time)
                if chunk is None or times[-1] < time:
                    continue
                count += 1
                right += int(labels[_find_largest(row["log_posterior"][chunk])] == row["label"])
            accuracy = right / count if count else None
            scores.append({"rule": rule, "after_s": after, "count": count, "accuracy": accuracy})
    return {
        "pairs": sum(row["change"]["rule"] == "off" for row in judged),
        "left_out": len(rows) - len(judged),
        "rows": scores,
    }


def _list_errors(labels: Sequence[str], cines: Cines) -> list[Json]:
    """Lists up to 20 cines with wrong predictions, in order of decreasing confidence."""
    confidence = cines.posterior.max(axis=1)
    wrong = [i for i in range(len(cines.rows)) if cines.truth[i] != cines.predicted[i]]
    wrong.sort(key=lambda i: (-confidence[i], cines.rows[i]["path"]))
    return [
        {
            "path": cines.rows[i]["path"],
            "label": labels[cines.truth[i]],
            "predicted": labels[cines.predicted[i]],
            "confidence": float(confidence[i]),
        }
        for i in wrong[:MOST_ERRORS]
    ]
