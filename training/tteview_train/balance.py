"""Which cines an epoch shows, where some views are far commoner than others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from .random_keys import DRAWS, SHUFFLE, keyed

METHODS = ("none", "oversample", "sqrt", "effective-number")


def class_shares(counts: Sequence[int], method: str, beta: float = 0.999) -> list[float]:
    """The share of an epoch that each class gets; they sum to 1.

    `none`: its share of the cines. `oversample`: all classes the same. `sqrt`: by the square root of its
    count. `effective-number`: a cine is weighted with 1 / E, E = (1 - beta^n) / (1 - beta) (Cui et al., CVPR
    2019), so a class gets n / E.
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
            raise ValueError(f"beta is {beta}: it must be from 0 to below 1")
        weights = n * (1 - beta) / (1 - beta**n)
    else:
        raise ValueError(f"no method {method!r}: there are {', '.join(METHODS)}")
    return (weights / weights.sum()).tolist()


def draw_epoch(
    labels: Sequence[int], classes: int, method: str, seed: int, epoch: int, beta: float = 0.999
) -> list[int]:
    """Indices of the cines of an epoch, as many as there are cines, in the order in which they are shown.

    Within a class every cine is shown n times before any is shown n + 1 times. Classes get whole numbers of
    draws; what remains of their shares is drawn. Every class must have a cine.
    """
    counts = [list(labels).count(c) for c in range(classes)]
    if 0 in counts:
        raise ValueError(f"class {counts.index(0)} has no cine")
    total = len(labels)
    if method == "none":
        chosen = np.arange(total)
    else:
        rng = keyed(seed, DRAWS, epoch)
        exact = np.asarray(class_shares(counts, method, beta)) * total
        draws = np.floor(exact).astype(np.int64)
        rest = exact - draws
        missing = total - int(draws.sum())
        if missing:
            draws[rng.choice(classes, missing, replace=False, p=rest / rest.sum())] += 1
        of_class = [np.flatnonzero(np.asarray(labels) == c) for c in range(classes)]
        parts = []
        for cines, wanted in zip(of_class, draws, strict=True):
            rounds, more = divmod(int(wanted), len(cines))
            parts.append(np.concatenate([np.repeat(cines, rounds), rng.choice(cines, more, replace=False)]))
        chosen = np.concatenate(parts)
    order = keyed(seed, SHUFFLE, epoch).permutation(len(chosen))
    indices: list[int] = chosen[order].tolist()
    return indices


def drawn_counts(indices: Sequence[int], labels: Sequence[int], codes: Sequence[str]) -> dict[str, int]:
    """How often an epoch shows each class, for the log."""
    counts = Counter(labels[index] for index in indices)
    return {code: counts[number] for number, code in enumerate(codes)}
