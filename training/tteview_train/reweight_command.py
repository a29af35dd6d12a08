"""The options of the command `reweight`."""

from __future__ import annotations

import argparse
from pathlib import Path

from .reweight import format_reweighting, reweight


def add_reweight_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options and sets the function that runs the command."""
    add = parser.add_argument
    add("--run", type=Path, required=True, help="folder of a run")
    add(
        "--frequencies",
        type=Path,
        required=True,
        help="CSV file with the columns label and count: how often each label occurs in use",
    )
    add("--out", type=Path, required=True, help="folder of the corrected run")
    add(
        "--checkpoint",
        choices=("best", "last"),
        default="best",
        help="best: averaged weights with the best macro F1 on val; last: those of the last epoch",
    )
    add(
        "--weight",
        type=float,
        default=1.0,
        help="weight of the correction, 0 for none to 1 for the whole one",
    )
    parser.set_defaults(command=_reweight)


def _reweight(options: argparse.Namespace) -> None:
    result = reweight(
        options.run, options.frequencies, options.out, options.checkpoint, options.weight
    )
    print(format_reweighting(result, options.out))
