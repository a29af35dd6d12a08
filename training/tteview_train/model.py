"""SlowFast (Feichtenhofer et al., ICCV 2019) with bottleneck blocks, in its usual form and in a causal one.

Parameters are named as in PyTorchVideo's `slowfast`, so its state dicts can be read (`weights.py`).

Shapes: `fast` is `[B, C, n * alpha, H, W]`, `slow` is `[B, C, n, H, W]`; n is the number of chunks. In the
causal form chunk c is the fast samples `alpha * c .. alpha * c + alpha - 1`, its slow sample is the first of
them, and no logit of chunk c depends on a later sample.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CAUSAL, CENTRED = "causal", "centred"


@dataclass(frozen=True)
class ModelConfig:
    """Everything that decides the network and the samples it takes."""

    num_classes: int
    width: int = 16
    """Channels of the slow stem; the fast one has `width // beta_inv`."""
    blocks: tuple[int, int, int, int] = (1, 2, 2, 1)
    """Bottlenecks in res2 to res5."""
    alpha: int = 4
    """Fast samples per slow sample."""
    beta_inv: int = 8
    lateral_kernel: int = 5
    slow_frames: int = 8
    """Slow samples of a clip; a clip has `slow_frames * alpha` fast samples."""
    time: str = CAUSAL
    in_channels: int = 1
    dropout: float = 0.5
    size_px: int = 112
    """Height and width of a sample."""
    interval_ns: int = 33_333_333
    """Time from one fast sample to the next."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if self.time not in (CAUSAL, CENTRED):
            raise ValueError(f"time is {self.time!r}: it must be {CAUSAL!r} or {CENTRED!r}")
        if len(self.blocks) != 4 or min(self.blocks) < 1:
            raise ValueError(f"blocks are {self.blocks}: four numbers from 1 are needed")
        if self.lateral_kernel % 2 == 0:
            raise ValueError(f"the lateral kernel is {self.lateral_kernel}: it must be odd")
        if self.width % self.beta_inv:
            raise ValueError(f"width {self.width} is no multiple of beta_inv {self.beta_inv}")
        if self.time == CAUSAL and self.lateral_kernel // 2 > self.alpha - 1:
            raise ValueError(
                f"a lateral kernel of {self.lateral_kernel} reaches out of a chunk of {self.alpha} samples: "
                "the causal form needs kernel // 2 <= alpha - 1"
            )
        if self.in_channels not in (1, 3):
            raise ValueError(f"{self.in_channels} input channels: 1 or 3 are possible")

    @property
    def clip_samples(self) -> int:
        """Fast samples of a clip."""
        return self.slow_frames * self.alpha

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


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


def preset(name: str, num_classes: int, **changes: Any) -> ModelConfig:
    """The configuration of a preset, with some fields changed."""
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r}: there are {', '.join(PRESETS)}")
    return replace(ModelConfig(num_classes, **PRESETS[name]), **changes)


def look_back(config: ModelConfig) -> int:
    """Samples before the first of a chunk that can influence its logits, in the causal form.

    Every temporal convolution of kernel k reaches k-1 of its frames back; one frame of the slow pathway is
    alpha samples. The longest way crosses from fast to slow at one of the lateral connections.
    """
    fast_reach = 4  # the stem's kernel of 5
    lateral = config.lateral_kernel // 2
    slow_reach = 0
    longest = 0
    for stage in range(4):
        # The lateral connection before this stage.
        slow_reach = max(slow_reach, fast_reach + lateral)
        if stage >= 2:
            slow_reach += 2 * config.alpha * config.blocks[stage]
        fast_reach += 2 * config.blocks[stage]
        longest = max(slow_reach, fast_reach)
    return longest


class TimeConv(nn.Conv3d):
    """A convolution over [B, C, T, H, W] with "same" padding in space and padding of its own kind in time."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int, int],
        stride: tuple[int, int, int] = (1, 1, 1),
        time: str = CENTRED,
    ) -> None:
        k = kernel[0]
        before, after = k // 2, k // 2
        if time == CAUSAL and stride[0] == 1:
            # All on the left. A strided (lateral) one needs no change: with k // 2 <= stride - 1 it
            # stays inside its chunk, and never reads the padding on the right.
            before, after = k - 1, 0
        padding = (before if before == after else 0, kernel[1] // 2, kernel[2] // 2)
        super().__init__(inputs, outputs, kernel, stride, padding, bias=False)
        self.time_pads = (0, 0) if before == after else (before, after)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, T, H, W] to [B, outputs, T / stride, ...]."""
        if self.time_pads != (0, 0):
            x = F.pad(x, (0, 0, 0, 0, *self.time_pads))
        return super().forward(x)


STEM_BLOCK = 4
"""Frames that one 2-D convolution of a stem gives in training."""


def blocked_in_time(conv: TimeConv, x: Tensor, block: int) -> Tensor:
    """`conv(x)` as 2-D convolutions: the frames that `block` results look at are the channels of one image.

    Some of its weights are zero, and still it takes a third of the time where channels are few. The number of
    frames is a multiple of `block`, the stride in time 1.
    """
    outputs, _, kernel = conv.weight.shape[:3]
    before, after = conv.time_pads if conv.time_pads != (0, 0) else (kernel // 2, kernel // 2)
    span = block + kernel - 1
    # Row b of a block has the kernel b frames later.
    rows = [F.pad(conv.weight, (0, 0, 0, 0, b, block - 1 - b)) for b in range(block)]
    weight = torch.cat(rows).flatten(1, 2).contiguous(memory_format=torch.channels_last)
    windows = F.pad(x, (0, 0, 0, 0, before, after)).unfold(2, span, block)
    # [B, C, n, H, W, span] to images [B n, C span, H, W] with the channels last in memory.
    batch, _, count = windows.shape[:3]
    images = windows.permute(0, 2, 3, 4, 1, 5).flatten(4).flatten(0, 1).permute(0, 3, 1, 2)
    y = F.conv2d(images, weight, stride=conv.stride[1:], padding=conv.padding[1:])
    # [B n, block outputs, h, w] to [B, outputs, n block, h, w].
    y = y.permute(0, 2, 3, 1).unflatten(3, (block, outputs)).unflatten(0, (batch, count))
    return y.permute(0, 1, 4, 2, 3, 5).flatten(1, 2).permute(0, 4, 1, 2, 3)


class Stem(nn.Module):
    """Convolution of 7x7 with stride 2, max pool with stride 2."""

    def __init__(self, inputs: int, outputs: int, time_kernel: int, time: str) -> None:
        super().__init__()
        self.conv = TimeConv(inputs, outputs, (time_kernel, 7, 7), (1, 2, 2), time)
        self.norm = nn.BatchNorm3d(outputs)
        self.activation = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, T, H, W] to [B, outputs, T, H/4, W/4]."""
        # A CPU has no fast 3-D convolution of so few channels. Not in evaluation: that graph is exported.
        blocked = self.training and x.device.type == "cpu" and x.shape[2] % STEM_BLOCK == 0
        x = blocked_in_time(self.conv, x, STEM_BLOCK) if blocked else self.conv(x)
        return self.pool(self.activation(self.norm(x)))


class Bottleneck(nn.Module):
    """The three convolutions of a block; the stride is in the second."""

    def __init__(
        self, inputs: int, inner: int, outputs: int, time_kernel: int, stride: int, time: str
    ) -> None:
        super().__init__()
        self.conv_a = TimeConv(inputs, inner, (time_kernel, 1, 1), time=time)
        self.norm_a = nn.BatchNorm3d(inner)
        self.act_a = nn.ReLU(inplace=True)
        self.conv_b = TimeConv(inner, inner, (1, 3, 3), (1, stride, stride))
        self.norm_b = nn.BatchNorm3d(inner)
        self.act_b = nn.ReLU(inplace=True)
        self.conv_c = TimeConv(inner, outputs, (1, 1, 1))
        self.norm_c = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """The residual, before the sum."""
        x = self.act_a(self.norm_a(self.conv_a(x)))
        x = self.act_b(self.norm_b(self.conv_b(x)))
        return self.norm_c(self.conv_c(x))


class ResBlock(nn.Module):
    """Bottleneck and shortcut."""

    def __init__(
        self, inputs: int, inner: int, outputs: int, time_kernel: int, stride: int, time: str
    ) -> None:
        super().__init__()
        self.branch1_conv: nn.Module | None = None
        self.branch1_norm: nn.Module | None = None
        if inputs != outputs or stride != 1:
            self.branch1_conv = TimeConv(inputs, outputs, (1, 1, 1), (1, stride, stride))
            self.branch1_norm = nn.BatchNorm3d(outputs)
        self.branch2 = Bottleneck(inputs, inner, outputs, time_kernel, stride, time)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, T, H, W] to [B, outputs, T, H / stride, W / stride]."""
        shortcut = x
        if self.branch1_conv is not None and self.branch1_norm is not None:
            shortcut = self.branch1_norm(self.branch1_conv(x))
        return self.activation(shortcut + self.branch2(x))


class ResStage(nn.Module):
    """Blocks in a row; the first has the stride."""

    def __init__(
        self, blocks: int, inputs: int, inner: int, outputs: int, time_kernel: int, stride: int, time: str
    ) -> None:
        super().__init__()
        self.res_blocks = nn.Sequential(
            *(
                ResBlock(
                    inputs if i == 0 else outputs, inner, outputs, time_kernel, stride if i == 0 else 1, time
                )
                for i in range(blocks)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Through all blocks."""
        return self.res_blocks(x)


class FuseFastToSlow(nn.Module):
    """A lateral connection: a strided temporal convolution of the fast pathway, joined to the slow one."""

    def __init__(self, fast_channels: int, config: ModelConfig) -> None:
        super().__init__()
        kernel, stride = (config.lateral_kernel, 1, 1), (config.alpha, 1, 1)
        self.conv_fast_to_slow = TimeConv(fast_channels, 2 * fast_channels, kernel, stride, config.time)
        self.norm = nn.BatchNorm3d(2 * fast_channels)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, slow: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
        """The slow pathway gets the channels; the fast one stays."""
        lateral = self.activation(self.norm(self.conv_fast_to_slow(fast)))
        return torch.cat((slow, lateral), 1), fast


class Pathways(nn.Module):
    """The slow and the fast form of one stage, and the lateral connection after it."""

    def __init__(self, slow: nn.Module, fast: nn.Module, fusion: FuseFastToSlow | None) -> None:
        super().__init__()
        self.multipathway_blocks = nn.ModuleList((slow, fast))
        self.multipathway_fusion = fusion

    def forward(self, slow: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
        """Both pathways through the stage."""
        slow, fast = self.multipathway_blocks[0](slow), self.multipathway_blocks[1](fast)
        return (slow, fast) if self.multipathway_fusion is None else self.multipathway_fusion(slow, fast)


class Head(nn.Module):
    """Dropout and the linear layer. Linear, so that the mean of chunk logits is the logits of the mean."""

    def __init__(self, features: int, config: ModelConfig) -> None:
        super().__init__()
        # Whole features of a sequence: dropped chunk by chunk they would average out.
        self.dropout = nn.Dropout1d(config.dropout)
        self.proj = nn.Linear(features, config.num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """[B, n, F] to [B, n, L]."""
        return self.proj(self.dropout(features.transpose(1, 2)).transpose(1, 2))


class SlowFast(nn.Module):
    """SlowFast with a linear head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        time, width = config.time, config.width
        fast_width = width // config.beta_inv
        stages: list[nn.Module] = [
            Pathways(
                Stem(config.in_channels, width, 1, time),
                Stem(config.in_channels, fast_width, 5, time),
                FuseFastToSlow(fast_width, config),
            )
        ]
        slow_in, fast_in = width + 2 * fast_width, fast_width
        for stage, blocks in enumerate(config.blocks):
            inner, fast_inner = width * 2**stage, fast_width * 2**stage
            slow_out, fast_out = 4 * inner, 4 * fast_inner
            stride, slow_kernel = (1 if stage == 0 else 2), (1 if stage < 2 else 3)
            stages.append(
                Pathways(
                    ResStage(blocks, slow_in, inner, slow_out, slow_kernel, stride, time),
                    ResStage(blocks, fast_in, fast_inner, fast_out, 3, stride, time),
                    FuseFastToSlow(fast_out, config) if stage < 3 else None,
                )
            )
            slow_in, fast_in = slow_out + 2 * fast_out, fast_out
        # PyTorchVideo has its pooling at 5 and the head at 6.
        self.blocks = nn.ModuleList((*stages, nn.Identity(), Head(slow_out + fast_out, config)))
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.head.proj.weight, std=0.01)
        nn.init.zeros_(self.head.proj.bias)

    @property
    def head(self) -> Head:
        """Dropout and projection."""
        head = self.blocks[6]
        assert isinstance(head, Head)
        return head

    def _trunk(self, slow: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
        for stage in self.blocks[:5]:
            slow, fast = stage(slow, fast)
        return slow, fast

    def chunk_logits(self, slow: Tensor, fast: Tensor) -> Tensor:
        """Logits of each chunk, [B, n, L]; a chunk's fast features are the mean of its alpha samples."""
        slow, fast = self._trunk(slow, fast)
        slow_pooled, fast_pooled = slow.mean((3, 4)), fast.mean((3, 4))
        batch, channels, _ = fast_pooled.shape
        fast_pooled = fast_pooled.reshape(batch, channels, -1, self.config.alpha).mean(3)
        return self.head(torch.cat((slow_pooled, fast_pooled), 1).transpose(1, 2))

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        """Logits of the clip, [B, L]: the mean of its chunks' logits, computed as the head of the mean."""
        slow, fast = self._trunk(slow, fast)
        pooled = torch.cat((slow.mean((2, 3, 4)), fast.mean((2, 3, 4))), 1)
        return self.head(pooled[:, None])[:, 0]


def parameter_count(model: nn.Module) -> int:
    """Trained numbers of the network."""
    return sum(p.numel() for p in model.parameters())
