"""Random numbers by key: the same (seed, epoch, index) gives the same draw, whatever was drawn before it.

So a training that was killed goes on as if it had not been, and the number of workers changes nothing.
"""

from __future__ import annotations

import numpy as np


def keyed(*key: int) -> np.random.Generator:
    """A generator for a key of integers from 0."""
    return np.random.default_rng(np.random.SeedSequence(key))


def torch_seed(*key: int) -> int:
    """A seed for torch's own generator, which dropout draws from."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))


DRAWS, SHUFFLE, AUGMENT, DROPOUT = 1, 2, 3, 4
"""What a key is for: the second part of each."""
