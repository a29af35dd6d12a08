#!/usr/bin/env python3
"""Exports pytorchvideo networks with random weights, for tests and measurements of the compiler.

Batch norms get random statistics, because the initial statistics (mean 0, variance 1) would hide
errors in the pass that folds batch norms. With --causal, all temporal padding is before the first
frame, so a network with two pathways can stream. This option does not change the number of
multiply-adds.

  pip install torch torchvision onnx onnxscript fvcore iopath pytorchvideo
  real_sources.py slowfast_r50 --exporter dynamo --out DIR
  cargo run --release -p tteview-compiler --example compile_graph -- \\
      DIR/slowfast_r50.dynamo.onnx DIR/slowfast_r50 verify
"""

import argparse
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from pytorchvideo.models import hub
from pytorchvideo.models.slowfast import create_slowfast


class TwoInputs(torch.nn.Module):
    """A network that takes its two inputs as two arguments instead of one list."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, slow: torch.Tensor, fast: torch.Tensor) -> torch.Tensor:
        return self.network([slow, fast])


class Network(NamedTuple):
    """A network and the shape of its inputs."""

    create: Callable[[], torch.nn.Module]
    #: Number of frames of each input.
    frames: tuple[int, ...]
    #: Height and width of the frames.
    size: int


def create_slowfast_4x16() -> torch.nn.Module:
    return create_slowfast(
        slowfast_channel_reduction_ratio=(8,),
        slowfast_conv_channel_fusion_ratio=2,
        slowfast_fusion_conv_kernel_size=(5, 1, 1),
        slowfast_fusion_conv_stride=(8, 1, 1),
        model_depth=50,
        model_num_class=400,
        head_pool_kernel_sizes=((4, 7, 7), (32, 7, 7)),
    )


NETWORKS = {
    "slowfast_r50": Network(lambda: hub.slowfast_r50(pretrained=False), (8, 32), 224),
    "slowfast_r50_4x16": Network(create_slowfast_4x16, (4, 32), 224),
    "slowfast_r101": Network(lambda: hub.slowfast_r101(pretrained=False), (8, 32), 224),
    "x3d_s": Network(lambda: hub.x3d_s(pretrained=False), (13,), 160),
}


def randomise_batch_norms(network: torch.nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)


class CausalConv(torch.nn.Module):
    """A convolution whose temporal padding is all before the first frame."""

    def __init__(self, conv: torch.nn.Conv3d) -> None:
        super().__init__()
        # A strided convolution gets as many padding frames as it had before and after the frames
        # together. Any other convolution gets `kernel - 1` padding frames, so it reads no later
        # frames.
        self.frames = 2 * conv.padding[0] if conv.stride[0] > 1 else conv.kernel_size[0] - 1
        conv.padding = (0, *conv.padding[1:])
        self.conv = conv

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(torch.nn.functional.pad(x, (0, 0, 0, 0, self.frames, 0)))


def make_causal(module: torch.nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, torch.nn.Conv3d) and child.padding[0] > 0:
            setattr(module, name, CausalConv(child))
        else:
            make_causal(child)


def build_network(name: str, causal: bool) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    """Returns the network in evaluation mode, and random inputs for it."""
    torch.manual_seed(0)
    create, frames, size = NETWORKS[name]
    network = create()
    randomise_batch_norms(network)
    if causal:
        make_causal(network)
    if len(frames) == 2:
        network = TwoInputs(network)
    return network.eval(), tuple(torch.randn(1, 3, count, size, size) for count in frames)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--exporter", choices=("torchscript", "dynamo"), default="torchscript")
    parser.add_argument("--out", default=".", help="folder for the ONNX file")
    parser.add_argument(
        "--causal", action="store_true", help="put all temporal padding before the first frame"
    )
    args = parser.parse_args()
    network, inputs = build_network(args.network, args.causal)
    names = ["slow", "fast"] if len(inputs) == 2 else ["frames"]
    causal = ".causal" if args.causal else ""
    path = os.path.join(args.out, f"{args.network}{causal}.{args.exporter}.onnx")
    options: dict[str, Any] = {"input_names": names, "output_names": ["logits"]}
    if args.exporter == "dynamo":
        torch.onnx.export(network, inputs, path, dynamo=True, **options)
    else:
        batch = {name: {0: "batch"} for name in names}
        torch.onnx.export(
            network, inputs, path, dynamo=False, opset_version=17, dynamic_axes=batch, **options
        )
    print(path)


if __name__ == "__main__":
    main()
