"""Predictions: the posterior of each cine after each chunk, for the evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from tqdm import tqdm

from .calibration import fit_temperature
from .checkpoint import write_atomically
from .cine_cache import Cache
from .config import TrainConfig
from .manifest import Entry, check_labels, read_manifest, select_split
from .model import SlowFast
from .novelty import ENERGY, Novelty, fit_projection
from .predictions import Cines, Json, collect_cines
from .run_folder import load_run
from .streaming import compute_features, run_cine


def predict_cines(
    model: SlowFast,
    entries: Sequence[Entry],
    cache: Cache,
    config: TrainConfig,
    temperature: float,
    novelty: Novelty | None = None,
) -> Iterator[dict[str, Any]]:
    """Runs the network over each cine and yields the cine's row for a predictions file."""
    for entry in entries:
        running = run_cine(model, cache.load(entry), config, temperature, novelty)
        score = {} if running.novelty is None else {"novelty": running.novelty.tolist()}
        yield {
            "path": entry.name,
            "label": entry.label,
            "patient": entry.patient,
            "split": entry.split,
            "attributes": entry.attributes,
            "times_ns": running.times_ns,
            "log_posterior": [[round(float(v), 6) for v in row] for row in running.log_posterior],
            **score,
        }


def predict(
    run: Path,
    manifest: Path,
    out: Path,
    split: str | None = "test",
    checkpoint: str = "best",
    temperature: float = 1.0,
    threshold: float = 0.0,
    cache: Path | None = None,
    device: str = "cpu",
    quiet: bool = False,
    group_threshold: float = 0.0,
) -> int:
    """Writes a predictions file for a split, or for all splits if `split` is `None`.

    Returns the number of cines. Raises `RunError`, `ManifestError` or `CineError`.
    """
    model, config, digest = load_run(run, checkpoint, device)
    entries = read_manifest(manifest)
    if split is not None:
        entries = select_split(manifest, entries, split)
    check_labels(manifest, entries, config.labels)
    settings = config.sample_settings
    header: Json = {
        "predictions": 1,
        "labels": [label.code for label in config.labels],
        "model": digest,
        "temperature": temperature,
        "threshold": threshold,
    }
    if config.groups:
        header["groups"] = {
            "codes": [group.code for group in config.groups],
            "of_label": config.label_set.list_group_indices(),
            "threshold": group_threshold,
        }
    decoded = Cache(cache or run / "cache", settings)
    cines = predict_cines(model, entries, decoded, config, temperature)

    def write(file: IO[bytes]) -> None:
        file.write((json.dumps(header) + "\n").encode())
        disable = True if quiet else None
        for cine in tqdm(cines, total=len(entries), desc="predict", disable=disable):
            file.write((json.dumps(cine) + "\n").encode())

    write_atomically(out, write)
    return len(entries)


def predict_manifest(
    model: SlowFast,
    manifest: Path,
    config: TrainConfig,
    cache: Path,
    temperature: float,
    novelty: Novelty | None = None,
) -> Cines:
    """Predicts the cines of all splits of a manifest. Raises `ManifestError` or `CineError`."""
    entries = read_manifest(manifest)
    check_labels(manifest, entries, config.labels)
    return _collect(model, entries, config, cache, temperature, novelty)


def fit_run_temperature(run: Path, checkpoint: str = "best", cache: Path | None = None) -> float:
    """Fits the temperature of a run on the split `val` of its manifest.

    Raises `RunError`, `ManifestError` or `CineError`.
    """
    model, config, _ = load_run(run, checkpoint)
    manifest = Path(config.manifest)
    entries = select_split(manifest, read_manifest(manifest), "val")
    return fit_temperature(_collect(model, entries, config, cache or run / "cache", 1.0))


def _collect(
    model: SlowFast,
    entries: Sequence[Entry],
    config: TrainConfig,
    cache: Path,
    temperature: float,
    novelty: Novelty | None = None,
) -> Cines:
    settings = config.sample_settings
    rows = predict_cines(model, entries, Cache(cache, settings), config, temperature, novelty)
    return collect_cines([label.code for label in config.labels], list(rows))


def fit_run_novelty(
    model: SlowFast, config: TrainConfig, cache: Path, kind: str, values: int, shrinkage: float
) -> Novelty:
    """Fits the projection of a novelty score on the split `train` of the run's manifest.

    Raises `ManifestError` or `CineError`.
    """
    if kind == ENERGY:
        return Novelty(kind)
    manifest = Path(config.manifest)
    entries = select_split(manifest, read_manifest(manifest), "train")
    check_labels(manifest, entries, config.labels)
    cines = Cache(cache, config.sample_settings)
    codes = [label.code for label in config.labels]
    features = np.stack([compute_features(model, cines.load(entry), config) for entry in entries])
    truth = np.array([codes.index(entry.label) for entry in entries], dtype=np.int64)
    return fit_projection(kind, features, truth, values, shrinkage)
