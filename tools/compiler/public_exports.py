#!/usr/bin/env python3
"""Compiles the classifiers of public packages, and writes a table of what comes of each.

Each network of torchvision, timm and, if it is installed, pytorchvideo is built with random weights
and exported at a small input size. `tteview compile --verify` then compares the packages with the
source. The build server does not run this script, which takes hours for all networks.

  pip install torch torchvision timm onnx onnxscript
  public_exports.py --tteview target/release/tteview --onnx-runtime libonnxruntime.so \\
      --out exports.csv torchvision

The table has one line for each network. A second run skips the networks that are in the table. To
add the numbers of a table by kind, use --summary.
"""

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

COLUMNS = ("network", "parameters", "result", "message")
#: Networks with more weights than this are skipped, because their export needs too much memory.
MAX_PARAMETERS = 170_000_000
LABELS = 10
TIMEOUT_S = 600
#: Messages of the compiler that report a wrong package.
WRONG = "verification failed"


class Network(NamedTuple):
    """A network of a public package."""

    name: str
    create: Callable[[], torch.nn.Module]
    #: Shapes of the inputs, of which the first that the network accepts is taken.
    shapes: tuple[tuple[int, ...], ...]


def images(*sides: int) -> tuple[tuple[int, ...], ...]:
    return tuple((1, 3, side, side) for side in sides)


def clips(*sides: int) -> tuple[tuple[int, ...], ...]:
    return tuple((1, 3, 16, side, side) for side in sides)


def torchvision_networks() -> Iterator[Network]:
    import torchvision

    for module, shapes in (
        (torchvision.models, images(64, 128, 224, 299)),
        (torchvision.models.video, clips(64, 112, 224)),
    ):
        for name in torchvision.models.list_models(module=module):

            def create(name: str = name) -> torch.nn.Module:
                extra = {"num_classes": LABELS}
                if name in ("googlenet", "inception_v3"):
                    extra |= {"init_weights": False, "aux_logits": False}
                return torchvision.models.get_model(name, weights=None, **extra)

            yield Network(f"torchvision/{name}", create, shapes)


def timm_networks() -> Iterator[Network]:
    import timm

    for name in timm.list_models():

        def create(name: str = name) -> torch.nn.Module:
            return timm.create_model(name, pretrained=False, num_classes=LABELS, exportable=True)

        side = timm.get_pretrained_cfg_value(name, "input_size") or (3, 224, 224)
        yield Network(f"timm/{name}", create, images(64, 128, 224, side[-1]))


def pytorchvideo_networks() -> Iterator[Network]:
    from pytorchvideo.models import hub

    for name in ("c2d_r50", "csn_r101", "i3d_r50", "r2plus1d_r50", "slow_r50", "x3d_xs", "x3d_s"):
        create = getattr(hub, name)
        yield Network(f"pytorchvideo/{name}", lambda c=create: c(pretrained=False), clips(160, 224))


PACKAGES = {
    "torchvision": torchvision_networks,
    "timm": timm_networks,
    "pytorchvideo": pytorchvideo_networks,
}


def randomise(network: torch.nn.Module) -> None:
    """Replaces statistics and weights that are constant at their start and would hide errors."""
    for parameter in network.parameters():
        if parameter.dim() > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, 0, 0.05)
    for module in network.modules():
        is_norm = isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
        if is_norm and module.running_mean is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)


def export(network: Network, path: str) -> int:
    """Exports the network and returns the number of its weights."""
    torch.manual_seed(0)
    model = network.create().eval()
    randomise(model)
    count = sum(p.numel() for p in model.parameters())
    if count > MAX_PARAMETERS:
        raise ValueError(f"it has {count} weights")
    reason = f"it accepts none of the shapes {network.shapes}"
    for shape in network.shapes:
        frames = torch.randn(shape)
        try:
            with torch.no_grad():
                model(frames)
        except Exception:
            # Each network refuses a size in its own way.
            continue
        names: dict[str, Any] = {"input_names": ["frames"], "output_names": ["logits"]}
        try:
            torch.onnx.export(model, (frames,), path, dynamo=False, opset_version=17, **names)
        except torch.onnx.OnnxExporterError as error:
            # The exporter cannot write an adaptive pool of some sizes.
            reason = str(error)
            continue
        return count
    raise ValueError(reason)


def compile_network(path: str, folder: str, args: argparse.Namespace) -> tuple[str, str]:
    """Returns the result of `tteview compile` and its message."""
    labels = os.path.join(folder, "labels.json")
    with open(labels, "w", encoding="utf-8") as file:
        json.dump([{"code": f"V{i}", "name": f"view {i}"} for i in range(args.labels)], file)
    command = [args.tteview, "compile", path, "--labels", labels, "-o", f"{folder}/package"]
    command += ["--verify", "--onnx-runtime", args.onnx_runtime]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return "not compiled", f"the compiler took more than {TIMEOUT_S} s"
    lines = (done.stdout + done.stderr).strip().splitlines()
    if done.returncode != 0:
        message = lines[-1] if lines else f"exit code {done.returncode}"
        message = message.replace(path, "NETWORK")
        return ("wrong" if WRONG in message else "not compiled"), message
    errors = [
        float(e) for line in lines for e in re.findall(r"\d\.\d+e-?\d+", line) if "error" in line
    ]
    message = f"{max(errors, default=0.0):.1e}"
    kinds = [kind for kind in ("stream", "clip") if f"package.{kind}.onnx" in done.stdout]
    return (kinds or ["none"])[0], message


def try_network(network: Network, args: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=args.temporary) as folder:
        path = os.path.join(folder, "network.onnx")
        line: dict[str, Any] = {"network": network.name, "parameters": ""}
        try:
            line["parameters"] = export(network, path)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            return line | {"result": "not exported", "message": reason}
        result, message = compile_network(path, folder, args)
        return line | {"result": result, "message": message}


def read_table(path: str) -> list[dict[str, str]]:
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def print_summary(path: str) -> None:
    counts: dict[str, Counter[str]] = {}
    for line in read_table(path):
        package = line["network"].split("/")[0]
        counts.setdefault(package, Counter())[line["result"]] += 1
    for package, results in counts.items():
        print(package, sum(results.values()), dict(results.most_common()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("packages", nargs="*", choices=[[], *PACKAGES], metavar="PACKAGE")
    parser.add_argument("--tteview", default="target/release/tteview")
    parser.add_argument("--onnx-runtime", default=os.environ.get("TTEVIEW_ORT_DYLIB"))
    parser.add_argument("--out", default="exports.csv", help="the table")
    parser.add_argument("--only", default="", help="regular expression for the names of networks")
    parser.add_argument("--labels", type=int, default=LABELS)
    parser.add_argument("--temporary", help="folder for the exported networks")
    parser.add_argument("--summary", action="store_true", help="only add up the table")
    args = parser.parse_args()
    if args.summary:
        return print_summary(args.out)
    done = {line["network"] for line in read_table(args.out)}
    for package in args.packages:
        for network in PACKAGES[package]():
            if network.name in done or not re.search(args.only, network.name):
                continue
            line = try_network(network, args)
            is_new = not os.path.exists(args.out)
            with open(args.out, "a", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS)
                if is_new:
                    writer.writeheader()
                writer.writerow(line)
            print(line["network"], line["result"], line["message"], file=sys.stderr)
    return None


if __name__ == "__main__":
    main()
