"""Ablations: training runs with and without each design choice, and a table of their scores."""

from __future__ import annotations

import csv
import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .checkpoint import write_text_atomically
from .cine_cache import Cache
from .config import TrainConfig
from .manifest import PERIOD, Entry, ManifestError, check_labels, read_manifest, select_split
from .model_config import CAUSAL, CENTRED
from .run_folder import load_run
from .seeding import make_generator
from .train import RunOptions, train
from .validation import Scores, validate

SUBSAMPLE = 9
"""Purpose (see `seeding.py`) of the random generator that draws the imbalanced set."""


QUESTIONS = ("balance", "augmentation", "time", "lateral reach", "width")
"""The questions that `ablate` can answer. Each compares two values of one setting."""


@dataclass(frozen=True)
class Variant:
    """One row of the table."""

    question: str
    """One of `QUESTIONS`."""
    setting: str
    config: TrainConfig

    @property
    def folder(self) -> str:
        """Name of the variant's run folders, without the seed."""
        return f"{self.question} {self.setting}".replace(" ", "-").replace(":", "-to-")


def write_imbalanced_manifest(
    manifest: Path, out: Path, codes: Sequence[str], ratio: int, seed: int = 0
) -> None:
    """Writes a manifest in which every second class keeps only one in `ratio` training cines.

    `seed` determines which cines are kept. The other splits do not change. Raises `ManifestError`
    if the new manifest would have no training cine of a class.
    """
    entries = read_manifest(manifest)
    by_class: dict[str, list[Entry]] = defaultdict(list)
    for entry in select_split(manifest, entries, "train"):
        by_class[entry.label].append(entry)
    kept: set[str] = set()
    for number, code in enumerate(codes):
        cines = by_class[code]
        wanted = len(cines) if number % 2 == 0 else len(cines) // ratio
        if wanted < 1:
            raise ManifestError(
                f"{manifest}: an imbalance of {ratio} to 1 needs at least {ratio} training cines "
                f"of {code}, got {len(cines)}; add cines or set a smaller --imbalance"
            )
        order = make_generator(seed, SUBSAMPLE, number).permutation(len(cines))[:wanted]
        kept.update(cines[i].name for i in order)
    columns = sorted({key for entry in entries for key in entry.attributes} - {"colour"})
    rows = []
    for entry in entries:
        if entry.split == "train" and entry.name not in kept:
            continue
        attributes = entry.attributes
        first = [entry.path.resolve(), entry.label, entry.patient, entry.split]
        others = [attributes.get(column, "") for column in columns]
        rows.append([*first, attributes["colour"], entry.period_ns or "", *others])
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "patient", "split", "colour", PERIOD, *columns])
        writer.writerows(rows)


def list_variants(
    config: TrainConfig, imbalanced_manifest: Path, wide: int, ratio: int
) -> list[Variant]:
    """Lists the rows of the table. Only the rows about class balance use the imbalanced set."""
    balance = config.balance if config.balance != "none" else "sqrt"
    rare = replace(config, manifest=str(imbalanced_manifest))
    model = config.model
    centred = replace(model, time=CENTRED)
    half = min(model.lateral_kernel // 2, model.alpha - 1)

    def set_reach(reach: int) -> TrainConfig:
        return replace(config, model=replace(model, lateral_reach=reach))

    return [
        Variant("balance", f"none at {ratio}:1", replace(rare, balance="none")),
        Variant("balance", f"{balance} at {ratio}:1", replace(rare, balance=balance)),
        Variant("augmentation", "off", replace(config, augment=False)),
        Variant("augmentation", "on", replace(config, augment=True)),
        Variant("time", CENTRED, replace(config, model=centred, samples=centred.clip_samples)),
        Variant("time", CAUSAL, config),
        Variant("lateral reach", "0", set_reach(0)),
        Variant("lateral reach", str(half), set_reach(half)),
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
    questions: Sequence[str] = QUESTIONS,
    options: RunOptions = RunOptions(),  # noqa: B008
) -> Path:
    """Runs all unfinished variants of the questions and returns the path of the table.

    The table is rewritten after each run. Variants with equal settings share a run. `config` is the
    reference configuration, whose network must be causal.
    """
    if config.model.time != CAUSAL:
        raise ValueError(f"the reference must be causal, got time {config.model.time}")
    out.mkdir(parents=True, exist_ok=True)
    manifest, rare = Path(config.manifest), out / "imbalanced.csv"
    if "balance" in questions:
        write_imbalanced_manifest(manifest, rare, [label.code for label in config.labels], ratio)
    options = replace(options, cache=options.cache or out / "cache")
    rows = [row for row in list_variants(config, rare, wide, ratio) if row.question in questions]
    results: dict[str, list[dict[str, Any]]] = {row.folder: [] for row in rows}
    done: dict[str, dict[str, Any]] = {}
    for seed in seeds:
        for row in rows:
            settings = replace(row.config, seed=seed)
            key = settings.to_json()
            if key not in done:
                run = out / f"{row.folder}-seed{seed}"
                done[key] = _load_or_run(settings, run, field_manifest, options)
            results[row.folder].append(done[key])
            write_text_atomically(out / "ablations.md", format_table(rows, results, config))
    return out / "ablations.md"


def _load_or_run(
    config: TrainConfig, run: Path, field: Path | None, options: RunOptions
) -> dict[str, Any]:
    """Loads the scores of a finished run, or completes the run and scores its network."""
    path = run / "result.json"
    field_manifest = str(field) if field else None
    settings = json.loads(config.to_json())
    if path.exists():
        result: dict[str, Any] = json.loads(path.read_text())
        if result["settings"] == settings and result["field_manifest"] == field_manifest:
            return result
    train(config, run, options)
    manifest = Path(config.manifest)
    entries = select_split(manifest, read_manifest(manifest), "test")
    test = _score_run(run, entries, manifest, options)
    result = {"settings": settings, "field_manifest": field_manifest, "test": asdict(test)}
    if field is not None:
        result["field"] = asdict(_score_run(run, read_manifest(field), field, options))
    write_text_atomically(path, json.dumps(result) + "\n")
    return result


def _score_run(run: Path, entries: Sequence[Entry], manifest: Path, options: RunOptions) -> Scores:
    model, config, _ = load_run(run)
    check_labels(manifest, entries, config.labels)
    assert options.cache is not None
    cache = Cache(options.cache, config.sample_settings)
    return validate(model, entries, cache, config)


def format_range(values: Sequence[float]) -> str:
    """Formats the mean, followed by the smallest and the largest value in brackets."""
    if not values:
        return "-"
    mean = f"{statistics.fmean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f} to {max(values):.3f})"


def format_table(
    rows: Sequence[Variant], results: dict[str, list[dict[str, Any]]], config: TrainConfig
) -> str:
    """Formats the results as a Markdown page."""
    counts = Counter(entry.split for entry in read_manifest(Path(config.manifest)))
    cines = ", ".join(f"{count} {split}" for split, count in sorted(counts.items()))
    lines = [
        "# Ablations",
        "",
        f"{len(config.labels)} classes; cines: {cines}. {config.epochs} epochs, batch size "
        f"{config.batch}, learning rate {config.lr:g}; width {config.model.width}, blocks "
        f"{config.model.blocks}. Each row changes one setting of this reference. Whole cines "
        "are scored. The figures are means over the seeds (smallest to largest).",
        "",
        "| question | setting | seeds | macro F1, test | accuracy, test | macro F1, field |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        runs = results[row.folder]
        test = format_range([r["test"]["macro_f1"] for r in runs])
        accuracy = format_range([r["test"]["accuracy"] for r in runs])
        field = format_range([r["field"]["macro_f1"] for r in runs if "field" in r])
        cells = (row.question, row.setting, str(len(runs)), test, accuracy, field)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
