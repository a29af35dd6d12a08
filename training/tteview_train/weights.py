"""Loads PyTorchVideo's SlowFast weights, such as those trained on Kinetics-400."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .model import SlowFast

HEAD = ("blocks.6.proj.weight", "blocks.6.proj.bias")
STEMS = tuple(f"blocks.0.multipathway_blocks.{pathway}.conv.weight" for pathway in (0, 1))


def load_pretrained(model: SlowFast, state: Mapping[str, Tensor]) -> list[str]:
    """Initialises a centred or causal network from a state dict of PyTorchVideo.

    Returns the names of the parameters that keep their random values. These are parameters of the
    head that are missing in `state` or have a different number of classes there. If the network
    has one input channel and the weights have three, the stem weights are summed over the channels.
    If the network has three and the weights have one, each channel gets a third of the stem
    weights. Neither changes the result for grey frames whose channels are all normalised in the
    same way.

    Raises `ValueError` if any other parameter is missing, is unknown or has another shape. The
    message names all such parameters.
    """
    own = model.state_dict()
    wrong = [f"missing: {name}" for name in own if name not in state and name not in HEAD]
    wrong += [f"unknown: {name}" for name in state if name not in own]
    loaded: dict[str, Tensor] = {}
    kept: list[str] = [name for name in HEAD if name not in state]
    for name, value in state.items():
        if name not in own:
            continue
        if name in STEMS and value.dim() == 5:
            channels = (value.shape[1], own[name].shape[1])
            if channels == (3, 1):
                value = value.sum(1, keepdim=True)
            elif channels == (1, 3):
                value = value.expand(-1, 3, -1, -1, -1) / 3
        if value.shape == own[name].shape:
            loaded[name] = value
        elif name in HEAD and value.shape[1:] == own[name].shape[1:]:
            kept.append(name)
        else:
            wrong.append(
                f"{name}: shape must be {tuple(own[name].shape)}, got {tuple(value.shape)}"
            )
    if wrong:
        raise ValueError(
            "the weights do not fit the network; use weights for the same preset and options:\n  "
            + "\n  ".join(wrong)
        )
    with torch.no_grad():
        model.load_state_dict({**own, **loaded}, strict=True)
    return kept
