"""Reads state dicts of PyTorchVideo's SlowFast, as those trained on Kinetics-400, into our network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .model import SlowFast

HEAD = ("blocks.6.proj.weight", "blocks.6.proj.bias")
STEMS = tuple(f"blocks.0.multipathway_blocks.{pathway}.conv.weight" for pathway in (0, 1))


def load_pretrained(model: SlowFast, state: Mapping[str, Tensor]) -> list[str]:
    """Initialises `model`, centred or causal, from a state dict under PyTorchVideo's names.

    Two things may differ: the number of classes, where the head keeps its random weights, and three input
    channels where the network has one, where the stem's weights are summed over them, which is exact for grey
    frames normalised alike in all three. Returns the names that were not taken.

    Raises `ValueError` naming all other missing, additional or mis-shaped parameters.
    """
    own = model.state_dict()
    wrong = [f"missing: {name}" for name in own if name not in state and name not in HEAD]
    wrong += [f"not known: {name}" for name in state if name not in own]
    taken: dict[str, Tensor] = {}
    kept: list[str] = [name for name in HEAD if name not in state]
    for name, value in state.items():
        if name not in own:
            continue
        if name in STEMS and value.dim() == 5 and value.shape[1] == 3 and own[name].shape[1] == 1:
            value = value.sum(1, keepdim=True)
        if value.shape == own[name].shape:
            taken[name] = value
        elif name in HEAD and value.shape[1:] == own[name].shape[1:]:
            kept.append(name)
        else:
            wrong.append(f"{name}: {tuple(value.shape)} in the file, {tuple(own[name].shape)} in the network")
    if wrong:
        raise ValueError("the weights do not fit the network:\n  " + "\n  ".join(wrong))
    with torch.no_grad():
        model.load_state_dict({**own, **taken}, strict=True)
    return kept
