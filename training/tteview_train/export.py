"""Exports a network as the ONNX clip graph that `tteview compile` reads."""

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

from .checkpoint import write_text_atomically
from .config import TrainConfig
from .decision import DecisionRule
from .manifest import LabelSet
from .model import SlowFast
from .model_config import CAUSAL
from .novelty import Novelty, extend_head
from .run_folder import load_run
from .sampling import compute_slow_indices

OPSET = 17


class _Clip(nn.Module):
    """A network that maps the inputs `slow` and `fast` to the logits of a clip."""

    def __init__(self, model: SlowFast) -> None:
        super().__init__()
        self.model = model

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        return self.model(slow, fast)


def choose_slow_indices(config: TrainConfig) -> list[int]:
    """Chooses the slow samples of a clip.

    In the causal form, the slow samples are the first samples of the chunks. In the centred form,
    they are chosen as in the original SlowFast.
    """
    model = config.model
    if model.time == CAUSAL:
        return list(range(0, model.clip_samples, model.alpha))
    return compute_slow_indices(model.clip_samples, model.slow_frames)


def write_onnx(model: SlowFast, path: Path) -> None:
    """Writes the clip graph with static shapes and embedded weights.

    The inputs are `slow` [1, C, Ts, H, W] and `fast` [1, C, Tf, H, W], and the output is `logits`
    [1, L], or [1, L + K] if the head has been extended with a projection to K values.
    """
    config = model.config
    # A copy is exported, because the exporter changes the mode of the network and the caller's
    # network may be on a GPU.
    clip = _Clip(copy.deepcopy(model).cpu()).eval()
    shape = (1, config.in_channels, config.clip_samples, config.size_px, config.size_px)
    fast = torch.zeros(shape)
    slow = torch.zeros(shape)[:, :, :: config.alpha].contiguous()
    temporary = path.with_name(path.name + ".tmp")
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # The old exporter is used, because the new one needs another package and gives the same
            # graph. The warnings of the old exporter are ignored.
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


def format_spec(
    config: TrainConfig,
    temperature: float,
    rule: DecisionRule,
    version: str,
    provenance: str,
    novelty: Novelty | None = None,
) -> str:
    """Returns the text of the file for `tteview compile --spec`.

    The file contains the settings that are not in the graph.
    """
    values: dict[str, Any] = {
        "mean": [config.mean],
        "std": [config.std],
        "sample_interval_ns": config.model.interval_ns,
        "slow_indices": choose_slow_indices(config),
        "temperature": float(temperature),
        "threshold": float(rule.threshold),
        **({"group_threshold": float(rule.group_threshold)} if rule.groups else {}),
        "orientation": config.orientation,
        **_list_preprocess_values(config),
        "model_version": version,
        "provenance": provenance,
    }
    # Numbers, lists and strings have the same form in JSON and TOML, so `json.dumps` writes values
    # that are valid TOML.
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
    return text + (novelty.format_toml() if novelty else "")


def _list_preprocess_values(config: TrainConfig) -> dict[str, Any]:
    """Lists the values of the table `preprocess`, with dotted keys."""
    values, order = config.resizing.to_package().items(), config.channel_order
    return {
        **{f"preprocess.resize.{key}": value for key, value in values},
        **({"preprocess.channel_order": order} if config.model.in_channels == 3 else {}),
    }


def export(
    run: Path,
    out: Path,
    checkpoint: str = "best",
    temperature: float = 1.0,
    rule: DecisionRule | None = None,
    version: str = "",
    novelty: Novelty | None = None,
) -> str:
    """Writes the graph to `out`, and the labels and settings to two files in the same folder.

    If `out` is `NAME.onnx`, these two files are `NAME.labels.json` and `NAME.spec.toml`. Returns
    the command that compiles the three files. Raises `RunError` or `OSError`.
    """
    model, config, digest = load_run(run, checkpoint)
    provenance = (
        f"tteview_train, checkpoint sha256 {digest}, seed {config.seed}, {config.epochs} epochs"
    )
    rule = rule or DecisionRule(groups=config.label_set.list_group_indices())
    name = out.name.removesuffix(".onnx")
    spec = format_spec(config, temperature, rule, version or name, provenance, novelty)
    network = extend_head(model, novelty) if novelty else model
    return shlex.join(["tteview", *write_files(network, config.label_set, spec, out)])


def write_files(model: SlowFast, labels: LabelSet, spec: str, out: Path) -> list[str]:
    """Writes the graph, the labels and the specification of a network.

    Returns the arguments of the program `tteview` that compile the three files.
    """
    name = out.name.removesuffix(".onnx")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_onnx(model, out)
    labels_file, spec_file = (
        out.with_name(f"{name}.{end}") for end in ("labels.json", "spec.toml")
    )
    write_text_atomically(labels_file, labels.to_json())
    write_text_atomically(spec_file, spec)
    files = [str(out), "--labels", str(labels_file), "--spec", str(spec_file)]
    return ["compile", *files, "-o", str(out.with_name(name))]
