"""Measures what the choices are worth: trains with and without each, over seeds, and writes a table."""

from __future__ import annotations

import csv
import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .checkpoint import write_atomically
from .config import TrainConfig
from .data import Cache, SampleSettings
from .manifest import PERIOD, Entry, ManifestError, check_labels, of_split, read_manifest
from .model import CAUSAL, CENTRED
from .random_keys import keyed
from .run_folder import load_run
from .train import Machine, train
from .validation import Scores, validate

SUBSAMPLE = 9
"""First part of the key that the imbalanced set is drawn with."""


@dataclass(frozen=True)
class Variant:
    """One row of the table."""

    question: str
    setting: str
    config: TrainConfig

    @property
    def folder(self) -> str:
        """Name of its runs' folders, less the seed."""
        return f"{self.question} {self.setting}".replace(" ", "-").replace(":", "-to-")


def imbalanced(manifest: Path, out: Path, codes: Sequence[str], ratio: int, seed: int = 0) -> None:
    """Writes a manifest in which every second class has `ratio` times fewer training cines than it had, drawn
    by seed; the other splits stay.

    Raises `ManifestError` where a class has too few to reach the ratio.
    """
    entries = read_manifest(manifest)
    by_class: dict[str, list[Entry]] = defaultdict(list)
    for entry in of_split(manifest, entries, "train"):
        by_class[entry.label].append(entry)
    kept: set[str] = set()
    for number, code in enumerate(codes):
        cines = by_class[code]
        wanted = len(cines) if number % 2 == 0 else len(cines) // ratio
        if wanted < 1:
            raise ManifestError(
                f"{manifest}: {len(cines)} training cines of {code}: an imbalance of {ratio} to 1 needs at "
                f"least {ratio}; give more cines or a smaller --imbalance"
            )
        order = keyed(seed, SUBSAMPLE, number).permutation(len(cines))[:wanted]
        kept.update(cines[i].name for i in order)
    columns = sorted({key for entry in entries for key in entry.attributes} - {"colour"})
    rows = [
        [entry.path.resolve(), entry.label, entry.patient, entry.split, entry.attributes["colour"]]
        + [entry.period_ns or "", *(entry.attributes.get(column, "") for column in columns)]
        for entry in entries
        if entry.split != "train" or entry.name in kept
    ]
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "patient", "split", "colour", PERIOD, *columns])
        writer.writerows(rows)


def variants(config: TrainConfig, imbalanced_manifest: Path, wide: int, ratio: int) -> list[Variant]:
    """The rows. All but those on balance train on the whole set; each question changes one setting."""
    balance = config.balance if config.balance != "none" else "sqrt"
    rare = replace(config, manifest=str(imbalanced_manifest))
    model = config.model
    centred = replace(model, time=CENTRED)
    return [
        Variant(f"balance at {ratio}:1", "none", replace(rare, balance="none")),
        Variant(f"balance at {ratio}:1", balance, replace(rare, balance=balance)),
        Variant("augmentation", "off", replace(config, augment=False)),
        Variant("augmentation", "on", replace(config, augment=True)),
        Variant("time", CENTRED, replace(config, model=centred, samples=centred.clip_samples)),
        Variant("time", CAUSAL, config),
        Variant("width", str(model.width), config),
        Variant("width", str(wide), replace(config, model=replace(model, width=wide))),
    ]


def ablate(
    config: TrainConfig,
    out: Path,
    seeds: Sequence[int],
    ratio: int = 20,
    wide: int = 32,
    field_manifest: Path | None = None,
    machine: Machine = Machine(),  # noqa: B008
) -> Path:
    """Runs what is not finished and returns the table, which is written anew after each run.

    `config` is the reference: a causal network. Runs with the same settings are run once.
    """
    if config.model.time != CAUSAL:
        raise ValueError("the reference must be causal")
    out.mkdir(parents=True, exist_ok=True)
    manifest, rare = Path(config.manifest), out / "imbalanced.csv"
    imbalanced(manifest, rare, [label.code for label in config.labels], ratio)
    machine = replace(machine, cache=machine.cache or out / "cache")
    rows = variants(config, rare, wide, ratio)
    results: dict[str, list[dict[str, Any]]] = {row.folder: [] for row in rows}
    done: dict[str, dict[str, Any]] = {}
    for seed in seeds:
        for row in rows:
            settings = replace(row.config, seed=seed)
            # Two questions may have the same reference.
            key = settings.to_json()
            if key not in done:
                done[key] = _result(settings, out / f"{row.folder}-seed{seed}", field_manifest, machine)
            results[row.folder].append(done[key])
            text = table(rows, results, config)
            write_atomically(out / "ablations.md", lambda file, text=text: _write(file, text))  # type: ignore[misc]
    return out / "ablations.md"


def _write(file: Any, text: str) -> None:
    file.write(text.encode())


def _result(config: TrainConfig, run: Path, field: Path | None, machine: Machine) -> dict[str, Any]:
    """Scores of a run, from its file if it is finished."""
    path = run / "result.json"
    asked = str(field) if field else None
    if path.exists():
        result: dict[str, Any] = json.loads(path.read_text())
        if result["settings"] == json.loads(config.to_json()) and result["field_manifest"] == asked:
            return result
    train(config, run, machine)
    manifest = Path(config.manifest)
    test = _scores(run, of_split(manifest, read_manifest(manifest), "test"), manifest, machine)
    result = {"settings": json.loads(config.to_json()), "field_manifest": asked, "test": asdict(test)}
    if field is not None:
        result["field"] = asdict(_scores(run, read_manifest(field), field, machine))
    write_atomically(path, lambda file: _write(file, json.dumps(result) + "\n"))
    return result


def _scores(run: Path, entries: Sequence[Entry], manifest: Path, machine: Machine) -> Scores:
    model, config, _ = load_run(run)
    check_labels(manifest, entries, config.labels)
    assert machine.cache is not None
    cache = Cache(machine.cache, SampleSettings(config.model.size_px, config.model.in_channels))
    return validate(model, entries, cache, config)


def spread(values: Sequence[float]) -> str:
    """Mean, and smallest to largest in brackets."""
    if not values:
        return "-"
    mean = f"{statistics.fmean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f} to {max(values):.3f})"


def table(rows: Sequence[Variant], results: dict[str, list[dict[str, Any]]], config: TrainConfig) -> str:
    """The Markdown page."""
    counts = Counter(entry.split for entry in read_manifest(Path(config.manifest)))
    cines = ", ".join(f"{count} {split}" for split, count in sorted(counts.items()))
    lines = [
        "# Ablations",
        "",
        f"{len(config.labels)} classes; cines: {cines}. {config.epochs} epochs of batches of {config.batch}, "
        f"learning rate {config.lr:g}; width {config.model.width}, blocks {config.model.blocks}. "
        "Each row changes one setting of this reference. "
        "Macro F1 of whole cines, mean over seeds (smallest to largest).",
        "",
        "| question | setting | seeds | macro F1, test | accuracy, test | macro F1, field |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        found = results[row.folder]
        test = spread([r["test"]["macro_f1"] for r in found])
        accuracy = spread([r["test"]["accuracy"] for r in found])
        field = spread([r["field"]["macro_f1"] for r in found if "field" in r])
        lines.append(f"| {row.question} | {row.setting} | {len(found)} | {test} | {accuracy} | {field} |")
    return "\n".join(lines) + "\n"
