"""Readers of cines in PNG folders and in DICOM, GIF, AVI and MP4 files.

The rules for times and for the image region are the same as in `tools/cli/src/cine`, so that
training and the program `tteview` read the same frames and times. A file that the program would
read in another way, or not at all, is refused. Both are tested with `tools/cli/tests/cases`.
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

from .dicom_checks import find_problem
from .timing import FrameRate, choose_times, compute_times

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
    return Cine(frames, choose_times(len(frames), []))


def _convert_image(image: Image.Image) -> Pixels:
    if getattr(image, "n_frames", 1) > 1:
        raise CineError("an animated PNG in a folder is not supported; extract its frames")
    if image.mode in ("I;16", "I;16B", "I"):
        return (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
    is_grey = image.mode in ("1", "L", "LA")
    if "A" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        # A transparent pixel is black.
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return np.asarray(image.convert("L" if is_grey else "RGB"))


def _read_gif(path: Path) -> Cine:
    """Reads a GIF. The delay of a frame is the time until the next frame."""
    frames: list[Pixels] = []
    delays: list[float] = []
    with Image.open(path) as image:
        for frame in ImageSequence.Iterator(image):
            delays.append(float(frame.info.get("duration", 0)))
            frames.append(np.asarray(frame.convert("RGB")))
    steps = FrameRate([0.0, *(delay * 1e6 for delay in delays[:-1])])
    return Cine(frames, choose_times(len(frames), [steps]))


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
        codec, is_avi = stream.codec_context.name, container.format.name == "avi"
        if codec not in ("h264", "mjpeg") and not (is_avi and codec == "rawvideo"):
            raise CineError(
                f"{path}: video with {codec} is not supported, because tteview does not read it; "
                f"convert it with: ffmpeg -i {path.name} -c:v libx264 -pix_fmt yuv420p OUTPUT.mp4"
            )
        size = (stream.codec_context.width, stream.codec_context.height)
        if is_avi:
            size = _read_avi_size(path) or size
        rate = float(stream.average_rate) if stream.average_rate else 0.0
        for frame in container.decode(stream):
            _check_video_frame(path, frame, size)
            is_grey = frame.format.name in ("gray", "gray8")
            frames.append(frame.to_ndarray(format="gray" if is_grey else "rgb24"))
            seconds.append(frame.time)
        if stream.frames not in (0, len(frames)):
            raise CineError(
                f"{path}: the file lists {stream.frames} frames, but {len(frames)} can be decoded; "
                "convert the file"
            )
    rates = [FrameRate([1e9 / rate])] if rate > 0 else []
    known = [time for time in seconds if time is not None]
    if not is_avi and len(known) == len(frames):
        steps = [(b - a) * 1e9 for a, b in itertools.pairwise(known)]
        rates.insert(0, FrameRate([0.0, *steps]))
    return Cine(frames, choose_times(len(frames), rates))


def _read_avi_size(path: Path) -> tuple[int, int] | None:
    """Reads the width and height of the frames from the header of an AVI file.

    FFmpeg instead reports the size of the Motion JPEG images. Raises `CineError` if these are the
    fields of interlaced frames.
    """
    data = path.read_bytes()
    polarity = data.find(b"AVI1")
    if 0 <= polarity < len(data) - 4 and data[polarity + 4] != 0:
        raise CineError(f"{path}: interlaced video is not supported; convert it")
    header = data.find(b"strf", max(data.find(b"vids"), 0))
    if header < 0:
        return None
    width, height = (
        int.from_bytes(data[header + at : header + at + 4], "little", signed=True)
        for at in (12, 16)
    )
    return width, abs(height)


def _check_video_frame(path: Path, frame: Any, size: tuple[int, int]) -> None:
    if getattr(frame, "interlaced_frame", False):
        raise CineError(f"{path}: interlaced video is not supported; convert it")
    if (frame.width, frame.height) != size:
        raise CineError(
            f"{path}: a frame has {frame.width} x {frame.height} pixels, but the file says "
            f"{size[0]} x {size[1]}; convert the file"
        )


def _read_dicom(path: Path) -> Cine:
    pydicom = importlib.import_module("pydicom")
    decoders = importlib.import_module("pydicom.pixels")
    dataset = pydicom.dcmread(path)
    if "PixelData" not in dataset:
        raise CineError(f"{path}: the file has no pixel data")
    if problem := find_problem(dataset):
        raise CineError(f"{path}: {problem}")
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


def _read_dicom_times(dataset: Any, frames: int) -> list[int]:
    """Reads the times from the element that the frame increment pointer names (PS3.3, C.7.6.5).

    If that element is missing or invalid, the function uses another element that defines times.
    """

    def read_period(name: str, convert: Callable[[float], float]) -> list[FrameRate]:
        value = dataset.get(name)
        if value in (None, "") or float(value) <= 0:
            return []
        return [FrameRate([convert(float(value))])]

    steps = dataset.get("FrameTimeVector")
    listed = [float(step) * 1e6 for step in steps] if hasattr(steps, "__iter__") else []
    rates = [
        read_period("FrameTime", lambda ms: ms * 1e6),
        [FrameRate(listed)] if len(listed) > 1 else [],
    ]
    if dataset.get("FrameIncrementPointer") == 0x00181065:
        rates.reverse()
    rates.append(read_period("CineRate", lambda rate: 1e9 / rate))
    rates.append(read_period("RecommendedDisplayFrameRate", lambda rate: 1e9 / rate))
    return choose_times(frames, [rate for found in rates for rate in found])


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
