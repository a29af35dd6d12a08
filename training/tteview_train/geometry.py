"""Random changes of the geometry of a cine, which are the same in all of its frames.

One resampling applies them all: zoom, aspect ratio, rotation, shift, flip, perspective and an
elastic warp.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from .augment_settings import AugmentSettings

WARP_KNOTS = (3, 6)
"""Minimum and maximum number of knots of the elastic warp along each side."""


def change_geometry(
    images: torch.Tensor, label: str, rng: np.random.Generator, settings: AugmentSettings
) -> torch.Tensor:
    """Changes the geometry of frames [T, C, H, W]. What moves into the image is black."""
    count, channels, height, width = images.shape
    grid = _draw_affine_grid(height, width, label, rng, settings)
    if rng.random() < settings.perspective_p:
        grid = _add_perspective(grid, rng, settings.perspective)
    if rng.random() < settings.warp_p:
        grid = grid + _draw_warp(height, width, rng, rng.uniform(0, settings.warp))
    # All frames get the same geometry, so they are passed to grid_sample as channels of one image.
    flat = images.reshape(1, count * channels, height, width)
    flat = F.grid_sample(flat, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return flat.reshape(count, channels, height, width)


def _draw_affine_grid(
    height: int, width: int, label: str, rng: np.random.Generator, settings: AugmentSettings
) -> torch.Tensor:
    is_zoom = label in settings.zoom_defined
    crop = settings.zoom_defined_crop if is_zoom else settings.crop
    zooms_out = not is_zoom and rng.random() < settings.zoom_out_p
    scale = rng.uniform(1.0, settings.zoom_out) if zooms_out else rng.uniform(*crop)
    stretch = 1 + rng.uniform(-settings.aspect, settings.aspect)
    angle = math.radians(rng.uniform(-settings.rotation_deg, settings.rotation_deg))
    margin = max(0.0, 1 - scale)
    move_x, move_y = rng.uniform(-margin, margin), rng.uniform(-margin, margin)
    flip = -1.0 if rng.random() < settings.flip_p else 1.0
    cos, sin = math.cos(angle), math.sin(angle)
    theta = torch.tensor(
        [
            [flip * scale * cos, -scale * sin * stretch, move_x],
            [flip * scale * sin, scale * cos * stretch, move_y],
        ],
        dtype=torch.float32,
    )
    return F.affine_grid(theta[None], [1, 1, height, width], align_corners=False)


def _add_perspective(grid: torch.Tensor, rng: np.random.Generator, limit: float) -> torch.Tensor:
    """Divides the coordinates by a plane that is 1 in the centre of the image.

    The magnification then changes along a random direction, as if the image were tilted.
    """
    along_x, along_y = rng.uniform(-limit, limit), rng.uniform(-limit, limit)
    depth = 1 + along_x * grid[..., :1] + along_y * grid[..., 1:]
    return grid / depth.clamp_(min=0.4)


def _draw_warp(height: int, width: int, rng: np.random.Generator, size: float) -> torch.Tensor:
    """Returns smooth random displacements [1, H, W, 2].

    `size` is their standard deviation at the knots, as a fraction of the image's side length.
    """
    knots = int(rng.integers(WARP_KNOTS[0], WARP_KNOTS[1] + 1))
    coarse = torch.from_numpy(rng.standard_normal((1, 2, knots, knots), dtype=np.float32))
    field = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    # Coordinates run from -1 to 1, so the side length of the image is 2.
    return field.permute(0, 2, 3, 1) * (2 * size)
