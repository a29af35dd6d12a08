"""Augmentation, which changes a cine at random without changing its view.

The parameters of the changes are chosen at random once for each cine. `geometry.py` changes the
geometry, `appearance.py` the grey values, and `overlay.py` the marks around the sector. The ranges
of the changes are wide, because they should cover images from other scanners. The marks are
replaced, as in BackMix (Bransby et al. 2024), so that nothing outside the sector reveals the view.
Images are not flipped by default, because left and right distinguish views.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from .appearance import add_tint, change_appearance
from .augment_settings import AugmentSettings
from .geometry import change_geometry
from .overlay import find_outside, paint_outside
from .sampling import Times

Floats = npt.NDArray[np.float32]

LONGEST_PERIOD_NS = 112e6
"""Maximum frame period when only every second or third frame is kept.

Even colour Doppler has a frame rate of about 9 Hz or more.
"""


def jitter_times(
    times_ns: Times, rng: np.random.Generator, settings: AugmentSettings
) -> tuple[list[int], float]:
    """Chooses at random the frames to keep and the factor for the sample interval.

    Returns the indices of the frames and the factor.
    """
    count = len(times_ns)
    keep = np.ones(count, bool)
    period = float(np.median(np.diff(times_ns))) if count > 1 else math.inf
    every = min(3, int(LONGEST_PERIOD_NS / period))
    if rng.random() < settings.shown_rate_p and every >= 2:
        every = int(rng.integers(2, every + 1))
        keep[:] = False
        keep[int(rng.integers(every)) :: every] = True
    if rng.random() < settings.drop_frames_p:
        keep &= rng.random(count) >= rng.uniform(0, settings.drop_frames)
    keep[0] = keep[0] or not keep.any()
    return np.flatnonzero(keep).tolist(), float(rng.uniform(*settings.rate))


def augment(
    frames: npt.NDArray[np.uint8], label: str, rng: np.random.Generator, settings: AugmentSettings
) -> Floats:
    """Augments the pixels of samples [T, C, H, W].

    Returns an array of the same shape with values from 0 to 255.
    """
    channels, height, width = frames.shape[1:]
    # The three channels of a grey cine are equal, so that one of them is enough up to the tint.
    if channels == 3 and all(np.array_equal(frames[:, 0], frames[:, other]) for other in (1, 2)):
        frames = frames[:, :1]
    images = torch.from_numpy(frames.astype(np.float32)).div_(255.0)
    images = change_geometry(images, label, rng, settings)
    sector = _draw_sector(height, width, rng) if rng.random() < settings.sector_p else None
    # The area outside the ultrasound image is determined before the grey values change, because a
    # part of the heart that the gain or the shading turns black is still inside the image.
    outside = find_outside(images, sector)
    images = change_appearance(images, rng, settings)
    if sector is not None:
        images.mul_(torch.from_numpy(sector))
    images.clamp_(0.0, 1.0)
    if channels != images.shape[1]:
        images = add_tint(images, rng, settings)
    images.mul_(255.0)
    result: Floats = images.numpy()
    if rng.random() < settings.background_p:
        paint_outside(result, outside, rng)
    return result


def _draw_sector(height: int, width: int, rng: np.random.Generator) -> Floats:
    """Returns a mask: 1 inside a sector with random angles, apex and depth, and 0 outside."""
    half_angle = math.radians(rng.uniform(28, 50))
    apex_y = rng.uniform(-0.12, 0.05) * height
    apex_x = (0.5 + rng.uniform(-0.06, 0.06)) * width
    near = max(0.0, -apex_y) + rng.uniform(0, 0.04) * height
    far = rng.uniform(0.88, 1.15) * height
    tilt = math.radians(rng.uniform(-6, 6))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    dy, dx = y - apex_y, x - apex_x
    radius = np.hypot(dy, dx)
    is_within_angle = np.abs(np.arctan2(dx, dy) - tilt) <= half_angle
    return (is_within_angle & (radius >= near) & (radius <= far)).astype(np.float32)
