"""Writes what the network says of every cine as it streams, for the evaluation to read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .checkpoint import write_atomically
from .config import TrainConfig
from .data import Cache, SampleSettings
from .manifest import Entry, check_labels, of_split, read_manifest
from .metrics import cines_of, fit_temperature
from .model import SlowFast
from .run_folder import load_run
from .streaming import run_cine


def predictions(
    model: SlowFast, entries: Sequence[Entry], cache: Cache, config: TrainConfig, temperature: float
) -> Iterator[dict[str, Any]]:
    """One object per cine, whole from its first frame."""
    for entry in entries:
        running = run_cine(model, cache.load(entry), config, temperature)
        yield {
            "path": entry.name,
            "label": entry.label,
            "patient": entry.patient,
            "split": entry.split,
            "attributes": entry.attributes,
            "times_ns": running.times_ns,
            "log_posterior": [[round(float(v), 6) for v in row] for row in running.log_posterior],
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
) -> int:
    """Writes `out`: a line on the model, then one per cine of the split (`None`: all). Returns their number.

    Raises `RunError`, `ManifestError` or `CineError`.
    """
    model, config, digest = load_run(run, checkpoint, device)
    entries = read_manifest(manifest)
    if split is not None:
        entries = of_split(manifest, entries, split)
    check_labels(manifest, entries, config.labels)
    settings = SampleSettings(config.model.size_px, config.model.in_channels)
    head = {
        "predictions": 1,
        "labels": [label.code for label in config.labels],
        "model": digest,
        "temperature": temperature,
        "threshold": threshold,
    }
    cines = predictions(model, entries, Cache(cache or run / "cache", settings), config, temperature)

    def write(file: Any) -> None:
        file.write((json.dumps(head) + "\n").encode())
        for cine in tqdm(cines, total=len(entries), desc="predict", disable=True if quiet else None):
            file.write((json.dumps(cine) + "\n").encode())

    write_atomically(out, write)
    return len(entries)


def fitted_temperature(run: Path, checkpoint: str = "best", cache: Path | None = None) -> float:
    """The temperature with the least loss on the split `val` of the run's manifest, for its packages.

    Raises `RunError`, `ManifestError` or `CineError`.
    """
    model, config, _ = load_run(run, checkpoint)
    manifest = Path(config.manifest)
    entries = of_split(manifest, read_manifest(manifest), "val")
    settings = SampleSettings(config.model.size_px, config.model.in_channels)
    rows = predictions(model, entries, Cache(cache or run / "cache", settings), config, 1.0)
    return fit_temperature(cines_of([label.code for label in config.labels], list(rows)))
