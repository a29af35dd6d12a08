"""Evaluates predictions: `python -m tteview_train.evaluate predictions.jsonl --out FOLDER`.

The command writes FOLDER/metrics.json with the same numbers as `tteview eval`. If matplotlib is
installed, the command also writes confusion.png and reliability.png.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from .metrics import compute_metrics
from .predictions import Json, PredictionsError, read_predictions
from .scores import HEADLINE


def draw_plots(metrics: Json, out: Path) -> None:
    """Draws the confusion table and the reliability diagram with matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    labels = metrics["labels"]
    table = [[count / max(sum(row), 1) for count in row] for row in metrics["confusion"]]
    side = 3 + 0.4 * len(labels)
    figure, axes = pyplot.subplots(figsize=(side, side), layout="constrained")
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1)
    for row, counts in enumerate(metrics["confusion"]):
        for column, count in enumerate(counts):
            if count:
                colour = "white" if table[row][column] > 0.5 else "black"
                style = {"ha": "center", "va": "center", "color": colour, "fontsize": 8}
                axes.text(column, row, str(count), **style)
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("predicted view")
    axes.set_ylabel("true view")
    figure.savefig(out / "confusion.png", dpi=150)
    pyplot.close(figure)

    figure, axes = pyplot.subplots(figsize=(5, 5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    calibration = metrics["calibration"]
    for name, part in (("unscaled", calibration), ("temperature scaled", calibration["scaled"])):
        points = [(b["confidence"], b["accuracy"]) for b in part["bins"] if b["count"]]
        axes.plot(*zip(*points, strict=True), marker="o", label=f"{name}, ECE {part['ece']:.3f}")
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    figure.savefig(out / "reliability.png", dpi=150)
    pyplot.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluates a predictions file. Returns 0, or 1 after an error message."""
    parser = argparse.ArgumentParser(prog="tteview_train.evaluate", description=__doc__)
    parser.add_argument(
        "predictions", type=Path, help="predictions.jsonl from predict or tteview eval"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for metrics.json and the plots"
    )
    arguments = parser.parse_args(argv)
    try:
        metrics = compute_metrics(*read_predictions(arguments.predictions))
        arguments.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(metrics, indent=1) + "\n"
        (arguments.out / "metrics.json").write_text(text, encoding="utf-8")
    except (PredictionsError, OSError) as error:
        print(f"tteview_train.evaluate: {error}", file=sys.stderr)
        return 1
    if importlib.util.find_spec("matplotlib"):
        draw_plots(metrics, arguments.out)
    else:
        print("matplotlib is not installed, so no plots are written", file=sys.stderr)
    print(f"{metrics['cines']} cines of {metrics['patients']} patients")
    for name in HEADLINE:
        figure = metrics["headline"][name]
        print(f"{name:16} {figure['value']:.4f}  ({figure['low']:.4f} to {figure['high']:.4f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
