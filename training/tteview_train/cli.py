"""The command line: train, predict, export, ablate."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import torch

from .ablate import ablate
from .augment import AugmentSettings
from .balance import METHODS
from .config import TrainConfig
from .export import export
from .manifest import Label, ManifestError, labels_of, read_labels, read_manifest
from .model import CAUSAL, CENTRED, PRESETS, look_back, preset
from .predict import fitted_temperature, predict
from .readers import CineError
from .run_folder import RunError
from .train import Machine, TrainError, train

DEFAULTS = {f.name: f.default for f in fields(TrainConfig)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; 0 if it did all, 1 if it could not, with the reason on standard error."""
    options = _parser().parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        options.command(options)
    except (TrainError, ManifestError, CineError, RunError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tteview_train", description=__doc__)
    commands = parser.add_subparsers(required=True)
    _train_parser(commands.add_parser("train", help="train a network, or go on with a training"))
    _predict_parser(commands.add_parser("predict", help="stream cines and write the posteriors"))
    _export_parser(commands.add_parser("export", help="write ONNX for `tteview compile`"))
    _ablate_parser(
        commands.add_parser("ablate", help="measure what balance, augmentation and the rest are worth")
    )
    for command in commands.choices.values():
        command.add_argument("--threads", type=int, default=0, help="threads of torch; 0: its own choice")
    return parser


def training_options(parser: argparse.ArgumentParser) -> None:
    """The options that decide the weights, and how they are computed."""
    parser.add_argument(
        "--manifest", type=Path, required=True, help="CSV: path,label,patient,split,colour,..."
    )
    parser.add_argument("--labels", type=Path, help="JSON list of labels in the order of the logits")
    parser.add_argument("--preset", choices=PRESETS, default="slim")
    parser.add_argument("--width", type=int, help="channels of the slow stem, in place of the preset's")
    parser.add_argument("--blocks", help="blocks of the four stages, as 1,2,2,1")
    parser.add_argument("--time", choices=(CAUSAL, CENTRED), default=CAUSAL)
    parser.add_argument("--in-channels", type=int, choices=(1, 3), default=1)
    parser.add_argument("--size", type=int, help="height and width of a sample in pixels")
    parser.add_argument("--dropout", type=float, default=0.5)
    parser.add_argument(
        "--samples", type=int, help="samples of a sequence; default: look-back and a clip at least"
    )
    for name in ("epochs", "batch", "seed"):
        parser.add_argument(f"--{name}", type=int, default=DEFAULTS[name])
    floats = (
        "lr",
        "weight_decay",
        "warmup",
        "ema",
        "label_smoothing",
        "chunk_weight",
        "balance_beta",
        "mean",
        "std",
    )
    for name in floats:
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=DEFAULTS[name])
    parser.add_argument("--optimiser", choices=("adamw", "sgd"), default=DEFAULTS["optimiser"])
    parser.add_argument("--balance", choices=METHODS, default=DEFAULTS["balance"])
    parser.add_argument("--augment", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--augment-strength",
        type=float,
        default=1.0,
        help="0 to 1: how far augmentation goes (1: as designed)",
    )
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto")
    parser.add_argument(
        "--orientation", default=DEFAULTS["orientation"], help="display orientation of the cines"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare batches")
    parser.add_argument("--save-every", type=int, default=0, help="steps between checkpoints within an epoch")
    parser.add_argument("--cache", type=Path, help="folder of decoded cines; default: in the run's folder")
    parser.add_argument(
        "--pretrained",
        type=Path,
        help="weights to begin with: a state dict under PyTorchVideo's names, or best.pt of a run",
    )
    parser.add_argument(
        "--stop-after",
        type=int,
        default=0,
        metavar="EPOCHS",
        help="stop after so many of the epochs; the same command without it goes on",
    )


def config_of(options: argparse.Namespace, labels: Sequence[Label]) -> TrainConfig:
    """The settings that the options name."""
    changes = {
        "width": options.width,
        "blocks": tuple(int(n) for n in options.blocks.split(",")) if options.blocks else None,
        "size_px": options.size,
    }
    given = {key: value for key, value in changes.items() if value is not None}
    model = preset(
        options.preset,
        len(labels),
        time=options.time,
        in_channels=options.in_channels,
        dropout=options.dropout,
        **given,
    )
    taken = {name: getattr(options, name) for name in DEFAULTS if hasattr(options, name)}
    if not 0 <= options.augment_strength <= 1:
        raise ValueError(f"--augment-strength is {options.augment_strength}: it must lie in 0 to 1")
    taken["augment_settings"] = AugmentSettings().scaled(options.augment_strength)
    taken.update(model=model, labels=tuple(labels), manifest=str(options.manifest))
    taken["samples"] = options.samples or default_samples(model.time, look_back(model), model.clip_samples)
    return TrainConfig(**taken)


def default_samples(time: str, back: int, clip_samples: int) -> int:
    """A clip; in the causal form, where the sequence must be longer than the look-back, a multiple of 16."""
    return clip_samples if time == CENTRED else max(clip_samples, (back // 16 + 1) * 16)


def labels_from(options: argparse.Namespace) -> list[Label]:
    """Those of the file, else those of the manifest."""
    return read_labels(options.labels) if options.labels else labels_of(read_manifest(options.manifest))


def machine_of(options: argparse.Namespace) -> Machine:
    """How it is to be computed."""
    return Machine(
        device=options.device,
        workers=options.workers,
        save_every=options.save_every,
        cache=options.cache,
        pretrained=options.pretrained,
        stop_after=options.stop_after,
    )


def _train_parser(parser: argparse.ArgumentParser) -> None:
    training_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; may be an unfinished one")
    parser.set_defaults(command=_train)


def _train(options: argparse.Namespace) -> None:
    config = config_of(options, labels_from(options))
    progress = train(config, options.out, machine_of(options))
    if os.environ.get("RANK", "0") == "0":
        print(f"{options.out}: {progress.epoch} epochs, best macro F1 on val {progress.best_f1:.4f}")


def _predict_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--split", default="test", help="or `all`")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines")
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--threshold", type=float, default=0.0)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.set_defaults(command=_predict)


def _predict(options: argparse.Namespace) -> None:
    count = predict(
        options.run,
        options.manifest,
        options.out,
        None if options.split == "all" else options.split,
        options.checkpoint,
        options.temperature,
        options.threshold,
        options.cache,
        options.device,
    )
    print(f"{options.out}: {count} cines")


def _export_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="NAME.onnx")
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best")
    parser.add_argument(
        "--temperature", default="1", help="a number, or `val`: fitted on that split of the run's manifest"
    )
    parser.add_argument("--threshold", type=float, default=0.0)
    parser.add_argument("--model-version", default="")
    parser.add_argument("--cache", type=Path, help="folder of decoded cines; default: in the run's folder")
    parser.set_defaults(command=_export)


def _export(options: argparse.Namespace) -> None:
    if options.temperature == "val":
        temperature = fitted_temperature(options.run, options.checkpoint, options.cache)
        print(f"temperature {temperature:.4f}")
    else:
        temperature = float(options.temperature)
    command = export(
        options.run,
        options.out,
        options.checkpoint,
        temperature,
        options.threshold,
        options.model_version,
    )
    print(f"{options.out}\ncompile it with:\n  {command}")


def _ablate_parser(parser: argparse.ArgumentParser) -> None:
    training_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and of ablations.md")
    parser.add_argument("--seeds", type=int, default=2, help="how many; the first is --seed")
    parser.add_argument(
        "--imbalance", type=int, default=20, help="common to rare classes, in the rows on balance"
    )
    parser.add_argument("--wide", type=int, default=32, help="width of the wide network")
    parser.add_argument("--field-manifest", type=Path, help="cines of other scanners, all of its splits")
    parser.set_defaults(command=_ablate)


def _ablate(options: argparse.Namespace) -> None:
    config = config_of(options, labels_from(options))
    seeds = range(options.seed, options.seed + options.seeds)
    path = ablate(
        config,
        options.out,
        seeds,
        options.imbalance,
        options.wide,
        options.field_manifest,
        machine_of(options),
    )
    print(path.read_text())
