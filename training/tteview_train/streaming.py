"""Runs a network over whole cines as the library does (docs/stream-contract.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .cine_cache import DecodedCine
from .config import TrainConfig
from .dataset import normalise
from .model import SlowFast
from .model_config import CAUSAL
from .novelty import Novelty, compute_energy
from .sampling import Chunk, compute_slow_indices, plan_chunks, split_into_windows

BLOCK_CHUNKS = 64
"""Maximum number of chunks in one pass, excluding the look-back. This limits the memory use."""


@dataclass(frozen=True)
class RunningPosterior:
    """The posterior after each output of the network. An output covers a chunk or a window."""

    times_ns: list[int]
    """Time of the last sample of each output, relative to the first frame."""
    log_posterior: npt.NDArray[np.float64]
    """Logarithm of the posterior after each output, [outputs, L]."""
    logits: npt.NDArray[np.float64]
    """Logits of each output, [outputs, L]."""
    novelty: npt.NDArray[np.float64] | None = None
    """Novelty score after each output, [outputs], if a score was given."""


@torch.inference_mode()
def run_cine(
    model: SlowFast,
    cine: DecodedCine,
    config: TrainConfig,
    temperature: float = 1.0,
    novelty: Novelty | None = None,
) -> RunningPosterior:
    """Runs a network over a cine. The network must be in evaluation mode.

    If `novelty` has a projection, the head of the network must have been extended with it.
    """
    if config.model.time == CAUSAL:
        times, outputs = _run_chunks(model, cine, config)
    else:
        times, outputs = _run_windows(model, cine, config)
    counts = np.arange(1, len(outputs) + 1)[:, None]
    labels = len(config.labels)
    means = np.cumsum(outputs, 0) / counts
    logits = outputs[:, :labels]
    if config.model.time == CAUSAL:
        log_posterior = log_softmax(means[:, :labels] / temperature)
        energy = compute_energy(means[:, :labels], temperature)
    else:
        # The posterior after each window is the mean of the posteriors of all windows so far.
        posterior = np.cumsum(np.exp(log_softmax(logits / temperature)), 0) / counts
        log_posterior = np.log(np.maximum(posterior, 1e-300))
        energy = np.cumsum(compute_energy(logits, temperature)) / counts[:, 0]
    score = None if novelty is None else novelty.compute(means[:, labels:], energy)
    return RunningPosterior(times, log_posterior, logits, score)


class _WithoutHead(nn.Module):
    """A network whose outputs are the pooled features instead of the logits."""

    def __init__(self, model: SlowFast) -> None:
        super().__init__()
        self.model = model

    def compute_chunk_logits(self, slow: Tensor, fast: Tensor) -> Tensor:
        return self.model.compute_chunk_features(slow, fast)

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        return self.model.compute_clip_features(slow, fast)


@torch.inference_mode()
def compute_features(
    model: SlowFast, cine: DecodedCine, config: TrainConfig
) -> npt.NDArray[np.float64]:
    """Computes the mean of a cine's pooled features, which the head maps to the mean logits."""
    run = _run_chunks if config.model.time == CAUSAL else _run_windows
    features: npt.NDArray[np.float64] = run(_WithoutHead(model), cine, config)[1].mean(0)
    return features


def _run_chunks(
    model: SlowFast | _WithoutHead, cine: DecodedCine, config: TrainConfig
) -> tuple[list[int], npt.NDArray[np.float64]]:
    """Returns the time and the output of each chunk."""
    plan = plan_chunks(cine.times_ns, config.model.interval_ns, config.model.alpha, config.gap_ns)
    parts: list[npt.NDArray[np.float64]] = []
    for number in range(len(plan.segments)):
        chunks = [chunk for chunk in plan.chunks if chunk.segment == number]
        if chunks:
            parts.append(_compute_segment_logits(model, cine, chunks, config))
    times = [chunk.last_ns - int(cine.times_ns[0]) for chunk in plan.chunks]
    return times, np.concatenate(parts)


def _compute_segment_logits(
    model: SlowFast | _WithoutHead, cine: DecodedCine, chunks: list[Chunk], config: TrainConfig
) -> npt.NDArray[np.float64]:
    """Computes the chunk logits of a segment. A segment starts with the initial state.

    Each pass computes the logits of one block of chunks. It also processes the earlier chunks in
    the look-back of the block, so the logits are the same as in one pass over the whole segment.
    """
    alpha = config.model.alpha
    before = -(-config.model.look_back // alpha)
    parts = []
    for start in range(0, len(chunks), BLOCK_CHUNKS):
        first = max(0, start - before)
        fast = [frame for chunk in chunks[first : start + BLOCK_CHUNKS] for frame in chunk.fast]
        x = _load_input(model, cine, fast, config)
        logits = model.compute_chunk_logits(x[:, :, ::alpha], x)[0, start - first :]
        parts.append(logits.double().cpu().numpy())
    return np.concatenate(parts)


def _run_windows(
    model: SlowFast | _WithoutHead, cine: DecodedCine, config: TrainConfig
) -> tuple[list[int], npt.NDArray[np.float64]]:
    """Returns the time and the output of each window. The hop is one clip."""
    clip, interval = config.model.clip_samples, config.model.interval_ns
    slow = compute_slow_indices(clip, config.model.slow_frames)
    plan = plan_chunks(cine.times_ns, interval, config.model.alpha, config.gap_ns)
    times, outputs = [], []
    for segment in plan.segments:
        count = len(segment.samples)
        ends = [min(clip, count)] if count <= clip else [*range(clip, count, clip), count]
        windows = split_into_windows(segment.samples, clip, clip)
        for window, end in zip(windows, ends, strict=True):
            x = _load_input(model, cine, window, config)
            outputs.append(model(x[:, :, slow], x)[0].double().cpu().numpy())
            times.append(segment.t0_ns + (end - 1) * interval - int(cine.times_ns[0]))
    return times, np.stack(outputs)


def _load_input(
    model: SlowFast | _WithoutHead, cine: DecodedCine, frames: list[int], config: TrainConfig
) -> Tensor:
    samples = np.ascontiguousarray(np.asarray(cine.frames[frames]).swapaxes(0, 1))
    device = next(model.parameters()).device
    return normalise(torch.from_numpy(samples).to(device), config)[None]


def log_softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Computes the logarithm of the softmax along the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result
