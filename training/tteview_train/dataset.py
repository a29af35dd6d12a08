"""Training sequences, each of which consists of augmented samples from a part of a cine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .augment import augment, jitter_times
from .cine_cache import Cache, DecodedCine
from .config import TrainConfig
from .manifest import Entry
from .sampling import find_segment_starts, sample_segment
from .seeding import AUGMENT, make_generator

Draw = tuple[int, int, int]
"""Index of the cine, epoch, and position in the epoch."""

Batch = tuple[Tensor, Tensor, Tensor]
"""Samples [B, C, T, H, W] (uint8), mask [B, n] of the chunks that count, and labels [B]."""


class TrainingSet(Dataset[tuple[Tensor, Tensor, int]]):
    """The training sequences, indexed by draw.

    Equal draws give equal sequences in every process.
    """

    def __init__(self, entries: Sequence[Entry], cache: Cache, config: TrainConfig) -> None:
        self.entries, self.cache, self.config = list(entries), cache, config
        numbers = {label.code: number for number, label in enumerate(config.labels)}
        self.labels = [numbers[entry.label] for entry in entries]

    def __len__(self) -> int:
        """Returns the number of cines."""
        return len(self.entries)

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor, int]:
        """Returns the samples, a mask of the chunks that count, and the label.

        The samples are [C, T, H, W] (uint8), and the mask is [n].
        """
        index, epoch, place = draw
        entry, config = self.entries[index], self.config
        rng = make_generator(config.seed, AUGMENT, epoch, place)
        decoded = self.cache.load(entry)
        indices, decided = choose_samples(decoded, rng, config)
        if config.augment and rng.random() < config.augment_settings.still_p:
            indices = [int(rng.choice(indices))] * len(indices)
        samples = np.asarray(decoded.frames[indices])
        if config.augment:
            changed = augment(samples, entry.label, rng, config.augment_settings)
            samples = np.rint(changed).astype(np.uint8)
        alpha, chunks = config.model.alpha, config.samples // config.model.alpha
        # A partial chunk counts if at least half of its samples are decided or if it is the first
        # chunk. The same rule applies at the end of an acquisition.
        counted = max(1, (2 * decided + alpha) // (2 * alpha))
        valid = torch.arange(chunks) < counted
        channels_first = np.ascontiguousarray(samples.swapaxes(0, 1))
        return torch.from_numpy(channels_first), valid, self.labels[index]


def choose_samples(
    decoded: DecodedCine, rng: np.random.Generator, config: TrainConfig
) -> tuple[list[int], int]:
    """Chooses the frames of a sequence.

    Returns the frame index of each sample, and the number of decided samples. Any further samples
    repeat the last decided sample. All frames come from one segment, which is drawn with a
    probability proportional to its length. The start within the segment is random too, because a
    stream can start at any phase of the heartbeat.
    """
    times = decoded.times_ns
    kept, rate = list(range(len(times))), 1.0
    if config.augment:
        kept, rate = jitter_times(times, rng, config.augment_settings)
    times = times[kept]
    starts = find_segment_starts(times, config.gap_ns)
    ends = starts[1:] + [len(times)]
    lengths = np.asarray([end - start for start, end in zip(starts, ends, strict=True)], np.float64)
    segment = int(rng.choice(len(starts), p=lengths / lengths.sum()))
    first, end = starts[segment], ends[segment]
    interval = round(config.model.interval_ns * rate)
    latest = int(times[end - 1]) - interval * (config.samples - 1)
    # Number of frames at which a sequence can start. If the segment is shorter than a whole
    # sequence, the sequence can start only at the first frame of the segment.
    possible = max(1, int(np.searchsorted(times[first:end], latest, side="right")))
    start = first + int(rng.integers(possible))
    samples = sample_segment(times[start:end], interval)[: config.samples]
    decided = len(samples)
    samples += [samples[-1]] * (config.samples - decided)
    return [kept[start + sample] for sample in samples], decided


def load_batches(
    dataset: TrainingSet,
    draws: Sequence[int],
    epoch: int,
    first_step: int = 0,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
) -> Iterator[Batch]:
    """Loads the batches of an epoch, starting with step `first_step`.

    Each process loads only its share of every batch.
    """
    planned = plan_batches(draws, epoch, dataset.config.batch, rank, world)[first_step:]
    loader: DataLoader[tuple[Tensor, Tensor, int]] = DataLoader(
        dataset,
        batch_sampler=planned,
        num_workers=min(workers, len(planned)),
        # Without its own generator, the loader would draw from PyTorch's global generator.
        generator=torch.Generator().manual_seed(0),
        pin_memory=torch.cuda.is_available(),
    )
    yield from loader


def plan_batches(
    draws: Sequence[int], epoch: int, batch: int, rank: int, world: int
) -> list[list[Draw]]:
    """Returns the draws of the process `rank`, with one list for each step.

    All processes get the same number of draws. If `len(draws)` is not a multiple of the number of
    processes, the last batch repeats the first draws of the epoch.
    """
    missing = -len(draws) % world
    padded = [*draws, *(draws[i % len(draws)] for i in range(missing))]
    placed: list[Draw] = [(index, epoch, place) for place, index in enumerate(padded)]
    whole = batch * world
    return [placed[i : i + whole][rank::world] for i in range(0, len(placed), whole)]


def normalise(samples: Tensor, config: TrainConfig) -> Tensor:
    """Converts pixel values from 0 to 255 into normalised network input."""
    return (samples.float() / 255.0 - config.mean) / config.std
