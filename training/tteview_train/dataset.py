"""Training sequences: a cine, a start in time, one draw of augmentation, samples by time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .augment import augment, jitter_times
from .config import TrainConfig
from .data import Cache, Decoded
from .manifest import Entry
from .random_keys import AUGMENT, keyed
from .sampling import grid_samples, segment_starts

Draw = tuple[int, int, int]
"""Index of the cine, epoch, place in the epoch."""

Batch = tuple[Tensor, Tensor, Tensor]
"""Samples [B, C, T, H, W] uint8, chunks that count [B, n] bool, labels [B]."""


class TrainingSet(Dataset[tuple[Tensor, Tensor, int]]):
    """Gives the sequence of a draw; the same draw gives the same sequence, in whatever process."""

    def __init__(self, entries: Sequence[Entry], cache: Cache, config: TrainConfig) -> None:
        self.entries, self.cache, self.config = list(entries), cache, config
        numbers = {label.code: number for number, label in enumerate(config.labels)}
        self.labels = [numbers[entry.label] for entry in entries]

    def __len__(self) -> int:
        """Cines, not draws."""
        return len(self.entries)

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor, int]:
        """Samples [C, T, H, W] uint8, chunks that count [n] bool, label."""
        index, epoch, place = draw
        entry, config = self.entries[index], self.config
        rng = keyed(config.seed, AUGMENT, epoch, place)
        decoded = self.cache.load(entry)
        indices, decided = choose_samples(decoded, rng, config)
        if config.augment and rng.random() < config.augment_settings.still_p:
            indices = [int(rng.choice(indices))] * len(indices)
        samples = np.asarray(decoded.frames[indices])
        if config.augment:
            changed = augment(samples, entry.label, rng, config.augment_settings)
            samples = np.rint(changed).astype(np.uint8)
        alpha, chunks = config.model.alpha, config.samples // config.model.alpha
        # As at the end of an acquisition: a partial chunk counts if half of it was decided, or if it is the
        # first.
        counted = max(1, (2 * decided + alpha) // (2 * alpha))
        valid = torch.arange(chunks) < counted
        return torch.from_numpy(np.ascontiguousarray(samples.swapaxes(0, 1))), valid, self.labels[index]


def choose_samples(decoded: Decoded, rng: np.random.Generator, config: TrainConfig) -> tuple[list[int], int]:
    """Frames of the samples of a sequence, and how many were decided before the last one is repeated.

    A segment is drawn by its length, then where in it the sequence starts: a stream starts at any phase of
    the heart.
    """
    times = decoded.times_ns
    kept, rate = list(range(len(times))), 1.0
    if config.augment:
        kept, rate = jitter_times(times, rng, config.augment_settings)
    times = times[kept]
    starts = segment_starts(times, config.gap_ns)
    ends = starts[1:] + [len(times)]
    lengths = np.asarray([end - start for start, end in zip(starts, ends, strict=True)], np.float64)
    segment = int(rng.choice(len(starts), p=lengths / lengths.sum()))
    first, end = starts[segment], ends[segment]
    interval = round(config.model.interval_ns * rate)
    latest = int(times[end - 1]) - interval * (config.samples - 1)
    # Frames at which a whole sequence can start; the first one if there is none.
    possible = max(1, int(np.searchsorted(times[first:end], latest, side="right")))
    start = first + int(rng.integers(possible))
    samples = grid_samples(times[start:end], interval)[: config.samples]
    decided = len(samples)
    samples += [samples[-1]] * (config.samples - decided)
    return [kept[start + sample] for sample in samples], decided


def batches(
    dataset: TrainingSet,
    draws: Sequence[int],
    epoch: int,
    first_step: int = 0,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
) -> Iterator[Batch]:
    """The batches of an epoch from step `first_step` on; of each, the part that belongs to this process."""
    planned = plan_batches(draws, epoch, dataset.config.batch, rank, world)[first_step:]
    loader: DataLoader[tuple[Tensor, Tensor, int]] = DataLoader(
        dataset,
        batch_sampler=planned,
        num_workers=min(workers, len(planned)),
        # Its own, so that the loader takes nothing from torch's global one.
        generator=torch.Generator().manual_seed(0),
        pin_memory=torch.cuda.is_available(),
    )
    yield from loader


def plan_batches(draws: Sequence[int], epoch: int, batch: int, rank: int, world: int) -> list[list[Draw]]:
    """The draws of each step of one process. All processes get the same number; the first draws fill up the
    last batch where the number of processes does not divide the draws.
    """
    missing = -len(draws) % world
    drawn = [*draws, *(draws[i % len(draws)] for i in range(missing))]
    placed: list[Draw] = [(index, epoch, place) for place, index in enumerate(drawn)]
    whole = batch * world
    return [placed[i : i + whole][rank::world] for i in range(0, len(placed), whole)]


def normalised(samples: Tensor, config: TrainConfig) -> Tensor:
    """Pixels 0 to 255 to what the network takes."""
    return (samples.float() / 255.0 - config.mean) / config.std
