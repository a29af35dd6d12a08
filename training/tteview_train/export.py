"""Writes the network as the 3-D clip graph that `tteview compile` reads."""

from __future__ import annotations

import copy
import json
import shlex
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from .checkpoint import write_atomically
from .config import TrainConfig
from .model import CAUSAL, SlowFast
from .run_folder import load_run
from .sampling import slow_indices

OPSET = 17


class _Clip(nn.Module):
    """The network with its inputs by name."""

    def __init__(self, model: SlowFast) -> None:
        super().__init__()
        self.model = model

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        return self.model(slow, fast)


def clip_slow_indices(config: TrainConfig) -> list[int]:
    """Slow samples of a clip: the first of each chunk in the causal form, SlowFast's own in the other."""
    model = config.model
    if model.time == CAUSAL:
        return list(range(0, model.clip_samples, model.alpha))
    return slow_indices(model.clip_samples, model.slow_frames)


def write_onnx(model: SlowFast, path: Path) -> None:
    """Inputs `slow` [1,C,Ts,H,W] and `fast` [1,C,Tf,H,W], output `logits` [1,L]; weights inside, static
    shapes.
    """
    config = model.config
    # A copy: the exporter changes modes, and the caller's network may be on a GPU.
    clip = _Clip(copy.deepcopy(model).cpu()).eval()
    shape = (1, config.in_channels, config.clip_samples, config.size_px, config.size_px)
    fast = torch.zeros(shape)
    slow = torch.zeros(shape)[:, :, :: config.alpha].contiguous()
    temporary = path.with_name(path.name + ".tmp")
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # The exporter by tracing: the newer one needs another package for the same graph.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                clip,
                (slow, fast),
                str(temporary),
                input_names=["slow", "fast"],
                output_names=["logits"],
                opset_version=OPSET,
                dynamo=False,
            )
        onnx.checker.check_model(str(temporary))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def spec_toml(
    config: TrainConfig, temperature: float, threshold: float, version: str, provenance: str
) -> str:
    """What the graph cannot say of its input: the file of `tteview compile --spec`."""
    values: dict[str, Any] = {
        "mean": [config.mean],
        "std": [config.std],
        "sample_interval_ns": config.model.interval_ns,
        "slow_indices": clip_slow_indices(config),
        "temperature": float(temperature),
        "threshold": float(threshold),
        "orientation": config.orientation,
        "model_version": version,
        "provenance": provenance,
    }
    # JSON's numbers, lists and strings are TOML's too.
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def export(
    run: Path,
    out: Path,
    checkpoint: str = "best",
    temperature: float = 1.0,
    threshold: float = 0.0,
    version: str = "",
) -> str:
    """Writes `NAME.onnx`, `NAME.labels.json` and `NAME.spec.toml`; returns the command that compiles them.

    Raises `RunError` or `OSError`.
    """
    model, config, digest = load_run(run, checkpoint)
    name = out.name.removesuffix(".onnx")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_onnx(model, out)
    labels, spec = out.with_name(f"{name}.labels.json"), out.with_name(f"{name}.spec.toml")
    listed = [vars(label) for label in config.labels]
    provenance = f"tteview_train, checkpoint sha256 {digest}, seed {config.seed}, {config.epochs} epochs"
    text = spec_toml(config, temperature, threshold, version or name, provenance)
    write_atomically(labels, lambda file: _write(file, json.dumps(listed, indent=1) + "\n"))
    write_atomically(spec, lambda file: _write(file, text))
    words = ["tteview", "compile", str(out), "--labels", str(labels), "--spec", str(spec)]
    return shlex.join([*words, "-o", str(out.with_name(name))])


def _write(file: Any, text: str) -> None:
    file.write(text.encode())
