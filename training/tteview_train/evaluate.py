"""Judges predictions: `python -m tteview_train.evaluate predictions.jsonl --out FOLDER`.

Writes FOLDER/metrics.json, with the same numbers as `tteview eval`, and where matplotlib is installed
confusion.png and reliability.png.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .metrics import HEADLINE, PredictionsError, metrics

Json = dict[str, Any]

NEEDED = ("path", "label", "patient", "split", "times_ns", "log_posterior")


def read_predictions(path: Path) -> tuple[Json, list[Json]]:
    """The header and the rows of a predictions file.

    Raises `PredictionsError` with the line, `OSError`.
    """
    objects: list[Json] = []
    for at, line in enumerate(path.read_text(encoding="utf-8").rstrip("\n").split("\n"), 1):
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise PredictionsError(f"{path}: line {at}: {error}") from error
        if not isinstance(value, dict):
            raise PredictionsError(f"{path}: line {at}: not an object")
        objects.append(value)
    if not objects or objects[0].get("predictions") != 1 or "labels" not in objects[0]:
        raise PredictionsError(f"{path}: the first line is no header of predictions")
    seen: set[str] = set()
    for at, row in enumerate(objects[1:], 2):
        if "change" in row or "unreadable" in row:
            continue
        missing = [key for key in NEEDED if key not in row]
        if missing:
            raise PredictionsError(f"{path}: line {at}: no {', '.join(missing)}")
        if row["path"] in seen:
            raise PredictionsError(f"{path}: line {at}: {row['path']} is there twice")
        seen.add(row["path"])
    return objects[0], objects[1:]


def draw(found: Json, out: Path) -> None:
    """The pictures; needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    labels = found["labels"]
    table = [[count / max(sum(row), 1) for count in row] for row in found["confusion"]]
    side = 3 + 0.4 * len(labels)
    figure, axes = pyplot.subplots(figsize=(side, side), layout="constrained")
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1)
    for row, counts in enumerate(found["confusion"]):
        for column, count in enumerate(counts):
            if count:
                colour = "white" if table[row][column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("label given")
    axes.set_ylabel("true view")
    figure.savefig(out / "confusion.png", dpi=150)
    pyplot.close(figure)

    figure, axes = pyplot.subplots(figsize=(5, 5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    scaled = found["calibration"]["scaled"]
    for name, part in (("as it is", found["calibration"]), ("temperature scaled", scaled)):
        points = [(b["confidence"], b["accuracy"]) for b in part["bins"] if b["count"]]
        axes.plot(*zip(*points, strict=True), marker="o", label=f"{name}, ECE {part['ece']:.3f}")
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    figure.savefig(out / "reliability.png", dpi=150)
    pyplot.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 with a message on standard error."""
    parser = argparse.ArgumentParser(prog="tteview_train.evaluate", description=__doc__)
    parser.add_argument("predictions", type=Path, help="predictions.jsonl of `predict` or of `tteview eval`")
    parser.add_argument("--out", type=Path, required=True, help="folder for metrics.json and the pictures")
    arguments = parser.parse_args(argv)
    try:
        found = metrics(*read_predictions(arguments.predictions))
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "metrics.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    except (PredictionsError, OSError) as error:
        print(f"tteview_train.evaluate: {error}", file=sys.stderr)
        return 1
    if importlib.util.find_spec("matplotlib"):
        draw(found, arguments.out)
    else:
        print("no pictures: matplotlib is not installed", file=sys.stderr)
    print(f"{found['cines']} cines of {found['patients']} patients")
    for name in HEADLINE:
        figure = found["headline"][name]
        print(f"{name:16} {figure['value']:.4f}  ({figure['low']:.4f} to {figure['high']:.4f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
