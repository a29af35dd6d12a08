"""A cache of cines that are decoded and resized for the network."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from .manifest import Entry
from .program import find_program, load_cine
from .readers import Cine, CineError, Pixels
from .resizing import Resizing, place_side, resize_image
from .sampling import Times, select_accepted

CACHE_FORMAT = 3
"""Version of the cached data. Increase the number when a code change alters the decoded frames."""

MOST_ERRORS_LISTED = 20


@dataclass(frozen=True)
class SampleSettings:
    """The settings that turn a frame into a sample."""

    size_px: int
    """Height and width of a sample."""
    channels: int
    resizing: Resizing = field(default_factory=Resizing)
    channel_order: str = "rgb"
    """Order of the channels if there are three: `rgb` or `bgr`."""


@dataclass(frozen=True)
class DecodedCine:
    """The accepted frames of a cine after preprocessing, and the times of these frames."""

    frames: npt.NDArray[np.uint8]
    """Frames [T, C, H, W], which may be memory-mapped from a file."""
    times_ns: Times


def preprocess(frame: Pixels, cine: Cine, settings: SampleSettings) -> Pixels:
    """Turns a frame into a sample [C, H, W].

    The function performs steps 1 to 3 of "From a frame to a sample" in docs/model-package.md.
    """
    if cine.region is not None:
        left, top, width, height = cine.region
        frame = frame[top : top + height, left : left + width]
    # In mode L, Pillow computes the luma of BT.601.
    mode = "L" if settings.channels == 1 else "RGB"
    image = Image.fromarray(np.ascontiguousarray(frame)).convert(mode)
    size = settings.size_px
    # The library keeps the aspect ratio of the pixels in single precision.
    shape_height = image.height * float(np.float32(cine.pixel_aspect))
    resized_size = settings.resizing.compute_size(image.width, shape_height, size)
    resized = resize_image(image, resized_size, settings.resizing.antialias)
    planes = resized[None] if settings.channels == 1 else resized.transpose(2, 0, 1)
    if settings.channel_order == "bgr":
        planes = planes[::-1]
    sample = np.zeros((settings.channels, size, size), np.uint8)
    (left, x, columns), (top, y, rows) = (place_side(side, size) for side in resized_size)
    sample[:, y : y + rows, x : x + columns] = planes[:, top : top + rows, left : left + columns]
    return sample


def decode(entry: Entry, settings: SampleSettings) -> DecodedCine:
    """Reads and preprocesses a cine. Raises `CineError`."""
    cine = load_cine(entry.path, entry.period_ns)
    accepted = select_accepted(cine.times_ns)
    frames = np.stack([preprocess(cine.frames[index], cine, settings) for index in accepted])
    return DecodedCine(frames, np.asarray([cine.times_ns[index] for index in accepted], np.int64))


def compute_cache_key(entry: Entry, settings: SampleSettings) -> str:
    """Computes the cache key of a cine.

    The key depends on the path, on the name, size and time stamp of each file, on the frame
    period, on the settings and on whether the program `tteview` reads the cine. Raises `CineError`
    if the file or folder does not exist.
    """
    try:
        files = sorted(entry.path.iterdir()) if entry.path.is_dir() else [entry.path]
        stamps = [(file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files]
    except OSError as error:
        raise CineError(f"{entry.path}: {error.strerror}") from error
    parts = [
        CACHE_FORMAT,
        str(entry.path.resolve()),
        stamps,
        entry.period_ns,
        settings.size_px,
        settings.channels,
        settings.resizing.to_package(),
        settings.channel_order,
        find_program() is not None,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


class Cache:
    """A folder of decoded cines, with two .npy files for each cine.

    Several processes may use the folder at the same time. It is safe to kill them at any time.
    """

    def __init__(self, folder: Path, settings: SampleSettings) -> None:
        self.folder, self.settings = folder, settings
        folder.mkdir(parents=True, exist_ok=True)

    def load(self, entry: Entry) -> DecodedCine:
        """Loads a cine, and decodes it first if it is not in the cache. Raises `CineError`."""
        key = compute_cache_key(entry, self.settings)
        frames_file, times_file = self.folder / f"{key}.npy", self.folder / f"{key}.times.npy"
        try:
            # The frames are written last, so if they exist, the times exist too.
            return DecodedCine(np.load(frames_file, mmap_mode="r"), np.load(times_file))
        except (FileNotFoundError, ValueError):
            decoded = decode(entry, self.settings)
            _write_array(times_file, decoded.times_ns)
            _write_array(frames_file, decoded.frames)
            return decoded

    def fill(self, entries: Sequence[Entry], threads: int = 1, quiet: bool = False) -> None:
        """Decodes all cines that are not in the cache.

        Raises `CineError` if a file cannot be read. The message names up to 20 such files.
        """
        failures: list[str] = []

        def load_entry(entry: Entry) -> None:
            try:
                self.load(entry)
            except CineError as error:
                failures.append(str(error))

        with ThreadPoolExecutor(max(1, threads)) as pool:
            progress = tqdm(
                pool.map(load_entry, entries),
                total=len(entries),
                desc="decode",
                disable=True if quiet else None,
            )
            for _ in progress:
                pass
        if failures:
            more = len(failures) - MOST_ERRORS_LISTED
            rest = f"\n  and {more} more" if more > 0 else ""
            raise CineError(
                f"{len(failures)} cines cannot be read; repair them or remove them from the "
                "manifest:\n  " + "\n  ".join(failures[:MOST_ERRORS_LISTED]) + rest
            )


def _write_array(path: Path, array: npt.NDArray[np.generic]) -> None:
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            np.save(file, array)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
