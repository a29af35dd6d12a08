"""The configuration of a SlowFast network, with presets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

CAUSAL, CENTRED = "causal", "centred"


@dataclass(frozen=True)
class ModelConfig:
    """The settings that define a network and its input samples."""

    num_classes: int
    width: int = 16
    """Number of channels of the slow stem. The fast stem has `width // beta_inv` channels."""
    blocks: tuple[int, int, int, int] = (1, 2, 2, 1)
    """Number of bottlenecks in each of the stages res2 to res5."""
    alpha: int = 4
    """Number of fast samples per slow sample."""
    beta_inv: int = 8
    lateral_kernel: int = 5
    lateral_reach: int = 0
    """Number of fast samples after a slow sample that its lateral connections read.

    In the centred form, it is always `lateral_kernel // 2`, whatever value is given.
    """
    slow_frames: int = 8
    """Number of slow samples in a clip. A clip has `slow_frames * alpha` fast samples."""
    time: str = CAUSAL
    in_channels: int = 1
    dropout: float = 0.5
    size_px: int = 112
    """Height and width of a sample."""
    interval_ns: int = 33_333_333
    """Time between fast samples."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if self.time not in (CAUSAL, CENTRED):
            raise ValueError(f"time must be {CAUSAL} or {CENTRED}, got {self.time!r}")
        if len(self.blocks) != 4 or min(self.blocks) < 1:
            raise ValueError(f"blocks must be four numbers of at least 1, got {self.blocks}")
        if self.lateral_kernel % 2 == 0:
            raise ValueError(f"lateral_kernel must be odd, got {self.lateral_kernel}")
        if self.width % self.beta_inv:
            raise ValueError(f"width must be a multiple of {self.beta_inv}, got {self.width}")
        if self.time == CENTRED:
            object.__setattr__(self, "lateral_reach", self.lateral_kernel // 2)
        furthest = min(self.alpha, self.lateral_kernel) - 1
        if self.time == CAUSAL and not 0 <= self.lateral_reach <= furthest:
            raise ValueError(
                f"lateral_reach must be 0 to {furthest}, got {self.lateral_reach}: a lateral "
                f"connection with a kernel of {self.lateral_kernel} must read its slow sample and "
                f"no sample after its chunk of {self.alpha} samples"
            )
        if self.in_channels not in (1, 3):
            raise ValueError(f"in_channels must be 1 or 3, got {self.in_channels}")

    @property
    def clip_samples(self) -> int:
        """Number of fast samples in a clip."""
        return self.slow_frames * self.alpha

    @property
    def look_back(self) -> int:
        """Number of samples before a chunk that influence the chunk's logits in the causal form.

        A temporal convolution with kernel k reaches back by k - 1 frames, and a lateral connection
        by `lateral_reach` frames less. In the slow pathway, one frame corresponds to `alpha`
        samples. The longest path may switch from the fast to the slow pathway at any of the lateral
        connections.
        """
        fast_reach = 4  # The temporal kernel of the fast stem is 5.
        lateral = self.lateral_kernel - 1 - self.lateral_reach
        slow_reach = 0
        longest = 0
        for stage in range(4):
            # There is a lateral connection before each stage.
            slow_reach = max(slow_reach, fast_reach + lateral)
            if stage >= 2:
                slow_reach += 2 * self.alpha * self.blocks[stage]
            fast_reach += 2 * self.blocks[stage]
            longest = max(slow_reach, fast_reach)
        return longest


PRESETS: dict[str, dict[str, Any]] = {
    "slim": {},
    "r50-8x8": {
        "width": 64,
        "blocks": (3, 4, 6, 3),
        "lateral_kernel": 7,
        "size_px": 224,
        "interval_ns": 66_666_667,
    },
    "r50-4x16": {
        "width": 64,
        "blocks": (3, 4, 6, 3),
        "alpha": 8,
        "slow_frames": 4,
        "size_px": 224,
        "interval_ns": 66_666_667,
    },
}


MICRO_BATCHES = {"r50-8x8": 2, "r50-4x16": 2}
"""Number of cines that a process runs at the same time by default, for the presets that need it."""


def build_preset(name: str, num_classes: int, **changes: Any) -> ModelConfig:
    """Builds the configuration of a preset, with the fields in `changes` replaced."""
    if name not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}")
    return replace(ModelConfig(num_classes, **PRESETS[name]), **changes)
