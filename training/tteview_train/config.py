"""The settings of a training run, stored in `RUN/config.json`, where `RUN` is the run's folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from .augment_settings import AugmentSettings
from .checkpoint import write_text_atomically
from .cine_cache import SampleSettings
from .manifest import Group, Label, LabelSet
from .model_config import CAUSAL, ModelConfig
from .resizing import CHANNEL_ORDERS, Resizing
from .sampling import GAP_NS


@dataclass(frozen=True)
class TrainConfig:
    """The settings that determine the weights.

    Two runs with equal settings, files and initial weights end with equal weights if they use the
    same CPU, the same package versions, and equal numbers of processes and threads.
    """

    model: ModelConfig
    labels: tuple[Label, ...]
    manifest: str
    samples: int = 48
    """Number of fast samples in a training sequence."""
    allow_short: bool = False
    """Whether a sequence may be shorter than the look-back.

    Short sequences make the first stage of a training several times faster. The last stage must use
    longer ones, so that training matches streaming.
    """
    epochs: int = 30
    batch: int = 16
    """Number of cines per step in each process."""
    micro_batch: int = 0
    """Number of cines that each process runs at the same time, or 0 for the whole batch.

    The gradients of a step are summed over such parts, so a smaller number needs less memory. Batch
    normalisation uses the statistics of a part.
    """
    optimiser: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 1e-4
    momentum: float = 0.9
    """Momentum of SGD."""
    warmup: float = 0.05
    """Fraction of the steps during which the learning rate rises."""
    ema: float = 0.99
    """Decay per step of the averaged weights. The decay is smaller in the first steps."""
    label_smoothing: float = 0.0
    chunk_weight: float = 0.3
    """Weight of the mean chunk loss. The loss of the mean logits has the weight 1."""
    balance: str = "sqrt"
    balance_beta: float = 0.999
    emphasis: tuple[tuple[str, float], ...] = ()
    """Factors that multiply the share of some labels in an epoch, such as `("A5C", 2.0)`."""
    augment: bool = True
    augment_settings: AugmentSettings = field(default_factory=AugmentSettings)
    gap_ns: int = GAP_NS
    mean: float = 0.45
    std: float = 0.225
    orientation: str = "standard"
    resizing: Resizing = field(default_factory=Resizing)
    channel_order: str = "rgb"
    """Order of the channels if the network has three: `rgb` or `bgr`."""
    seed: int = 0
    groups: tuple[Group, ...] = ()
    """Groups of the labels."""
    precision: str = "auto"
    """Precision of the network. `auto` means bf16 or fp16 on a GPU and fp32 on a CPU."""

    def __post_init__(self) -> None:
        alpha, look_back = self.model.alpha, self.model.look_back
        if self.samples < alpha or self.samples % alpha:
            raise ValueError(
                f"samples must be a positive multiple of alpha ({alpha}), got {self.samples}"
            )
        is_short = self.model.time == CAUSAL and self.samples < look_back + alpha
        if is_short and not self.allow_short:
            least = (-(-look_back // alpha) + 1) * alpha
            raise ValueError(
                f"samples must be at least {least}, got {self.samples}: a sequence must be longer "
                f"than the look-back of {look_back} samples, so that training matches streaming; "
                f"set --samples {least} or more, or --allow-short for a first stage"
            )
        if self.optimiser not in ("adamw", "sgd"):
            raise ValueError(f"optimiser must be adamw or sgd, got {self.optimiser!r}")
        known = {label.code for label in self.labels}
        for code, factor in self.emphasis:
            if code not in known or not factor > 0:
                raise ValueError(
                    "emphasis must name a label and a factor above 0, such as A5C=2, got "
                    f"{code}={factor:g}"
                )
        if self.channel_order not in CHANNEL_ORDERS:
            raise ValueError(f"channel_order must be rgb or bgr, got {self.channel_order!r}")
        if self.channel_order != "rgb" and self.model.in_channels != 3:
            raise ValueError(
                f"channel_order must be rgb for a network with {self.model.in_channels} channel, "
                f"got {self.channel_order!r}"
            )
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.micro_batch < 0:
            raise ValueError(f"micro_batch must be at least 0, got {self.micro_batch}")

    @property
    def label_set(self) -> LabelSet:
        """The labels and their groups."""
        return LabelSet(self.labels, self.groups)

    @property
    def sample_settings(self) -> SampleSettings:
        """The settings that turn a frame into a sample."""
        model = self.model
        return SampleSettings(model.size_px, model.in_channels, self.resizing, self.channel_order)

    @property
    def class_factors(self) -> list[float]:
        """The factor of `emphasis` for each label."""
        factors = dict(self.emphasis)
        return [factors.get(label.code, 1.0) for label in self.labels]

    def to_json(self) -> str:
        """Returns the settings as the text of `RUN/config.json`."""
        return json.dumps(asdict(self), indent=1) + "\n"


def parse_config(text: str) -> TrainConfig:
    """Parses the text of `RUN/config.json`."""
    values: dict[str, Any] = json.loads(text)
    model = values["model"]
    # Runs from before this field existed have lateral connections that are centred in time.
    model.setdefault("lateral_reach", model["lateral_kernel"] // 2)
    values["model"] = ModelConfig(**{**model, "blocks": tuple(model["blocks"])})
    values["labels"] = tuple(Label(**label) for label in values["labels"])
    values["groups"] = tuple(Group(**group) for group in values.get("groups", ()))
    settings: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in values["augment_settings"].items()
    }
    values["augment_settings"] = AugmentSettings(**settings)
    values["resizing"] = Resizing(**values.get("resizing", {}))
    values["emphasis"] = tuple((code, factor) for code, factor in values.get("emphasis", ()))
    return TrainConfig(**values)


def list_differences(a: TrainConfig, b: TrainConfig) -> list[str]:
    """Lists the fields in which two configurations differ, with both values."""
    pairs = ((f.name, getattr(a, f.name), getattr(b, f.name)) for f in fields(TrainConfig))
    return [f"{name}: {old} and {new}" for name, old, new in pairs if old != new]


def save_config(run: Path, config: TrainConfig) -> None:
    """Writes `config.json`, and `labels.json` for `tteview compile --labels`."""
    write_text_atomically(run / "config.json", config.to_json())
    write_text_atomically(run / "labels.json", config.label_set.to_json())


def load_config(run: Path) -> TrainConfig:
    """Loads `RUN/config.json`. Raises `OSError`, or `ValueError` with the path of the file."""
    path = run / "config.json"
    try:
        return parse_config(path.read_text())
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: {error}") from error
