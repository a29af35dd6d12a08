"""Trains a network; can be killed at any step and goes on to the same weights."""

from __future__ import annotations

import copy
import csv
import importlib
import io
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from .balance import draw_epoch, drawn_counts
from .checkpoint import load_checkpoint, save_checkpoint, write_atomically
from .config import TrainConfig, differences, load_config, save_config
from .data import Cache, SampleSettings
from .dataset import TrainingSet, batches, normalised, plan_batches
from .manifest import check_classes, check_labels, of_split, read_manifest
from .model import CAUSAL, SlowFast
from .random_keys import DROPOUT, torch_seed
from .sampling import slow_indices
from .validation import validate
from .weights import load_pretrained

LOG_COLUMNS = (
    "epoch", "step", "lr", "loss", "train_accuracy",
    "val_macro_f1", "val_accuracy", "val_loss", "seconds", "drawn",
)  # fmt: skip


class TrainError(Exception):
    """A training that cannot start or go on."""


@dataclass(frozen=True)
class Machine:
    """How it is computed; none of it is meant to change what is computed."""

    device: str = "auto"
    workers: int = 0
    """Processes that prepare batches beside the training; 0: none."""
    save_every: int = 0
    """Steps between checkpoints within an epoch; 0: one at the end of each epoch."""
    cache: Path | None = None
    """Folder of decoded cines; `None`: `cache` in the run's folder."""
    pretrained: Path | None = None
    """State dict under PyTorchVideo's names to begin with, or a run's checkpoint."""
    stop_after: int = 0
    """Epochs after which to stop on the way; 0: the last. The same settings without it go on."""
    quiet: bool = False


@dataclass
class Progress:
    """Where a training stands; saved with the weights."""

    epoch: int = 0
    step: int = 0
    """Steps done in this epoch."""
    total_step: int = 0
    best_f1: float = -1.0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0


class ChunkLogits(nn.Module):
    """The network as the loss wants it; a module of its own because DDP hooks `forward`."""

    def __init__(self, model: SlowFast) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Samples [B, C, T, H, W] to logits [B, n, L]."""
        alpha, samples = self.model.config.alpha, x.shape[2]
        if self.model.config.time == CAUSAL:
            slow = x[:, :, ::alpha]
        else:
            slow = x[:, :, slow_indices(samples, samples // alpha)]
        return self.model.chunk_logits(slow, x)


def loss_of(logits: Tensor, valid: Tensor, labels: Tensor, config: TrainConfig) -> tuple[Tensor, Tensor]:
    """Loss on the mean of the chunk logits [B, n, L], plus a smaller one on each chunk's; and that mean.

    Chunks where `valid` [B, n] is false do not count: they only repeat the end of a short cine.
    """
    weight = valid.to(logits.dtype)
    mean = (logits * weight[..., None]).sum(1) / weight.sum(1, keepdim=True)
    smoothing = config.label_smoothing
    loss = F.cross_entropy(mean, labels, label_smoothing=smoothing)
    if config.chunk_weight > 0:
        each = F.cross_entropy(
            logits.flatten(0, 1),
            labels.repeat_interleave(logits.shape[1]),
            label_smoothing=smoothing,
            reduction="none",
        )
        loss = loss + config.chunk_weight * (each * weight.flatten()).sum() / weight.sum()
    return loss, mean


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine to zero."""
    warm = max(1, round(config.warmup * steps))
    if step < warm:
        return config.lr * (step + 1) / warm
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def make_optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Weights of convolutions and of the projection decay; biases and norms do not."""
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if config.optimiser == "sgd":
        return torch.optim.SGD(groups, config.lr, momentum=config.momentum, nesterov=config.momentum > 0)
    return torch.optim.AdamW(groups, config.lr)


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Exponential moving average of weights and norm statistics; shorter at the start, where there is
    little.
    """
    decay = min(decay, (1 + step) / (10 + step))
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


def autocast_type(precision: str, device: torch.device) -> torch.dtype | None:
    """The type of convolutions; `None` is single precision.

    A CPU can do bf16, but only when asked: about twice as fast where it has instructions for it.
    Raises `TrainError` for fp16 without a GPU.
    """
    on_gpu = device.type == "cuda"
    if precision == "fp32" or (precision == "auto" and not on_gpu):
        return None
    if precision == "auto":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if precision == "fp16" and not on_gpu:
        raise TrainError(f"precision fp16 needs a CUDA device; there is {device}")
    return {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]


@contextmanager
def _processes(device: str) -> Iterator[tuple[int, int, torch.device]]:
    """Rank, number of processes and device; joins and leaves the group that torchrun set up."""
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
        yield rank, world, chosen
    finally:
        if world > 1:
            dist.destroy_process_group()


def train(
    config: TrainConfig,
    run: Path,
    machine: Machine = Machine(),
    after_step: Callable[[int], None] | None = None,
) -> Progress:
    """Trains into the folder `run`, going on where an earlier call with the same settings was stopped.

    Writes `config.json`, `labels.json`, `log.csv`, `last.pt` (all that is needed to go on) and `best.pt`
    (averaged weights with the best macro F1 on the split `val`; of the last epoch, where there is no such
    split). `after_step` is called with the number of steps done, after each.

    Raises `TrainError`, `ManifestError` or `CineError`.
    """
    with _processes(machine.device) as (rank, world, device):
        return _Training(config, run, machine, rank, world, device).go(after_step)


class _Training:
    def __init__(
        self, config: TrainConfig, run: Path, machine: Machine, rank: int, world: int, device: torch.device
    ) -> None:
        self.config, self.run, self.machine = config, run, machine
        self.rank, self.world, self.device = rank, world, device
        manifest = Path(config.manifest)
        entries = read_manifest(manifest)
        check_labels(manifest, entries, config.labels)
        self.train_entries = of_split(manifest, entries, "train")
        self.val_entries = [entry for entry in entries if entry.split == "val"]
        check_classes(manifest, self.train_entries, config.labels)
        run.mkdir(parents=True, exist_ok=True)
        self._settle_config()
        cache = Cache(
            machine.cache or run / "cache", SampleSettings(config.model.size_px, config.model.in_channels)
        )
        self.cache = cache
        if rank == 0:
            cache.fill(self.train_entries + self.val_entries, os.cpu_count() or 1, machine.quiet)
        if world > 1:
            dist.barrier()
        self.dataset = TrainingSet(self.train_entries, cache, config)
        torch.manual_seed(torch_seed(config.seed, 0))
        model = SlowFast(config.model)
        if machine.pretrained is not None:
            self._pretrained(model, machine.pretrained)
        # Channels last in memory: on a CPU the step takes two thirds of the time.
        untyped: Any = model  # PyTorch's older stubs do not know the argument.
        untyped.to(memory_format=torch.channels_last_3d)
        self.model = model.to(device)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimiser = make_optimiser(self.model, config)
        self.dtype = autocast_type(config.precision, device)
        self.scaler = torch.amp.grad_scaler.GradScaler(device.type, enabled=self.dtype is torch.float16)
        self.progress = Progress()
        self._resume()

    def _settle_config(self) -> None:
        """Writes the settings, or refuses a folder that was trained with others."""
        if (self.run / "config.json").exists() and (self.run / "last.pt").exists():
            try:
                changed = differences(load_config(self.run), self.config)
            except ValueError as error:
                raise TrainError(str(error)) from error
            if changed:
                raise TrainError(
                    f"{self.run} was trained with other settings; give another --out, or delete it:\n  "
                    + "\n  ".join(changed)
                )
        elif self.rank == 0:
            save_config(self.run, self.config)

    def _pretrained(self, model: SlowFast, path: Path) -> None:
        try:
            state = load_checkpoint(path)
            kept = load_pretrained(model, state.get("model_state", state.get("model", state)))
        except Exception as error:
            raise TrainError(f"{path}: {error}") from error
        self._say(f"{path}: read; random weights kept in: {', '.join(kept) or 'none'}")

    def _say(self, text: str) -> None:
        if self.rank == 0 and not self.machine.quiet:
            tqdm.write(text, file=sys.stderr)

    def _resume(self) -> None:
        path = self.run / "last.pt"
        if not path.exists():
            return
        try:
            state = load_checkpoint(path)
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.scaler.load_state_dict(state["scaler"])
            self.progress = Progress(**state["progress"])
        except Exception as error:
            raise TrainError(f"{path}: cannot go on from it: {error}") from error
        self._say(f"going on from epoch {self.progress.epoch}, step {self.progress.step}")

    def _save(self, name: str, state: dict[str, Any]) -> None:
        path = self.run / name
        try:
            save_checkpoint(path, state)
        except OSError as error:
            kept = "the one before it is kept" if path.exists() else "there is none before it"
            raise TrainError(f"checkpoint not written, {kept}: {error}") from error

    def _save_last(self) -> None:
        if self.rank == 0:
            state = {
                "model": self.model.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "scaler": self.scaler.state_dict(),
                "progress": asdict(self.progress),
            }
            self._save("last.pt", state)

    def draws(self, epoch: int) -> list[int]:
        """The cines of an epoch."""
        config, labels = self.config, self.dataset.labels
        return draw_epoch(labels, len(config.labels), config.balance, config.seed, epoch, config.balance_beta)

    def go(self, after_step: Callable[[int], None] | None) -> Progress:
        config, progress = self.config, self.progress
        forward: nn.Module = ChunkLogits(self.model)
        if self.world > 1:
            forward = DistributedDataParallel(forward)
        per_epoch = len(plan_batches(self.draws(0), 0, config.batch, 0, self.world))
        log = _Log(self.run, progress.epoch) if self.rank == 0 else None
        while progress.epoch < min(config.epochs, self.machine.stop_after or config.epochs):
            started = time.monotonic()
            draws = self.draws(progress.epoch)
            drawn = drawn_counts(draws, self.dataset.labels, [label.code for label in config.labels])
            rest = batches(
                self.dataset,
                draws,
                progress.epoch,
                progress.step,
                self.machine.workers,
                self.rank,
                self.world,
            )
            bar = tqdm(
                rest,
                total=per_epoch,
                initial=progress.step,
                desc=f"epoch {progress.epoch + 1}/{config.epochs}",
                disable=True if self.machine.quiet or self.rank else None,
            )
            for samples, valid, labels in bar:
                lr = learning_rate(config, progress.total_step, per_epoch * config.epochs)
                loss = self._step(forward, samples, valid, labels, lr)
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
                every = self.machine.save_every
                if every and progress.total_step % every == 0 and progress.step < per_epoch:
                    self._save_last()
                if after_step is not None:
                    after_step(progress.total_step)
            self._end_epoch(log, lr, drawn, started)
        return progress

    def _step(self, forward: nn.Module, samples: Tensor, valid: Tensor, labels: Tensor, lr: float) -> float:
        config, progress, device = self.config, self.progress, self.device
        self.model.train()
        torch.manual_seed(torch_seed(config.seed, DROPOUT, progress.epoch, progress.step, self.rank))
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        samples, valid, labels = (x.to(device, non_blocking=True) for x in (samples, valid, labels))
        with torch.autocast(device.type, self.dtype, enabled=self.dtype is not None):
            logits = forward(normalised(samples, config))
        loss, mean = loss_of(logits.float(), valid, labels, config)
        value = loss.item()
        if not math.isfinite(value):
            raise TrainError(
                f"the loss is {value} in epoch {progress.epoch + 1}, step {progress.step + 1}: stopped "
                "before it reaches the weights. Try a lower --lr or longer --warmup; last.pt is good"
            )
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimiser)
        self.scaler.update()
        progress.step += 1
        progress.total_step += 1
        update_average(self.average, self.model, config.ema, progress.total_step)
        progress.loss_sum += value * len(labels)
        progress.correct += int((mean.argmax(1) == labels).sum())
        progress.seen += len(labels)
        return value

    def _end_epoch(self, log: _Log | None, lr: float, drawn: dict[str, int], started: float) -> None:
        progress = self.progress
        if log is not None:
            scores = (
                validate(self.average, self.val_entries, self.cache, self.config)
                if self.val_entries
                else None
            )
            if scores is None or scores.macro_f1 > progress.best_f1:
                progress.best_f1 = scores.macro_f1 if scores else -1.0
                best = {
                    "model": self.average.state_dict(),
                    "epoch": progress.epoch + 1,
                    "macro_f1": progress.best_f1,
                }
                self._save("best.pt", best)
            row = {
                "epoch": progress.epoch + 1,
                "step": progress.total_step,
                "lr": f"{lr:.3g}",
                "loss": f"{progress.loss_sum / max(1, progress.seen):.5f}",
                "train_accuracy": f"{progress.correct / max(1, progress.seen):.4f}",
                "val_macro_f1": f"{scores.macro_f1:.4f}" if scores else "",
                "val_accuracy": f"{scores.accuracy:.4f}" if scores else "",
                "val_loss": f"{scores.loss:.5f}" if scores else "",
                "seconds": f"{time.monotonic() - started:.1f}",
                "drawn": " ".join(f"{code}:{count}" for code, count in drawn.items()),
            }
            log.add(row)
            self._say(" ".join(f"{key} {row[key]}" for key in LOG_COLUMNS[:-1] if row[key] != ""))
        progress.epoch += 1
        progress.step = progress.correct = progress.seen = 0
        progress.loss_sum = 0.0
        self._save_last()
        if self.world > 1:
            dist.barrier()


class _Log:
    """`log.csv`, and TensorBoard's files where it is installed."""

    def __init__(self, run: Path, epochs_done: int) -> None:
        self.path = run / "log.csv"
        self.rows: list[dict[str, str]] = []
        if self.path.exists():
            with self.path.open(newline="") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["epoch"]) <= epochs_done]
        self.board: Any = None
        try:
            board = importlib.import_module("torch.utils.tensorboard")
            self.board = board.SummaryWriter(str(run / "tensorboard"))
        except ImportError:
            pass

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        write_atomically(self.path, lambda file: _write_rows(file, self.rows))
        if self.board is not None:
            for key in LOG_COLUMNS[2:-1]:
                if row[key] != "":
                    self.board.add_scalar(key, float(row[key]), int(row["epoch"]))
            self.board.flush()


def _write_rows(file: Any, rows: Sequence[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, LOG_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    file.write(text.getvalue().encode())
