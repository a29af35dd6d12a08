"""Files that are whole or not there: written beside, synced, renamed. A full disk leaves the last good
one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch


def write_atomically(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Replaces `path` by what `write` writes, or leaves it as it is and raises."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    # The name itself must reach the disk too; not every system can sync a folder.
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(folder)
    except OSError:
        pass
    finally:
        os.close(folder)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes tensors and plain values. Raises `OSError`; then an earlier file at `path` is still whole."""

    def write(file: IO[bytes]) -> None:
        # torch's writer hides what the system said (a full disk) behind its own error.
        try:
            torch.save(state, file)
        except RuntimeError as error:
            raise OSError(f"{path}: {error}") from error

    write_atomically(path, write)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint to the CPU; no code in the file is run."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
