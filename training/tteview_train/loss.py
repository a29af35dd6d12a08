"""The training loss, which is computed from the chunk logits."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .config import TrainConfig
from .model import SlowFast
from .model_config import CAUSAL
from .sampling import compute_slow_indices


class ChunkLogits(nn.Module):
    """A network that maps samples to chunk logits.

    It is a module and not a function, because `DistributedDataParallel` can wrap only modules.
    """

    def __init__(self, model: SlowFast) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Maps samples [B, C, T, H, W] to logits [B, n, L]."""
        alpha, samples = self.model.config.alpha, x.shape[2]
        if self.model.config.time == CAUSAL:
            slow = x[:, :, ::alpha]
        else:
            slow = x[:, :, compute_slow_indices(samples, samples // alpha)]
        return self.model.compute_chunk_logits(slow, x)


def compute_loss(
    logits: Tensor, valid: Tensor, labels: Tensor, config: TrainConfig
) -> tuple[Tensor, Tensor]:
    """Computes the loss, and the mean [B, L] of the logits [B, n, L] over the chunks.

    The loss is the cross entropy of the mean logits plus `chunk_weight` times the mean cross
    entropy of the individual chunks. Chunks for which `valid` [B, n] is false do not count, because
    they repeat the end of a short cine.
    """
    weight = valid.to(logits.dtype)
    mean = (logits * weight[..., None]).sum(1) / weight.sum(1, keepdim=True)
    smoothing = config.label_smoothing
    loss = F.cross_entropy(mean, labels, label_smoothing=smoothing)
    if config.chunk_weight > 0:
        each = F.cross_entropy(
            logits.flatten(0, 1),
            labels.repeat_interleave(logits.shape[1]),
            label_smoothing=smoothing,
            reduction="none",
        )
        loss = loss + config.chunk_weight * (each * weight.flatten()).sum() / weight.sum()
    return loss, mean
