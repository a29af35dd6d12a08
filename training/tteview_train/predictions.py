"""Predictions files, which contain a header and then, for each cine, a JSON object."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Json = dict[str, Any]

REQUIRED = ("path", "label", "patient", "split", "times_ns", "log_posterior")


class PredictionsError(ValueError):
    """An error in a predictions file."""


def read_predictions(path: Path) -> tuple[Json, list[Json]]:
    """Reads the header and the rows of a predictions file.

    Raises `OSError`, or `PredictionsError` with the line number.
    """
    objects: list[Json] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").rstrip("\n").split("\n"), 1):
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise PredictionsError(f"{path}: line {number}: {error}") from error
        if not isinstance(value, dict):
            raise PredictionsError(f"{path}: line {number}: the line must be a JSON object")
        objects.append(value)
    if not objects or objects[0].get("predictions") != 1 or "labels" not in objects[0]:
        raise PredictionsError(
            f'{path}: line 1 must be the header of a predictions file, with "predictions": 1 and '
            '"labels"'
        )
    seen: set[str] = set()
    for number, row in enumerate(objects[1:], 2):
        if "change" in row or "unreadable" in row:
            continue
        missing = [key for key in REQUIRED if key not in row]
        if missing:
            raise PredictionsError(f"{path}: line {number}: {', '.join(missing)} must be present")
        if row["path"] in seen:
            raise PredictionsError(
                f"{path}: line {number}: each cine must be listed once, but {row['path']} repeats"
            )
        seen.add(row["path"])
    return objects[0], objects[1:]


@dataclass(frozen=True)
class Cines:
    """Cines and their predictions. The arrays have one entry for each cine."""

    rows: Sequence[Json]
    truth: Ints
    predicted: Ints
    log_posterior: Floats
    """Logarithm of the posterior after the last chunk, [cines, labels]."""
    patients: Sequence[str]
    novelty: Floats
    """Novelty score after the last chunk, or NaN for a cine without a score."""

    @property
    def posterior(self) -> Floats:
        """Posterior after the last chunk, [cines, labels]."""
        return np.exp(self.log_posterior)

    def select(self, mask: npt.NDArray[np.bool_]) -> Cines:
        """Returns the cines for which the mask is true."""
        keep: list[int] = np.flatnonzero(mask).tolist()
        return Cines(
            [self.rows[i] for i in keep],
            self.truth[keep],
            self.predicted[keep],
            self.log_posterior[keep],
            [self.patients[i] for i in keep],
            self.novelty[keep],
        )


def collect_cines(labels: Sequence[str], rows: Sequence[Json]) -> Cines:
    """Collects the rows of a predictions file in arrays.

    Raises `PredictionsError` if a label is unknown, a cine has no posterior, a cine does not have
    exactly one time for each posterior, or a posterior has the wrong length.
    """
    index = {code: i for i, code in enumerate(labels)}
    for row in rows:
        path, posteriors, times = row["path"], row["log_posterior"], row["times_ns"]
        if row["label"] not in index:
            raise PredictionsError(
                f"{path}: label must be one of {', '.join(labels)}, got {row['label']!r}"
            )
        if not posteriors or len(times) != len(posteriors):
            raise PredictionsError(
                f"{path}: a cine must have at least one posterior and as many times as posteriors, "
                f"got {len(times)} times and {len(posteriors)} posteriors"
            )
        for values in posteriors:
            if len(values) != len(labels):
                raise PredictionsError(
                    f"{path}: a posterior must have {len(labels)} values, got {len(values)}"
                )
    last = np.array([row["log_posterior"][-1] for row in rows], dtype=np.float64)
    last = last.reshape(len(rows), len(labels))
    return Cines(
        rows,
        np.array([index[row["label"]] for row in rows], dtype=np.int64),
        last.argmax(axis=1),
        last,
        [row["patient"] for row in rows],
        np.array([(row.get("novelty") or [math.nan])[-1] for row in rows], dtype=np.float64),
    )
