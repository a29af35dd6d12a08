"""Reads cines: folders of PNG frames, DICOM, GIF, AVI and MP4, with the time of each frame.

Where to look for times and for the image region follows `tools/cli/src/cine`, so that a cine is the same to
the trainer and to the command line.
"""

from __future__ import annotations

import importlib
import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageSequence

ASSUMED_PERIOD_NS = 33_333_333
"""Time between frames where a file says nothing."""

Pixels = npt.NDArray[np.uint8]


class CineError(Exception):
    """A cine that cannot be read; the message begins with its path."""


@dataclass
class Cine:
    """Frames as they were stored."""

    frames: list[Pixels]
    """Each [H, W] grey or [H, W, 3] RGB."""
    times_ns: list[int]
    """Since the first frame."""
    region: tuple[int, int, int, int] | None = None
    """Left, top, width and height of the ultrasound image; `None`: the whole frame."""
    pixel_aspect: float = field(default=1.0)
    """Height of a pixel over its width."""


def read_cine(path: Path, period_ns: int | None = None) -> Cine:
    """Reads a cine; `period_ns`, where given, replaces the times that the file has.

    Raises `CineError` naming the file.
    """
    try:
        cine = _reader(path)(path)
    except CineError:
        raise
    except Exception as error:
        raise CineError(f"{path}: {error or type(error).__name__}") from error
    if not cine.frames:
        raise CineError(f"{path}: no frames")
    shape = cine.frames[0].shape[:2]
    for index, frame in enumerate(cine.frames):
        if frame.shape[:2] != shape:
            raise CineError(f"{path}: frame {index} is {frame.shape[:2]} pixels, the first one {shape}")
    if period_ns is not None:
        cine.times_ns = regular(len(cine.frames), period_ns)
    return cine


def _reader(path: Path) -> Any:
    if path.is_dir():
        return _png_folder
    if not path.exists():
        raise CineError(f"{path}: no such file")
    suffix = path.suffix.lower()
    if suffix == ".gif":
        return _gif
    if suffix in (".avi", ".mp4", ".mov", ".mkv"):
        return _video
    if suffix in (".dcm", ".dicom", ""):
        return _dicom
    raise CineError(f"{path}: not a kind of file that is read: PNG folder, .dcm, .gif, .avi, .mp4")


def regular(frames: int, period_ns: int) -> list[int]:
    """Times of frames at one rate."""
    return [i * period_ns for i in range(frames)]


def _png_folder(path: Path) -> Cine:
    """Frames in the order of the numbers in their names."""
    files = [file for file in path.iterdir() if file.suffix.lower() == ".png"]
    if not files:
        raise CineError(f"{path}: a folder without PNG files")

    def order(file: Path) -> tuple[list[int], str]:
        return [int(digits) for digits in re.findall(r"\d+", file.stem)], file.name

    frames = []
    for file in sorted(files, key=order):
        try:
            with Image.open(file) as image:
                frames.append(_pixels(image))
        except Exception as error:
            raise CineError(f"{file}: {error}") from error
    return Cine(frames, regular(len(frames), ASSUMED_PERIOD_NS))


def _pixels(image: Image.Image) -> Pixels:
    if image.mode in ("I;16", "I;16B", "I"):
        return (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
    grey = image.mode in ("1", "L", "LA")
    return np.asarray(image.convert("L" if grey else "RGB"))


def _gif(path: Path) -> Cine:
    """The delay of a frame is the time until the one after it."""
    frames: list[Pixels] = []
    delays: list[float] = []
    with Image.open(path) as image:
        for frame in ImageSequence.Iterator(image):
            delays.append(float(frame.info.get("duration", 0)))
            frames.append(np.asarray(frame.convert("RGB")))
    steps = [delay * 1e6 for delay in delays[:-1]]
    return Cine(frames, _times(steps, len(frames)) or regular(len(frames), ASSUMED_PERIOD_NS))


def _video(path: Path) -> Cine:
    try:
        av = importlib.import_module("av")
    except ImportError as error:
        raise CineError(
            f"{path}: reading AVI and MP4 needs the package `av`: pip install 'tteview-train[video]'"
        ) from error
    frames: list[Pixels] = []
    seconds: list[float | None] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate) if stream.average_rate else 0.0
        for frame in container.decode(stream):
            grey = frame.format.name in ("gray", "gray8")
            frames.append(frame.to_ndarray(format="gray" if grey else "rgb24"))
            seconds.append(frame.time)
    known = [time for time in seconds if time is not None]
    times: list[int] | None = None
    if len(known) == len(frames) > 1:
        times = _times([(b - a) * 1e9 for a, b in itertools.pairwise(known)], len(frames))
    if times is None and rate > 0:
        times = regular(len(frames), round(1e9 / rate))
    return Cine(frames, times or regular(len(frames), ASSUMED_PERIOD_NS))


def _dicom(path: Path) -> Cine:
    pydicom = importlib.import_module("pydicom")
    decoders = importlib.import_module("pydicom.pixels")
    dataset = pydicom.dcmread(path)
    if "PixelData" not in dataset:
        raise CineError(f"{path}: no pixel data")
    pixels = decoders.pixel_array(dataset)  # YBR becomes RGB
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = decoders.apply_color_lut(pixels, dataset)
        pixels = pixels >> 8 if pixels.dtype == np.uint16 else pixels
    colour = dataset.SamplesPerPixel == 3 or dataset.PhotometricInterpretation == "PALETTE COLOR"
    if pixels.ndim == (3 if colour else 2):
        pixels = pixels[None]
    if pixels.dtype != np.uint8:
        pixels = np.clip(pixels >> max(0, int(dataset.BitsStored) - 8), 0, 255)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        pixels = 255 - pixels
    frames = list(np.asarray(pixels, np.uint8))
    region, aspect = _image_region(dataset, frames[0].shape[1], frames[0].shape[0])
    return Cine(frames, _dicom_times(dataset, len(frames)), region, aspect)


def _times(steps_ns: list[float], frames: int) -> list[int] | None:
    """Times from the steps between frames, if each can be one: from 1 ns to a minute."""
    if len(steps_ns) < frames - 1 or any(not 1 <= step <= 60e9 for step in steps_ns):
        return None
    times = [0]
    for step in steps_ns[: frames - 1]:
        times.append(times[-1] + round(step))
    return times


def _dicom_times(dataset: Any, frames: int) -> list[int]:
    """What the Frame Increment Pointer points to (PS3.3, C.7.6.5), else what there is."""

    def vector() -> list[int] | None:
        steps = dataset.get("FrameTimeVector")
        if steps is None:
            return None
        listed = [float(step) for step in (steps if hasattr(steps, "__iter__") else [steps])]
        return _times([step * 1e6 for step in listed[1:]], frames)

    def period(name: str, of: Any) -> list[int] | None:
        value = dataset.get(name)
        if value in (None, "") or float(value) <= 0:
            return None
        step = of(float(value))
        return regular(frames, round(step)) if 1 <= step <= 60e9 else None

    def frame_time() -> list[int] | None:
        return period("FrameTime", lambda ms: ms * 1e6)

    pointed = vector() if dataset.get("FrameIncrementPointer") == 0x00181065 else None
    return (
        pointed
        or frame_time()
        or vector()
        or period("CineRate", lambda rate: 1e9 / rate)
        or period("RecommendedDisplayFrameRate", lambda rate: 1e9 / rate)
        or regular(frames, ASSUMED_PERIOD_NS)
    )


def _image_region(dataset: Any, width: int, height: int) -> tuple[tuple[int, int, int, int] | None, float]:
    """The largest two-dimensional image (PS3.3, C.8.5.5) and the aspect of its pixels.

    No region is believed where one of them does not fit into the frame: then the frames were resized after
    the regions were written. One smaller than a sixteenth of the frame is not believed either.
    """
    best: tuple[int, int, int, int] | None = None
    aspect = 1.0
    for item in dataset.get("SequenceOfUltrasoundRegions") or ():
        left, top = int(item.RegionLocationMinX0), int(item.RegionLocationMinY0)
        right, bottom = int(item.RegionLocationMaxX1), int(item.RegionLocationMaxY1)
        # Both edges are inside; some writers count one further.
        right, bottom = right - (right == width), bottom - (bottom == height)
        if not (0 <= left <= right < width and 0 <= top <= bottom < height):
            return None, 1.0
        region = (left, top, right - left + 1, bottom - top + 1)
        is_image = item.get("RegionSpatialFormat") == 1 and item.get("RegionDataType") in (1, 2)
        area = region[2] * region[3]
        if not is_image or area * 16 < width * height or (best and area <= best[2] * best[3]):
            continue
        best, aspect = region, 1.0
        centimetres = item.get("PhysicalUnitsXDirection") == 3 and item.get("PhysicalUnitsYDirection") == 3
        x, y = (abs(float(item.get(f"PhysicalDelta{axis}") or 0)) for axis in "XY")
        if centimetres and 1e-4 <= x <= 1 and 1e-4 <= y <= 1 and 0.1 <= y / x <= 10:
            aspect = y / x
    return best, aspect
