"""Augmentation, which changes a cine at random without changing its view.

The parameters of the changes are chosen at random once for each cine. The changes affect geometry,
gain curves, speckle, sharpness, the shape of the sector, the marks around the sector and the times
of the frames. The ranges of the changes are wide, because they should cover images from other
scanners. The marks are replaced, as in BackMix (Bransby et al. 2024), so that nothing outside the
sector reveals the view. Images are not flipped by default, because left and right distinguish
views.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from .overlay import find_outside, paint_outside
from .sampling import Times

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AugmentSettings:
    """The ranges of the random changes.

    Fields that end in `_p` are probabilities. The other numbers are limits of random values.
    """

    crop: tuple[float, float] = (0.7, 1.0)
    """Minimum and maximum side length of the crop, as a fraction of the image's side length."""
    aspect: float = 0.06
    """Maximum relative change of the aspect ratio."""
    zoom_out: float = 1.45
    """Maximum side length of the area shown by zooming out, relative to that of the image.

    The part of this area that lies outside the image is black.
    """
    zoom_out_p: float = 0.5
    """Probability that the image is zoomed out instead of cropped."""
    zoom_defined: tuple[str, ...] = ("A4C-RV", "A4C-LA", "PLAX-ZAV", "PLAX-ZMV")
    """Views that differ from other views only in zoom and therefore use `zoom_defined_crop`."""
    zoom_defined_crop: tuple[float, float] = (0.92, 1.1)
    rotation_deg: float = 15.0
    flip_p: float = 0.0
    gain: float = 0.45
    """Maximum relative change of the grey values."""
    offset: float = 0.12
    """Maximum shift of the grey values, which lie between 0 and 1.

    A grey value is the logarithm of the echo, so a shift corresponds to a change of the scanner
    gain. If the grey values cover 60 dB, a shift of 0.12 corresponds to 7 dB.
    """
    contrast: float = 0.25
    gamma: tuple[float, float] = (0.65, 1.9)
    depth_gain: float = 0.3
    """Maximum relative difference in brightness between the near and the far field.

    Wrong settings of the time gain compensation cause such differences.
    """
    shade_p: float = 0.5
    shade: tuple[float, float] = (0.15, 0.8)
    """Range of the shading strength (standard deviation of the logarithm of the brightness)."""
    speckle_p: float = 0.5
    speckle: tuple[float, float] = (0.05, 0.3)
    blur_p: float = 0.35
    blur_sigma_px: tuple[float, float] = (0.4, 1.4)
    sector_p: float = 0.5
    background_p: float = 0.6
    rate: tuple[float, float] = (0.85, 1.2)
    """Range of the factor for the sample interval. The factor changes the apparent heart rate."""
    drop_frames_p: float = 0.3
    drop_frames: float = 0.15
    """Maximum probability that a frame is dropped."""
    shown_rate_p: float = 0.5
    """Probability that only every second or third frame is kept."""
    still_p: float = 0.06
    """Probability that the whole sequence repeats a single frame, like a stored still image."""

    def scale(self, strength: float) -> AugmentSettings:
        """Scales the settings by `strength`, from 0 (almost no augmentation) to 1 (full strength).

        Shading, speckle, blur and dropped frames become less frequent but keep their ranges.
        `flip_p`, `zoom_out_p` and `background_p` do not change, so flips and changes to the
        background remain even at 0.
        """

        def around_one(limits: tuple[float, float]) -> tuple[float, float]:
            return (1 + (limits[0] - 1) * strength, 1 + (limits[1] - 1) * strength)

        return replace(
            self,
            crop=around_one(self.crop),
            aspect=self.aspect * strength,
            zoom_out=1 + (self.zoom_out - 1) * strength,
            zoom_defined_crop=around_one(self.zoom_defined_crop),
            rotation_deg=self.rotation_deg * strength,
            gain=self.gain * strength,
            offset=self.offset * strength,
            contrast=self.contrast * strength,
            gamma=(self.gamma[0] ** strength, self.gamma[1] ** strength),
            depth_gain=self.depth_gain * strength,
            shade_p=self.shade_p * strength,
            speckle_p=self.speckle_p * strength,
            blur_p=self.blur_p * strength,
            sector_p=self.sector_p * strength,
            rate=around_one(self.rate),
            drop_frames_p=self.drop_frames_p * strength,
            shown_rate_p=self.shown_rate_p * strength,
            still_p=self.still_p * strength,
        )


NO_GEOMETRY = replace(
    AugmentSettings(),
    crop=(1.0, 1.0),
    aspect=0.0,
    zoom_out=1.0,
    zoom_defined_crop=(1.0, 1.0),
    rotation_deg=0.0,
)


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
    count, channels, height, width = frames.shape
    images = torch.from_numpy(frames.astype(np.float32)).div_(255.0)
    # All frames get the same geometry, so they are passed to grid_sample as channels of one image.
    images = _warp(images.reshape(1, count * channels, height, width), label, rng, settings)
    images = images.reshape(count, channels, height, width)
    sector = _draw_sector(height, width, rng) if rng.random() < settings.sector_p else None
    # The area outside the ultrasound image is determined before the grey values change, because a
    # part of the heart that the gain or the shading turns black is still inside the image.
    outside = find_outside(images, sector)
    images = _apply_tone_curve(images, rng, settings)
    if rng.random() < settings.shade_p:
        images.mul_(_draw_shading(height, width, rng, rng.uniform(*settings.shade)))
    if rng.random() < settings.speckle_p:
        images.mul_(_draw_speckle(images, rng, rng.uniform(*settings.speckle)))
    if rng.random() < settings.blur_p:
        images = _blur(images, rng.uniform(*settings.blur_sigma_px))
    if sector is not None:
        images.mul_(torch.from_numpy(sector))
    images.clamp_(0.0, 1.0).mul_(255.0)
    result: Floats = images.numpy()
    if rng.random() < settings.background_p:
        paint_outside(result, outside, rng)
    return result


def _warp(
    images: torch.Tensor, label: str, rng: np.random.Generator, settings: AugmentSettings
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
    grid = F.affine_grid(theta[None], [1, 1, *images.shape[2:]], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


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
    # Looking up pixels in a table of 256 values is faster than computing a power for each pixel.
    x = torch.linspace(0, 1, 256).pow(gamma).mul_(gain)
    x = ((x - 0.35) * contrast + 0.35 + offset).clamp_(0, 1)
    x.mul_((torch.linspace(0, 1, 256) * 20).clamp_(max=1))
    index = images.mul(255.0).round_().to(torch.int64)
    height = images.shape[2]
    along = torch.linspace(1 - slope, 1 + slope, height)[None, None, :, None]
    return x[index].mul_(along)


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


def _blur(images: torch.Tensor, sigma: float) -> torch.Tensor:
    taps = torch.arange(-3, 4, dtype=torch.float32)
    kernel = torch.exp(-(taps**2) / (2 * sigma * sigma))
    kernel = kernel / kernel.sum()
    count, channels, height, width = images.shape
    flat = images.reshape(count * channels, 1, height, width)
    flat = F.conv2d(flat, kernel.reshape(1, 1, 7, 1), padding=(3, 0))
    flat = F.conv2d(flat, kernel.reshape(1, 1, 1, 7), padding=(0, 3))
    return flat.reshape(count, channels, height, width)


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
