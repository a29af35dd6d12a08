#!/usr/bin/env python3
"""Exports the networks of pytorchvideo that the compiler is tested with, randomly initialised.

Batch norm gets random statistics, because fresh ones (mean 0, variance 1) would hide a wrong fold. With --causal all
padding of time is in front, so that a network with two pathways streams; the multiply-adds stay the same.

  pip install torch torchvision onnx onnxscript fvcore iopath pytorchvideo
  real_sources.py slowfast_r50 --causal --exporter dynamo --out DIR
  cargo run --release -p tteview-compiler --example compile_graph -- DIR/slowfast_r50.dynamo.onnx DIR/slowfast_r50 verify
"""

import argparse
import os

import torch
from pytorchvideo.models import hub
from pytorchvideo.models.slowfast import create_slowfast


class TwoInputs(torch.nn.Module):
    """Takes the pathways as two arguments; the network itself takes a list."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, slow, fast):
        return self.network([slow, fast])


def slowfast_4x16():
    return create_slowfast(
        slowfast_channel_reduction_ratio=(8,),
        slowfast_conv_channel_fusion_ratio=2,
        slowfast_fusion_conv_kernel_size=(5, 1, 1),
        slowfast_fusion_conv_stride=(8, 1, 1),
        model_depth=50,
        model_num_class=400,
        head_pool_kernel_sizes=((4, 7, 7), (32, 7, 7)),
    )


# Constructor, frames of each input, size.
NETWORKS = {
    "slowfast_r50": (lambda: hub.slowfast_r50(pretrained=False), (8, 32), 224),
    "slowfast_r50_4x16": (slowfast_4x16, (4, 32), 224),
    "slowfast_r101": (lambda: hub.slowfast_r101(pretrained=False), (8, 32), 224),
    "x3d_s": (lambda: hub.x3d_s(pretrained=False), (13,), 160),
}


def randomise_statistics(network):
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)


class PaddedInFront(torch.nn.Module):
    """A convolution whose padding of time is all in front."""

    def __init__(self, conv):
        super().__init__()
        # A strided window reaches behind its chunk by its padding alone; the others see the past only.
        self.frames = 2 * conv.padding[0] if conv.stride[0] > 1 else conv.kernel_size[0] - 1
        conv.padding = (0,) + tuple(conv.padding[1:])
        self.conv = conv

    def forward(self, x):
        return self.conv(torch.nn.functional.pad(x, (0, 0, 0, 0, self.frames, 0)))


def make_causal(module):
    for name, child in module.named_children():
        if isinstance(child, torch.nn.Conv3d) and child.padding[0] > 0:
            setattr(module, name, PaddedInFront(child))
        else:
            make_causal(child)


def build_network(name, causal):
    """The network in evaluation mode and random inputs for it."""
    torch.manual_seed(0)
    build, frames, size = NETWORKS[name]
    network = build()
    randomise_statistics(network)
    if causal:
        make_causal(network)
    if len(frames) == 2:
        network = TwoInputs(network)
    return network.eval(), tuple(torch.randn(1, 3, count, size, size) for count in frames)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--exporter", choices=("torchscript", "dynamo"), default="torchscript")
    parser.add_argument("--out", default=".")
    parser.add_argument("--causal", action="store_true")
    args = parser.parse_args()
    network, inputs = build_network(args.network, args.causal)
    names = ["slow", "fast"] if len(inputs) == 2 else ["frames"]
    causal = ".causal" if args.causal else ""
    path = os.path.join(args.out, f"{args.network}{causal}.{args.exporter}.onnx")
    kwargs = {"input_names": names, "output_names": ["logits"]}
    if args.exporter == "dynamo":
        torch.onnx.export(network, inputs, path, dynamo=True, **kwargs)
    else:
        batch = {name: {0: "batch"} for name in names}
        torch.onnx.export(network, inputs, path, dynamo=False, opset_version=17, dynamic_axes=batch, **kwargs)
    print(path)


if __name__ == "__main__":
    main()
