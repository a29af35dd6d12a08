"""Runs the recipes of docs/model/bring-your-own-network.md on small networks.

A recipe is a section of the page with a block of Python, a block of TOML and a command. The test
runs all three with the program that TTEVIEW_TEST_PROGRAM names, and compares the package with the
network.
"""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

PAGE = Path(__file__).parents[2] / "docs" / "model" / "bring-your-own-network.md"
PROGRAM = os.environ.get("TTEVIEW_TEST_PROGRAM")
LABELS = 3
SIZE = 32
"""Height and width of the small networks. The test puts it in place of the sizes on the page."""

pytestmark = [
    pytest.mark.skipif(not PROGRAM, reason="TTEVIEW_TEST_PROGRAM is not set"),
    pytest.mark.filterwarnings("ignore"),
]


def read_recipe(name):
    """Returns the blocks of a section by language."""
    text = PAGE.read_text()
    section = re.search(rf"^## {re.escape(name)}\n(.*?)(?=^## |\Z)", text, re.S | re.M)
    assert section, name
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", section[1], re.S | re.M)
    assert [language for language, _ in blocks] == ["python", "toml", "console"], name
    return dict(blocks)


def randomise_norms(network):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


class Pathways(nn.Module):
    """A small SlowFast: two stems, a lateral connection and the mean over each pathway."""

    def __init__(self):
        super().__init__()
        self.slow = nn.Conv3d(3, 8, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        self.fast = nn.Conv3d(3, 4, (5, 3, 3), (1, 2, 2), (2, 1, 1))
        self.lateral = nn.Conv3d(4, 8, (5, 1, 1), (4, 1, 1), (2, 0, 0))

    def forward(self, inputs):
        slow, fast = torch.relu(self.slow(inputs[0])), torch.relu(self.fast(inputs[1]))
        return torch.cat([slow, torch.relu(self.lateral(fast))], 1), fast


class PySlowFastNetwork(Pathways):
    """The end of PySlowFast's `ResNetBasicHead` in evaluation mode: a linear layer with a softmax
    at each place, and then the mean."""

    def __init__(self):
        super().__init__()
        self.projection = nn.Linear(20, LABELS)

    def forward(self, inputs):
        pooled = [x.mean((2, 3, 4), keepdim=True) for x in super().forward(inputs)]
        x = self.projection(torch.cat(pooled, 1).permute(0, 2, 3, 4, 1))
        return x.softmax(4).mean((1, 2, 3)).view(x.shape[0], -1)


class MmactionBackbone(Pathways):
    """Selects the slow frames as `ResNet3dSlowFast` does."""

    def forward(self, clip):
        slow = nn.functional.interpolate(clip, mode="nearest", scale_factor=(1 / 4, 1.0, 1.0))
        return super().forward((slow, clip))


class MmactionHead(nn.Module):
    """The layers of `SlowFastHead`."""

    def __init__(self):
        super().__init__()
        self.avg_pool, self.dropout = nn.AdaptiveAvgPool3d((1, 1, 1)), nn.Dropout(0.5)
        self.fc_cls = nn.Linear(20, LABELS)

    def forward(self, x):
        slow, fast = x
        pooled = torch.cat((self.avg_pool(fast), self.avg_pool(slow)), 1)
        return self.fc_cls(self.dropout(pooled).view(pooled.shape[0], -1))


class MmactionNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone, self.cls_head = MmactionBackbone(), MmactionHead()


class LstmNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.cnn = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.head = nn.Linear(8, LABELS)

    def forward(self, clip):
        features = self.cnn(clip.flatten(0, 1)).flatten(1).view(1, clip.shape[1], -1)
        return self.head(self.lstm(features)[0][:, -1])


def build_pytorchvideo():
    slowfast = pytest.importorskip(
        "pytorchvideo.models.slowfast", reason="pytorchvideo is optional"
    )
    return slowfast.create_slowfast(
        model_depth=18,
        model_num_class=LABELS,
        slowfast_fusion_conv_kernel_size=(7, 1, 1),
        head_pool_kernel_sizes=((8, 1, 1), (32, 1, 1)),
    )


def build_torchvision():
    video = pytest.importorskip("torchvision.models.video.resnet", reason="torchvision is optional")
    stages = [video.Conv3DSimple] * 4
    block, stem = video.BasicBlock, video.BasicStem
    return video.VideoResNet(block, stages, [1, 1, 1, 1], stem, num_classes=LABELS)


def build_timm():
    timm = pytest.importorskip("timm", reason="timm is optional")
    return timm.create_model("test_resnet", num_classes=LABELS)


def build_image():
    models = pytest.importorskip("torchvision.models", reason="torchvision is optional")
    return models.mobilenet_v3_small(num_classes=LABELS)


def build_keras():
    os.environ["KERAS_BACKEND"] = "torch"
    keras = pytest.importorskip("keras", reason="keras is optional")
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3), batch_size=4),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(LABELS, activation="softmax"),
        ]
    )


RECIPES = {
    "pytorchvideo": (build_pytorchvideo, {"clip"}, "later"),
    "PySlowFast": (PySlowFastNetwork, {"clip"}, "later"),
    "mmaction2": (MmactionNetwork, {"clip"}, "later"),
    "torchvision": (build_torchvision, {"clip"}, "later"),
    "timm": (build_timm, {"clip", "stream"}, None),
    "Keras": (build_keras, {"clip", "stream"}, None),
    "Image model": (build_image, {"clip", "stream"}, None),
    "CNN and LSTM": (LstmNetwork, {"clip", "stream"}, None),
}
"""For each recipe: the network, its packages, and a part of the reason for window mode."""


def run_recipe(name, folder, monkeypatch):
    """Runs the blocks of a recipe in a folder. Returns the path of the packages and the output."""
    recipe = read_recipe(name)
    build = RECIPES[name][0]
    torch.manual_seed(0)
    network = build()
    if isinstance(network, nn.Module):
        randomise_norms(network)
    monkeypatch.chdir(folder)
    code = re.sub(r"\b(\d{2,}), \1\b", f"{SIZE}, {SIZE}", recipe["python"])
    exec(compile(code, str(PAGE), "exec"), {"network": network})
    codes = [{"code": f"V{n}", "name": f"view {n}"} for n in range(LABELS)]
    Path("labels.json").write_text(json.dumps(codes))
    Path("spec.toml").write_text(recipe["toml"])
    command = shlex.split(recipe["console"].replace("\\\n", " "))
    assert command[:2] == ["tteview", "compile"]
    run = subprocess.run(
        [PROGRAM, *command[1:]], capture_output=True, text=True, check=False, cwd=folder
    )
    assert run.returncode == 0, run.stderr
    return folder / command[command.index("-o") + 1], run.stdout


def compare_clip(source, package):
    """Compares the logits of a clip package with the output of the exported file."""
    clip = onnxruntime.InferenceSession(str(package), providers=["CPUExecutionProvider"])
    own = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    shapes = {i.name: i.shape for i in clip.get_inputs()}
    rng = np.random.default_rng(1)
    # The packages take [T, C, H, W].
    fast = rng.normal(0, 1, shapes["fast"]).astype(np.float32)
    metadata = {p.key: p.value for p in onnx.load(str(package)).metadata_props}
    inputs = {"fast": fast}
    if "slow" in shapes:
        inputs["slow"] = fast[json.loads(metadata["tteview.slow_indices"])]
    (got,) = clip.run(None, {name: inputs[name] for name in shapes})
    feeds = {}
    for value in own.get_inputs():
        x = inputs["slow" if value.name == "slow" else "fast"]
        if len(value.shape) == 5:
            x = x[None] if value.shape[2] == 3 else x.transpose(1, 0, 2, 3)[None]
        elif value.shape[-1] == 3:
            x = x.transpose(0, 2, 3, 1)
        feeds[value.name] = np.ascontiguousarray(x)
    expected = own.run(None, feeds)[0]
    return got[0], expected


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_gives_a_package_that_agrees_with_the_network(name, tmp_path, monkeypatch):
    _, packages, reason = RECIPES[name]
    path, output = run_recipe(name, tmp_path, monkeypatch)
    found = {
        kind for kind in ("clip", "stream") if path.with_name(f"{path.name}.{kind}.onnx").exists()
    }
    assert found == packages, output
    if reason is not None:
        assert "window mode only" in output
        assert reason in output
    # Every value is in the specification or in the command.
    assert "because" not in "".join(re.findall(r"^note: preprocess.*$", output, re.M)), output
    got, expected = compare_clip(
        path.with_name(f"{path.name}.onnx"), path.with_name(f"{path.name}.clip.onnx")
    )
    if np.allclose(expected.sum(-1), 1) and (expected >= 0).all():
        # The source ends in a softmax. An image model then gives one row for each frame, and the
        # package the mean of the logits before it, or the logarithm of the mean.
        if len(expected) > 1:
            expected = np.log(expected)
            got, expected = got - got.mean(), expected.mean(0) - expected.mean(0).mean()
        else:
            got, expected = np.exp(got) / np.exp(got).sum(), expected[0]
    else:
        expected = expected.mean(0)
    assert np.abs(got - expected).max() <= 1e-5 * max(1, np.abs(expected).max()), (got, expected)


def test_the_table_names_every_recipe():
    rows = re.findall(r"^\| \[([^\]]+)\]\(#[^)]*\) \|[^|]*\| ([^|]*) \|", PAGE.read_text(), re.M)
    named = {name: set(packages.split(", ")) for name, packages in rows}
    assert named == {name: packages for name, (_, packages, _) in RECIPES.items()}
