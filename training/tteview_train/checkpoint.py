"""Functions that write a file completely or not at all.

A file is written under a temporary name, flushed to disk and then renamed. If this fails, for
example because the disk is full, the previous file remains.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch


def write_atomically(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Replaces the file at `path` with the output of `write`.

    If writing fails, the file at `path` does not change.
    """
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
    # The new name is stored in the folder, so the folder is flushed too. Some systems cannot flush
    # a folder, so errors are ignored.
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


def write_text_atomically(path: Path, text: str) -> None:
    """Replaces the file at `path` with `text`, encoded as UTF-8."""

    def write(file: IO[bytes]) -> None:
        file.write(text.encode())

    write_atomically(path, write)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint of tensors and plain values.

    Raises `OSError` if writing fails. In this case, an earlier file at `path` does not change.
    """

    def write(file: IO[bytes]) -> None:
        # PyTorch raises RuntimeError, not OSError, for errors such as a full disk.
        try:
            torch.save(state, file)
        except RuntimeError as error:
            raise OSError(f"{path}: {error}") from error

    write_atomically(path, write)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Loads a checkpoint into CPU memory without running any code in the file."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
