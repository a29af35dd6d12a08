"""Labelled cines for the training tests: moving shapes, or phantom cines from a given folder."""

import csv
import os
from pathlib import Path

import numpy as np
from PIL import Image

CODES = ("DISC", "RING", "BARS", "CROSS")


def draw_moving_shape(kind, frames, size, rng):
    """Draws frames [T, H, W] (uint8) of a shape that pulsates and moves over speckle."""
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
            arms = (np.abs(u) < 0.25 * radius) | (np.abs(v) < 0.25 * radius)
            mask = arms & (distance < 1.2 * radius)
        image = mask * value + 25
        out.append(np.clip(image * rng.uniform(0.7, 1.3, image.shape), 0, 255).astype(np.uint8))
    return np.stack(out)


def write_set(folder, counts, size=32, frames=24, seed=0):
    """Writes cines and their manifest, and returns the path of the manifest.

    `counts` contains the number of cines per class for each split.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for split, count in counts.items():
        for number in range(count):
            probe = "near" if number % 2 else "far"
            for code in CODES:
                name = f"{split}_{code}_{number}"
                (folder / name).mkdir()
                for t, frame in enumerate(draw_moving_shape(code, frames, size, rng)):
                    Image.fromarray(frame).save(folder / name / f"{t:04}.png", compress_level=1)
                rows.append((name, code, f"{split}{number}", split, 0, probe))
    path = folder / "manifest.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "patient", "split", "colour", "probe"))
        writer.writerows(rows)
    return path


def write_training_manifest(folder):
    """Writes a training manifest and returns its path.

    The manifest lists the cines of four views in the folder that the environment variable
    TTEVIEW_PHANTOM_SET names. If this variable is not set, the function writes cines of moving
    shapes, which the manifest lists.
    """
    given = os.environ.get("TTEVIEW_PHANTOM_SET")
    if not given:
        return write_set(folder, {"train": 16, "val": 3, "test": 6}, size=48)
    source = Path(given) / "manifest.csv"
    views = ("PLAX", "PSAX-MV", "A4C", "SC-IVC")
    with source.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] in views]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "manifest.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({**row, "path": str((source.parent / row["path"]).resolve())})
    return path
