"""Tests of `convert` with a state dict that has PyTorchVideo's names and shapes."""

import json

import numpy as np
import onnxruntime
import pytest
import torch

from tteview_train.cli import main
from tteview_train.model import SlowFast
from tteview_train.model_config import CENTRED, build_preset
from tteview_train.program import PROGRAM

CLASSES = 5


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Writes weights with the names and shapes of SlowFast R50 8x8, but random values."""
    torch.manual_seed(0)
    config = build_preset("r50-8x8", CLASSES, time=CENTRED, in_channels=3, size_px=32)
    path = tmp_path_factory.mktemp("weights") / "SLOWFAST_8x8_R50.pyth"
    torch.save({"model_state": SlowFast(config).state_dict()}, path)
    return path


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps([{"code": f"K{n}", "name": f"class {n}"} for n in range(CLASSES)]))
    return path


def test_weights_become_a_causal_network_in_one_command(weights, labels, tmp_path, monkeypatch):
    program = tmp_path / "tteview"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$(dirname "$0")/arguments"\n')
    program.chmod(0o755)
    monkeypatch.setenv(PROGRAM, str(program))
    out = tmp_path / "kinetics.onnx"
    command = ["convert", "--weights", str(weights), "--labels", str(labels), "--out", str(out)]
    assert main([*command, "--size", "32", "--resize", "short-side=36", "--no-antialias"]) == 0
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments[:2] == ["compile", str(out)]
    spec = (tmp_path / "kinetics.spec.toml").read_text().splitlines()
    assert "sample_interval_ns = 66666667" in spec
    assert "preprocess.resize.side = 36" in spec
    assert "preprocess.resize.antialias = false" in spec
    assert f"slow_indices = {list(range(0, 32, 4))}" in spec
    state = torch.load(weights)["model_state"]
    config = build_preset("r50-8x8", CLASSES, in_channels=3, size_px=32)
    model = SlowFast(config).eval()
    model.load_state_dict(state)
    fast = torch.randn(1, 3, 32, 32, 32)
    slow = fast[:, :, ::4].contiguous()
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    (got,) = session.run(["logits"], {"slow": slow.numpy(), "fast": fast.numpy()})
    with torch.no_grad():
        expected = model(slow, fast).numpy()
    assert np.abs(got - expected).max() < 1e-3 * np.abs(expected).max()


def test_weights_of_other_classes_are_refused(weights, labels, tmp_path, capsys):
    labels.write_text(json.dumps([{"code": "A4C", "name": "a"}, {"code": "PLAX", "name": "p"}]))
    out = tmp_path / "x.onnx"
    command = ["convert", "--weights", str(weights), "--labels", str(labels), "--out", str(out)]
    assert main([*command, "--size", "32"]) == 1
    error = capsys.readouterr().err
    assert "the head does not have 2 classes" in error
    assert "train --pretrained" in error
    assert main([*command, "--size", "32", "--preset", "r50-4x16"]) == 1
    assert "use weights for the same preset" in capsys.readouterr().err
    assert not out.exists()
