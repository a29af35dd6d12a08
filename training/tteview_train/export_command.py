"""The commands `export` and `fit`."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

from .calibration import fit_temperature
from .decision import DecisionRule, read_rule
from .export import export
from .novelty import KINDS, Novelty, extend_head
from .predict import fit_run_novelty, fit_run_temperature, predict_manifest
from .predictions import collect_cines, read_predictions
from .run_folder import load_run
from .thresholds import fit_novelty_threshold, fit_rule

FIT = "fit"
VAL = "val"


def _add_accuracies(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--accuracy",
        type=float,
        default=0.95,
        help="share of the given labels that must be right, for a fitted threshold",
    )
    parser.add_argument(
        "--group-accuracy",
        type=float,
        default=0.98,
        help="share of the given groups that must be right, for a fitted threshold",
    )


def add_export_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `export`."""
    add = parser.add_argument
    add("--run", type=Path, required=True, help="folder of a run")
    add("--out", type=Path, required=True, help="ONNX file to write, NAME.onnx")
    add(
        "--checkpoint",
        choices=("best", "last"),
        default="best",
        help="best: averaged weights with the best macro F1 on val; last: those of the last epoch",
    )
    add(
        "--temperature",
        default="1",
        help="divisor of the logits; val fits it on the split val of the run's manifest, and fit "
        "on the cines of --fit-manifest",
    )
    add(
        "--threshold",
        default="0",
        help="confidence below which a label is withheld, or fit",
    )
    add(
        "--group-threshold",
        default="0",
        help="confidence of a group below which the group is withheld, or fit",
    )
    add("--novelty", choices=("none", *KINDS), default="none", help="kind of the novelty score")
    add(
        "--novelty-values",
        type=int,
        default=64,
        help="number of values in the projection of the novelty score",
    )
    add(
        "--novelty-shrinkage",
        type=float,
        default=0.01,
        help="shrinkage of the covariance within the classes, 0 to 1",
    )
    add(
        "--novelty-threshold",
        help="novelty score above which nothing is given, or fit; required with --novelty",
    )
    add(
        "--novelty-share",
        type=float,
        default=0.05,
        help="share of the cines of --fit-manifest that a fitted threshold may withhold as novel",
    )
    add(
        "--fit-manifest",
        type=Path,
        help="manifest of cines that are unlike the training cines, such as those of other "
        "scanners; the cines of all its splits are used for fit",
    )
    _add_accuracies(parser)
    add("--model-version", default="", help="model version in the package; default: NAME")
    add(
        "--cache",
        type=Path,
        help="folder of decoded cines; default: cache in the folder of the run",
    )
    parser.set_defaults(command=_export)


def _export(options: argparse.Namespace) -> None:
    temperature, rule, novelty = _choose_values(options)
    command = export(
        options.run,
        options.out,
        options.checkpoint,
        temperature,
        rule,
        options.model_version,
        novelty,
    )
    print(f"{options.out}\ncompile it with:\n  {command}")


def _choose_values(options: argparse.Namespace) -> tuple[float, DecisionRule, Novelty | None]:
    """Returns the temperature, the rule and the novelty score. Some of them may be fitted."""
    names = ("temperature", "threshold", "group_threshold", "novelty_threshold")
    fitted = [name for name in names if getattr(options, name) == FIT]
    if bool(fitted) != bool(options.fit_manifest):
        raise ValueError(
            f"--fit-manifest and an option with the value {FIT} need each other, got "
            f"{options.fit_manifest} and {', '.join(fitted) or 'no such option'}"
        )
    if (options.novelty == "none") != (options.novelty_threshold is None):
        raise ValueError(
            f"--novelty and --novelty-threshold need each other, got {options.novelty} and "
            f"{options.novelty_threshold}"
        )
    temperature = _read_number(options.temperature, 1.0)
    if options.temperature == VAL:
        temperature = fit_run_temperature(options.run, options.checkpoint, options.cache)
        print(f"temperature {temperature:.4f}")
    model, config, _ = load_run(options.run, options.checkpoint)
    cache = options.cache or options.run / "cache"
    novelty = None
    if options.novelty != "none":
        values, shrinkage = options.novelty_values, options.novelty_shrinkage
        novelty = fit_run_novelty(model, config, cache, options.novelty, values, shrinkage)
        novelty = novelty.with_threshold(_read_number(options.novelty_threshold, math.inf))
        model = extend_head(model, novelty)
    rule = DecisionRule(
        _read_number(options.threshold, 0.0),
        config.label_set.list_group_indices(),
        _read_number(options.group_threshold, 0.0),
        None if novelty is None else novelty.threshold,
    )
    if not fitted:
        return temperature, rule, novelty
    cines = predict_manifest(model, options.fit_manifest, config, cache, temperature, novelty)
    if "temperature" in fitted:
        temperature *= fit_temperature(cines)
        print(f"temperature {temperature:.4f}")
        cines = predict_manifest(model, options.fit_manifest, config, cache, temperature, novelty)
    if "novelty_threshold" in fitted and novelty is not None:
        novelty = novelty.with_threshold(fit_novelty_threshold(cines, options.novelty_share))
        rule = replace(rule, novelty_threshold=novelty.threshold)
        print(f"novelty threshold {novelty.threshold:.4f}")
    best, level, group_level = fit_rule(cines, rule, options.accuracy, options.group_accuracy)
    if "group_threshold" in fitted and group_level is not None:
        rule = replace(rule, group_threshold=best.group_threshold)
        print(group_level.describe("group threshold"))
    if "threshold" in fitted:
        rule = replace(rule, threshold=best.threshold)
        print(level.describe("threshold"))
    return temperature, rule, novelty


def _read_number(text: str, otherwise: float) -> float:
    """Returns the number of an option, or another one if the value is to be fitted."""
    return otherwise if text in (FIT, VAL) else float(text)


def add_fit_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `fit`."""
    parser.add_argument(
        "predictions",
        type=Path,
        help="predictions.jsonl of `tteview eval` or `predict`, of cines that are unlike the "
        "training cines",
    )
    _add_accuracies(parser)
    parser.set_defaults(command=_fit)


def _fit(options: argparse.Namespace) -> None:
    header, rows = read_predictions(options.predictions)
    judged = [row for row in rows if "change" not in row and "unreadable" not in row]
    cines = collect_cines(header["labels"], judged)
    rule, level, group_level = fit_rule(
        cines, read_rule(header), options.accuracy, options.group_accuracy
    )
    print(level.describe("threshold"))
    words = [f"--threshold {rule.threshold:.4f}"]
    if group_level is not None:
        print(group_level.describe("group threshold"))
        words.append(f"--group-threshold {rule.group_threshold:.4f}")
    print(f"set them with:\n  tteview adjust PACKAGE {' '.join(words)} -o FILE")
