import hashlib
import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from shapes import CODES, write_set

from tteview_train.cine_cache import DecodedCine
from tteview_train.cli import main
from tteview_train.config import TrainConfig
from tteview_train.export import choose_slow_indices, write_onnx
from tteview_train.manifest import Label, list_labels, read_manifest
from tteview_train.metrics import compute_metrics
from tteview_train.model import SlowFast
from tteview_train.model_config import ModelConfig
from tteview_train.predictions import read_predictions
from tteview_train.run_folder import RunError, load_run
from tteview_train.streaming import BLOCK_CHUNKS, log_softmax, run_cine
from tteview_train.train import RunOptions, train

LABELS = tuple(Label(code, code.lower()) for code in CODES)
MODEL = ModelConfig(4, width=8, blocks=(1, 1, 1, 1), slow_frames=4, size_px=32)
CONFIG = TrainConfig(MODEL, LABELS, "", samples=32)


def build_network(config, seed=0):
    """Builds a network whose running statistics and head have random values."""
    torch.manual_seed(seed)
    model = SlowFast(config)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith(("norm.running_var", "running_var")):
                value.uniform_(0.5, 1.5)
            elif name.endswith("running_mean"):
                value.normal_(0, 0.1)
        torch.nn.init.normal_(model.head.proj.weight)
    return model.eval()


def draw_cine(frames, period_ns=33_333_333, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 255, (frames, 1, 32, 32), dtype=np.uint8)
    return DecodedCine(pixels, np.arange(frames, dtype=np.int64) * period_ns)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    manifest = write_set(folder / "set", {"train": 2, "val": 1, "test": 2})
    labels = tuple(list_labels(read_manifest(manifest)))
    config = TrainConfig(MODEL, labels, str(manifest), samples=32, epochs=1, batch=4)
    train(config, folder / "run", RunOptions("cpu", quiet=True))
    return folder


@pytest.mark.parametrize(("time", "reach"), [("causal", 0), ("causal", 2), ("centred", 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_exported_clip_gives_the_logits_of_pytorch(tmp_path, time, reach, channels):
    model = build_network(replace(MODEL, time=time, lateral_reach=reach, in_channels=channels))
    path = tmp_path / "clip.onnx"
    write_onnx(model, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["slow", "fast"]
    assert [tuple(i.shape) for i in session.get_inputs()] == [
        (1, channels, t, 32, 32) for t in (4, 16)
    ]
    torch.manual_seed(1)
    fast = torch.randn(1, channels, 16, 32, 32)
    slow = fast[:, :, [0, 5, 10, 15]]
    (got,) = session.run(["logits"], {"slow": slow.numpy(), "fast": fast.numpy()})
    with torch.no_grad():
        expected = model(slow, fast).numpy()
    assert got.shape == (1, 4)
    assert np.abs(got - expected).max() < 1e-4 * max(1, np.abs(expected).max())


def test_the_graph_has_only_operators_of_the_compiler(tmp_path):
    path = tmp_path / "clip.onnx"
    write_onnx(build_network(MODEL), path)
    graph = onnx.load(path)
    assert graph.opset_import[0].version == 17
    # docs/model/compiler.md lists these operators, among others.
    known = {
        "Conv",
        "Relu",
        "MaxPool",
        "Concat",
        "Pad",
        "ReduceMean",
        "Gemm",
        "Add",
        "Constant",
        "Identity",
    }
    known |= {
        "BatchNormalization",
        "Unsqueeze",
        "Squeeze",
        "Reshape",
        "Gather",
        "MatMul",
        "Transpose",
        "Cast",
    }
    known |= {"Slice", "ConstantOfShape", "Shape"}
    assert {node.op_type for node in graph.graph.node} <= known


def test_slow_samples_start_chunks_only_in_the_causal_form():
    assert choose_slow_indices(CONFIG) == [0, 4, 8, 12]
    centred = replace(CONFIG, model=replace(MODEL, time="centred", slow_frames=8))
    assert choose_slow_indices(centred) == [0, 4, 8, 13, 17, 22, 26, 31]


def test_the_command_writes_labels_and_the_spec_file(folder, tmp_path, capsys):
    assert (
        main(["export", "--run", str(folder / "run"), "--out", str(tmp_path / "m" / "x.onnx")]) == 0
    )
    assert "tteview compile" in capsys.readouterr().out
    labels = json.loads((tmp_path / "m" / "x.labels.json").read_text())
    assert labels[0] == {"code": "BARS", "name": "BARS", "scheme": None, "scheme_code": None}
    spec = dict(
        line.split(" = ") for line in (tmp_path / "m" / "x.spec.toml").read_text().splitlines()
    )
    assert spec["sample_interval_ns"] == "33333333"
    assert spec["slow_indices"] == "[0, 4, 8, 12]"
    assert [spec["mean"], spec["temperature"]] == ["[0.45]", "1.0"]


def test_thresholds_are_fitted_on_a_set_unlike_the_training_set(folder, tmp_path, capsys):
    run, out = folder / "run", tmp_path / "x.onnx"
    other = write_set(tmp_path / "other", {"test": 3})
    arguments = ["export", "--run", str(run), "--out", str(out), "--threshold", "fit"]
    assert main(arguments) == 1
    assert "--fit-manifest and an option with the value fit need each other" in (
        capsys.readouterr().err
    )
    assert main([*arguments, "--fit-manifest", str(other), "--accuracy", "0.5"]) == 0
    assert "threshold " in capsys.readouterr().out
    spec = dict(line.split(" = ") for line in (tmp_path / "x.spec.toml").read_text().splitlines())
    predictions = tmp_path / "p"
    predict = ["predict", "--run", str(run), "--manifest", str(other), "--out", str(predictions)]
    assert main([*predict, "--split", "all", "--threshold", spec["threshold"]]) == 0
    decision = compute_metrics(*read_predictions(predictions))["decision"]["label"]
    assert float(spec["threshold"]) == 1.0 or decision["accuracy"] >= 0.5
    assert main(["fit", str(predictions), "--accuracy", "0.5"]) == 0
    assert f"--threshold {float(spec['threshold']):.4f}" in capsys.readouterr().out


def test_the_temperature_of_a_package_is_fitted_on_val(folder, tmp_path):
    run, out = folder / "run", tmp_path / "x.onnx"
    assert main(["export", "--run", str(run), "--out", str(out), "--temperature", "val"]) == 0
    spec = dict(line.split(" = ") for line in (tmp_path / "x.spec.toml").read_text().splitlines())
    temperature = float(spec["temperature"])

    def compute_loss(t):
        arguments = ["predict", "--run", str(run), "--manifest", str(folder / "set/manifest.csv")]
        arguments += ["--split", "val", "--temperature", str(t), "--out", str(tmp_path / "p")]
        assert main(arguments) == 0
        header, rows = read_predictions(tmp_path / "p")
        return -sum(row["log_posterior"][-1][header["labels"].index(row["label"])] for row in rows)

    others = [compute_loss(temperature * 1.1), compute_loss(temperature / 1.1)]
    assert compute_loss(temperature) < min(others)


def test_a_long_cine_in_blocks_gives_the_logits_of_one_pass():
    model = build_network(MODEL).double()
    cine = draw_cine(4 * (BLOCK_CHUNKS + 20) + 1)
    got = run_cine(_DoublePrecision(model), cine, CONFIG)
    x = torch.from_numpy(cine.frames[:-1].swapaxes(0, 1).copy())[None].double()
    x = (x / 255 - 0.45) / 0.225
    with torch.no_grad():
        whole = model.compute_chunk_logits(x[:, :, ::4], x)[0].numpy()
    assert got.logits.shape == whole.shape == (BLOCK_CHUNKS + 20, 4)
    assert np.abs(got.logits - whole).max() < 1e-4


class _DoublePrecision(torch.nn.Module):
    """A network that computes in double precision from single-precision inputs."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def compute_chunk_logits(self, slow, fast):
        return self.model.compute_chunk_logits(slow.double(), fast.double())


def test_the_posterior_is_that_of_the_mean_chunk_logits():
    running = run_cine(build_network(MODEL), draw_cine(24), CONFIG, temperature=2.0)
    assert len(running.times_ns) == 6
    for n in range(6):
        expected = log_softmax(running.logits[: n + 1].mean(0) / 2.0)
        assert np.allclose(running.log_posterior[n], expected)
    assert running.times_ns[0] == 3 * 33_333_333
    assert np.allclose(np.exp(running.log_posterior).sum(1), 1)


def test_a_gap_resets_the_state_and_keeps_the_mean():
    model = build_network(MODEL)
    cine = draw_cine(32)
    times = cine.times_ns.copy()
    times[16:] += 400_000_000
    running = run_cine(model, DecodedCine(cine.frames, times), CONFIG)
    second = run_cine(model, DecodedCine(cine.frames[16:], times[16:]), CONFIG)
    assert np.allclose(running.logits[-4:], second.logits, atol=1e-4)
    assert not np.allclose(running.log_posterior[-1], second.log_posterior[-1], atol=1e-3)


def test_a_centred_network_averages_its_windows():
    config = replace(CONFIG, model=replace(MODEL, time="centred"), samples=16)
    running = run_cine(build_network(config.model), draw_cine(40), config)
    assert running.times_ns == [15 * 33_333_333, 31 * 33_333_333, 39 * 33_333_333]
    posterior = np.exp(log_softmax(running.logits)).mean(0)
    assert np.allclose(np.exp(running.log_posterior[-1]), posterior)


def test_predictions_have_the_documented_form(folder, tmp_path):
    out = tmp_path / "p.jsonl"
    run, manifest = folder / "run", folder / "set" / "manifest.csv"
    arguments = ["predict", "--run", str(run), "--manifest", str(manifest), "--out", str(out)]
    assert main([*arguments, "--split", "test", "--temperature", "1.5", "--threshold", "0.4"]) == 0
    head, *cines = [json.loads(line) for line in out.read_text().splitlines()]
    digest = hashlib.sha256((run / "best.pt").read_bytes()).hexdigest()
    expected = {
        "predictions": 1,
        "labels": sorted(CODES),
        "model": digest,
        "temperature": 1.5,
        "threshold": 0.4,
    }
    assert head == expected
    assert len(cines) == 8
    for cine in cines:
        assert list(cine) == [
            "path",
            "label",
            "patient",
            "split",
            "attributes",
            "times_ns",
            "log_posterior",
        ]
        assert cine["split"] == "test"
        assert cine["attributes"] == {
            "colour": "0",
            "probe": "near" if cine["path"].endswith("1") else "far",
        }
        assert len(cine["times_ns"]) == len(cine["log_posterior"]) == 6
        assert np.exp(cine["log_posterior"]).sum(1) == pytest.approx([1] * 6, abs=1e-4)
    assert main([*arguments, "--split", "all"]) == 0
    assert len(out.read_text().splitlines()) == 1 + 20
    assert main([*arguments, "--split", "field"]) == 1


def test_a_folder_that_is_not_a_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"config\.json: No such file"):
        load_run(tmp_path)
