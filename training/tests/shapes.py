"""A small labelled set of moving shapes, for real trainings in the tests; or phantoms, if they are given."""

import csv
import os
from pathlib import Path

import numpy as np
from PIL import Image

CODES = ("DISC", "RING", "BARS", "CROSS")


def moving_shape(kind, frames, size, rng):
    """Frames [T, H, W] uint8: a shape that beats and moves, on speckle."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    cy, cx = size / 2 + rng.uniform(-4, 4, 2)
    base, beat, phase = size * rng.uniform(0.22, 0.3), rng.uniform(0.05, 0.2), rng.uniform(0, 6)
    angle, value = rng.uniform(-0.2, 0.2), rng.uniform(120, 230)
    out = []
    for t in range(frames):
        radius = base * (1 + beat * np.sin(phase + t * 0.35))
        dy, dx = y - cy - np.sin(t * 0.2), x - cx
        u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        distance = np.hypot(u, v)
        if kind == "DISC":
            mask = distance < radius
        elif kind == "RING":
            mask = (distance < radius) & (distance > 0.65 * radius)
        elif kind == "BARS":
            mask = (np.abs(u) < radius) & (np.abs(v) < radius) & (np.sin(v * 0.9) > 0)
        else:
            mask = ((np.abs(u) < 0.25 * radius) | (np.abs(v) < 0.25 * radius)) & (distance < 1.2 * radius)
        image = mask * value + 25
        out.append(np.clip(image * rng.uniform(0.7, 1.3, image.shape), 0, 255).astype(np.uint8))
    return np.stack(out)


def write_set(folder, counts, size=32, frames=24, seed=0):
    """Writes cines {split: per class} and their manifest, whose path it returns."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for split, count in counts.items():
        for number in range(count):
            for code in CODES:
                name = f"{split}_{code}_{number}"
                (folder / name).mkdir()
                for t, frame in enumerate(moving_shape(code, frames, size, rng)):
                    Image.fromarray(frame).save(folder / name / f"{t:04}.png", compress_level=1)
                rows.append((name, code, f"{split}{number}", split, 0, "near" if number % 2 else "far"))
    path = folder / "manifest.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "patient", "split", "colour", "probe"))
        writer.writerows(rows)
    return path


def training_manifest(folder):
    """The phantoms that TTEVIEW_PHANTOM_SET names (their four commonest views), else moving shapes."""
    given = os.environ.get("TTEVIEW_PHANTOM_SET")
    if not given:
        return write_set(folder, {"train": 16, "val": 3, "test": 6}, size=48)
    source = Path(given) / "manifest.csv"
    with source.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] in ("PLAX", "PSAX-MV", "A4C", "SC-IVC")]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "manifest.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "path": str((source.parent / row["path"]).resolve())} for row in rows)
    return path
