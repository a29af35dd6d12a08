"""Resizing of a region to a sample, as docs/model-package.md#resizing specifies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from .readers import Pixels

LETTERBOX, STRETCH, SHORT_SIDE = "letterbox", "stretch", "short_side"
LARGEST_SIDE_PX = 4096
CHANNEL_ORDERS = ("rgb", "bgr")


@dataclass(frozen=True)
class Resizing:
    """The rule for the size to which a region is resized before it is centred in the sample."""

    kind: str = LETTERBOX
    width: int | None = None
    """Width of the resized region, only for the kind `stretch`."""
    height: int | None = None
    """Height of the resized region, only for the kind `stretch`."""
    side: int | None = None
    """Length of the shorter side of the resized region, only for the kind `short_side`."""
    antialias: bool = True
    """Whether the filter covers all pixels of the region."""

    def __post_init__(self) -> None:
        sizes = {
            LETTERBOX: (),
            STRETCH: (self.width, self.height),
            SHORT_SIDE: (self.side,),
        }.get(self.kind)
        given = [size for size in (self.width, self.height, self.side) if size is not None]
        if sizes is None or list(sizes) != given:
            raise ValueError(
                "resize must be letterbox without sizes, stretch with width and height, or "
                f"short_side with side, got {self}"
            )
        if any(not 1 <= size <= LARGEST_SIDE_PX for size in given):
            raise ValueError(f"the sizes of resize must be 1 to {LARGEST_SIDE_PX}, got {self}")

    def to_package(self) -> dict[str, Any]:
        """Returns the value of the key `resize` in the metadata of a package."""
        fields = {key: value for key, value in vars(self).items() if value is not None}
        if self.antialias:
            del fields["antialias"]
        return fields

    def compute_size(self, width: int, height: float, size_px: int) -> tuple[int, int]:
        """Computes the width and height to which a region is resized.

        `height` is the height of the region in units of the width of a pixel, and `size_px` is the
        height and width of the sample.
        """
        if self.width is not None and self.height is not None:
            return self.width, self.height
        if self.side is not None:
            short, long = min(width, height), max(width, height)
            # Resize of torchvision truncates the longer side.
            longer = max(int(self.side * long / short), self.side)
            return (self.side, longer) if width <= height else (longer, self.side)
        scale = min(size_px / width, size_px / height)

        def fit(side: float) -> int:
            return min(max(int(side * scale + 0.5), 1), size_px)

        return fit(width), fit(height)


def parse_resizing(text: str, size_px: int, antialias: bool = True) -> Resizing:
    """Parses the value of `--resize`. Sizes that it does not contain are those of the sample."""
    match = re.fullmatch(r"(letterbox|stretch(?:=(\d+)x(\d+))?|short-side(?:=(\d+))?)", text)
    if not match:
        raise ValueError(
            "--resize must be letterbox, stretch, stretch=WIDTHxHEIGHT, short-side or "
            f"short-side=SIDE, got {text!r}"
        )
    width, height, side = (int(number) if number else size_px for number in match.groups()[1:])
    if text == LETTERBOX:
        return Resizing(antialias=antialias)
    if text.startswith(STRETCH):
        return Resizing(STRETCH, width, height, antialias=antialias)
    return Resizing(SHORT_SIDE, side=side, antialias=antialias)


def resize_image(image: Image.Image, size: tuple[int, int], antialias: bool) -> Pixels:
    """Resizes an image to a width and a height. Returns the pixels [H, W] or [H, W, 3]."""
    if antialias:
        return np.asarray(image.resize(size, Image.Resampling.BILINEAR))
    pixels = torch.from_numpy(np.array(image, dtype=np.float32))
    planes = pixels[None, None] if pixels.dim() == 2 else pixels.permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(
        planes, (size[1], size[0]), mode="bilinear", align_corners=False, antialias=False
    )
    rounded = (resized[0] + 0.5).floor().to(torch.uint8).permute(1, 2, 0).numpy()
    return np.ascontiguousarray(rounded[..., 0] if pixels.dim() == 2 else rounded)


def place_side(length: int, size_px: int) -> tuple[int, int, int]:
    """Centres a resized side in a side of the sample.

    Returns the first pixel of the resized side that is in the sample, its place in the sample, and
    the number of pixels. As in CenterCrop of torchvision, half of an odd number of pixels that are
    cut off is rounded to the nearest even number.
    """
    first = round((length - size_px) / 2) if length > size_px else 0
    start = max(size_px - length, 0) // 2
    return first, start, min(length, size_px)
