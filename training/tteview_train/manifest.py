"""Manifests and label lists.

A manifest lists cines with their view, patient and split.
"""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("path", "label", "patient", "split", "colour")
PERIOD = "frame_period_ns"
MOST_PATIENTS_LISTED = 5


class ManifestError(Exception):
    """An error in a manifest or a label list. The message begins with the path of the file."""


@dataclass(frozen=True)
class Entry:
    """One cine of a manifest."""

    path: Path
    """File or folder. Relative paths in a manifest are relative to the manifest's folder."""
    name: str
    """Path as written in the manifest."""
    label: str
    patient: str
    split: str
    attributes: dict[str, str]
    """Values of the column `colour` and of all columns that have no field in this class."""
    period_ns: int | None = None
    """Frame period that replaces the times in the file, or `None` to use these times."""


def read_manifest(path: Path) -> list[Entry]:
    """Reads a manifest and checks that each patient is in only one split.

    Raises `ManifestError`.
    """
    entries = _read_entries(path, COLUMNS)
    _check_patients(path, entries)
    return entries


def read_unlabelled_manifest(path: Path) -> list[Entry]:
    """Reads a manifest that needs only the column `path`. Other columns may be missing or empty.

    Raises `ManifestError`.
    """
    return _read_entries(path, ("path",))


def _read_entries(path: Path, required: Sequence[str]) -> list[Entry]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            missing = [column for column in required if column not in columns]
            if missing:
                raise ManifestError(
                    f"{path}: columns are missing: {', '.join(missing)}; add them to every line"
                )
            entries = [_parse_row(path, line, row, required) for line, row in enumerate(reader, 2)]
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path}: {error}") from error
    if not entries:
        raise ManifestError(f"{path}: the manifest lists no cines; add a line for each cine")
    return entries


def _parse_row(
    manifest: Path, line: int, row: dict[str, str | None], required: Sequence[str]
) -> Entry:
    fields = {key: value or "" for key, value in row.items() if key is not None}
    for column in required:
        if column == "colour":
            continue
        if not fields[column]:
            raise ManifestError(f"{manifest}: line {line}: {column} must not be empty")
    period: int | None = None
    if text := fields.pop(PERIOD, ""):
        try:
            period = int(text)
        except ValueError:
            period = 0
        if period <= 0:
            raise ManifestError(
                f"{manifest}: line {line}: {PERIOD} must be a positive integer, got {text!r}"
            )
    name, label, patient, split = (fields.pop(column, "") for column in COLUMNS[:4])
    return Entry(manifest.parent / name, name, label, patient, split, fields, period)


def _check_patients(path: Path, entries: Sequence[Entry]) -> None:
    splits: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        splits[entry.patient].add(entry.split)
    shared = sorted(patient for patient, where in splits.items() if len(where) > 1)
    if shared:
        listed = ", ".join(
            f"{patient} is in {' and '.join(sorted(splits[patient]))}"
            for patient in shared[:MOST_PATIENTS_LISTED]
        )
        more = len(shared) - MOST_PATIENTS_LISTED
        rest = f", and {more} more are in several splits" if more > 0 else ""
        raise ManifestError(
            f"{path}: each patient must be in one split, but {listed}{rest}; move each patient to "
            "one split, because results on patients from the training split are too good"
        )


@dataclass(frozen=True)
class Label:
    """A view, as the model package describes it."""

    code: str
    name: str
    scheme: str | None = None
    scheme_code: str | None = None
    group: str | None = None
    """Code of the label's group, or `None` if the labels have no groups."""


@dataclass(frozen=True)
class Group:
    """A group of labels, as the model package describes it."""

    code: str
    name: str
    scheme: str | None = None
    scheme_code: str | None = None


@dataclass(frozen=True)
class LabelSet:
    """Labels in the order of the logits, and their groups."""

    labels: tuple[Label, ...]
    groups: tuple[Group, ...] = ()

    def to_json(self) -> str:
        """Returns the content of a file for `tteview compile --labels`."""
        labels = [
            {key: value for key, value in vars(label).items() if key != "group" or value}
            for label in self.labels
        ]
        if not self.groups:
            return json.dumps(labels, indent=1) + "\n"
        groups = [vars(group) for group in self.groups]
        return json.dumps({"groups": groups, "labels": labels}, indent=1) + "\n"

    def list_group_indices(self) -> list[int]:
        """Returns the index of each label's group. The list is empty if there are no groups."""
        codes = [group.code for group in self.groups]
        return [codes.index(label.group) for label in self.labels if label.group is not None]


def read_labels(path: Path) -> LabelSet:
    """Reads labels and their groups, in the form that `tteview compile --labels` reads.

    The file contains an object with the lists `labels` and `groups`, or only the list of the
    labels. Raises `ManifestError`.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        listed = content["labels"] if isinstance(content, dict) else content
        groups = content.get("groups", []) if isinstance(content, dict) else []
        labels = LabelSet(
            tuple(Label(*_read_texts(o), o.get("group")) for o in listed),
            tuple(Group(*_read_texts(o)) for o in groups),
        )
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(
            f"{path}: labels and groups must be JSON lists of objects with code and name: {error!r}"
        ) from error
    for kind, codes in (
        ("label", [label.code for label in labels.labels]),
        ("group", [group.code for group in labels.groups]),
    ):
        repeated = [code for code, count in Counter(codes).items() if count > 1]
        if repeated:
            raise ManifestError(
                f"{path}: each {kind} must be listed once, but these repeat: {', '.join(repeated)}"
            )
    _check_groups(path, labels)
    return labels


def _read_texts(entry: dict[str, str]) -> tuple[str, str, str | None, str | None]:
    return entry["code"], entry["name"], entry.get("scheme"), entry.get("scheme_code")


def _check_groups(path: Path, labels: LabelSet) -> None:
    """Checks that each label has a group and each group a label, or that there are no groups."""
    codes: list[str | None] = [group.code for group in labels.groups]
    for label in labels.labels:
        if label.group not in (codes or [None]):
            raise ManifestError(
                f"{path}: the group of {label.code} must be one of {codes}, got {label.group!r}"
            )
    empty = set(codes) - {label.group for label in labels.labels}
    if empty:
        names = ", ".join(sorted(map(str, empty)))
        raise ManifestError(f"{path}: each group must have a label, but {names} has none")


def list_labels(entries: Sequence[Entry]) -> list[Label]:
    """Lists the labels of a manifest in alphabetical order."""
    return [Label(code, code) for code in sorted({entry.label for entry in entries})]


def derive_labels(path: Path, entries: Sequence[Entry]) -> LabelSet:
    """Returns the labels of the split `train`, in alphabetical order and without groups.

    Raises `ManifestError` if a cine of another split has a label that no training cine has, or if
    two labels differ only in case, spaces or punctuation, because one of them is then misspelt.
    """
    train = select_split(path, entries, "train")
    labels = LabelSet(tuple(list_labels(train)))
    spellings: dict[str, str] = {}
    for entry in entries:
        plain = "".join(c for c in entry.label.casefold() if c.isalnum())
        other = spellings.setdefault(plain, entry.label)
        if other != entry.label:
            raise ManifestError(
                f"{path}: {entry.name}: label {entry.label!r} differs from {other!r} only in case, "
                "spaces or punctuation; use one of them, or list both in a file for --labels"
            )
    check_labels(path, entries, labels.labels)
    return labels


def check_labels(path: Path, entries: Sequence[Entry], labels: Sequence[Label]) -> None:
    """Checks that the label of every cine is in `labels`.

    Raises `ManifestError`, which names the first cine whose label is not in `labels`.
    """
    known = [label.code for label in labels]
    for entry in entries:
        if entry.label not in known:
            raise ManifestError(
                f"{path}: {entry.name}: label must be one of {', '.join(known)}, got "
                f"{entry.label!r}"
            )


def select_split(path: Path, entries: Sequence[Entry], split: str) -> list[Entry]:
    """Returns the cines of a split. Raises `ManifestError` if the split is empty."""
    selected = [entry for entry in entries if entry.split == split]
    if not selected:
        splits = ", ".join(sorted({entry.split for entry in entries}))
        raise ManifestError(
            f"{path}: split {split!r} has no cines; the manifest has the splits {splits}"
        )
    return selected


def check_classes(path: Path, train: Sequence[Entry], labels: Sequence[Label]) -> None:
    """Checks that every label has a training cine.

    Raises `ManifestError`, which names the labels without a training cine.
    """
    seen = {entry.label for entry in train}
    missing = [label.code for label in labels if label.code not in seen]
    if missing:
        raise ManifestError(
            f"{path}: every label needs a training cine, but these have none: "
            f"{', '.join(missing)}; add cines or leave the labels out"
        )
