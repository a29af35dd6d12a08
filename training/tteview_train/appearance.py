"""Random changes of the grey values of a cine, as other scanners and settings would cause.

All functions take frames [T, C, H, W] with values from 0 to 1.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from .augment_settings import AugmentSettings

Floats = npt.NDArray[np.float32]


def change_appearance(
    images: torch.Tensor, rng: np.random.Generator, settings: AugmentSettings
) -> torch.Tensor:
    """Changes the grey values of frames. Black pixels remain black, except for added noise."""
    height, width = images.shape[2:]
    if rng.random() < settings.persistence_p:
        images = _average_frames(images, rng.uniform(*settings.persistence))
    if rng.random() < settings.curve_p:
        images = _look_up(images, _draw_curve(rng))
    images = _apply_tone_curve(images, rng, settings)
    if rng.random() < settings.shade_p:
        images.mul_(_draw_shading(height, width, rng, rng.uniform(*settings.shade)))
    if rng.random() < settings.shadow_p:
        for _ in range(int(rng.integers(1, 4))):
            images.mul_(_draw_shadow(height, width, rng, rng.uniform(*settings.shadow)))
    if rng.random() < settings.speckle_p:
        images.mul_(_draw_speckle(images, rng, rng.uniform(*settings.speckle)))
    if rng.random() < settings.noise_p:
        images.add_(_draw_noise(images, rng, rng.uniform(0, settings.noise)))
    if rng.random() < settings.coarse_p:
        images = _reduce_resolution(images, rng.uniform(*settings.coarse))
    if rng.random() < settings.blur_p:
        images = _blur(images, rng.uniform(*settings.blur_sigma_px))
    return images


def add_tint(
    images: torch.Tensor, rng: np.random.Generator, settings: AugmentSettings
) -> torch.Tensor:
    """Turns grey frames [T, 1, H, W] into frames [T, 3, H, W], at random with a colour map.

    In a colour map, each channel has its own gamma. Black and white remain as they are.
    """
    if rng.random() >= settings.tint_p:
        return images.repeat(1, 3, 1, 1)
    gammas = np.exp(rng.uniform(-settings.tint, settings.tint, 3))
    level = torch.linspace(0, 1, 256)
    return torch.cat([_look_up(images, level.pow(float(gamma))) for gamma in gammas], 1)


def _average_frames(images: torch.Tensor, weight: float) -> torch.Tensor:
    """Averages each frame with the result of the previous one, as the persistence of a scanner."""
    result = images.clone()
    for t in range(1, len(images)):
        result[t].lerp_(result[t - 1], weight)
    return result


def _draw_curve(rng: np.random.Generator) -> torch.Tensor:
    """Returns a table of 256 values that rises from 0 to 1 in six linear pieces."""
    rises = rng.gamma(1.5, 1.0, 6) + 0.05
    knots = np.concatenate(([0.0], np.cumsum(rises) / rises.sum()))
    table = np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, len(knots)), knots)
    return torch.from_numpy(table.astype(np.float32))


def _look_up(images: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Replaces each value with the entry of a table of 256 values."""
    # Looking up pixels in a table is faster than computing a power for each pixel.
    return table[images.mul(255.0).round_().to(torch.int64)]


def _apply_tone_curve(
    images: torch.Tensor, rng: np.random.Generator, settings: AugmentSettings
) -> torch.Tensor:
    """Applies gain, offset, contrast and gamma as one curve, and then the depth gain.

    Black pixels remain black.
    """
    gain = 1 + rng.uniform(-settings.gain, settings.gain)
    offset = rng.uniform(-settings.offset, settings.offset)
    contrast = 1 + rng.uniform(-settings.contrast, settings.contrast)
    gamma = math.exp(rng.uniform(math.log(settings.gamma[0]), math.log(settings.gamma[1])))
    slope = rng.uniform(-settings.depth_gain, settings.depth_gain) / 2
    x = torch.linspace(0, 1, 256).pow(gamma).mul_(gain)
    x = ((x - 0.35) * contrast + 0.35 + offset).clamp_(0, 1)
    x.mul_((torch.linspace(0, 1, 256) * 20).clamp_(max=1))
    height = images.shape[2]
    along = torch.linspace(1 - slope, 1 + slope, height)[None, None, :, None]
    return _look_up(images, x).mul_(along)


def _draw_shading(
    height: int, width: int, rng: np.random.Generator, strength: float
) -> torch.Tensor:
    """Returns a random, smooth brightness factor [H, W], which is the same in all frames."""
    coarse = torch.from_numpy(rng.standard_normal((1, 1, 4, 4), dtype=np.float32))
    field = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)[0, 0]
    return field.mul_(strength).exp_()


def _draw_speckle(images: torch.Tensor, rng: np.random.Generator, strength: float) -> torch.Tensor:
    """Returns a random brightness factor [T, 1, H, W] that changes from frame to frame.

    Its mean is about 1. The speckle grains are on average wider across the beam than along it.
    """
    count, _, height, width = images.shape
    grain_y, grain_x = rng.uniform(1.0, 2.0), rng.uniform(1.0, 3.0)
    size = (max(2, int(height / grain_y)), max(2, int(width / grain_x)))
    # Each frame gets its own random mixture of the same eight fields. Mixing takes less time than
    # computing a new field for each frame and gives the same variation between frames.
    fields = torch.from_numpy(rng.standard_normal((8, 1, *size), dtype=np.float32))
    fields = F.interpolate(fields, (height, width), mode="bilinear", align_corners=False)
    mix = torch.from_numpy(rng.standard_normal((count, 8), dtype=np.float32)) / math.sqrt(8)
    noise = (mix @ fields.reshape(8, -1)).reshape(count, 1, height, width)
    return noise.mul_(strength).add_(1.0).clamp_(min=0.0)


def _draw_shadow(height: int, width: int, rng: np.random.Generator, factor: float) -> torch.Tensor:
    """Returns a factor [H, W] that darkens a wedge behind a random depth, with soft edges."""
    apex_x, apex_y = (0.5 + rng.uniform(-0.15, 0.15)) * width, -0.1 * height
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = np.arctan2(x - apex_x, y - apex_y) - rng.uniform(-0.8, 0.8)
    half, edge = rng.uniform(0.04, 0.25), rng.uniform(0.02, 0.1)
    depth = np.hypot(x - apex_x, y - apex_y) / height - rng.uniform(0.0, 0.6)
    inside = np.clip((half - np.abs(angle)) / edge + 0.5, 0, 1) * np.clip(depth / 0.1, 0, 1)
    return torch.from_numpy((1 - (1 - factor) * inside).astype(np.float32))


def _draw_noise(images: torch.Tensor, rng: np.random.Generator, size: float) -> torch.Tensor:
    """Returns noise [T, 1, H, W]. All frames show parts of the same larger field."""
    count, _, height, width = images.shape
    field = torch.from_numpy(rng.standard_normal((height + 32, width + 32), dtype=np.float32))
    places = rng.integers(0, 33, (count, 2))
    parts = [field[y : y + height, x : x + width] for y, x in places.tolist()]
    return torch.stack(parts)[:, None] * size


def _reduce_resolution(images: torch.Tensor, factor: float) -> torch.Tensor:
    height, width = images.shape[2:]
    size = (max(8, round(height * factor)), max(8, round(width * factor)))
    small = F.interpolate(images, size, mode="bilinear", antialias=True)
    return F.interpolate(small, (height, width), mode="bilinear")


def _blur(images: torch.Tensor, sigma: float) -> torch.Tensor:
    taps = torch.arange(-3, 4, dtype=torch.float32)
    kernel = torch.exp(-(taps**2) / (2 * sigma * sigma))
    kernel = kernel / kernel.sum()
    count, channels, height, width = images.shape
    flat = images.reshape(count * channels, 1, height, width)
    flat = F.conv2d(flat, kernel.reshape(1, 1, 7, 1), padding=(3, 0))
    flat = F.conv2d(flat, kernel.reshape(1, 1, 1, 7), padding=(0, 3))
    return flat.reshape(count, channels, height, width)
