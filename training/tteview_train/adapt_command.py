"""The options of the command `adapt`."""

from __future__ import annotations

import argparse
from pathlib import Path

from .adapt import PRIOR_CINES, adapt, format_adaptation
from .manifest import read_unlabelled_manifest


def add_adapt_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options and sets the function that runs the command."""
    add = parser.add_argument
    add("--run", type=Path, required=True, help="folder of a run")
    add(
        "--manifest",
        type=Path,
        required=True,
        help="CSV file with the cines of the new scanner; only the column path is needed",
    )
    add("--out", type=Path, required=True, help="folder of the adapted run")
    add(
        "--checkpoint",
        choices=("best", "last"),
        default="best",
        help="best: averaged weights with the best macro F1 on val; last: those of the last epoch",
    )
    add(
        "--prior",
        type=float,
        default=PRIOR_CINES,
        help="number of cines as which the statistics of the training set count",
    )
    add(
        "--all-views",
        action="store_true",
        help="confirm that the cines show most views, although the network predicts few labels",
    )
    add(
        "--cache",
        type=Path,
        help="folder of decoded cines; default: cache in the folder of the run",
    )
    parser.set_defaults(command=_adapt)


def _adapt(options: argparse.Namespace) -> None:
    entries = read_unlabelled_manifest(options.manifest)
    result = adapt(
        options.run,
        entries,
        options.out,
        options.checkpoint,
        options.prior,
        options.all_views,
        options.cache,
    )
    print(format_adaptation(result, options.out))
