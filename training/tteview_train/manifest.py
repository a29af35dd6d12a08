"""The manifest: which cine shows which view, of whom, and what it is used for."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("path", "label", "patient", "split", "colour")
PERIOD = "frame_period_ns"


class ManifestError(Exception):
    """A manifest that must not be used; the message names the file."""


@dataclass(frozen=True)
class Entry:
    """One cine."""

    path: Path
    """Where it is; relative ones are relative to the manifest."""
    name: str
    """The path as the manifest has it."""
    label: str
    patient: str
    split: str
    attributes: dict[str, str]
    """`colour` and the columns that this module does not know."""
    period_ns: int | None = None
    """Replaces the times that the file has."""


def read_manifest(path: Path) -> list[Entry]:
    """Reads a manifest and checks that no patient is in two splits.

    Raises `ManifestError`.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            missing = [column for column in COLUMNS if column not in columns]
            if missing:
                raise ManifestError(f"{path}: columns missing: {', '.join(missing)}")
            entries = [_entry(path, line, row) for line, row in enumerate(reader, 2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path}: {error}") from error
    if not entries:
        raise ManifestError(f"{path}: no cines")
    _check_patients(path, entries)
    return entries


def _entry(manifest: Path, line: int, row: dict[str, str | None]) -> Entry:
    fields = {key: value or "" for key, value in row.items() if key is not None}
    for column in ("path", "label", "patient", "split"):
        if not fields[column]:
            raise ManifestError(f"{manifest}: line {line}: {column} is empty")
    period: int | None = None
    if text := fields.pop(PERIOD, ""):
        try:
            period = int(text)
        except ValueError:
            period = 0
        if period <= 0:
            raise ManifestError(f"{manifest}: line {line}: {PERIOD} is {text!r}, not a positive integer")
    name, label, patient, split = (fields.pop(column) for column in COLUMNS[:4])
    return Entry(manifest.parent / name, name, label, patient, split, fields, period)


def _check_patients(path: Path, entries: Sequence[Entry]) -> None:
    splits: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        splits[entry.patient].add(entry.split)
    leaks = sorted(patient for patient, where in splits.items() if len(where) > 1)
    if leaks:
        shown = "; ".join(f"{patient} in {' and '.join(sorted(splits[patient]))}" for patient in leaks[:5])
        more = f" and {len(leaks) - 5} more" if len(leaks) > 5 else ""
        raise ManifestError(
            f"{path}: LEAK: {len(leaks)} patients are in more than one split: {shown}{more}. "
            "Results on such splits would be too good; give each patient to one split."
        )


@dataclass(frozen=True)
class Label:
    """A view as the package names it."""

    code: str
    name: str
    scheme: str | None = None
    scheme_code: str | None = None


def read_labels(path: Path) -> list[Label]:
    """Reads labels as `tteview compile --labels` does: a JSON list in the order of the logits."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        labels = [Label(o["code"], o["name"], o.get("scheme"), o.get("scheme_code")) for o in listed]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(f"{path}: not a list of labels: {error!r}") from error
    twice = [code for code, count in Counter(label.code for label in labels).items() if count > 1]
    if twice:
        raise ManifestError(f"{path}: labels listed twice: {', '.join(twice)}")
    return labels


def labels_of(entries: Sequence[Entry]) -> list[Label]:
    """The labels of a manifest in alphabetical order, for where no list is given."""
    return [Label(code, code) for code in sorted({entry.label for entry in entries})]


def check_labels(path: Path, entries: Sequence[Entry], labels: Sequence[Label]) -> None:
    """Every cine has a known label. Raises `ManifestError` naming the first that has not."""
    known = {label.code for label in labels}
    for entry in entries:
        if entry.label not in known:
            raise ManifestError(f"{path}: {entry.name}: unknown label {entry.label!r}")


def of_split(path: Path, entries: Sequence[Entry], split: str) -> list[Entry]:
    """The cines of a split. Raises `ManifestError` where it has none."""
    chosen = [entry for entry in entries if entry.split == split]
    if not chosen:
        there = ", ".join(sorted({entry.split for entry in entries}))
        raise ManifestError(f"{path}: no cines of split {split!r}; there are: {there}")
    return chosen


def check_classes(path: Path, train: Sequence[Entry], labels: Sequence[Label]) -> None:
    """Every label has a cine to train on. Raises `ManifestError` naming those without."""
    seen = {entry.label for entry in train}
    empty = [label.code for label in labels if label.code not in seen]
    if empty:
        raise ManifestError(f"{path}: classes without a training cine: {', '.join(empty)}")
