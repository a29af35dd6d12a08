"""Tests of the novelty scores: the fit of the projection, and the exported network."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from shapes import write_set
from test_export import CONFIG, MODEL, build_network, draw_cine

from tteview_train.cli import main
from tteview_train.config import TrainConfig
from tteview_train.export import write_onnx
from tteview_train.manifest import list_labels, read_manifest
from tteview_train.novelty import (
    ENERGY,
    MAHALANOBIS,
    RESIDUAL,
    Novelty,
    compute_energy,
    extend_head,
    fit_projection,
)
from tteview_train.predictions import collect_cines
from tteview_train.streaming import compute_features, run_cine
from tteview_train.thresholds import fit_novelty_threshold
from tteview_train.train import RunOptions, train

FIXTURES = Path(__file__).parents[2] / "tests" / "contract" / "stream_fixtures.json"
CASES = [
    case
    for case in json.loads(FIXTURES.read_text())["cases"]
    if "novelty_threshold" in case["settings"]
]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_scores_match_the_contract(case):
    settings, expect = case["settings"], case["expect"]
    outputs = np.array([chunk["logits"] for chunk in expect["chunks"]])
    means = np.array(settings.get("means", [[0.0]]))
    novelty = Novelty(ENERGY if settings.get("energy") else MAHALANOBIS, means=means)
    mean = outputs.mean(0, keepdims=True)
    energy = compute_energy(mean[:, :4], settings["temperature"])
    assert novelty.compute(mean[:, 4:], energy) == pytest.approx(expect["final"]["novelty"])


def draw_features(classes=3, cines=60, features=12, seed=5):
    """Draws features whose classes differ in the first two of them."""
    rng = np.random.default_rng(seed)
    truth = np.arange(cines) % classes
    drawn = rng.normal(0, 0.3, (cines, features)) @ np.diag(np.linspace(1, 0.1, features))
    drawn[:, :2] += 4 * np.array([[1, 0], [0, 1], [-1, -1]])[truth]
    return drawn, truth


@pytest.mark.parametrize("kind", [MAHALANOBIS, RESIDUAL])
def test_the_mean_score_of_the_training_set_is_one(kind):
    features, truth = draw_features()
    novelty = fit_projection(kind, features, truth, 8, 0.01)
    assert novelty.weight.shape == (8, 12)
    assert novelty.means.shape == ((3, 8) if kind == MAHALANOBIS else (1, 8))
    projected = features @ novelty.weight.T + novelty.bias
    scores = novelty.compute(projected, np.zeros(len(features)))
    assert scores.mean() == pytest.approx(1)
    far = (features + 3.0) @ novelty.weight.T + novelty.bias
    assert novelty.compute(far, np.zeros(len(far))).min() > scores.max()


def test_the_projection_is_whitened_within_the_classes():
    features, truth = draw_features(cines=3000)
    novelty = fit_projection(MAHALANOBIS, features, truth, 6, 0.0)
    projected = features @ novelty.weight.T + novelty.bias
    within = projected - novelty.means[truth]
    covariance = within.T @ within / len(within)
    assert np.allclose(covariance, covariance[0, 0] * np.eye(6), atol=1e-6 * covariance[0, 0])


def test_a_residual_needs_more_features_than_classes():
    with pytest.raises(ValueError, match="too few for a residual"):
        fit_projection(RESIDUAL, np.ones((6, 2)), np.arange(6) % 3, 4, 0.1)


def fit_on_random_cines(model, config, kind, values=5):
    features = np.stack([compute_features(model, draw_cine(24, seed=n), config) for n in range(12)])
    return fit_projection(kind, features, np.arange(12) % 4, values, 0.05)


def test_the_features_give_the_logits():
    model = build_network(MODEL)
    features = compute_features(model, draw_cine(24), CONFIG)
    with torch.no_grad():
        logits = model.head.proj(torch.from_numpy(features).float()).numpy()
    expected = run_cine(model, draw_cine(24), CONFIG).logits.mean(0)
    assert np.allclose(logits, expected, atol=1e-4)


@pytest.mark.parametrize("kind", [MAHALANOBIS, RESIDUAL])
def test_the_exported_projection_follows_the_logits(tmp_path, kind):
    model = build_network(MODEL)
    novelty = fit_on_random_cines(model, CONFIG, kind)
    extended = extend_head(model, novelty)
    path = tmp_path / "clip.onnx"
    write_onnx(extended, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    cine = draw_cine(16, seed=40)
    fast = torch.from_numpy(cine.frames.swapaxes(0, 1).copy())[None].float()
    fast = (fast / 255 - 0.45) / 0.225
    slow = fast[:, :, ::4]
    (got,) = session.run(["logits"], {"slow": slow.numpy(), "fast": fast.numpy()})
    assert got.shape == (1, 4 + 5)
    running = run_cine(extended, cine, CONFIG, novelty=novelty)
    plain = run_cine(model, cine, CONFIG)
    assert np.allclose(running.log_posterior, plain.log_posterior, atol=1e-5)
    assert running.logits.shape == plain.logits.shape
    score = novelty.compute(got[:, 4:], np.zeros(1))
    assert running.novelty is not None
    assert running.novelty[-1] == pytest.approx(score[0], rel=1e-3)


def test_the_energy_of_windows_is_the_mean_of_their_energies():
    model_config = MODEL.__class__(**{**vars(MODEL), "time": "centred", "lateral_reach": 2})
    config = TrainConfig(model_config, CONFIG.labels, "", samples=16)
    running = run_cine(
        build_network(model_config), draw_cine(40), config, 1.5, novelty=Novelty(ENERGY)
    )
    assert running.novelty is not None
    expected = compute_energy(running.logits, 1.5).mean()
    assert running.novelty[-1] == pytest.approx(expected)


def test_a_fitted_threshold_withholds_at_most_its_share():
    rows = [
        {"path": f"c{n}", "label": "A", "patient": "p", "times_ns": [0]}
        | {"log_posterior": [[0.0]], "novelty": [float(n)]}
        for n in range(20)
    ]
    cines = collect_cines(["A"], rows)
    assert fit_novelty_threshold(cines, 0.1) == 17.0
    assert fit_novelty_threshold(cines, 0.0) == 19.0


def test_the_command_exports_a_score_and_fits_its_threshold(tmp_path, capsys):
    manifest = write_set(tmp_path / "set", {"train": 3, "val": 1, "test": 1})
    other = write_set(tmp_path / "other", {"test": 2})
    labels = tuple(list_labels(read_manifest(manifest)))
    config = TrainConfig(MODEL, labels, str(manifest), samples=32, epochs=1, batch=4)
    run = tmp_path / "run"
    train(config, run, RunOptions("cpu", quiet=True))
    out = tmp_path / "x.onnx"
    arguments = ["export", "--run", str(run), "--out", str(out), "--novelty", "mahalanobis"]
    assert main(arguments) == 1
    assert "--novelty and --novelty-threshold need each other" in capsys.readouterr().err
    arguments += ["--novelty-values", "6", "--novelty-threshold", "fit"]
    arguments += ["--fit-manifest", str(other), "--novelty-share", "0.25"]
    assert main(arguments) == 0
    assert "novelty threshold" in capsys.readouterr().out
    text = (tmp_path / "x.spec.toml").read_text()
    settings, section = text.split("\n[novelty]\n")
    values = dict(line.split(" = ") for line in section.splitlines())
    assert values["kind"] == '"mahalanobis"'
    assert np.array(json.loads(values["means"])).shape == (4, 6)
    assert float(values["threshold"]) > 0
    assert "threshold = 0.0" in settings
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    assert session.get_outputs()[0].shape == [1, 4 + 6]
