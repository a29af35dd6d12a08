"""Readers of cines in PNG folders and in DICOM, GIF, AVI and MP4 files.

The rules for times and for the image region are the same as in `tools/cli/src/cine`, so that
training and the program `tteview` read the same frames and times.
"""

from __future__ import annotations

import importlib
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageSequence

ASSUMED_PERIOD_NS = 33_333_333
"""Frame period of a cine that contains no times."""

LONGEST_STEP_NS = 60e9
"""Maximum time between two consecutive frames.

If any two consecutive frames are further apart, the reader ignores the times in the file.
"""

Pixels = npt.NDArray[np.uint8]


class CineError(Exception):
    """An error in a cine. The message begins with the path of the cine."""


@dataclass
class Cine:
    """The frames of a cine as they are stored, and their times."""

    frames: list[Pixels]
    """Frames, each of which is grey [H, W] or RGB [H, W, 3]."""
    times_ns: list[int]
    """Time of each frame, relative to the first frame."""
    region: tuple[int, int, int, int] | None = None
    """Left, top, width and height of the ultrasound image, or `None` for the whole frame."""
    pixel_aspect: float = 1.0
    """Height of a pixel divided by its width."""


def read_cine(path: Path, period_ns: int | None = None) -> Cine:
    """Reads a cine. If `period_ns` is given, it replaces the times in the file.

    Raises `CineError`.
    """
    try:
        cine = _choose_reader(path)(path)
    except CineError:
        raise
    except Exception as error:
        raise CineError(f"{path}: {error or type(error).__name__}") from error
    if not cine.frames:
        raise CineError(f"{path}: the file has no frames")
    shape = cine.frames[0].shape[:2]
    for index, frame in enumerate(cine.frames):
        if frame.shape[:2] != shape:
            raise CineError(
                f"{path}: all frames must have the same size, but frame {index} has "
                f"{frame.shape[:2]} pixels and frame 0 has {shape}"
            )
    if period_ns is not None:
        cine.times_ns = compute_times(len(cine.frames), period_ns)
    return cine


def compute_times(frames: int, period_ns: int) -> list[int]:
    """Computes the times of frames with a constant period."""
    return [i * period_ns for i in range(frames)]


def _choose_reader(path: Path) -> Callable[[Path], Cine]:
    if path.is_dir():
        return _read_png_folder
    if not path.exists():
        raise CineError(f"{path}: no such file or folder")
    suffix = path.suffix.lower()
    if suffix == ".gif":
        return _read_gif
    if suffix in (".avi", ".mp4", ".mov", ".mkv"):
        return _read_video
    if suffix in (".dcm", ".dicom", ""):
        return _read_dicom
    raise CineError(
        f"{path}: a cine must be a folder of PNG files or a .dcm, .gif, .avi, .mp4, .mov or .mkv "
        f"file, got {suffix!r}"
    )


def _read_png_folder(path: Path) -> Cine:
    """Reads the frames in the order of the numbers in the file names."""
    files = [file for file in path.iterdir() if file.suffix.lower() == ".png"]
    if not files:
        raise CineError(f"{path}: the folder has no PNG files")

    def order(file: Path) -> tuple[list[int], str]:
        return [int(digits) for digits in re.findall(r"\d+", file.stem)], file.name

    frames = []
    for file in sorted(files, key=order):
        try:
            with Image.open(file) as image:
                frames.append(_convert_image(image))
        except Exception as error:
            raise CineError(f"{file}: {error}") from error
    return Cine(frames, compute_times(len(frames), ASSUMED_PERIOD_NS))


def _convert_image(image: Image.Image) -> Pixels:
    if image.mode in ("I;16", "I;16B", "I"):
        return (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
    is_grey = image.mode in ("1", "L", "LA")
    return np.asarray(image.convert("L" if is_grey else "RGB"))


def _read_gif(path: Path) -> Cine:
    """Reads a GIF. The delay of a frame is the time until the next frame."""
    frames: list[Pixels] = []
    delays: list[float] = []
    with Image.open(path) as image:
        for frame in ImageSequence.Iterator(image):
            delays.append(float(frame.info.get("duration", 0)))
            frames.append(np.asarray(frame.convert("RGB")))
    times = _sum_steps([delay * 1e6 for delay in delays[:-1]], len(frames))
    return Cine(frames, times or compute_times(len(frames), ASSUMED_PERIOD_NS))


def _read_video(path: Path) -> Cine:
    try:
        av = importlib.import_module("av")
    except ImportError as error:
        raise CineError(
            f"{path}: AVI and MP4 need the package av; install it with "
            "pip install 'tteview-train[video]'"
        ) from error
    frames: list[Pixels] = []
    seconds: list[float | None] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate) if stream.average_rate else 0.0
        for frame in container.decode(stream):
            is_grey = frame.format.name in ("gray", "gray8")
            frames.append(frame.to_ndarray(format="gray" if is_grey else "rgb24"))
            seconds.append(frame.time)
    known = [time for time in seconds if time is not None]
    times: list[int] | None = None
    if len(known) == len(frames) > 1:
        times = _sum_steps([(b - a) * 1e9 for a, b in itertools.pairwise(known)], len(frames))
    if times is None and rate > 0:
        times = compute_times(len(frames), round(1e9 / rate))
    return Cine(frames, times or compute_times(len(frames), ASSUMED_PERIOD_NS))


def _read_dicom(path: Path) -> Cine:
    pydicom = importlib.import_module("pydicom")
    decoders = importlib.import_module("pydicom.pixels")
    dataset = pydicom.dcmread(path)
    if "PixelData" not in dataset:
        raise CineError(f"{path}: the file has no pixel data")
    pixels = decoders.pixel_array(dataset)  # pydicom converts YBR to RGB.
    has_palette = dataset.PhotometricInterpretation == "PALETTE COLOR"
    if has_palette:
        pixels = decoders.apply_color_lut(pixels, dataset)
        pixels = pixels >> 8 if pixels.dtype == np.uint16 else pixels
    is_colour = dataset.SamplesPerPixel == 3 or has_palette
    if pixels.ndim == (3 if is_colour else 2):
        pixels = pixels[None]
    if pixels.dtype != np.uint8:
        pixels = np.clip(pixels >> max(0, int(dataset.BitsStored) - 8), 0, 255)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        pixels = 255 - pixels
    frames = list(np.asarray(pixels, np.uint8))
    region, aspect = _find_image_region(dataset, frames[0].shape[1], frames[0].shape[0])
    return Cine(frames, _read_dicom_times(dataset, len(frames)), region, aspect)


def _sum_steps(steps_ns: list[float], frames: int) -> list[int] | None:
    """Computes the times of frames from the steps between them.

    Returns `None` if a step is missing or out of range.
    """
    if len(steps_ns) < frames - 1 or any(not 1 <= step <= LONGEST_STEP_NS for step in steps_ns):
        return None
    times = [0]
    for step in steps_ns[: frames - 1]:
        times.append(times[-1] + round(step))
    return times


def _read_dicom_times(dataset: Any, frames: int) -> list[int]:
    """Reads the times from the element that the frame increment pointer names (PS3.3, C.7.6.5).

    If that element is missing or invalid, the function uses another element that defines times.
    """

    def read_vector() -> list[int] | None:
        steps = dataset.get("FrameTimeVector")
        if steps is None:
            return None
        listed = [float(step) for step in (steps if hasattr(steps, "__iter__") else [steps])]
        return _sum_steps([step * 1e6 for step in listed[1:]], frames)

    def read_period(name: str, convert: Callable[[float], float]) -> list[int] | None:
        value = dataset.get(name)
        if value in (None, "") or float(value) <= 0:
            return None
        step = convert(float(value))
        return compute_times(frames, round(step)) if 1 <= step <= LONGEST_STEP_NS else None

    is_vector = dataset.get("FrameIncrementPointer") == 0x00181065
    return (
        (read_vector() if is_vector else None)
        or read_period("FrameTime", lambda ms: ms * 1e6)
        or read_vector()
        or read_period("CineRate", lambda rate: 1e9 / rate)
        or read_period("RecommendedDisplayFrameRate", lambda rate: 1e9 / rate)
        or compute_times(frames, ASSUMED_PERIOD_NS)
    )


def _find_image_region(
    dataset: Any, width: int, height: int
) -> tuple[tuple[int, int, int, int] | None, float]:
    """Finds the region of the largest 2-D image (PS3.3, C.8.5.5) and its pixel aspect ratio.

    If any region extends beyond the frame, the frames must have been resized after the regions were
    written, so no region is used. A region smaller than a sixteenth of the frame is ignored.
    """
    best: tuple[int, int, int, int] | None = None
    aspect = 1.0
    for item in dataset.get("SequenceOfUltrasoundRegions") or ():
        left, top = int(item.RegionLocationMinX0), int(item.RegionLocationMinY0)
        right, bottom = int(item.RegionLocationMaxX1), int(item.RegionLocationMaxY1)
        # In the standard, the maximum is the last pixel of the region, but some writers store the
        # first pixel after the region.
        right, bottom = right - (right == width), bottom - (bottom == height)
        if not (0 <= left <= right < width and 0 <= top <= bottom < height):
            return None, 1.0
        region = (left, top, right - left + 1, bottom - top + 1)
        is_image = item.get("RegionSpatialFormat") == 1 and item.get("RegionDataType") in (1, 2)
        area = region[2] * region[3]
        if not is_image or area * 16 < width * height or (best and area <= best[2] * best[3]):
            continue
        best, aspect = region, 1.0
        is_metric = (
            item.get("PhysicalUnitsXDirection") == 3 and item.get("PhysicalUnitsYDirection") == 3
        )
        x, y = (abs(float(item.get(f"PhysicalDelta{axis}") or 0)) for axis in "XY")
        if is_metric and 1e-4 <= x <= 1 and 1e-4 <= y <= 1 and 0.1 <= y / x <= 10:
            aspect = y / x
    return best, aspect
