"""Random number generators that are derived from keys.

A key is a tuple of integers, such as (seed, purpose, epoch, position). Equal keys give equal
numbers, regardless of earlier draws. A resumed training run therefore draws the same numbers as an
uninterrupted run, and the number of worker processes does not affect the result.
"""

from __future__ import annotations

import numpy as np

DRAWS, SHUFFLE, AUGMENT, DROPOUT, ADAPT = 1, 2, 3, 4, 5
"""Purposes of the generators. The purpose is the second part of a key."""


def make_generator(*key: int) -> np.random.Generator:
    """Makes the generator for a key. The parts of a key must not be negative."""
    return np.random.default_rng(np.random.SeedSequence(key))


def derive_torch_seed(*key: int) -> int:
    """Derives a seed for PyTorch's global generator from a key."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))
