"""The commands `export` and `fit`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from .calibration import fit_temperature
from .decision import DecisionRule, read_rule
from .export import export
from .predict import fit_run_temperature, predict_manifest
from .predictions import collect_cines, read_predictions
from .run_folder import load_run
from .thresholds import fit_rule

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
    temperature, rule = _choose_values(options)
    command = export(
        options.run,
        options.out,
        options.checkpoint,
        temperature,
        rule,
        options.model_version,
    )
    print(f"{options.out}\ncompile it with:\n  {command}")


def _choose_values(options: argparse.Namespace) -> tuple[float, DecisionRule]:
    """Returns the temperature and the rule, some of whose values may be fitted."""
    names = ("temperature", "threshold", "group_threshold")
    given = {name: getattr(options, name) for name in names}
    fitted = [name for name, value in given.items() if value == FIT]
    if bool(fitted) != bool(options.fit_manifest):
        raise ValueError(
            f"--fit-manifest and an option with the value {FIT} need each other, got "
            f"{options.fit_manifest} and {', '.join(fitted) or 'no such option'}"
        )
    if given["temperature"] == VAL:
        temperature = fit_run_temperature(options.run, options.checkpoint, options.cache)
        print(f"temperature {temperature:.4f}")
    else:
        temperature = 1.0 if given["temperature"] == FIT else float(given["temperature"])
    values = [0.0 if given[name] == FIT else float(given[name]) for name in names[1:]]
    model, config, _ = load_run(options.run, options.checkpoint)
    rule = DecisionRule(values[0], config.label_set.list_group_indices(), values[1])
    if not fitted:
        return temperature, rule
    predict_at = lambda t: predict_manifest(  # noqa: E731
        model, options.fit_manifest, config, options.cache or options.run / "cache", t
    )
    cines = predict_at(temperature)
    if "temperature" in fitted:
        temperature = fit_temperature(cines)
        print(f"temperature {temperature:.4f}")
        cines = predict_at(temperature)
    best, level, group_level = fit_rule(cines, rule, options.accuracy, options.group_accuracy)
    if "group_threshold" in fitted and group_level is not None:
        rule = replace(rule, group_threshold=best.group_threshold)
        print(group_level.describe("group threshold"))
    if "threshold" in fitted:
        rule = replace(rule, threshold=best.threshold)
        print(level.describe("threshold"))
    return temperature, rule


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
