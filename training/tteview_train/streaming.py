"""Runs a network over whole cines as the library does: the stream contract's sections 3, 5 and 6."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .config import TrainConfig
from .data import Decoded
from .dataset import normalised
from .model import CAUSAL, SlowFast, look_back
from .sampling import Chunk, plan, slow_indices, windows

BLOCK_CHUNKS = 64
"""Chunks that are computed at once; longer segments go in blocks, to bound the memory."""


@dataclass(frozen=True)
class Running:
    """The posterior as it forms."""

    times_ns: list[int]
    """End of each chunk (causal) or window, since the first frame."""
    log_posterior: npt.NDArray[np.float64]
    """[steps, L]: of all that was seen up to then."""
    logits: npt.NDArray[np.float64]
    """[steps, L]: of each chunk or window alone."""


@torch.inference_mode()
def run_cine(model: SlowFast, cine: Decoded, config: TrainConfig, temperature: float = 1.0) -> Running:
    """The running posterior over a cine; the network must be in evaluation mode."""
    return (_stream if config.model.time == CAUSAL else _windows)(model, cine, config, temperature)


def _stream(model: SlowFast, cine: Decoded, config: TrainConfig, temperature: float) -> Running:
    planned = plan(cine.times_ns, config.model.interval_ns, config.model.alpha, config.gap_ns)
    parts: list[npt.NDArray[np.float64]] = []
    for number in range(len(planned.segments)):
        chunks = [chunk for chunk in planned.chunks if chunk.segment == number]
        if chunks:
            parts.append(_segment_logits(model, cine, chunks, config))
    logits = np.concatenate(parts)
    means = np.cumsum(logits, 0) / np.arange(1, len(logits) + 1)[:, None]
    times = [chunk.last_ns - int(cine.times_ns[0]) for chunk in planned.chunks]
    return Running(times, log_softmax(means / temperature), logits)


def _segment_logits(
    model: SlowFast, cine: Decoded, chunks: list[Chunk], config: TrainConfig
) -> npt.NDArray[np.float64]:
    """Chunk logits of a segment from zero initial state. A block after the first starts so much earlier that
    its own chunks see all that they can look back on, which gives the same logits as one pass.
    """
    alpha = config.model.alpha
    before = -(-look_back(config.model) // alpha)
    parts = []
    for start in range(0, len(chunks), BLOCK_CHUNKS):
        first = max(0, start - before)
        fast = [frame for chunk in chunks[first : start + BLOCK_CHUNKS] for frame in chunk.fast]
        x = _input(model, cine, fast, config)
        parts.append(model.chunk_logits(x[:, :, ::alpha], x)[0, start - first :].double().cpu().numpy())
    return np.concatenate(parts)


def _windows(model: SlowFast, cine: Decoded, config: TrainConfig, temperature: float) -> Running:
    """Windows side by side; the posterior is the mean of theirs."""
    clip, interval = config.model.clip_samples, config.model.interval_ns
    slow = slow_indices(clip, config.model.slow_frames)
    planned = plan(cine.times_ns, interval, config.model.alpha, config.gap_ns)
    times, logits = [], []
    for segment in planned.segments:
        count = len(segment.samples)
        ends = [min(clip, count)] if count <= clip else [*range(clip, count, clip), count]
        for window, end in zip(windows(segment.samples, clip, clip), ends, strict=True):
            x = _input(model, cine, window, config)
            logits.append(model(x[:, :, slow], x)[0].double().cpu().numpy())
            times.append(segment.t0_ns + (end - 1) * interval - int(cine.times_ns[0]))
    stacked = np.stack(logits)
    posterior = np.exp(log_softmax(stacked / temperature))
    means = np.cumsum(posterior, 0) / np.arange(1, len(posterior) + 1)[:, None]
    return Running(times, np.log(np.maximum(means, 1e-300)), stacked)


def _input(model: SlowFast, cine: Decoded, frames: list[int], config: TrainConfig) -> Tensor:
    samples = np.ascontiguousarray(np.asarray(cine.frames[frames]).swapaxes(0, 1))
    device = next(model.parameters()).device
    return normalised(torch.from_numpy(samples).to(device), config)[None]


def log_softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Along the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result
