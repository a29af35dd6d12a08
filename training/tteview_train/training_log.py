"""The log of a training run: `log.csv`, and TensorBoard files if TensorBoard is installed."""

from __future__ import annotations

import csv
import importlib
import io
from pathlib import Path
from typing import Any

from .checkpoint import write_text_atomically

LOG_COLUMNS = (
    "epoch", "step", "lr", "loss", "train_accuracy",
    "val_macro_f1", "val_accuracy", "val_loss", "seconds", "drawn",
)  # fmt: skip


class TrainingLog:
    """The rows of `log.csv`, one for each epoch."""

    def __init__(self, run: Path, epochs_done: int) -> None:
        self.path = run / "log.csv"
        self.rows: list[dict[str, str]] = []
        if self.path.exists():
            with self.path.open(newline="") as file:
                rows = csv.DictReader(file)
                self.rows = [row for row in rows if int(row["epoch"]) <= epochs_done]
        self.board: Any = None
        try:
            board = importlib.import_module("torch.utils.tensorboard")
            self.board = board.SummaryWriter(str(run / "tensorboard"))
        except ImportError:
            pass

    def add(self, row: dict[str, Any]) -> None:
        """Adds the row of an epoch and writes the files."""
        self.rows.append(row)
        text = io.StringIO()
        writer = csv.DictWriter(text, LOG_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text_atomically(self.path, text.getvalue())
        if self.board is not None:
            for key in LOG_COLUMNS[2:-1]:
                if row[key] != "":
                    self.board.add_scalar(key, float(row[key]), int(row["epoch"]))
            self.board.flush()
