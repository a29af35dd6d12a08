"""Reads cines with the program `tteview`, which knows more formats than `readers.py`."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from .readers import Cine, CineError, Pixels, read_cine
from .timing import compute_times

PROGRAM = "TTEVIEW"
"""Environment variable with the path of the program."""


def find_program() -> str | None:
    """Returns the program that reads the cines, or `None` if `readers.py` reads them."""
    return os.environ.get(PROGRAM) or None


def load_cine(path: Path, period_ns: int | None = None) -> Cine:
    """Reads a cine with the program that the environment names, or else with `readers.py`.

    If `period_ns` is given, it replaces the times in the file. Raises `CineError`.
    """
    program = find_program()
    if program is None:
        return read_cine(path, period_ns)
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "frames.pnm"
        command = [program, "frames", str(path), "--json", "-o", str(images)]
        try:
            run = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise CineError(
                f"{path}: {PROGRAM} must be the path of the program tteview, got {program!r}: "
                f"{error.strerror}"
            ) from error
        if run.returncode != 0:
            raise CineError(run.stderr.strip().removeprefix("error: ") or f"{path}: {program}")
        facts = json.loads(run.stdout)
        frames = _read_images(images)
    region = facts["region"]
    um_per_px = (region or {}).get("um_per_px") or (1.0, 1.0)
    aspect = float(np.float32(um_per_px[1]) / np.float32(um_per_px[0]))
    times = facts["times_ns"] if period_ns is None else compute_times(len(frames), period_ns)
    if region is None:
        return Cine(frames, times, None, aspect)
    place = (region["x"], region["y"], region["width"], region["height"])
    return Cine(frames, times, place, aspect)


def _read_images(path: Path) -> list[Pixels]:
    """Reads consecutive PGM or PPM images."""
    data = path.read_bytes()
    frames: list[Pixels] = []
    at = 0
    while at < len(data):
        kind, size, most, _ = data[at : at + 64].split(b"\n", 3)
        at += len(kind) + len(size) + len(most) + 3
        width, height = map(int, size.split())
        shape = (height, width) if kind == b"P5" else (height, width, 3)
        count = int(np.prod(shape))
        frames.append(np.frombuffer(data, np.uint8, count, at).reshape(shape))
        at += count
    return frames
