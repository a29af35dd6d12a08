"""What scanners burn in around the sector: text, bars, ticks, an ECG trace, another background."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def outside_sector(frames: Tensor, sector: Floats | None) -> Mask:
    """Pixels outside the ultrasound image: not in `sector` where it is known, else dark in all frames.

    `frames` is [T, C, H, W] with values 0 to 1.

    Dark pixels inside the image count too where they touch nothing bright: those are cavities. So each row is
    filled between its first and last bright pixel.
    """
    if sector is not None:
        return sector < 0.5
    bright = (frames.amax((0, 1)) > 12 / 255).numpy()
    from_left = np.logical_or.accumulate(bright, 1)
    from_right = np.logical_or.accumulate(bright[:, ::-1], 1)[:, ::-1]
    return ~(from_left & from_right)


def paint_outside(frames: Floats, outside: Mask, rng: np.random.Generator) -> None:
    """Replaces what lies `outside` [H, W] the sector of [T, C, H, W], in place, values 0 to 255."""
    count, _, height, width = frames.shape
    if not outside.any():
        return
    still = _background(height, width, rng)
    for draw, chance in ((_text, 0.6), (_bar, 0.4), (_ticks, 0.5)):
        if rng.random() < chance:
            draw(still, rng)
    rows, columns = np.nonzero(outside)
    frames[:, :, rows, columns] = still[rows, columns]
    if rng.random() < 0.5:
        _ecg(frames, outside, rng)
    if rng.random() < 0.3:
        # Snow: what a converted or filmed screen has.
        noise = rng.integers(0, 24, (min(count, 4), rows.size)).astype(np.float32)
        for t in range(count):
            frames[t][:, rows, columns] += noise[t % len(noise)]
        np.minimum(frames, 255, out=frames)


def _background(height: int, width: int, rng: np.random.Generator) -> Floats:
    kind = rng.random()
    if kind < 0.6:
        return np.zeros((height, width), np.float32)
    if kind < 0.8:
        return np.full((height, width), rng.uniform(0, 60), np.float32)
    if kind < 0.9:
        edge = np.linspace(rng.uniform(0, 60), rng.uniform(0, 60), height, dtype=np.float32)
        return np.repeat(edge[:, None], width, 1)
    return rng.uniform(0, 50, (height, width)).astype(np.float32)


def _text(image: Floats, rng: np.random.Generator) -> None:
    """Lines of random glyphs: a glyph is a few random strokes in a cell."""
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


def _bar(image: Floats, rng: np.random.Generator) -> None:
    """The grey bar: a ramp at one side."""
    height, width = image.shape
    long, wide = int(height * rng.uniform(0.15, 0.5)), int(rng.integers(2, 6))
    top = int(rng.integers(0, height - long + 1))
    left = int(rng.choice([rng.integers(0, 6), width - wide - rng.integers(0, 6)]))
    image[top : top + long, left : left + wide] = np.linspace(255, 0, long, dtype=np.float32)[:, None]


def _ticks(image: Floats, rng: np.random.Generator) -> None:
    """The depth scale: short strokes at one side, one in five longer."""
    height, width = image.shape
    step, value = int(rng.integers(4, 14)), rng.uniform(80, 255)
    at_left = rng.random() < 0.5
    for number, y in enumerate(range(int(rng.integers(0, step)), height, step)):
        length = 4 if number % 5 == 0 else 2
        image[y, slice(1, 1 + length) if at_left else slice(width - 1 - length, width - 1)] = value


def _ecg(frames: Floats, outside: Mask, rng: np.random.Generator) -> None:
    """A trace along the bottom, drawn up to a point that moves with the frames."""
    count, _, height, width = frames.shape
    base, tall = int(height * rng.uniform(0.86, 0.97)), height * rng.uniform(0.03, 0.12)
    phase = (np.arange(width) / width * rng.uniform(1.5, 5) + rng.random()) % 1
    beat = np.exp(-(((phase - 0.3) / 0.02) ** 2)) + 0.25 * np.exp(-(((phase - 0.6) / 0.06) ** 2))
    line = np.clip(base - tall * beat, 0, height - 1).astype(np.int64)
    value, columns = rng.uniform(100, 255), np.arange(width)
    speed, start = rng.uniform(0.5, 3), int(rng.integers(width))
    visible = outside[line, columns]
    for t in range(count):
        drawn = visible & ((columns - start - int(speed * t)) % width > width // 12)
        frames[t][:, line[drawn], columns[drawn]] = value
