"""Compares the frames that `tteview frames` decodes from videos with those of ffmpeg.

    python compare_videos.py TTEVIEW FILE_OR_FOLDER...

Prints a table in Markdown. Needs numpy, Pillow and imageio-ffmpeg, which contains ffmpeg. Pillow
composes the frames of GIF, WebP and PNG files, and ffmpeg decodes all others. The exit code is 1 if
the pixels of a file differ by more than allowed: not at all for GIF, PNG and lossless codings;
otherwise by 2 in luma, by 8 in each colour, and by 0.1 in the mean.

Decoders compute RGB from the stored YCbCr in different ways, so the result of the closest of
several ways counts.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from compare_with_pydicom import LUMA, MAX_COLOUR, MAX_LUMA, MAX_MEAN
from PIL import Image, ImageSequence

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
VIDEOS = {".avi", ".mp4", ".m4v", ".mov", ".mkv", ".wmv", ".mpg", ".mpeg"}
IMAGES = {".gif", ".webp", ".png"}
# Ways of converting to RGB: the chroma of a pixel is that of its block, or is interpolated.
SCALERS = ["neighbor", "bilinear", "bicubic"]


def split_pnm(path: Path) -> Iterator[np.ndarray]:
    """Returns the frames of consecutive PGM or PPM images as RGB."""
    with path.open("rb") as file:
        while kind := file.readline():
            width, height = map(int, file.readline().split())
            file.readline()
            channels = 3 if kind == b"P6\n" else 1
            image = np.frombuffer(file.read(width * height * channels), np.uint8)
            yield np.broadcast_to(image.reshape(height, width, channels), (height, width, 3))


def decode_images(path: Path) -> Iterator[np.ndarray]:
    """Decodes an animated image with Pillow, over black."""
    with Image.open(path) as image:
        for frame in ImageSequence.Iterator(image):
            rgba = np.asarray(frame.convert("RGBA")).astype(int)
            yield ((rgba[..., :3] * rgba[..., 3:] + 127) // 255).astype(np.uint8)


def decode_video(path: Path, scaler: str, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Decodes a video with ffmpeg."""
    flags = f"{scaler}+accurate_rnd+full_chroma_int+full_chroma_inp"
    command = [FFMPEG, "-v", "error", "-noautorotate", "-i", path, "-map", "0:v:0"]
    command += ["-fps_mode", "passthrough", "-sws_flags", flags, "-pix_fmt", "rgb24"]
    process = subprocess.Popen([*command, "-f", "rawvideo", "-"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout
    with process.stdout as pipe:
        while len(frame := pipe.read(int(np.prod(shape)))) == np.prod(shape):
            yield np.frombuffer(frame, np.uint8).reshape(shape)
    process.wait()


def measure(frames: Iterator[np.ndarray], reference: Iterator[np.ndarray]) -> tuple[float, float, float, int, int]:
    """Returns the mean difference, the largest of luma and of a colour, and both frame counts."""
    total = mean = luma = colour = 0.0
    count = expected = 0
    for found in frames:
        count += 1
        right = next(reference, None)
        if right is None:
            continue
        expected += 1
        difference = found.astype(int) - right
        mean += float(np.abs(difference).mean())
        luma = max(luma, float(np.abs(difference @ LUMA).max()))
        colour = max(colour, float(np.abs(difference).max()))
        total += 1
    expected += sum(1 for _ in reference)
    return mean / max(total, 1), luma, colour, count, expected


def compare(tteview: str, path: Path, target: Path) -> tuple[str, bool]:
    """Returns the result for one file, and whether the pixels are right."""
    run = subprocess.run([tteview, "frames", path, "-o", target], capture_output=True, text=True)
    if run.returncode != 0:
        return "refused: " + run.stderr.strip().removeprefix("tteview: ").removeprefix(f"{path}: "), True
    source = run.stdout.strip().removeprefix(f"{path}: ").split(":")[0]
    is_image = path.suffix.lower() in IMAGES
    shape = next(split_pnm(target)).shape
    results = [
        measure(split_pnm(target), decode_images(path) if is_image else decode_video(path, scaler, shape))
        for scaler in (SCALERS[:1] if is_image else SCALERS)
    ]
    mean, luma, colour, count, expected = min(results)
    warnings = "".join(f"; {line}" for line in run.stderr.strip().replace(f"{path}: ", "").splitlines())
    if count != expected:
        return f"{source}: {count} frames, the reference has {expected}{warnings}", False
    if colour == 0:
        return f"{source}: {count} frames, equal{warnings}", True
    is_exact = path.suffix.lower() in {".gif", ".png"}
    is_right = not is_exact and luma <= MAX_LUMA and colour <= MAX_COLOUR and mean <= MAX_MEAN
    text = f"{count} frames, differences up to {colour:.0f} (luma {luma:.1f}), mean {mean:.4f}"
    return f"{source}: {text}{warnings}", is_right


def main() -> int:
    """Prints the table."""
    tteview, *places = sys.argv[1:]
    wrong = files = 0
    print("| file | result |\n| --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for place in map(Path, places):
            found = sorted(place.rglob("*")) if place.is_dir() else [place]
            for path in found:
                if path.suffix.lower() not in VIDEOS | IMAGES or not path.is_file():
                    continue
                result, is_right = compare(tteview, path, Path(folder) / "frames.pnm")
                files += 1
                wrong += not is_right
                mark = "" if is_right else "**wrong** "
                name = path.relative_to(place) if place.is_dir() else path.name
                print(f"| `{name}` | {mark}{result.replace('|', '/')} |", flush=True)
    print(f"{files} files, {wrong} wrong", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
