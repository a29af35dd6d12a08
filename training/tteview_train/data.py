"""Cines as the network takes them: decoded and resized once into a cache, then sampled by time."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from .manifest import Entry
from .readers import Cine, CineError, Pixels, read_cine
from .sampling import Times, accepted

CACHE_FORMAT = 1
"""Goes up when readers or preprocessing change what a file becomes."""


@dataclass(frozen=True)
class SampleSettings:
    """What a frame becomes."""

    size_px: int
    channels: int


@dataclass(frozen=True)
class Decoded:
    """A cine ready to be sampled."""

    frames: npt.NDArray[np.uint8]
    """[frames, C, H, W]; may be mapped from a file."""
    times_ns: Times


def fitted(width: int, height: float, size_px: int) -> tuple[int, int]:
    """Width and height as large as fits into the square, rounded half up, at least 1."""
    scale = min(size_px / width, size_px / height)
    return tuple(min(max(int(side * scale + 0.5), 1), size_px) for side in (width, height))  # type: ignore[return-value]


def preprocess(frame: Pixels, cine: Cine, settings: SampleSettings) -> Pixels:
    """One frame to [C, H, W], as "From a frame to a sample" of docs/model-package.md says, up to step 3."""
    if cine.region is not None:
        left, top, width, height = cine.region
        frame = frame[top : top + height, left : left + width]
    # Pillow's luma is that of BT.601.
    image = Image.fromarray(np.ascontiguousarray(frame)).convert("L" if settings.channels == 1 else "RGB")
    size = settings.size_px
    width, height = fitted(image.width, image.height * cine.pixel_aspect, size)
    resized = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    sample = np.zeros((settings.channels, size, size), np.uint8)
    left, top = (size - width) // 2, (size - height) // 2
    planes = resized[None] if settings.channels == 1 else resized.transpose(2, 0, 1)
    sample[:, top : top + height, left : left + width] = planes
    return sample


def decode(entry: Entry, settings: SampleSettings) -> Decoded:
    """Reads and preprocesses a cine. Raises `CineError`."""
    cine = read_cine(entry.path, entry.period_ns)
    kept = accepted(cine.times_ns)
    frames = np.stack([preprocess(cine.frames[index], cine, settings) for index in kept])
    return Decoded(frames, np.asarray([cine.times_ns[index] for index in kept], np.int64))


def cache_key(entry: Entry, settings: SampleSettings) -> str:
    """Changes whenever the file, its time stamp or the settings do. Raises `CineError` for no file."""
    try:
        files = sorted(entry.path.iterdir()) if entry.path.is_dir() else [entry.path]
        stamps = [(file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files]
    except OSError as error:
        raise CineError(f"{entry.path}: {error.strerror}") from error
    what = [
        CACHE_FORMAT,
        str(entry.path.resolve()),
        stamps,
        entry.period_ns,
        settings.size_px,
        settings.channels,
    ]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]


class Cache:
    """Decoded cines in a folder, two .npy files each; safe against being killed and against a second
    process.
    """

    def __init__(self, folder: Path, settings: SampleSettings) -> None:
        self.folder, self.settings = folder, settings
        folder.mkdir(parents=True, exist_ok=True)

    def load(self, entry: Entry) -> Decoded:
        """The cine, decoded now if it is not in the cache. Raises `CineError`."""
        key = cache_key(entry, self.settings)
        frames_file, times_file = self.folder / f"{key}.npy", self.folder / f"{key}.times.npy"
        try:
            # The frames are written last: where they are, the times are.
            return Decoded(np.load(frames_file, mmap_mode="r"), np.load(times_file))
        except (FileNotFoundError, ValueError):
            decoded = decode(entry, self.settings)
            _write(times_file, decoded.times_ns)
            _write(frames_file, decoded.frames)
            return decoded

    def fill(self, entries: Sequence[Entry], threads: int = 1, quiet: bool = False) -> None:
        """Decodes all cines. Raises `CineError` naming all files that cannot be read, up to 20."""
        failed: list[str] = []

        def one(entry: Entry) -> None:
            try:
                self.load(entry)
            except CineError as error:
                failed.append(str(error))

        with ThreadPoolExecutor(max(1, threads)) as pool:
            progress = tqdm(
                pool.map(one, entries), total=len(entries), desc="decode", disable=True if quiet else None
            )
            for _ in progress:
                pass
        if failed:
            more = f"\n  and {len(failed) - 20} more" if len(failed) > 20 else ""
            raise CineError(f"{len(failed)} cines cannot be read:\n  " + "\n  ".join(failed[:20]) + more)


def _write(path: Path, array: npt.NDArray[np.generic]) -> None:
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            np.save(file, array)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
