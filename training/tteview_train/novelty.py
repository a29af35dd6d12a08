"""Novelty scores, which say how far a cine is from all that the network was trained on.

A score is computed from the mean outputs of a cine (docs/stream-contract.md#novelty). Two of the
three kinds need a linear projection of the pooled features, with which the head of the exported
network is extended: the projection follows the logits in the output and is averaged in the same
way.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn

from .model import SlowFast
from .predictions import Floats, Ints

MAHALANOBIS = "mahalanobis"
RESIDUAL = "residual"
ENERGY = "energy"
KINDS = (MAHALANOBIS, RESIDUAL, ENERGY)

DIGITS = 7
"""Number of digits with which the means are written to the package."""


@dataclass(frozen=True)
class Novelty:
    """A novelty score, its projection and its threshold."""

    kind: str
    threshold: float = 0.0
    """Score above which the label and the group are withheld."""
    weight: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    """Projection of the features, [K, F]."""
    bias: Floats = field(default_factory=lambda: np.zeros(0))
    """Values that are added to the projection, [K]."""
    means: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    """Means of the projection, [classes, K], or [1, K] for a residual."""

    def compute(self, projection: Floats, energy: Floats) -> Floats:
        """Computes the scores from mean projections [n, K] and energies [n]."""
        if self.kind == ENERGY:
            return energy
        distances = ((projection[:, None] - self.means[None]) ** 2).sum(2)
        nearest: Floats = distances.min(axis=1)
        return nearest

    def with_threshold(self, threshold: float) -> Novelty:
        """Returns the score with another threshold."""
        return replace(self, threshold=threshold)

    def format_toml(self) -> str:
        """Returns the section of the file for `tteview compile --spec`."""
        text = f'\n[novelty]\nkind = "{self.kind}"\nthreshold = {float(self.threshold)}\n'
        if self.kind == ENERGY:
            return text
        rows = [[float(f"{value:.{DIGITS}g}") for value in mean] for mean in self.means]
        return text + f"means = {json.dumps(rows)}\n"


def compute_energy(logits: Floats, temperature: float) -> Floats:
    """Computes `-T * log(sum(exp(logits / T)))` along the last axis."""
    largest = logits.max(-1)
    powers = np.exp((logits - largest[..., None]) / temperature)
    energy: Floats = -largest - temperature * np.log(powers.sum(-1))
    return energy


def fit_projection(
    kind: str, features: Floats, truth: Ints, values: int, shrinkage: float
) -> Novelty:
    """Fits the projection of a score on the features [cines, F] of the training set.

    The features are centred. With `mahalanobis`, they are projected to their `values` directions of
    largest variance, and whitened with the covariance within the classes, which is shrunk towards a
    multiple of the identity. With `residual`, they are projected to the `values` directions that
    follow the directions of largest variance, one for each class less one, which the differences
    between the classes span. The scale makes the mean score of the training set 1 in each case, so
    the projection has about the size of the logits.
    """
    classes = np.unique(truth)
    first = 0 if kind == MAHALANOBIS else len(classes) - 1
    last = min(first + values, features.shape[1])
    if last <= first:
        raise ValueError(
            f"the network has {features.shape[1]} features, too few for a residual of "
            f"{len(classes)} classes"
        )
    centre = features.mean(0)
    centred = features - centre
    _, basis = _sort_directions(centred.T @ centred / len(centred))
    weight = basis[:, first:last].T
    if kind == MAHALANOBIS:
        weight = _whiten(centred @ weight.T, truth, shrinkage) @ weight
    projected = centred @ weight.T
    groups = [projected[truth == label] for label in classes]
    means = (
        np.stack([group.mean(0) for group in groups])
        if kind == MAHALANOBIS
        else np.zeros((1, len(weight)))
    )
    score = Novelty(kind, means=means).compute(projected, np.zeros(len(projected)))
    scale = 1 / np.sqrt(max(float(score.mean()), 1e-12))
    weight, means = weight * scale, means * scale
    return Novelty(kind, 0.0, weight, -weight @ centre, means)


def _sort_directions(covariance: Floats) -> tuple[Floats, Floats]:
    """Returns the eigenvalues and the eigenvectors (columns), largest eigenvalue first."""
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    return eigenvalues[::-1], eigenvectors[:, ::-1]


def _whiten(projected: Floats, truth: Ints, shrinkage: float) -> Floats:
    """Returns the matrix that whitens a projection with the covariance within the classes."""
    residual = projected.copy()
    for label in np.unique(truth):
        residual[truth == label] -= projected[truth == label].mean(0)
    covariance = residual.T @ residual / len(residual)
    size = len(covariance)
    level = max(float(np.trace(covariance)) / size, 1e-12)
    covariance = (1 - shrinkage) * covariance + shrinkage * level * np.eye(size)
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    whitening: Floats = (eigenvectors / np.sqrt(np.maximum(eigenvalues, level * 1e-9))).T
    return whitening


def extend_head(model: SlowFast, novelty: Novelty) -> SlowFast:
    """Returns a copy of a network whose output contains the projection after the logits."""
    extended = copy.deepcopy(model)
    if not len(novelty.weight):
        return extended
    old = extended.head.proj
    new = nn.Linear(old.in_features, old.out_features + len(novelty.weight))
    to_tensor: Callable[[Floats], torch.Tensor] = lambda values: torch.from_numpy(values).to(  # noqa: E731
        old.weight
    )
    with torch.no_grad():
        new.weight.copy_(torch.cat([old.weight, to_tensor(novelty.weight)]))
        new.bias.copy_(torch.cat([old.bias, to_tensor(novelty.bias)]))
    extended.head.proj = new.to(old.weight)
    return extended
