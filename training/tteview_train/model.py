"""SlowFast (Feichtenhofer et al., ICCV 2019) with bottleneck blocks, causal or centred in time.

The parameters are named as in PyTorchVideo's `slowfast`, so that `weights.py` can load
PyTorchVideo's state dicts.

`fast` has the shape [B, C, n * alpha, H, W] and `slow` has the shape [B, C, n, H, W], where n is
the number of chunks. In the causal form, chunk c consists of the fast samples `alpha * c` to
`alpha * c + alpha - 1`. The first of these samples is also the slow sample of the chunk. The logits
of a chunk do not depend on samples after the chunk.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .model_config import CAUSAL, CENTRED, ModelConfig


class TimeConv(nn.Conv3d):
    """A convolution over [B, C, T, H, W] with "same" padding in space.

    Output frame t reads `reach` frames after input frame t * stride. By default, `reach` is 0 in
    the causal form, so that all padding in time is at the start, and half the kernel in the centred
    form.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int, int],
        stride: tuple[int, int, int] = (1, 1, 1),
        time: str = CENTRED,
        reach: int | None = None,
    ) -> None:
        k = kernel[0]
        if reach is None:
            reach = 0 if time == CAUSAL else k // 2
        before, after = k - 1 - reach, reach
        padding = (before if before == after else 0, kernel[1] // 2, kernel[2] // 2)
        super().__init__(inputs, outputs, kernel, stride, padding, bias=False)
        self.time_pads = (0, 0) if before == after else (before, after)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, inputs, T, H, W] to [B, outputs, T / stride, ...]."""
        if self.time_pads != (0, 0):
            x = F.pad(x, (0, 0, 0, 0, *self.time_pads))
        return super().forward(x)


STEM_BLOCK = 4
"""Number of output frames that each 2-D convolution of a stem computes in training on a CPU."""


def convolve_in_blocks(conv: TimeConv, x: Tensor, block: int) -> Tensor:
    """Computes `conv(x)` with 2-D convolutions that each produce `block` output frames.

    The input frames of each block become the channels of one image. If the input has few channels,
    the 2-D convolutions take only a third of the time of the 3-D convolution on a CPU, although
    some of their weights are zero. The frame count must be a multiple of `block`, and the stride in
    time must be 1.
    """
    outputs, _, kernel = conv.weight.shape[:3]
    before, after = conv.time_pads if conv.time_pads != (0, 0) else (kernel // 2, kernel // 2)
    span = block + kernel - 1
    # For output frame b of a block, the kernel is shifted by b frames.
    rows = [F.pad(conv.weight, (0, 0, 0, 0, b, block - 1 - b)) for b in range(block)]
    weight = torch.cat(rows).flatten(1, 2).contiguous(memory_format=torch.channels_last)
    windows = F.pad(x, (0, 0, 0, 0, before, after)).unfold(2, span, block)
    # The images have the shape [B * n, C * span, H, W] and are stored in channels-last order.
    batch, _, count = windows.shape[:3]
    images = windows.permute(0, 2, 3, 4, 1, 5).flatten(4).flatten(0, 1).permute(0, 3, 1, 2)
    y = F.conv2d(images, weight, stride=conv.stride[1:], padding=conv.padding[1:])
    # The result has the shape [B, outputs, n * block, h, w].
    y = y.permute(0, 2, 3, 1).unflatten(3, (block, outputs)).unflatten(0, (batch, count))
    return y.permute(0, 1, 4, 2, 3, 5).flatten(1, 2).permute(0, 4, 1, 2, 3)


class Stem(nn.Module):
    """A 7x7 convolution and max pooling, both with stride 2."""

    def __init__(self, inputs: int, outputs: int, time_kernel: int, time: str) -> None:
        super().__init__()
        self.conv = TimeConv(inputs, outputs, (time_kernel, 7, 7), (1, 2, 2), time)
        self.norm = nn.BatchNorm3d(outputs)
        self.activation = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, T, H, W] to [B, outputs, T, H / 4, W / 4]."""
        # On a CPU, a 3-D convolution with few channels is slow, so training uses 2-D convolutions.
        # Evaluation keeps the 3-D convolution, because the graph is exported in evaluation mode.
        use_blocks = self.training and x.device.type == "cpu" and x.shape[2] % STEM_BLOCK == 0
        x = convolve_in_blocks(self.conv, x, STEM_BLOCK) if use_blocks else self.conv(x)
        return self.pool(self.activation(self.norm(x)))


class Bottleneck(nn.Module):
    """The three convolutions of a block. The second one applies the stride."""

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
        """Computes the residual that is added to the shortcut."""
        x = self.act_a(self.norm_a(self.conv_a(x)))
        x = self.act_b(self.norm_b(self.conv_b(x)))
        return self.norm_c(self.conv_c(x))


class ResBlock(nn.Module):
    """A bottleneck and its shortcut."""

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
        """Maps [B, inputs, T, H, W] to [B, outputs, T, H / stride, W / stride]."""
        shortcut = x
        if self.branch1_conv is not None and self.branch1_norm is not None:
            shortcut = self.branch1_norm(self.branch1_conv(x))
        return self.activation(shortcut + self.branch2(x))


class ResStage(nn.Module):
    """A sequence of blocks. The first one applies the stride."""

    def __init__(
        self,
        blocks: int,
        inputs: int,
        inner: int,
        outputs: int,
        time_kernel: int,
        stride: int,
        time: str,
    ) -> None:
        super().__init__()
        self.res_blocks = nn.Sequential(
            *(
                ResBlock(
                    inputs if i == 0 else outputs,
                    inner,
                    outputs,
                    time_kernel,
                    stride if i == 0 else 1,
                    time,
                )
                for i in range(blocks)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Applies all blocks."""
        return self.res_blocks(x)


class FuseFastToSlow(nn.Module):
    """A lateral connection from the fast to the slow pathway, with stride `alpha` in time."""

    def __init__(self, fast_channels: int, config: ModelConfig) -> None:
        super().__init__()
        kernel, stride = (config.lateral_kernel, 1, 1), (config.alpha, 1, 1)
        self.conv_fast_to_slow = TimeConv(
            fast_channels, 2 * fast_channels, kernel, stride, reach=config.lateral_reach
        )
        self.norm = nn.BatchNorm3d(2 * fast_channels)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, slow: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
        """Appends channels to the slow features and returns the fast features unchanged."""
        lateral = self.activation(self.norm(self.conv_fast_to_slow(fast)))
        return torch.cat((slow, lateral), 1), fast


class Pathways(nn.Module):
    """One stage of both pathways, and the lateral connection after it, if there is one."""

    def __init__(self, slow: nn.Module, fast: nn.Module, fusion: FuseFastToSlow | None) -> None:
        super().__init__()
        self.multipathway_blocks = nn.ModuleList((slow, fast))
        self.multipathway_fusion = fusion

    def forward(self, slow: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
        """Applies the stage to both pathways."""
        slow, fast = self.multipathway_blocks[0](slow), self.multipathway_blocks[1](fast)
        if self.multipathway_fusion is None:
            return slow, fast
        return self.multipathway_fusion(slow, fast)


class Head(nn.Module):
    """Dropout and a linear layer.

    Because the layer is linear, the mean of the chunk logits equals the logits of the mean
    features.
    """

    def __init__(self, features: int, config: ModelConfig) -> None:
        super().__init__()
        # Dropout1d drops a feature in all chunks of a sequence. If each chunk dropped different
        # features, the mean over the chunks would reduce the effect of dropout.
        self.dropout = nn.Dropout1d(config.dropout)
        self.proj = nn.Linear(features, config.num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Maps features [B, n, F] to logits [B, n, L]."""
        return self.proj(self.dropout(features.transpose(1, 2)).transpose(1, 2))


class SlowFast(nn.Module):
    """The SlowFast network with a linear head."""

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
        # In PyTorchVideo, block 5 is a pooling layer, which the identity replaces here.
        self.blocks = nn.ModuleList((*stages, nn.Identity(), Head(slow_out + fast_out, config)))
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.head.proj.weight, std=0.01)
        nn.init.zeros_(self.head.proj.bias)

    @property
    def head(self) -> Head:
        """The head of the network."""
        head = self.blocks[6]
        assert isinstance(head, Head)
        return head

    def _run_stages(self, slow: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
        for stage in self.blocks[:5]:
            slow, fast = stage(slow, fast)
        return slow, fast

    def compute_chunk_features(self, slow: Tensor, fast: Tensor) -> Tensor:
        """Computes the pooled features [B, n, F] of the chunks.

        The fast features of a chunk are averaged over its `alpha` samples.
        """
        slow, fast = self._run_stages(slow, fast)
        slow_pooled, fast_pooled = slow.mean((3, 4)), fast.mean((3, 4))
        batch, channels, _ = fast_pooled.shape
        fast_pooled = fast_pooled.reshape(batch, channels, -1, self.config.alpha).mean(3)
        return torch.cat((slow_pooled, fast_pooled), 1).transpose(1, 2)

    def compute_chunk_logits(self, slow: Tensor, fast: Tensor) -> Tensor:
        """Computes the logits [B, n, L] of the chunks."""
        return self.head(self.compute_chunk_features(slow, fast))

    def compute_clip_features(self, slow: Tensor, fast: Tensor) -> Tensor:
        """Computes the pooled features [B, F] of a clip: the mean of those of its chunks."""
        slow, fast = self._run_stages(slow, fast)
        return torch.cat((slow.mean((2, 3, 4)), fast.mean((2, 3, 4))), 1)

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        """Computes the clip logits [B, L], which are the mean of the chunk logits."""
        return self.head(self.compute_clip_features(slow, fast)[:, None])[:, 0]


def count_parameters(model: nn.Module) -> int:
    """Counts the trainable parameters of a network."""
    return sum(p.numel() for p in model.parameters())
