"""The command `convert`, which exports SlowFast weights without training."""

from __future__ import annotations

import argparse
import hashlib
import shlex
import subprocess
from pathlib import Path

from .checkpoint import load_checkpoint
from .config import TrainConfig
from .decision import DecisionRule
from .export import format_spec, write_files
from .manifest import read_labels
from .model import SlowFast
from .model_config import CAUSAL, CENTRED, PRESETS, build_preset
from .program import PROGRAM, find_program
from .resizing import CHANNEL_ORDERS, parse_resizing
from .weights import load_pretrained


def add_convert_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `convert`."""
    add = parser.add_argument
    add(
        "--weights",
        type=Path,
        required=True,
        help="state dict with PyTorchVideo's names, such as SLOWFAST_8x8_R50.pyth",
    )
    add("--labels", type=Path, required=True, help="JSON file with a label for each class")
    add("--out", type=Path, required=True, help="ONNX file to write, NAME.onnx")
    add("--preset", choices=PRESETS, default="r50-8x8", help="configuration of the network")
    add("--time", choices=(CAUSAL, CENTRED), default=CAUSAL, help="padding of convolutions in time")
    add("--in-channels", type=int, choices=(1, 3), default=3, help="1 for grey, 3 for RGB input")
    add("--size", type=int, help="height and width of a sample in pixels; default: the preset's")
    add("--resize", default="letterbox", metavar="RULE", help="as for train")
    add("--antialias", action=argparse.BooleanOptionalAction, default=True, help="as for train")
    add("--channel-order", choices=CHANNEL_ORDERS, default="rgb", help="order of three channels")
    add("--model-version", default="", help="model version in the package; default: NAME")
    parser.set_defaults(command=_convert)


def _convert(options: argparse.Namespace) -> None:
    labels = read_labels(options.labels)
    changes = {"size_px": options.size} if options.size else {}
    model_config = build_preset(
        options.preset,
        len(labels.labels),
        time=options.time,
        in_channels=options.in_channels,
        **changes,
    )
    config = TrainConfig(
        model_config,
        labels.labels,
        "",
        samples=model_config.clip_samples,
        allow_short=True,
        groups=labels.groups,
        resizing=parse_resizing(options.resize, model_config.size_px, options.antialias),
        channel_order=options.channel_order,
    )
    model = SlowFast(model_config)
    _load_weights(model, options.weights)
    name = options.out.name.removesuffix(".onnx")
    digest = hashlib.sha256(options.weights.read_bytes()).hexdigest()
    provenance = f"tteview_train convert, weights sha256 {digest}, {options.time} in time"
    rule = DecisionRule(groups=labels.list_group_indices())
    spec = format_spec(config, 1.0, rule, options.model_version or name, provenance)
    arguments = write_files(model.eval(), labels, spec, options.out)
    program = find_program()
    if program is None:
        command = shlex.join(["tteview", *arguments])
        print(f"{options.out}\n{PROGRAM} does not name the program; compile with:\n  {command}")
        return
    print(options.out, flush=True)
    if code := subprocess.run([program, *arguments], check=False).returncode:
        raise ValueError(f"{program} ended with exit code {code}")


def _load_weights(model: SlowFast, path: Path) -> None:
    """Loads all weights, including those of the head. Raises `ValueError`."""
    try:
        state = load_checkpoint(path)
        kept = load_pretrained(model, state.get("model_state", state.get("model", state)))
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{path}: {error}") from error
    if kept:
        classes = model.config.num_classes
        raise ValueError(
            f"{path}: the head does not have {classes} classes, one for each label: "
            f"{', '.join(kept)}; list a label for each class of the weights, or train a new head "
            "with train --pretrained"
        )
