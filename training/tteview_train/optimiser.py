"""The optimiser, the learning rate, the averaged weights and the precision of training."""

from __future__ import annotations

import math

import torch
from torch import nn

from .config import TrainConfig


def compute_learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Computes the learning rate of a step.

    The rate rises linearly during the warm-up and then falls to zero along half a cosine wave.
    """
    warm = max(1, round(config.warmup * steps))
    if step < warm:
        return config.lr * (step + 1) / warm
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def build_optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Builds the optimiser. Biases and normalisation parameters have no weight decay."""
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if config.optimiser == "sgd":
        momentum = config.momentum
        return torch.optim.SGD(groups, config.lr, momentum=momentum, nesterov=momentum > 0)
    return torch.optim.AdamW(groups, config.lr)


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Updates the exponential moving average of the weights and the normalisation statistics.

    In the first steps, the function uses a decay smaller than `decay`.
    """
    decay = min(decay, (1 + step) / (10 + step))
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


def choose_autocast_type(precision: str, device: torch.device) -> torch.dtype | None:
    """Chooses the data type for autocast. `None` means single precision.

    On a CPU, `auto` means single precision. On a CPU with bf16 instructions, bf16 is about twice as
    fast, but it must be requested explicitly. Raises `ValueError` for fp16 without a GPU.
    """
    on_gpu = device.type == "cuda"
    if precision == "fp32" or (precision == "auto" and not on_gpu):
        return None
    if precision == "auto":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if precision == "fp16" and not on_gpu:
        raise ValueError(
            f"precision fp16 needs a CUDA device, but the device is {device}; use bf16 or fp32"
        )
    return {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
