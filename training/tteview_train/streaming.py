"""Runs a network over whole cines as the library does (docs/stream-contract.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .cine_cache import DecodedCine
from .config import TrainConfig
from .dataset import normalise
from .model import SlowFast
from .model_config import CAUSAL
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


@torch.inference_mode()
def run_cine(
    model: SlowFast, cine: DecodedCine, config: TrainConfig, temperature: float = 1.0
) -> RunningPosterior:
    """Runs a network over a cine. The network must be in evaluation mode."""
    run = _run_chunks if config.model.time == CAUSAL else _run_windows
    return run(model, cine, config, temperature)


def _run_chunks(
    model: SlowFast, cine: DecodedCine, config: TrainConfig, temperature: float
) -> RunningPosterior:
    plan = plan_chunks(cine.times_ns, config.model.interval_ns, config.model.alpha, config.gap_ns)
    parts: list[npt.NDArray[np.float64]] = []
    for number in range(len(plan.segments)):
        chunks = [chunk for chunk in plan.chunks if chunk.segment == number]
        if chunks:
            parts.append(_compute_segment_logits(model, cine, chunks, config))
    logits = np.concatenate(parts)
    means = np.cumsum(logits, 0) / np.arange(1, len(logits) + 1)[:, None]
    times = [chunk.last_ns - int(cine.times_ns[0]) for chunk in plan.chunks]
    return RunningPosterior(times, log_softmax(means / temperature), logits)


def _compute_segment_logits(
    model: SlowFast, cine: DecodedCine, chunks: list[Chunk], config: TrainConfig
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
    model: SlowFast, cine: DecodedCine, config: TrainConfig, temperature: float
) -> RunningPosterior:
    """Runs a network over windows whose hop is one clip.

    The posterior after each window is the mean of the posteriors of all windows so far.
    """
    clip, interval = config.model.clip_samples, config.model.interval_ns
    slow = compute_slow_indices(clip, config.model.slow_frames)
    plan = plan_chunks(cine.times_ns, interval, config.model.alpha, config.gap_ns)
    times, logits = [], []
    for segment in plan.segments:
        count = len(segment.samples)
        ends = [min(clip, count)] if count <= clip else [*range(clip, count, clip), count]
        windows = split_into_windows(segment.samples, clip, clip)
        for window, end in zip(windows, ends, strict=True):
            x = _load_input(model, cine, window, config)
            logits.append(model(x[:, :, slow], x)[0].double().cpu().numpy())
            times.append(segment.t0_ns + (end - 1) * interval - int(cine.times_ns[0]))
    stacked = np.stack(logits)
    posterior = np.exp(log_softmax(stacked / temperature))
    means = np.cumsum(posterior, 0) / np.arange(1, len(posterior) + 1)[:, None]
    return RunningPosterior(times, np.log(np.maximum(means, 1e-300)), stacked)


def _load_input(
    model: SlowFast, cine: DecodedCine, frames: list[int], config: TrainConfig
) -> Tensor:
    samples = np.ascontiguousarray(np.asarray(cine.frames[frames]).swapaxes(0, 1))
    device = next(model.parameters()).device
    return normalise(torch.from_numpy(samples).to(device), config)[None]


def log_softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Computes the logarithm of the softmax along the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result
