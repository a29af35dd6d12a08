"""Class balancing, which determines how often an epoch uses cines of rare and frequent views."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from .seeding import DRAWS, SHUFFLE, make_generator

METHODS = ("none", "oversample", "sqrt", "effective-number")


def compute_class_shares(counts: Sequence[int], method: str, beta: float = 0.999) -> list[float]:
    """Computes the share of each class in an epoch. The shares sum to 1.

    The share of a class is proportional to its weight. The weight of a class with n cines is:

    - `none`: n
    - `oversample`: 1
    - `sqrt`: the square root of n
    - `effective-number`: n / E with E = (1 - beta^n) / (1 - beta) (Cui et al., CVPR 2019)
    """
    n = np.asarray(counts, np.float64)
    if method == "none":
        weights = n
    elif method == "oversample":
        weights = np.ones_like(n)
    elif method == "sqrt":
        weights = np.sqrt(n)
    elif method == "effective-number":
        if not 0 <= beta < 1:
            raise ValueError(f"balance_beta must be at least 0 and below 1, got {beta}")
        weights = n * (1 - beta) / (1 - beta**n)
    else:
        raise ValueError(f"balance must be one of {', '.join(METHODS)}, got {method!r}")
    return (weights / weights.sum()).tolist()


def draw_epoch(
    labels: Sequence[int],
    classes: int,
    method: str,
    seed: int,
    epoch: int,
    beta: float = 0.999,
    factors: Sequence[float] | None = None,
) -> list[int]:
    """Draws the cines of an epoch, and returns them in the order in which training uses them.

    An epoch has as many draws as there are cines. The number of draws of a class is its share of
    these draws, rounded up or down at random. Within a class, the numbers of draws of any two cines
    differ by at most 1. `factors` multiplies the share of each class, and the shares are scaled so
    that their sum remains 1. Raises `ValueError` if a class has no cine.
    """
    counts = [list(labels).count(c) for c in range(classes)]
    if 0 in counts:
        raise ValueError(f"every class needs a cine, but class {counts.index(0)} has none")
    total = len(labels)
    multiplied = np.ones(classes) if factors is None else np.asarray(factors, np.float64)
    if method == "none" and (multiplied == 1).all():
        chosen = np.arange(total)
    else:
        rng = make_generator(seed, DRAWS, epoch)
        shares = np.asarray(compute_class_shares(counts, method, beta)) * multiplied
        exact = shares / shares.sum() * total
        draws = np.floor(exact).astype(np.int64)
        rest = exact - draws
        missing = total - int(draws.sum())
        if missing:
            draws[rng.choice(classes, missing, replace=False, p=rest / rest.sum())] += 1
        cines_of_class = [np.flatnonzero(np.asarray(labels) == c) for c in range(classes)]
        parts = []
        for cines, wanted in zip(cines_of_class, draws, strict=True):
            rounds, more = divmod(int(wanted), len(cines))
            drawn = rng.choice(cines, more, replace=False)
            parts.append(np.concatenate([np.repeat(cines, rounds), drawn]))
        chosen = np.concatenate(parts)
    order = make_generator(seed, SHUFFLE, epoch).permutation(len(chosen))
    indices: list[int] = chosen[order].tolist()
    return indices


def count_draws(
    indices: Sequence[int], labels: Sequence[int], codes: Sequence[str]
) -> dict[str, int]:
    """Counts the draws of each class in an epoch, for the log."""
    counts = Counter(labels[index] for index in indices)
    return {code: counts[number] for number, code in enumerate(codes)}
