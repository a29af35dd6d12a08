"""Random changes to a cine that leave its view what it is: one draw per cine, the same for all of its frames.

Broad on purpose, so that another scanner's images are nothing new: geometry, gain curves, speckle, sharpness,
the shape of the sector, what is burned in around it (as BackMix, Bransby et al. 2024, does: what lies outside
the sector must not tell the view), and the times of the frames. No horizontal flip unless asked for: left and
right have meaning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from .overlay import outside_sector, paint_outside
from .sampling import Times

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AugmentSettings:
    """How far the draws go. Probabilities end in `_p`; the others are limits of uniform draws."""

    crop: tuple[float, float] = (0.7, 1.0)
    """Side of the part that is kept, over that of the whole."""
    aspect: float = 0.06
    """Relative change of height over width."""
    zoom_out: float = 1.45
    """Depth: up to this much more is shown, black where there is nothing."""
    zoom_out_p: float = 0.5
    """Probability of more depth instead of a crop."""
    zoom_defined: tuple[str, ...] = ("A4C-RV", "A4C-LA", "PLAX-ZAV", "PLAX-ZMV")
    """Views that only the zoom tells from others; theirs stays near 1."""
    zoom_defined_crop: tuple[float, float] = (0.92, 1.1)
    rotation_deg: float = 15.0
    flip_p: float = 0.0
    gain: float = 0.45
    """Relative."""
    offset: float = 0.12
    """Added to grey from 0 to 1. Grey is the logarithm of the echo, so this is the gain knob: 7 dB of 60."""
    contrast: float = 0.25
    gamma: tuple[float, float] = (0.65, 1.9)
    depth_gain: float = 0.3
    """Time gain compensation set wrong: relative difference between near and far field."""
    shade_p: float = 0.5
    shade: tuple[float, float] = (0.15, 0.8)
    """Strength of shading from place to place: standard deviation of the logarithm of its factor."""
    speckle_p: float = 0.5
    speckle: tuple[float, float] = (0.05, 0.3)
    blur_p: float = 0.35
    blur_sigma_px: tuple[float, float] = (0.4, 1.4)
    sector_p: float = 0.5
    background_p: float = 0.6
    rate: tuple[float, float] = (0.85, 1.2)
    """Heart and frame rate: factor on the sample interval."""
    drop_frames_p: float = 0.3
    drop_frames: float = 0.15
    """Share of frames that are lost, at most."""
    shown_rate_p: float = 0.5
    """Probability that only every second or third frame was stored."""
    still_p: float = 0.06
    """Probability that one frame is all there is: what is stored as a still."""

    def scaled(self, strength: float) -> AugmentSettings:
        """The same, as far from no change as `strength` says: 1 for these settings, 0 for a cine as it is.

        Limits and probabilities move. How speckle and blur look when they are drawn does not, nor how often
        the background is another or sides are flipped.
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


SLOWEST_NS = 112e6
"""The longest frame period that thinning makes."""


def jitter_times(
    times_ns: Times, rng: np.random.Generator, settings: AugmentSettings
) -> tuple[list[int], float]:
    """Which frames are kept, and the factor on the sample interval."""
    count = len(times_ns)
    keep = np.ones(count, bool)
    period = float(np.median(np.diff(times_ns))) if count > 1 else math.inf
    # Not below 9 Hz: that would leave gaps that no scanner has, not even in colour.
    every = min(3, int(SLOWEST_NS / period))
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
    """Changes the pixels of the samples [T, C, H, W]; returns values from 0 to 255 of the same shape."""
    count, channels, height, width = frames.shape
    images = torch.from_numpy(frames.astype(np.float32)).div_(255.0)
    # One grid for all geometry; frames and channels are the channels of one image to grid_sample.
    images = _warp(images.reshape(1, count * channels, height, width), label, rng, settings)
    images = images.reshape(count, channels, height, width)
    sector = _sector(height, width, rng) if rng.random() < settings.sector_p else None
    # Told before grey changes: a heart that shading or gain makes black is still inside.
    outside = outside_sector(images, sector)
    images = _curve(images, rng, settings)
    if rng.random() < settings.shade_p:
        images.mul_(_shade(height, width, rng, rng.uniform(*settings.shade)))
    if rng.random() < settings.speckle_p:
        images.mul_(_speckle(images, rng, rng.uniform(*settings.speckle)))
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
    small = label in settings.zoom_defined
    crop = settings.zoom_defined_crop if small else settings.crop
    # Either nearer (a crop of the image) or farther (more depth).
    farther = not small and rng.random() < settings.zoom_out_p
    scale = rng.uniform(1.0, settings.zoom_out) if farther else rng.uniform(*crop)
    stretch = 1 + rng.uniform(-settings.aspect, settings.aspect)
    angle = math.radians(rng.uniform(-settings.rotation_deg, settings.rotation_deg))
    room = max(0.0, 1 - scale)
    move_x, move_y = rng.uniform(-room, room), rng.uniform(-room, room)
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


def _curve(images: torch.Tensor, rng: np.random.Generator, settings: AugmentSettings) -> torch.Tensor:
    """Gains, contrast and gamma as one curve, and the gain along the depth. Black stays black."""
    gain = 1 + rng.uniform(-settings.gain, settings.gain)
    offset = rng.uniform(-settings.offset, settings.offset)
    contrast = 1 + rng.uniform(-settings.contrast, settings.contrast)
    gamma = math.exp(rng.uniform(math.log(settings.gamma[0]), math.log(settings.gamma[1])))
    slope = rng.uniform(-settings.depth_gain, settings.depth_gain) / 2
    # 256 values through the curve, not every pixel through a power.
    x = torch.linspace(0, 1, 256).pow(gamma).mul_(gain)
    x = ((x - 0.35) * contrast + 0.35 + offset).clamp_(0, 1)
    x.mul_((torch.linspace(0, 1, 256) * 20).clamp_(max=1))
    index = images.mul(255.0).round_().to(torch.int64)
    height = images.shape[2]
    along = torch.linspace(1 - slope, 1 + slope, height)[None, None, :, None]
    return x[index].mul_(along)


def _shade(height: int, width: int, rng: np.random.Generator, strength: float) -> torch.Tensor:
    """Smooth shading that stands still, [H, W]: parts of a heart are seen well and others hardly."""
    coarse = torch.from_numpy(rng.standard_normal((1, 1, 4, 4), dtype=np.float32))
    field = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)[0, 0]
    return field.mul_(strength).exp_()


def _speckle(images: torch.Tensor, rng: np.random.Generator, strength: float) -> torch.Tensor:
    """Multiplicative noise of mean 1, wider across than along the beam, and moving from frame to frame."""
    count, _, height, width = images.shape
    grain_y, grain_x = rng.uniform(1.0, 2.0), rng.uniform(1.0, 3.0)
    size = (max(2, int(height / grain_y)), max(2, int(width / grain_x)))
    # A few independent fields, mixed: as different from frame to frame, for less time than one field a frame.
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


def _sector(height: int, width: int, rng: np.random.Generator) -> Floats:
    """A mask of a narrower sector, or of one with another apex: 1 inside."""
    half_angle = math.radians(rng.uniform(28, 50))
    apex_y = rng.uniform(-0.12, 0.05) * height
    apex_x = (0.5 + rng.uniform(-0.06, 0.06)) * width
    near, far = max(0.0, -apex_y) + rng.uniform(0, 0.04) * height, rng.uniform(0.88, 1.15) * height
    tilt = math.radians(rng.uniform(-6, 6))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    dy, dx = y - apex_y, x - apex_x
    radius = np.hypot(dy, dx)
    inside = (np.abs(np.arctan2(dx, dy) - tilt) <= half_angle) & (radius >= near) & (radius <= far)
    return inside.astype(np.float32)
