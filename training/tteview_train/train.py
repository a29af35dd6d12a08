"""Training of a network.

A run can be killed and resumed. On a CPU, its final weights are the same as those of an
uninterrupted run.
"""

from __future__ import annotations

import copy
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from .balance import count_draws, draw_epoch
from .checkpoint import load_checkpoint, save_checkpoint
from .cine_cache import Cache
from .config import TrainConfig, list_differences, load_config, save_config
from .dataset import TrainingSet, load_batches, normalise, plan_batches
from .loss import ChunkLogits, compute_loss
from .manifest import check_classes, check_labels, read_manifest, select_split
from .model import SlowFast
from .optimiser import (
    build_optimiser,
    choose_autocast_type,
    compute_learning_rate,
    update_average,
)
from .process_group import Process, join_process_group
from .seeding import DROPOUT, derive_torch_seed
from .training_log import LOG_COLUMNS, TrainingLog
from .validation import validate
from .weights import load_pretrained


class TrainError(Exception):
    """An error that prevents training from starting or continuing."""


@dataclass(frozen=True)
class RunOptions:
    """Options of a run that `config.json` does not store."""

    device: str = "auto"
    workers: int = 0
    """Number of processes that prepare batches. If 0, the training process prepares them."""
    save_every: int = 0
    """Number of steps between checkpoints. If 0, a checkpoint is saved only after each epoch."""
    cache: Path | None = None
    """Folder of decoded cines, or `None` for `cache` in the folder of the run."""
    pretrained: Path | None = None
    """Initial weights: a state dict with PyTorchVideo's names, or a checkpoint of another run."""
    stop_after: int = 0
    """Number of epochs after which `train` stops; 0 runs all. A later call continues the run."""
    quiet: bool = False


@dataclass
class Progress:
    """The progress of a training run, as stored in a checkpoint."""

    epoch: int = 0
    step: int = 0
    """Number of finished steps in this epoch."""
    total_step: int = 0
    best_f1: float = -1.0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0


def train(
    config: TrainConfig,
    run: Path,
    options: RunOptions = RunOptions(),
    after_step: Callable[[int], None] | None = None,
) -> Progress:
    """Trains a network in the folder `run`, or continues where an earlier call stopped.

    Writes `config.json`, `labels.json`, `log.csv`, `last.pt` and `best.pt`. `last.pt` contains
    everything that is needed to continue. `best.pt` contains the averaged weights with the best
    macro F1 on the split `val`, or those of the last epoch if there is no such split. `after_step`
    is called after each step with the number of finished steps.

    Raises `TrainError`, `ManifestError` or `CineError`.
    """
    with join_process_group(options.device) as process:
        return _Training(config, run, options, process).run_epochs(after_step)


class _Training:
    def __init__(
        self, config: TrainConfig, run: Path, options: RunOptions, process: Process
    ) -> None:
        self.config, self.run, self.options, self.process = config, run, options, process
        manifest = Path(config.manifest)
        entries = read_manifest(manifest)
        check_labels(manifest, entries, config.labels)
        self.train_entries = select_split(manifest, entries, "train")
        self.val_entries = [entry for entry in entries if entry.split == "val"]
        check_classes(manifest, self.train_entries, config.labels)
        if not self.val_entries:
            self._report(
                f"{manifest}: warning: no cine is in the split val, so no epoch is scored, and "
                "best.pt will contain the weights of the last epoch; move some patients to val"
            )
        run.mkdir(parents=True, exist_ok=True)
        self._save_or_check_config()
        settings = config.sample_settings
        self.cache = Cache(options.cache or run / "cache", settings)
        if process.rank == 0:
            entries = self.train_entries + self.val_entries
            self.cache.fill(entries, os.cpu_count() or 1, options.quiet)
        process.wait_for_others()
        self.dataset = TrainingSet(self.train_entries, self.cache, config)
        torch.manual_seed(derive_torch_seed(config.seed, 0))
        model = SlowFast(config.model)
        if options.pretrained is not None:
            self._load_pretrained(model, options.pretrained)
        # With the channels last in memory, a training step on a CPU takes a third less time.
        untyped: Any = model  # Older PyTorch stubs do not have memory_format.
        untyped.to(memory_format=torch.channels_last_3d)
        self.model = model.to(process.device)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimiser = build_optimiser(self.model, config)
        try:
            self.dtype = choose_autocast_type(config.precision, process.device)
        except ValueError as error:
            raise TrainError(str(error)) from error
        uses_fp16 = self.dtype is torch.float16
        self.scaler = torch.amp.grad_scaler.GradScaler(process.device.type, enabled=uses_fp16)
        self.progress = Progress()
        self._resume()

    def _save_or_check_config(self) -> None:
        """Saves the settings, or refuses a folder whose run has other settings."""
        if (self.run / "config.json").exists() and (self.run / "last.pt").exists():
            try:
                changed = list_differences(load_config(self.run), self.config)
            except ValueError as error:
                raise TrainError(str(error)) from error
            if changed:
                raise TrainError(
                    f"{self.run} was trained with other settings; set another --out or delete the "
                    "folder:\n  " + "\n  ".join(changed)
                )
        elif self.process.rank == 0:
            save_config(self.run, self.config)

    def _load_pretrained(self, model: SlowFast, path: Path) -> None:
        try:
            state = load_checkpoint(path)
            kept = load_pretrained(model, state.get("model_state", state.get("model", state)))
        except Exception as error:
            raise TrainError(f"{path}: {error}") from error
        self._report(f"{path}: loaded; parameters with random values: {', '.join(kept) or 'none'}")

    def _report(self, text: str) -> None:
        if self.process.rank == 0 and not self.options.quiet:
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
            raise TrainError(
                f"{path}: training cannot continue from this checkpoint: {error}; set another "
                "--out or delete the folder"
            ) from error
        self._report(f"continuing at epoch {self.progress.epoch + 1}, step {self.progress.step}")

    def _save(self, name: str, state: dict[str, Any]) -> None:
        path = self.run / name
        try:
            save_checkpoint(path, state)
        except OSError as error:
            kept = "the previous one remains" if path.exists() else "there is no previous one"
            raise TrainError(f"the checkpoint cannot be written: {error}; {kept}") from error

    def _save_last(self) -> None:
        if self.process.rank == 0:
            state = {
                "model": self.model.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "scaler": self.scaler.state_dict(),
                "progress": asdict(self.progress),
            }
            self._save("last.pt", state)

    def _draw_cines(self, epoch: int) -> list[int]:
        config, labels = self.config, self.dataset.labels
        beta, factors = config.balance_beta, config.class_factors
        return draw_epoch(labels, len(factors), config.balance, config.seed, epoch, beta, factors)

    def run_epochs(self, after_step: Callable[[int], None] | None) -> Progress:
        """Runs the remaining epochs."""
        config, options, progress = self.config, self.options, self.progress
        rank, world = self.process.rank, self.process.world
        forward: nn.Module = ChunkLogits(self.model)
        if world > 1:
            forward = DistributedDataParallel(forward)
        steps = len(plan_batches(self._draw_cines(0), 0, config.batch, 0, world))
        log = TrainingLog(self.run, progress.epoch) if rank == 0 else None
        while progress.epoch < min(config.epochs, options.stop_after or config.epochs):
            started = time.monotonic()
            draws = self._draw_cines(progress.epoch)
            codes = [label.code for label in config.labels]
            drawn = count_draws(draws, self.dataset.labels, codes)
            first_step = progress.step
            batches = load_batches(
                self.dataset, draws, progress.epoch, first_step, options.workers, rank, world
            )
            bar = tqdm(
                batches,
                total=steps,
                initial=first_step,
                desc=f"epoch {progress.epoch + 1}/{config.epochs}",
                disable=True if options.quiet or rank else None,
            )
            for samples, valid, labels in bar:
                lr = compute_learning_rate(config, progress.total_step, steps * config.epochs)
                loss = self._run_step(forward, samples, valid, labels, lr)
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
                every = options.save_every
                if every and progress.total_step % every == 0 and progress.step < steps:
                    self._save_last()
                if after_step is not None:
                    after_step(progress.total_step)
            self._end_epoch(log, lr, drawn, started)
        return progress

    def _run_step(
        self, forward: nn.Module, samples: Tensor, valid: Tensor, labels: Tensor, lr: float
    ) -> float:
        config, progress = self.config, self.progress
        rank, device = self.process.rank, self.process.device
        self.model.train()
        seed = derive_torch_seed(config.seed, DROPOUT, progress.epoch, progress.step, rank)
        torch.manual_seed(seed)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.optimiser.zero_grad(set_to_none=True)
        value, correct, count = 0.0, 0, len(labels)
        size = config.micro_batch or count
        for start in range(0, count, size):
            part = slice(start, start + size)
            inputs = (samples[part], valid[part], labels[part])
            x, seen, truth = (value.to(device, non_blocking=True) for value in inputs)
            with torch.autocast(device.type, self.dtype, enabled=self.dtype is not None):
                logits = forward(normalise(x, config))
            loss, mean = compute_loss(logits.float(), seen, truth, config)
            # The loss is a mean over the cines of the part.
            loss = loss * (len(truth) / count)
            value += loss.item()
            correct += int((mean.argmax(1) == truth).sum())
            if not math.isfinite(value):
                raise TrainError(
                    f"the loss is {value} in epoch {progress.epoch + 1}, step {progress.step + 1}; "
                    "last.pt is not affected; set a lower --lr or a longer --warmup"
                )
            self.scaler.scale(loss).backward()
        self.scaler.step(self.optimiser)
        self.scaler.update()
        progress.step += 1
        progress.total_step += 1
        update_average(self.average, self.model, config.ema, progress.total_step)
        progress.loss_sum += value * count
        progress.correct += correct
        progress.seen += count
        return value

    def _end_epoch(
        self, log: TrainingLog | None, lr: float, drawn: dict[str, int], started: float
    ) -> None:
        progress = self.progress
        if log is not None:
            scores = None
            if self.val_entries:
                scores = validate(self.average, self.val_entries, self.cache, self.config)
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
            self._report(
                " ".join(f"{key} {row[key]}" for key in LOG_COLUMNS[:-1] if row[key] != "")
            )
        progress.epoch += 1
        progress.step = progress.correct = progress.seen = 0
        progress.loss_sum = 0.0
        self._save_last()
        self.process.wait_for_others()
