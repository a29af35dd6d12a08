"""The group of training processes that `torchrun` starts.

If the processes use GPUs, each process has its own GPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class Process:
    """The current process and its group."""

    rank: int
    world: int
    """Number of processes in the group."""
    device: torch.device

    def wait_for_others(self) -> None:
        """Waits until every process of the group calls this method."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def join_process_group(device: str) -> Iterator[Process]:
    """Joins the process group, and leaves the group at the end of the context.

    `device` is `cpu`, `cuda` or `auto`. `auto` selects a GPU if one is available.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank, local = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = torch.device(f"cuda:{local}" if device == "cuda" else device)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if world > 1:
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Process(rank, world, chosen)
    finally:
        if world > 1:
            dist.destroy_process_group()
