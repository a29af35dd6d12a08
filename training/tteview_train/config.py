"""The settings of a training, as they stand in `RUN/config.json`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from .augment import AugmentSettings
from .checkpoint import write_atomically
from .manifest import Label
from .model import ModelConfig, look_back


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the weights. Two trainings with the same settings and files give the same
    ones.
    """

    model: ModelConfig
    labels: tuple[Label, ...]
    manifest: str
    samples: int = 48
    """Fast samples of a training sequence."""
    epochs: int = 30
    batch: int = 16
    """Cines per step and process."""
    optimiser: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 1e-4
    momentum: float = 0.9
    """Of SGD."""
    warmup: float = 0.05
    """Share of the steps in which the learning rate rises."""
    ema: float = 0.99
    """Share that the averaged weights keep at each step, once there are enough of them."""
    label_smoothing: float = 0.0
    chunk_weight: float = 0.3
    """Weight of the loss on each chunk's logits beside that on their mean."""
    balance: str = "sqrt"
    balance_beta: float = 0.999
    augment: bool = True
    augment_settings: AugmentSettings = field(default_factory=AugmentSettings)
    gap_ns: int = 250_000_000
    mean: float = 0.45
    std: float = 0.225
    orientation: str = "standard"
    seed: int = 0
    precision: str = "auto"
    """`auto` is bf16 or fp16 on a GPU, fp32 on a CPU."""

    def __post_init__(self) -> None:
        alpha, back = self.model.alpha, look_back(self.model)
        if self.samples < alpha or self.samples % alpha:
            raise ValueError(f"{self.samples} samples are not whole chunks of {alpha}")
        if self.model.time == "causal" and self.samples < back + alpha:
            raise ValueError(
                f"{self.samples} samples are not longer than the look-back of {back}: the network would "
                "never be trained in the state that it streams in; give at least "
                f"--samples {(-(-back // alpha) + 1) * alpha}"
            )
        if self.optimiser not in ("adamw", "sgd"):
            raise ValueError(f"no optimiser {self.optimiser!r}: there are adamw, sgd")
        if self.epochs < 1 or self.batch < 1:
            raise ValueError("epochs and batch must be at least 1")

    def to_json(self) -> str:
        """As `RUN/config.json` has it."""
        return json.dumps(asdict(self), indent=1) + "\n"


def config_from_json(text: str) -> TrainConfig:
    """Reads what `to_json` wrote."""
    values: dict[str, Any] = json.loads(text)
    values["model"] = ModelConfig(**{**values["model"], "blocks": tuple(values["model"]["blocks"])})
    values["labels"] = tuple(Label(**label) for label in values["labels"])
    tuples: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in values["augment_settings"].items()
    }
    values["augment_settings"] = AugmentSettings(**tuples)
    return TrainConfig(**values)


def differences(a: TrainConfig, b: TrainConfig) -> list[str]:
    """Fields in which two settings differ, with both values."""
    pairs = ((f.name, getattr(a, f.name), getattr(b, f.name)) for f in fields(TrainConfig))
    return [f"{name}: {old} and {new}" for name, old, new in pairs if old != new]


def save_config(run: Path, config: TrainConfig) -> None:
    """Writes `config.json` and `labels.json`, which `tteview compile --labels` reads."""
    labels = json.dumps([asdict(label) for label in config.labels], indent=1) + "\n"
    write_atomically(run / "config.json", lambda file: _write(file, config.to_json()))
    write_atomically(run / "labels.json", lambda file: _write(file, labels))


def _write(file: Any, text: str) -> None:
    file.write(text.encode())


def load_config(run: Path) -> TrainConfig:
    """Reads `RUN/config.json`. Raises `OSError` or `ValueError` naming the file."""
    path = run / "config.json"
    try:
        return config_from_json(path.read_text())
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: {error}") from error
