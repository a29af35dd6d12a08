"""The options of the command `predict`."""

from __future__ import annotations

import argparse
from pathlib import Path

from .predict import predict


def add_predict_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options and sets the function that runs the command."""
    add = parser.add_argument
    add("--run", type=Path, required=True, help="folder of a run")
    add("--manifest", type=Path, required=True, help="manifest of the cines to predict")
    add("--split", default="test", help="split whose cines are predicted, or all")
    add("--out", type=Path, required=True, help="predictions file to write")
    add(
        "--checkpoint",
        choices=("best", "last"),
        default="best",
        help="best: averaged weights with the best macro F1 on val; last: those of the last epoch",
    )
    add("--temperature", type=float, default=1.0, help="divisor of the logits")
    add("--threshold", type=float, default=0.0, help="confidence below which a label is withheld")
    add(
        "--group-threshold",
        type=float,
        default=0.0,
        help="confidence of a group below which the group is withheld",
    )
    add(
        "--cache",
        type=Path,
        help="folder of decoded cines; default: cache in the folder of the run",
    )
    add("--device", default="cpu", help="cpu or cuda")
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
        group_threshold=options.group_threshold,
    )
    print(f"{options.out}: {count} cines")
