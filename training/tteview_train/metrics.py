"""What predictions come to. `tteview eval` computes the same numbers; both are held to one fixture.

A cine's label is the largest value of its last posterior, the first of equals; what the model withholds
counts as given, except under `coverage`. Every function is pure, and JSON goes in and comes out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Json = dict[str, Any]

RESAMPLES = 1000
SEED = 1
BINS = 15
TEMPERATURES = (0.05, 20.0)
# The interval shrinks by 0.618 each time: T is right to five digits. More would compare rounding errors.
GOLDEN_STEPS = 30
SECONDS = (0.5, 2.0, 10.0, 60.0)
SECONDS_AFTER_CHANGE = (0.5, 1.0, 2.0)
MOST_CHUNKS = 500
MOST_ERRORS = 20
MOST_TEXT_GROUPS = 20


class PredictionsError(ValueError):
    """Predictions that contradict themselves; the message says where."""


@dataclass(frozen=True)
class Cines:
    """Cines with what was said of them; arrays have one entry a cine."""

    rows: Sequence[Json]
    truth: Ints
    predicted: Ints
    log_posterior: Floats
    """After the last chunk, `[cines, labels]`."""
    patients: Sequence[str]

    @property
    def posterior(self) -> Floats:
        return np.exp(self.log_posterior)

    def where(self, mask: npt.NDArray[np.bool_]) -> Cines:
        keep: list[int] = np.flatnonzero(mask).tolist()
        return Cines(
            [self.rows[i] for i in keep],
            self.truth[keep],
            self.predicted[keep],
            self.log_posterior[keep],
            [self.patients[i] for i in keep],
        )


def cines_of(labels: Sequence[str], rows: Sequence[Json]) -> Cines:
    """Raises `PredictionsError` for an unknown label, and for posteriors or times that do not fit."""
    index = {code: i for i, code in enumerate(labels)}
    for row in rows:
        if row["label"] not in index:
            raise PredictionsError(f"{row['path']}: the model has no label {row['label']}")
        if not row["log_posterior"] or len(row["times_ns"]) != len(row["log_posterior"]):
            raise PredictionsError(f"{row['path']}: needs one time for each posterior, and one at least")
        if any(len(values) != len(labels) for values in row["log_posterior"]):
            raise PredictionsError(f"{row['path']}: a posterior needs {len(labels)} values")
    last = np.array([row["log_posterior"][-1] for row in rows], dtype=np.float64).reshape(
        len(rows), len(labels)
    )
    return Cines(
        rows,
        np.array([index[row["label"]] for row in rows], dtype=np.int64),
        last.argmax(axis=1),
        last,
        [row["patient"] for row in rows],
    )


def metrics(header: Json, rows: Sequence[Json]) -> Json:
    """All metrics of predictions: what metrics.json holds.

    Rows with `change` are of the test of a change of view; rows with `unreadable` could not be judged.
    Split `val` only sets the temperature where there is another split.
    """
    labels: list[str] = header["labels"]
    all_cines = cines_of(labels, [row for row in rows if "change" not in row and "unreadable" not in row])
    validates = np.array([row["split"] == "val" for row in all_cines.rows], dtype=bool)
    validation = all_cines.where(validates)
    cines = all_cines if validates.all() else all_cines.where(~validates)
    if not cines.rows:
        raise PredictionsError("no cines")
    if validates.all():
        validation = cines.where(np.zeros(len(cines.rows), dtype=bool))
    table = confusion(cines.truth, cines.predicted, len(labels))
    return {
        "metrics": 1,
        "model": header.get("model"),
        "labels": labels,
        "splits": sorted({row["split"] for row in cines.rows}),
        "cines": len(cines.rows),
        "patients": len(set(cines.patients)),
        "unreadable": sum("unreadable" in row for row in rows),
        "headline": intervals(cines, len(labels)),
        "bootstrap": {"resamples": RESAMPLES, "generator": "SplitMix64", "seed": SEED},
        "classes": per_class(labels, table),
        "confusion": table.tolist(),
        "calibration": calibration(cines, validation),
        "coverage": [coverage(cines, step * 5 / 100) for step in range(20)],
        "package_threshold": coverage(cines, header.get("threshold") or 0.0),
        "chunks": by_chunk(cines),
        "durations": [at_duration(cines, seconds) for seconds in SECONDS],
        "robustness": robustness(cines, len(labels)),
        "changes": changes(labels, [row for row in rows if "change" in row]),
        "errors": errors(labels, cines),
    }


def confusion(truth: Ints, predicted: Ints, labels: int, weights: Ints | None = None) -> Ints:
    """Counts, a row for each true label and a column for each predicted one."""
    counts = np.bincount(truth * labels + predicted, weights=weights, minlength=labels * labels)
    return counts.reshape(labels, labels).astype(np.int64)


def headline(table: Ints) -> tuple[float, float, float, float]:
    """Accuracy, macro precision, recall and F1 over the labels that the truth has.

    The precision of a label that is never predicted is 0.
    """
    hits, count, predicted = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    present = count > 0
    classes = int(present.sum())
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(count, 1)
    f1 = 2 * hits / np.maximum(count + predicted, 1)
    macro = [float(values[present].sum()) / classes for values in (precision, recall, f1)]
    return float(hits.sum()) / float(table.sum()), macro[0], macro[1], macro[2]


HEADLINE = ("accuracy", "macro_precision", "macro_recall", "macro_f1")


def splitmix64(seed: int, first: int, count: int) -> npt.NDArray[np.uint64]:
    """Draws from `first` on of SplitMix64 (Steele, Lea, Flood 2014), which can begin anywhere."""
    with np.errstate(over="ignore"):
        steps = np.arange(first + 1, first + count + 1, dtype=np.uint64)
        z = np.uint64(seed) + steps * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def intervals(cines: Cines, labels: int) -> Json:
    """Headline figures with the 2.5 and 97.5 percentiles of resamples of patients, drawn with replacement.

    Draw `j` of resample `r` of `P` patients, in the order of their names, is output `r * P + j` of SplitMix64
    modulo `P`. Percentiles are interpolated linearly between order statistics.
    """
    names = sorted(set(cines.patients))
    rank = {name: i for i, name in enumerate(names)}
    patient = np.array([rank[name] for name in cines.patients], dtype=np.int64)
    found = np.empty((RESAMPLES, len(HEADLINE)))
    for resample in range(RESAMPLES):
        drawn = splitmix64(SEED, resample * len(names), len(names)) % np.uint64(len(names))
        weights = np.bincount(drawn.astype(np.int64), minlength=len(names))[patient]
        found[resample] = headline(confusion(cines.truth, cines.predicted, labels, weights))
    found.sort(axis=0)
    value = headline(confusion(cines.truth, cines.predicted, labels))
    return {
        name: {
            "value": value[i],
            "low": percentile(found[:, i], 0.025),
            "high": percentile(found[:, i], 0.975),
        }
        for i, name in enumerate(HEADLINE)
    }


def percentile(ordered: Floats, part: float) -> float:
    at = part * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (at - low) * (ordered[high] - ordered[low]))


def per_class(labels: Sequence[str], table: Ints) -> list[Json]:
    """Recall and F1 are null for a label that the truth does not have."""
    rows = []
    for i, label in enumerate(labels):
        hits, count, predicted = (int(n) for n in (table[i, i], table[i].sum(), table[:, i].sum()))
        rows.append(
            {
                "label": label,
                "count": count,
                "predicted": predicted,
                "precision": hits / max(predicted, 1),
                "recall": hits / count if count else None,
                "f1": 2 * hits / (count + predicted) if count else None,
            }
        )
    return rows


def reliability(log_posterior: Floats, truth: Ints) -> Json:
    """ECE over 15 equal bins of the confidence, the bins, and the mean negative log-likelihood.

    Guo et al. 2017, "On Calibration of Modern Neural Networks".
    """
    confidence = np.exp(log_posterior.max(axis=1))
    hit = log_posterior.argmax(axis=1) == truth
    bin_of = np.clip((confidence * BINS).astype(np.int64), 0, BINS - 1)
    bins, ece = [], 0.0
    for i in range(BINS):
        inside = bin_of == i
        count = int(inside.sum())
        mean = float(confidence[inside].sum()) / count if count else None
        accuracy = int(hit[inside].sum()) / count if count else None
        if mean is not None and accuracy is not None:
            ece += count / len(truth) * abs(accuracy - mean)
        bins.append(
            {"from": i / BINS, "to": (i + 1) / BINS, "count": count, "confidence": mean, "accuracy": accuracy}
        )
    nll = -float(log_posterior[np.arange(len(truth)), truth].sum()) / len(truth)
    return {"ece": ece, "nll": nll, "bins": bins}


def tempered(log_posterior: Floats, temperature: float) -> Floats:
    scaled = log_posterior / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    result: Floats = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return result


def fit_temperature(cines: Cines) -> float:
    """Divides what the model said already; 1 leaves it. Golden-section search of the NLL over log T."""

    def nll(log_t: float) -> float:
        said = tempered(cines.log_posterior, math.exp(log_t))
        return -float(said[np.arange(len(cines.truth)), cines.truth].sum()) / len(cines.truth)

    return math.exp(golden_section(nll, math.log(TEMPERATURES[0]), math.log(TEMPERATURES[1])))


def golden_section(f: Callable[[float], float], low: float, high: float) -> float:
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = f(left), f(right)
    for _ in range(GOLDEN_STEPS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = f(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = f(right)
    return (low + high) / 2


def calibration(cines: Cines, validation: Cines) -> Json:
    """As the model is, and after temperature scaling.

    Fitted on split `val` if there is one; else on each half of the patients (every second name) for the
    other. With one patient, on the cines themselves, and `fitted_on` says so.
    """
    scaled = cines.log_posterior.copy()
    names = sorted(set(cines.patients))
    if validation.rows:
        fitted_on, temperatures = "val", [fit_temperature(validation)]
        scaled = tempered(scaled, temperatures[0])
    elif len(names) > 1:
        fitted_on, temperatures = "patient halves", []
        even = {name for i, name in enumerate(names) if i % 2 == 0}
        first = np.array([name in even for name in cines.patients])
        for half in (first, ~first):
            temperatures.append(fit_temperature(cines.where(half)))
            scaled[~half] = tempered(cines.log_posterior[~half], temperatures[-1])
    else:
        fitted_on, temperatures = "the same cines", [fit_temperature(cines)]
        scaled = tempered(scaled, temperatures[0])
    return {
        **reliability(cines.log_posterior, cines.truth),
        "scaled": {
            "fitted_on": fitted_on,
            "temperatures": temperatures,
            **reliability(scaled, cines.truth),
        },
    }


def coverage(cines: Cines, threshold: float) -> Json:
    """Part of the cines whose confidence is at least the threshold, and how many of those are right."""
    given = cines.posterior.max(axis=1) >= threshold
    count = int(given.sum())
    right = int((cines.predicted == cines.truth)[given].sum())
    return {
        "threshold": threshold,
        "count": count,
        "coverage": count / len(cines.rows),
        "accuracy": right / count if count else None,
    }


def first_of_largest(values: Sequence[float]) -> int:
    return max(range(len(values)), key=lambda i: (values[i], -i))


def by_chunk(cines: Cines) -> list[Json]:
    """Accuracy of the label after each chunk, over the cines that have so many."""
    found = []
    longest = max(len(row["times_ns"]) for row in cines.rows)
    for chunk in range(min(longest, MOST_CHUNKS)):
        said = [(i, row) for i, row in enumerate(cines.rows) if len(row["times_ns"]) > chunk]
        right = sum(first_of_largest(row["log_posterior"][chunk]) == cines.truth[i] for i, row in said)
        found.append({"chunk": chunk, "count": len(said), "accuracy": int(right) / len(said)})
    return found


def last_before(times_ns: Sequence[int], time_ns: float) -> int | None:
    chunks = [i for i, time in enumerate(times_ns) if time <= time_ns]
    return chunks[-1] if chunks else None


def at_duration(cines: Cines, seconds: float) -> Json:
    """Accuracy of the last chunk that had ended by then, over the cines whose last chunk ends no earlier."""
    count = right = 0
    for i, row in enumerate(cines.rows):
        chunk = last_before(row["times_ns"], seconds * 1e9)
        if chunk is None or row["times_ns"][-1] < seconds * 1e9:
            continue
        count += 1
        right += int(first_of_largest(row["log_posterior"][chunk]) == cines.truth[i])
    return {"seconds": seconds, "count": count, "accuracy": right / count if count else None}


def number(text: str) -> float | None:
    if "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def robustness(cines: Cines, labels: int) -> list[Json]:
    """Groups of each attribute: terciles of numbers with more than three values, else one group a value.

    Cines without a value are left out of its column; so are columns with one value, or more than 20 texts.
    """
    found: list[Json] = []
    attributes = [row.get("attributes") or {} for row in cines.rows]
    for column in sorted({name for row in attributes for name in row}):
        texts = [str(row.get(column, "")).strip() for row in attributes]
        given = sorted({text for text in texts if text})
        numbers = [number(text) for text in texts]
        if len(given) > 3 and all(number(text) is not None for text in given):
            values = sorted(value for value in numbers if value is not None)
            cuts = [-math.inf, values[len(values) // 3], values[2 * len(values) // 3], math.inf]
            for name, low, high in zip(("low", "middle", "high"), cuts, cuts[1:], strict=False):
                inside = np.array([v is not None and low <= v < high for v in numbers], dtype=bool)
                if inside.any():
                    members = [v for v in values if low <= v < high]
                    found.append(
                        group_row(cines.where(inside), labels, column, name, members[0], members[-1])
                    )
        elif 1 < len(given) <= MOST_TEXT_GROUPS:
            for name in given:
                mask = np.array([text == name for text in texts], dtype=bool)
                found.append(group_row(cines.where(mask), labels, column, name, None, None))
    return found


def group_row(
    cines: Cines, labels: int, column: str, group: str, low: float | None, high: float | None
) -> Json:
    accuracy, _, _, f1 = headline(confusion(cines.truth, cines.predicted, labels))
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


def changes(labels: Sequence[str], rows: Sequence[Json]) -> Json | None:
    """The live label after the view changed without a mark, with the library's rule for that off and on.

    `after_s` null is the end of the acquisition; at a time, over the pairs that go on as long.
    """
    if not rows:
        return None
    judged = [row for row in rows if not row["change"].get("left_out")]
    found: list[Json] = []
    for rule in ("off", "on"):
        of_rule = [row for row in judged if row["change"]["rule"] == rule]
        for after in (*SECONDS_AFTER_CHANGE, None):
            count = right = 0
            for row in of_rule:
                times = row["times_ns"]
                time = times[-1] if after is None else row["change"]["time_ns"] + after * 1e9
                chunk = last_before(times, time)
                if chunk is None or times[-1] < time:
                    continue
                count += 1
                right += int(labels[first_of_largest(row["log_posterior"][chunk])] == row["label"])
            found.append(
                {
                    "rule": rule,
                    "after_s": after,
                    "count": count,
                    "accuracy": right / count if count else None,
                }
            )
    return {
        "pairs": sum(row["change"]["rule"] == "off" for row in judged),
        "left_out": len(rows) - len(judged),
        "rows": found,
    }


def errors(labels: Sequence[str], cines: Cines) -> list[Json]:
    """Wrong labels, the most confident first, 20 at most."""
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
