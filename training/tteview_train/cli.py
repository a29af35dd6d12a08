"""The commands of `tteview_train`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import torch

from .ablate import ablate
from .adapt import AdaptError
from .adapt_command import add_adapt_options
from .augment_settings import AugmentSettings
from .average import add_average_options
from .balance import METHODS
from .config import TrainConfig
from .convert_command import add_convert_options
from .export_command import add_export_options, add_fit_options
from .manifest import LabelSet, ManifestError, derive_labels, read_labels, read_manifest
from .model_config import (
    CAUSAL,
    CENTRED,
    MICRO_BATCHES,
    PRESETS,
    ModelConfig,
    build_preset,
)
from .predict_command import add_predict_options
from .readers import CineError
from .resizing import CHANNEL_ORDERS, parse_resizing
from .reweight import ReweightError
from .reweight_command import add_reweight_options
from .run_folder import RunError
from .train import RunOptions, TrainError, train
from .variants import QUESTIONS, Alternatives

DEFAULTS = {f.name: f.default for f in fields(TrainConfig)}

SETTINGS_HELP = {
    "epochs": "number of epochs",
    "batch": "number of cines per step and process",
    "seed": "seed of all random numbers",
    "lr": "learning rate at the end of the warm-up",
    "weight_decay": "weight decay of the convolutions and the linear layer",
    "warmup": "fraction of the steps during which the learning rate rises",
    "ema": "decay per step of the averaged weights",
    "label_smoothing": "label smoothing of the loss",
    "chunk_weight": "weight of the mean chunk loss; the loss of the mean logits has weight 1",
    "balance_beta": "beta of --balance effective-number",
    "mean": "mean of the pixel values, on a scale from 0 to 1",
    "std": "standard deviation of the pixel values, on a scale from 0 to 1",
}
"""Help texts of the numeric fields of `TrainConfig`, in the order of the options."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status.

    The status is 0 on success, 1 after an error and 130 after an interruption. Error messages go to
    standard error.
    """
    options = _build_parser().parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        options.command(options)
    except (
        TrainError,
        AdaptError,
        ReweightError,
        ManifestError,
        CineError,
        RunError,
        ValueError,
        OSError,
    ) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "interrupted; to resume training from the last checkpoint, run the same command again",
            file=sys.stderr,
        )
        return 130
    return 0


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tteview_train", description=__doc__)
    commands = parser.add_subparsers(required=True)
    _add_train_options(commands.add_parser("train", help="train a network or continue a run"))
    add_convert_options(
        commands.add_parser("convert", help="export SlowFast weights without training")
    )
    add_predict_options(commands.add_parser("predict", help="write the posteriors of cines"))
    add_export_options(commands.add_parser("export", help="write the files for tteview compile"))
    add_fit_options(
        commands.add_parser("fit", help="fit the thresholds of a package on its predictions")
    )
    add_adapt_options(
        commands.add_parser("adapt", help="adapt a network to unlabelled cines of a new scanner")
    )
    add_average_options(
        commands.add_parser("average", help="average the weights of several checkpoints")
    )
    add_reweight_options(
        commands.add_parser("reweight", help="correct a network for how often each label occurs")
    )
    _add_ablate_options(
        commands.add_parser("ablate", help="measure the effect of settings such as augmentation")
    )
    for command in commands.choices.values():
        command.add_argument(
            "--threads", type=int, default=0, help="number of threads; 0 for PyTorch's default"
        )
    return parser


def _add_config_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that `train` and `ablate` share: settings and run options."""
    add = parser.add_argument
    add(
        "--manifest",
        type=Path,
        required=True,
        help="CSV file with the columns path, label, patient, split and colour",
    )
    add(
        "--labels",
        type=Path,
        help="JSON file with the labels in the order of the logits and their groups; "
        "default: the manifest's labels, without groups",
    )
    add("--preset", choices=PRESETS, default="slim", help="configuration of the network")
    add("--width", type=int, help="channels of the slow stem; default: the preset's")
    add("--blocks", help="blocks in each stage, such as 1,2,2,1; default: the preset's")
    add("--time", choices=(CAUSAL, CENTRED), default=CAUSAL, help="padding of convolutions in time")
    add(
        "--lateral-reach",
        type=int,
        help="later samples that a lateral connection of a causal network reads; default: 0",
    )
    add("--in-channels", type=int, choices=(1, 3), default=1, help="1 for grey, 3 for RGB input")
    add("--size", type=int, help="height and width of a sample in pixels; default: the preset's")
    add(
        "--resize",
        default="letterbox",
        metavar="RULE",
        help="how a cine is resized: letterbox (default), stretch, stretch=WIDTHxHEIGHT, "
        "short-side or short-side=SIDE; the result is centred, and cut or surrounded with black",
    )
    add(
        "--antialias",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="resize as Pillow does; --no-antialias: as OpenCV and PyTorch do by default",
    )
    add("--channel-order", choices=CHANNEL_ORDERS, default="rgb", help="order of three channels")
    add("--dropout", type=float, default=0.5, help="probability that a feature is dropped")
    add(
        "--samples",
        type=int,
        help="samples in a training sequence; default: a clip, or more if the look-back is longer",
    )
    for name, text in SETTINGS_HELP.items():
        kind = type(DEFAULTS[name])
        add(f"--{name.replace('_', '-')}", type=kind, default=DEFAULTS[name], help=text)
    add(
        "--micro-batch",
        type=int,
        help="number of cines that run at the same time, to save memory; 0: the whole batch; "
        "default: the preset's",
    )
    add("--optimiser", choices=("adamw", "sgd"), default=DEFAULTS["optimiser"])
    add("--balance", choices=METHODS, default=DEFAULTS["balance"], help="class balancing")
    add(
        "--emphasis",
        nargs="+",
        default=[],
        metavar="LABEL=FACTOR",
        help="labels that an epoch shows more or less often, such as A5C=2",
    )
    add(
        "--allow-short",
        action="store_true",
        help="allow sequences that are shorter than the look-back, for a first stage of training",
    )
    add(
        "--augment",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="augment the training cines",
    )
    add(
        "--augment-strength",
        type=float,
        default=1.0,
        help="strength of the augmentation, 0 (background only) to 1",
    )
    add(
        "--precision",
        choices=("auto", "fp32", "bf16", "fp16"),
        default="auto",
        help="precision; auto means bf16 or fp16 on a GPU and fp32 on a CPU",
    )
    add("--orientation", default=DEFAULTS["orientation"], help="display orientation of the cines")
    add("--device", default="auto", help="cpu, cuda or auto")
    add("--workers", type=int, default=0, help="number of processes that prepare batches")
    add(
        "--save-every",
        type=int,
        default=0,
        help="steps between checkpoints; 0 saves only at the end of each epoch",
    )
    add(
        "--cache",
        type=Path,
        help="folder of decoded cines; default: cache in the --out folder",
    )
    add(
        "--pretrained",
        type=Path,
        help="initial weights: a state dict with PyTorchVideo's names, or a checkpoint of a run",
    )


def _build_config(options: argparse.Namespace) -> TrainConfig:
    labels = _load_labels(options)
    if options.time == CENTRED and options.lateral_reach is not None:
        raise ValueError(
            f"--lateral-reach must not be set with --time {CENTRED}, got {options.lateral_reach}; "
            "lateral connections of a centred network always read half their kernel"
        )
    changes = {
        "lateral_reach": options.lateral_reach,
        "width": options.width,
        "blocks": tuple(int(n) for n in options.blocks.split(",")) if options.blocks else None,
        "size_px": options.size,
    }
    given = {key: value for key, value in changes.items() if value is not None}
    model = build_preset(
        options.preset,
        len(labels.labels),
        time=options.time,
        in_channels=options.in_channels,
        dropout=options.dropout,
        **given,
    )
    strength = options.augment_strength
    if not 0 <= strength <= 1:
        raise ValueError(f"--augment-strength must be 0 to 1, got {strength}")
    values = {name: getattr(options, name) for name in DEFAULTS if hasattr(options, name)}
    values["augment_settings"] = AugmentSettings().scale(strength)
    values.update(model=model, labels=labels.labels, groups=labels.groups)
    values["resizing"] = parse_resizing(options.resize, model.size_px, options.antialias)
    values["manifest"] = str(options.manifest)
    if options.micro_batch is None:
        values["micro_batch"] = MICRO_BATCHES.get(options.preset, 0)
    values["emphasis"] = tuple(_parse_factor(text) for text in options.emphasis)
    values["samples"] = options.samples or _choose_sample_count(model)
    return TrainConfig(**values)


def _parse_factor(text: str) -> tuple[str, float]:
    code, _, factor = text.partition("=")
    try:
        return code, float(factor)
    except ValueError:
        raise ValueError(f"--emphasis must be LABEL=FACTOR, such as A5C=2, got {text}") from None


def _choose_sample_count(model: ModelConfig) -> int:
    """Chooses the number of samples in a training sequence.

    In the centred form, it is the number of samples in a clip. In the causal form, it is the larger
    of that number and the smallest multiple of 16 that covers the look-back and one chunk.
    """
    if model.time == CENTRED:
        return model.clip_samples
    return max(model.clip_samples, -(-(model.look_back + model.alpha) // 16) * 16)


def _load_labels(options: argparse.Namespace) -> LabelSet:
    if options.labels:
        return read_labels(options.labels)
    return derive_labels(options.manifest, read_manifest(options.manifest))


def _build_run_options(options: argparse.Namespace) -> RunOptions:
    return RunOptions(
        device=options.device,
        workers=options.workers,
        save_every=options.save_every,
        cache=options.cache,
        pretrained=options.pretrained,
        stop_after=options.stop_after,
    )


def _add_train_options(parser: argparse.ArgumentParser) -> None:
    _add_config_options(parser)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the run; an unfinished run is continued"
    )
    parser.add_argument(
        "--stop-after",
        type=int,
        default=0,
        metavar="EPOCHS",
        help="stop after this number of epochs; run again without the option to continue",
    )
    parser.set_defaults(command=_train)


def _train(options: argparse.Namespace) -> None:
    progress = train(_build_config(options), options.out, _build_run_options(options))
    if os.environ.get("RANK", "0") == "0":
        best = f"best macro F1 on val {progress.best_f1:.4f}"
        scored = best if progress.best_f1 >= 0 else "not scored, because no cine is in val"
        print(f"{options.out}: {progress.epoch} epochs, {scored}")


def _add_ablate_options(parser: argparse.ArgumentParser) -> None:
    _add_config_options(parser)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for the runs and ablations.md")
    add("--seeds", type=int, default=2, help="number of seeds; the first one is --seed")
    add(
        "--imbalance",
        type=int,
        default=20,
        help="number of cines of a frequent class for each cine of a rare one, in the balance rows",
    )
    add("--wide", type=int, default=32, help="width of the other network, in the width rows")
    add("--large", type=int, default=160, help="size of the other samples, in the size rows")
    add("--other-manifest", type=Path, help="other training cines, in the cines rows")
    add(
        "--questions",
        choices=QUESTIONS,
        nargs="+",
        default=(),
        help="questions to answer, in quotes if the name has a space; default: all",
    )
    add(
        "--field-manifest",
        type=Path,
        help="manifest of cines from other scanners; the cines of all splits are scored",
    )
    parser.set_defaults(command=_ablate, stop_after=0)


def _ablate(options: argparse.Namespace) -> None:
    path = ablate(
        _build_config(options),
        options.out,
        range(options.seed, options.seed + options.seeds),
        options.imbalance,
        Alternatives(options.wide, options.large, options.other_manifest),
        options.field_manifest,
        options.questions,
        _build_run_options(options),
    )
    print(path.read_text())
