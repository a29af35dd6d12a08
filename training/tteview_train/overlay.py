"""The area around the sector: its background, and burned-in text, bars, ticks and ECG traces."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

DARKEST = 12 / 255
"""Grey value, from 0 to 1, above which a pixel counts as bright."""


def find_outside(frames: Tensor, sector: Floats | None) -> Mask:
    """Computes the mask [H, W] of the pixels outside the ultrasound image.

    `frames` is [T, C, H, W] with values from 0 to 1. If `sector` is given, the mask contains the
    pixels for which `sector` is 0. Otherwise, it contains the pixels before the first and after the
    last bright pixel of each row. A pixel counts as bright if it is bright in any frame. Dark
    pixels between the first and the last bright pixel may be cavities, so they count as inside.
    """
    if sector is not None:
        return sector < 0.5
    bright = (frames.amax((0, 1)) > DARKEST).numpy()
    from_left = np.logical_or.accumulate(bright, 1)
    from_right = np.logical_or.accumulate(bright[:, ::-1], 1)[:, ::-1]
    return ~(from_left & from_right)


def paint_outside(frames: Floats, outside: Mask, rng: np.random.Generator) -> None:
    """Paints a background and marks over the pixels that the mask `outside` [H, W] selects.

    `frames` is [T, C, H, W] with values from 0 to 255.
    """
    count, _, height, width = frames.shape
    if not outside.any():
        return
    still = _draw_background(height, width, rng)
    for paint, probability in ((_paint_text, 0.6), (_paint_bar, 0.4), (_paint_ticks, 0.5)):
        if rng.random() < probability:
            paint(still, rng)
    rows, columns = np.nonzero(outside)
    frames[:, :, rows, columns] = _draw_colour(frames, rng) * still[rows, columns]
    if rng.random() < 0.5:
        _paint_ecg(frames, outside, rng)
    if rng.random() < 0.3:
        # Converted images, and images filmed from a screen, can have noise in their black areas.
        noise = rng.integers(0, 24, (min(count, 4), rows.size)).astype(np.float32)
        for t in range(count):
            frames[t][:, rows, columns] += noise[t % len(noise)]
        np.minimum(frames, 255, out=frames)


def _draw_colour(frames: Floats, rng: np.random.Generator) -> Floats:
    """Returns a factor [C, 1] from 0.3 to 1 for each channel. Half of the colours are white."""
    channels = frames.shape[1]
    if channels == 1 or rng.random() < 0.5:
        return np.ones((channels, 1), np.float32)
    return rng.uniform(0.3, 1, (channels, 1)).astype(np.float32)


def _draw_background(height: int, width: int, rng: np.random.Generator) -> Floats:
    kind = rng.random()
    if kind < 0.6:
        return np.zeros((height, width), np.float32)
    if kind < 0.8:
        return np.full((height, width), rng.uniform(0, 60), np.float32)
    if kind < 0.9:
        edge = np.linspace(rng.uniform(0, 60), rng.uniform(0, 60), height, dtype=np.float32)
        return np.repeat(edge[:, None], width, 1)
    return rng.uniform(0, 50, (height, width)).astype(np.float32)


def _paint_text(image: Floats, rng: np.random.Generator) -> None:
    """Paints lines of random glyphs. Each glyph is a cell of random pixels."""
    height, width = image.shape
    for _ in range(int(rng.integers(1, 6))):
        cell_h, cell_w = int(rng.integers(4, 9)), int(rng.integers(3, 6))
        top = int(rng.integers(0, max(1, height - cell_h)))
        left = int(rng.integers(0, max(1, width - cell_w)))
        value = rng.uniform(90, 255)
        for _ in range(int(rng.integers(2, 12))):
            glyph = rng.random((cell_h - 1, cell_w - 1)) < 0.5
            part = image[top : top + cell_h - 1, left : left + cell_w - 1]
            part[glyph[: part.shape[0], : part.shape[1]]] = value
            left += cell_w
            if left >= width:
                break


def _paint_bar(image: Floats, rng: np.random.Generator) -> None:
    """Paints a bar with a grey ramp near the left or right edge."""
    height, width = image.shape
    length, thickness = int(height * rng.uniform(0.15, 0.5)), int(rng.integers(2, 6))
    top = int(rng.integers(0, height - length + 1))
    left = int(rng.choice([rng.integers(0, 6), width - thickness - rng.integers(0, 6)]))
    ramp = np.linspace(255, 0, length, dtype=np.float32)[:, None]
    image[top : top + length, left : left + thickness] = ramp


def _paint_ticks(image: Floats, rng: np.random.Generator) -> None:
    """Paints depth ticks along the left or right edge. Every fifth tick is longer."""
    height, width = image.shape
    step, value = int(rng.integers(4, 14)), rng.uniform(80, 255)
    at_left = rng.random() < 0.5
    for number, y in enumerate(range(int(rng.integers(0, step)), height, step)):
        length = 4 if number % 5 == 0 else 2
        columns = slice(1, 1 + length) if at_left else slice(width - 1 - length, width - 1)
        image[y, columns] = value


def _paint_ecg(frames: Floats, outside: Mask, rng: np.random.Generator) -> None:
    """Paints an ECG trace along the bottom, with a gap that moves from frame to frame."""
    count, _, height, width = frames.shape
    base, tall = int(height * rng.uniform(0.86, 0.97)), height * rng.uniform(0.03, 0.12)
    phase = (np.arange(width) / width * rng.uniform(1.5, 5) + rng.random()) % 1
    r_wave, t_wave = ((phase - 0.3) / 0.02) ** 2, ((phase - 0.6) / 0.06) ** 2
    beat = np.exp(-r_wave) + 0.25 * np.exp(-t_wave)
    line = np.clip(base - tall * beat, 0, height - 1).astype(np.int64)
    value, columns = rng.uniform(100, 255) * _draw_colour(frames, rng), np.arange(width)
    speed, start = rng.uniform(0.5, 3), int(rng.integers(width))
    visible = outside[line, columns]
    for t in range(count):
        shown = visible & ((columns - start - int(speed * t)) % width > width // 12)
        frames[t][:, line[shown], columns[shown]] = value
