"""Metrics of calibration, which is the agreement between confidence and accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .predictions import Cines, Floats, Ints, Json

BINS = 15
TEMPERATURES = (0.05, 20.0)

GOLDEN_STEPS = 30
"""Number of steps of the golden-section search.

Each step shrinks the interval to 0.618 of its length, so the search determines the temperature to
five digits.
"""


def measure_reliability(log_posterior: Floats, truth: Ints) -> Json:
    """Computes the expected calibration error, its bins and the mean negative log-likelihood.

    The bins are 15 equal intervals of the confidence (Guo et al. 2017, "On Calibration of Modern
    Neural Networks").
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
            {
                "from": i / BINS,
                "to": (i + 1) / BINS,
                "count": count,
                "confidence": mean,
                "accuracy": accuracy,
            }
        )
    nll = -float(log_posterior[np.arange(len(truth)), truth].sum()) / len(truth)
    return {"ece": ece, "nll": nll, "bins": bins}


def apply_temperature(log_posterior: Floats, temperature: float) -> Floats:
    """Divides log posteriors by a temperature and normalises the results."""
    scaled = log_posterior / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    result: Floats = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return result


def fit_temperature(cines: Cines) -> float:
    """Fits the temperature that gives the lowest negative log-likelihood.

    The fitted temperature applies in addition to the model's own temperature, so 1 means no change.
    The method is a golden-section search over the logarithm of the temperature.
    """

    def compute_nll(log_t: float) -> float:
        scaled = apply_temperature(cines.log_posterior, math.exp(log_t))
        return -float(scaled[np.arange(len(cines.truth)), cines.truth].sum()) / len(cines.truth)

    low, high = (math.log(limit) for limit in TEMPERATURES)
    return math.exp(_search_minimum(compute_nll, low, high))


def _search_minimum(f: Callable[[float], float], low: float, high: float) -> float:
    """Finds the minimum of `f` between `low` and `high` with a golden-section search."""
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


def measure_calibration(cines: Cines, validation: Cines) -> Json:
    """Measures the calibration with and without temperature scaling.

    The temperature is fitted on the validation cines if there are any. Otherwise the patients are
    divided into two halves, and each half is scaled with the temperature fitted on the other
    half. If there is only one patient, the temperature is fitted on the measured cines themselves.
    `fitted_on` records which case applies.
    """
    scaled = cines.log_posterior.copy()
    names = sorted(set(cines.patients))
    if validation.rows:
        fitted_on, temperatures = "val", [fit_temperature(validation)]
        scaled = apply_temperature(scaled, temperatures[0])
    elif len(names) > 1:
        fitted_on, temperatures = "patient halves", []
        even = {name for i, name in enumerate(names) if i % 2 == 0}
        first = np.array([name in even for name in cines.patients])
        for half in (first, ~first):
            temperatures.append(fit_temperature(cines.select(half)))
            scaled[~half] = apply_temperature(cines.log_posterior[~half], temperatures[-1])
    else:
        fitted_on, temperatures = "the same cines", [fit_temperature(cines)]
        scaled = apply_temperature(scaled, temperatures[0])
    return {
        **measure_reliability(cines.log_posterior, cines.truth),
        "scaled": {
            "fitted_on": fitted_on,
            "temperatures": temperatures,
            **measure_reliability(scaled, cines.truth),
        },
    }
