"""Correction of a network for how often each label occurs where it is used.

A network learns how frequent each label is in its training set. If labels have other frequencies
in use, the posterior is corrected by their ratio (Saerens, Latinne and Decaestecker, "Adjusting the
Outputs of a Classifier to New a Priori Probabilities", Neural Computation 2002). The correction
adds a constant to each logit, so it changes only the bias of the head.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch

from .balance import compute_class_shares
from .checkpoint import save_checkpoint
from .config import TrainConfig, save_config
from .manifest import check_labels, read_manifest, select_split
from .run_folder import load_run


class ReweightError(Exception):
    """An error that prevents the correction."""


@dataclass(frozen=True)
class Reweighting:
    """The constants that were added to the logits."""

    shifts: dict[str, float]
    kept: list[str]
    """Labels whose logit did not change, because the file does not name them."""


def read_frequencies(path: Path, codes: list[str]) -> dict[str, float]:
    """Reads a CSV file with the columns `label` and `count`.

    Other columns are ignored. Raises `ReweightError` with the path and the line.
    """
    counts: dict[str, float] = {}
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise ReweightError(f"{path}: {error.strerror}") from error
    for line, row in enumerate(rows, 2):
        label, text = row.get("label") or "", row.get("count") or ""
        if label not in codes:
            raise ReweightError(
                f"{path}, line {line}: label must be one of {', '.join(codes)}, got {label!r}"
            )
        if label in counts:
            raise ReweightError(f"{path}, line {line}: {label} has a count already")
        try:
            counts[label] = float(text)
        except ValueError:
            counts[label] = math.nan
        if not 0 < counts[label] < math.inf:
            raise ReweightError(
                f"{path}, line {line}: count must be a number above 0, got {text!r}; remove the "
                "line to keep the frequency of the training set"
            )
    if len(counts) < 2:
        raise ReweightError(f"{path}: at least two labels need a count, got {len(counts)}")
    return counts


def compute_shifts(
    wanted: dict[str, float], trained: dict[str, float], weight: float
) -> dict[str, float]:
    """Computes `weight` times the logarithm of the ratio of the shares in use and in training.

    The shares are those among the labels in `wanted`, so the probability of these labels together
    changes little.
    """
    total = sum(wanted.values())
    known = sum(trained[label] for label in wanted)
    return {
        label: weight * math.log(count / total * known / trained[label])
        for label, count in wanted.items()
    }


def reweight(
    run: Path, frequencies: Path, out: Path, checkpoint: str = "best", weight: float = 1.0
) -> Reweighting:
    """Corrects the network of a run, and writes a run to the folder `out`.

    `weight` is between 0, which changes nothing, and 1 for the whole correction. A smaller weight
    suits frequencies that are uncertain. The new folder has a `best.pt`, so that `predict` and
    `export` accept it.

    Raises `ReweightError`, `RunError`, `ManifestError` or `ValueError`.
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"weight must be 0 to 1, got {weight:g}")
    if (out / "best.pt").exists():
        raise ReweightError(f"{out}: the folder contains a run; set another --out")
    model, config, _ = load_run(run, checkpoint)
    codes = [label.code for label in config.labels]
    wanted = read_frequencies(frequencies, codes)
    shifts = compute_shifts(wanted, _compute_training_shares(config), weight)
    with torch.no_grad():
        for label, shift in shifts.items():
            model.head.proj.bias[codes.index(label)] += shift
    out.mkdir(parents=True, exist_ok=True)
    save_config(out, config)
    save_checkpoint(out / "best.pt", {"model": model.state_dict(), "epoch": 0, "macro_f1": -1.0})
    return Reweighting(shifts, [code for code in codes if code not in shifts])


def _compute_training_shares(config: TrainConfig) -> dict[str, float]:
    """Computes the share of each label in an epoch of the training, up to a common factor."""
    manifest = Path(config.manifest)
    entries = read_manifest(manifest)
    check_labels(manifest, entries, config.labels)
    labels = Counter(entry.label for entry in select_split(manifest, entries, "train"))
    codes = [label.code for label in config.labels]
    counts = [labels[code] for code in codes]
    shares = compute_class_shares(counts, config.balance, config.balance_beta)
    factors = config.class_factors
    return {code: shares[i] * factors[i] for i, code in enumerate(codes)}


def format_reweighting(result: Reweighting, out: Path) -> str:
    """Formats the correction, for the terminal."""
    shifts = ", ".join(f"{code} {shift:+.2f}" for code, shift in result.shifts.items())
    kept = f"\nunchanged: {', '.join(result.kept)}" if result.kept else ""
    return f"{out}: added to the logits: {shifts}{kept}"
