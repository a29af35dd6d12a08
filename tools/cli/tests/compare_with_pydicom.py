"""Compares the frames that `tteview frames` decodes with those of pydicom.

    python compare_with_pydicom.py TTEVIEW FILE_OR_FOLDER...

Prints a table in Markdown. Needs pydicom, numpy, Pillow, pylibjpeg, pylibjpeg-libjpeg,
pylibjpeg-openjpeg and pylibjpeg-rle. The exit code is 1 if the pixels of a file differ by more than
allowed: not at all for lossless encodings; otherwise by 2 in luma, by 8 in each colour, and by 0.1
in the mean.
"""

import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels import apply_color_lut, pixel_array

LOSSY = {"50", "51", "53", "55", "81", "91", "203"}
LUMA = np.array([0.299, 0.587, 0.114])
PLUGINS = ["", "pylibjpeg", "pillow"]
MAX_LUMA, MAX_COLOUR, MAX_MEAN = 2, 8, 0.1


def read_pnm(path: Path) -> np.ndarray:
    """Reads consecutive PGM or PPM images as an array of frames, rows, columns and RGB."""
    data = path.read_bytes()
    frames = []
    at = 0
    while at < len(data):
        kind, size, _, _ = data[at : at + 40].split(b"\n", 3)
        width, height = map(int, size.split())
        at += len(kind) + len(size) + 6
        channels = 3 if kind == b"P6" else 1
        count = width * height * channels
        image = np.frombuffer(data, np.uint8, count, at).reshape(height, width, channels)
        frames.append(np.broadcast_to(image, (height, width, 3)))
        at += count
    return np.stack(frames)


def decode(path: Path, plugin: str) -> np.ndarray:
    """Decodes a file with pydicom to 8 bits and RGB, like `tteview`."""
    dataset = pydicom.dcmread(path, force=True)
    photometric = dataset.PhotometricInterpretation
    pixels = pixel_array(dataset, decoding_plugin=plugin)
    if dataset.get("NumberOfFrames", 1) in (None, 1):
        pixels = pixels[np.newaxis]
    stored = int(dataset.BitsStored)
    if photometric == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
        return (pixels >> 8 if pixels.max() > 255 else pixels).astype(np.uint8)
    pixels = pixels >> (stored - 8) if stored > 8 else pixels << (8 - stored)
    pixels = pixels.astype(np.uint8)
    if photometric == "MONOCHROME1":
        pixels = 255 - pixels
    return pixels if pixels.ndim == 4 else np.repeat(pixels[..., np.newaxis], 3, axis=-1)


def compare(tteview: str, path: Path, target: Path) -> tuple[str, bool]:
    """Returns the result for one file, and whether the pixels are right."""
    run = subprocess.run([tteview, "frames", path, "-o", target], capture_output=True, text=True)
    if run.returncode != 0:
        return "refused: " + run.stderr.strip().removeprefix("tteview: ").removeprefix(f"{path}: "), True
    frames = read_pnm(target)
    results = []
    for plugin in PLUGINS:
        try:
            reference = decode(path, plugin)
        except Exception as error:  # noqa: BLE001 - a file that pydicom cannot decode is a row of the table
            results.append((np.inf, f"{len(frames)} frames; pydicom: {str(error).splitlines()[0]}", True))
        else:
            results.append(measure(path, frames, reference))
    # JPEG decoders round differently, so the closest one counts.
    _, result, is_right = min(results)
    return result, is_right


def measure(path: Path, frames: np.ndarray, reference: np.ndarray) -> tuple[float, str, bool]:
    """Returns the mean difference, its description, and whether it is allowed."""
    if frames.shape != reference.shape:
        return 255.0, f"shape {frames.shape}, pydicom has {reference.shape}", False
    difference = np.abs(frames.astype(int) - reference)
    if not difference.any():
        return 0.0, f"{len(frames)} frames, equal", True
    luma = np.abs(frames @ LUMA - reference @ LUMA).max()
    largest, mean = difference.max(), difference.mean()
    meta = pydicom.dcmread(path, force=True, stop_before_pixels=True).file_meta
    is_lossy = meta.TransferSyntaxUID.rsplit(".", 1)[-1] in LOSSY
    is_right = is_lossy and luma <= MAX_LUMA and largest <= MAX_COLOUR and mean <= MAX_MEAN
    return mean, f"{len(frames)} frames, differences up to {largest} (luma {luma:.1f}), mean {mean:.4f}", is_right


def describe_syntax(path: Path) -> str:
    """Returns the name of the transfer syntax of a file."""
    meta = getattr(pydicom.dcmread(path, force=True, stop_before_pixels=True), "file_meta", {})
    syntax = meta.get("TransferSyntaxUID")
    return "no file meta group" if syntax is None else syntax.name


def main() -> int:
    """Prints the table."""
    warnings.simplefilter("ignore")
    tteview, *places = sys.argv[1:]
    files: dict[str, Path] = {}
    for place in map(Path, places):
        for path in sorted(place.rglob("*.dcm")) if place.is_dir() else [place]:
            files.setdefault(path.name, path)
    wrong = 0
    print("| file | transfer syntax | result |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name, path in sorted(files.items()):
            result, is_right = compare(tteview, path, Path(folder) / "frames.pnm")
            wrong += not is_right
            mark = "" if is_right else "**wrong** "
            print(f"| `{name}` | {describe_syntax(path)} | {mark}{result.replace('|', '/')} |", flush=True)
    print(f"{len(files)} files, {wrong} wrong", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
