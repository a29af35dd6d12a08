"""Adaptation of a trained network to the images of a new scanner, without labels.

The statistics of batch normalisation are estimated again on cines of the new scanner (Li et al.,
"Revisiting Batch Normalization For Practical Domain Adaptation", 2016). Such an estimate also
depends on which views the cines show, and hospitals do not store all views equally often. Two
measures limit this effect:

- The cines are drawn so that every predicted label is shown equally often, as in the
  prediction-balanced sampling of NOTE (Gong et al., NeurIPS 2022). The second of two rounds uses
  the predictions of the network that the first round has adapted.
- The new statistics are mixed with those of the training set, which count like `PRIOR_CINES` cines,
  as in Schneider et al. (NeurIPS 2020).

If the network predicts only a few labels, the cines may show only a few views. `adapt` cannot
distinguish this from a scanner whose images the network confuses, so it asks for confirmation.
Nothing but the statistics changes, so the network compiles and streams as before.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .balance import draw_epoch
from .checkpoint import save_checkpoint
from .cine_cache import Cache
from .config import TrainConfig, save_config
from .dataset import choose_samples, normalise
from .loss import ChunkLogits
from .manifest import Entry
from .model import SlowFast
from .run_folder import load_run
from .seeding import ADAPT, make_generator
from .streaming import run_cine

PRIOR_CINES = 2.0
"""Number of cines as which the statistics of the training set count."""

FEWEST_CINES = 8
"""Minimum number of cines of the new scanner."""

FEWEST_LABELS = 4
"""Minimum number of labels that the network must predict, unless the caller vouches for them."""

ROUNDS = 2
"""Number of times that the statistics are estimated, each time from the original ones."""


class AdaptError(Exception):
    """An error that prevents the adaptation."""


@dataclass(frozen=True)
class Adaptation:
    """What an adaptation did."""

    cines: int
    predicted: dict[str, int]
    """Number of cines for each label that the network predicted before the adaptation."""
    weight: float
    """Weight of the new statistics, from 0 to 1."""
    changed: int
    """Number of cines whose predicted label is another one after the adaptation."""


def adapt(
    run: Path,
    entries: Sequence[Entry],
    out: Path,
    checkpoint: str = "best",
    prior: float = PRIOR_CINES,
    all_views: bool = False,
    cache: Path | None = None,
    batch: int = 16,
) -> Adaptation:
    """Adapts the network of a run to unlabelled cines, and writes a run to the folder `out`.

    The labels of the entries are not used. `all_views` confirms that the cines show most of the
    views, even if the network predicts only a few labels for them. The new folder has a
    `best.pt`, so that `predict` and `export` accept it.

    Raises `AdaptError`, `RunError`, `CineError` or `ValueError`.
    """
    if prior < 0:
        raise ValueError(f"prior must be at least 0, got {prior:g}")
    if (out / "best.pt").exists():
        raise AdaptError(f"{out}: the folder contains a run; set another --out")
    if len(entries) < FEWEST_CINES:
        raise AdaptError(
            f"adaptation needs at least {FEWEST_CINES} cines, got {len(entries)}; add cines"
        )
    model, config, _ = load_run(run, checkpoint)
    decoded = Cache(cache or run / "cache", config.sample_settings)
    before = _predict_labels(model, entries, decoded, config)
    codes = [label.code for label in config.labels]
    predicted = dict(sorted(Counter(codes[number] for number in before).items()))
    if len(predicted) < min(FEWEST_LABELS, len(codes)) and not all_views:
        raise AdaptError(
            f"the network must predict at least {FEWEST_LABELS} labels for the cines, got "
            f"{', '.join(predicted)}; statistics of so few views would not fit the others, so add "
            "cines of other views, or confirm with --all-views that the cines show them"
        )
    weight = len(entries) / (len(entries) + prior)
    original, after = model, before
    for _ in range(ROUNDS):
        model = copy.deepcopy(original)
        draws = _balance_predictions(after, config.seed)
        _mix_statistics(model, _load_sequences(entries, draws, decoded, config, batch), weight)
        after = _predict_labels(model, entries, decoded, config)
    out.mkdir(parents=True, exist_ok=True)
    save_config(out, config)
    save_checkpoint(out / "best.pt", {"model": model.state_dict(), "epoch": 0, "macro_f1": -1.0})
    changed = sum(a != b for a, b in zip(before, after, strict=True))
    return Adaptation(len(entries), predicted, weight, changed)


def _predict_labels(
    model: SlowFast, entries: Sequence[Entry], cache: Cache, config: TrainConfig
) -> list[int]:
    model.eval()
    posteriors = (run_cine(model, cache.load(entry), config).log_posterior for entry in entries)
    return [int(rows[-1].argmax()) for rows in posteriors]


def _balance_predictions(predicted: Sequence[int], seed: int) -> list[int]:
    """Draws the cines so that every predicted label is shown equally often."""
    present = sorted(set(predicted))
    labels = [present.index(number) for number in predicted]
    return draw_epoch(labels, len(present), "oversample", seed, 0)


def _load_sequences(
    entries: Sequence[Entry],
    draws: Sequence[int],
    cache: Cache,
    config: TrainConfig,
    batch: int,
) -> Iterator[Tensor]:
    """Loads batches of training sequences [B, C, T, H, W] without augmentation."""
    plain = replace(config, augment=False)
    sequences = []
    for place, index in enumerate(draws):
        cine = cache.load(entries[index])
        indices, _ = choose_samples(cine, make_generator(config.seed, ADAPT, place), plain)
        samples = np.ascontiguousarray(np.asarray(cine.frames[indices]).swapaxes(0, 1))
        sequences.append(torch.from_numpy(samples))
        if len(sequences) == batch or place + 1 == len(draws):
            yield normalise(torch.stack(sequences), config)
            sequences = []


@torch.no_grad()
def _mix_statistics(model: SlowFast, batches: Iterator[Tensor], weight: float) -> None:
    """Replaces the statistics with `weight` times those of the batches and the rest of the old."""
    new = copy.deepcopy(model).eval()
    norms = [module for module in new.modules() if isinstance(module, nn.BatchNorm3d)]
    for norm in norms:
        norm.reset_running_stats()
        # Without a momentum, the statistics are the mean over all batches.
        norm.momentum = None
        norm.train()
    forward = ChunkLogits(new)
    for samples in batches:
        forward(samples)
    own = [module for module in model.modules() if isinstance(module, nn.BatchNorm3d)]
    for old, estimated in zip(own, norms, strict=True):
        _mix_norm(old, estimated, weight)
    model.eval()


def _mix_norm(old: nn.BatchNorm3d, new: nn.BatchNorm3d, weight: float) -> None:
    values = (old.running_mean, old.running_var, new.running_mean, new.running_var)
    mean, variance, new_mean, new_variance = (value for value in values if value is not None)
    mean.lerp_(new_mean, weight)
    variance.lerp_(new_variance, weight)


def format_adaptation(adaptation: Adaptation, out: Path) -> str:
    """Formats what an adaptation did, for the terminal."""
    predicted = ", ".join(f"{code} {count}" for code, count in adaptation.predicted.items())
    return (
        f"{out}: adapted to {adaptation.cines} cines; the new statistics have a weight of "
        f"{adaptation.weight:.2f}\n"
        f"predicted before the adaptation: {predicted}\n"
        f"cines with another label after it: {adaptation.changed}"
    )
