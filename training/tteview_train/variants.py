"""The questions of an ablation, and the settings that it compares for each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .config import TrainConfig
from .model_config import CAUSAL, CENTRED

QUESTIONS = (
    "balance",
    "augmentation",
    "geometry",
    "appearance",
    "label smoothing",
    "emphasis",
    "time",
    "lateral reach",
    "width",
    "size",
    "cines",
)
"""The questions that `ablate` can answer. Each compares two values of one setting."""

SMOOTHING = 0.1
"""Label smoothing of the comparison if the reference has none."""


@dataclass(frozen=True)
class Alternatives:
    """Values with which a question compares those of the reference."""

    width: int = 32
    size_px: int = 160
    manifest: Path | None = None
    """Manifest of other training cines, without which the question `cines` is not asked."""


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


def list_questions(config: TrainConfig, alternatives: Alternatives) -> list[str]:
    """Lists the questions that the settings can answer."""
    missing = set()
    if not config.emphasis:
        missing.add("emphasis")
    if alternatives.manifest is None:
        missing.add("cines")
    return [question for question in QUESTIONS if question not in missing]


def check_questions(questions: Sequence[str], possible: Sequence[str]) -> None:
    """Raises `ValueError` if one of the questions cannot be answered."""
    needs = {"emphasis": "--emphasis", "cines": "--other-manifest"}
    for question in questions:
        if question not in possible:
            raise ValueError(f"the question {question!r} needs the option {needs[question]}")


def list_variants(
    config: TrainConfig, imbalanced_manifest: Path, ratio: int, alternatives: Alternatives
) -> list[Variant]:
    """Lists the rows of the table. Only the rows about class balance use the imbalanced set."""
    possible = list_questions(config, alternatives)
    rows = [
        *_list_data_variants(config, imbalanced_manifest, ratio, alternatives.manifest),
        *_list_augmentation_variants(config),
        *_list_model_variants(config, alternatives),
    ]
    rows = [row for row in rows if row.question in possible]
    return sorted(rows, key=lambda row: QUESTIONS.index(row.question))


def _list_data_variants(
    config: TrainConfig, imbalanced_manifest: Path, ratio: int, other: Path | None
) -> Iterator[Variant]:
    balance = config.balance if config.balance != "none" else "sqrt"
    rare = replace(config, manifest=str(imbalanced_manifest))
    yield Variant("balance", f"none at {ratio}:1", replace(rare, balance="none"))
    yield Variant("balance", f"{balance} at {ratio}:1", replace(rare, balance=balance))
    smoothing = config.label_smoothing or SMOOTHING
    yield Variant("label smoothing", "0", replace(config, label_smoothing=0.0))
    yield Variant("label smoothing", f"{smoothing:g}", replace(config, label_smoothing=smoothing))
    yield Variant("emphasis", "off", replace(config, emphasis=()))
    yield Variant("emphasis", "on", config)
    if other is not None:
        yield Variant("cines", Path(config.manifest).stem, config)
        yield Variant("cines", other.stem, replace(config, manifest=str(other)))


def _list_augmentation_variants(config: TrainConfig) -> Iterator[Variant]:
    settings = config.augment_settings
    augmented = replace(config, augment=True)
    yield Variant("augmentation", "off", replace(config, augment=False))
    yield Variant("augmentation", "on", augmented)
    plain = replace(augmented, augment_settings=settings.remove_geometry())
    yield Variant("geometry", "off", plain)
    yield Variant("geometry", "on", augmented)
    plain = replace(augmented, augment_settings=settings.remove_appearance())
    yield Variant("appearance", "off", plain)
    yield Variant("appearance", "on", augmented)


def _list_model_variants(config: TrainConfig, alternatives: Alternatives) -> Iterator[Variant]:
    model = config.model
    centred = replace(model, time=CENTRED)
    half = min(model.lateral_kernel // 2, model.alpha - 1)
    yield Variant("time", CENTRED, replace(config, model=centred, samples=centred.clip_samples))
    yield Variant("time", CAUSAL, config)
    for reach in (0, half):
        changed = replace(model, lateral_reach=reach)
        yield Variant("lateral reach", str(reach), replace(config, model=changed))
    for width in (model.width, alternatives.width):
        yield Variant("width", str(width), replace(config, model=replace(model, width=width)))
    for size in (model.size_px, alternatives.size_px):
        yield Variant("size", str(size), replace(config, model=replace(model, size_px=size)))
