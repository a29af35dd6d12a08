#!/usr/bin/env python3
"""Compiles the classifiers of public packages, and writes a table of what comes of each.

Each network of torchvision, timm, pytorchvideo and mmaction2 is built with random weights and
exported at a small input size. `tteview compile --verify` then compares the packages with the
source. The build server does not run this script, which takes hours for all networks.

  pip install torch torchvision timm pytorchvideo onnx onnxscript
  pip install mmaction2 mmengine "mmcv-lite<2.2" importlib_metadata
  public_exports.py --tteview target/release/tteview --onnx-runtime libonnxruntime.so \\
      --out exports.csv torchvision

The table has one line for each network. A second run skips the networks that are in the table. The
networks of a package are tried in a fixed random order, so the table of a run that was stopped is a
sample. To add the numbers of a table by kind, use --summary.
"""

import argparse
import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from typing import Any

import torch
from public_networks import LABELS, PACKAGES, Network, is_cnn

COLUMNS = ("network", "parameters", "result", "message")
#: Networks with more weights exceed the limit of the compiler.
MAX_PARAMETERS = 160_000_000
#: Longest time of an export, and of a compilation.
TIMEOUT_S = 120
#: An error that is at most this many times PyTorch's own rounding error is the network's.
ROUNDING = 10
#: Messages of the compiler that report a wrong package.
WRONG = "verification failed"


def draw_frames(shape: tuple[int, ...]) -> torch.Tensor:
    """Returns random frames in the range of those with which `--verify` compares."""
    return torch.rand(shape) * 2 - 1


def find_norms(network: torch.nn.Module) -> list[Any]:
    return [
        module
        for module in network.modules()
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
        and module.running_mean is not None
    ]


def randomise(network: torch.nn.Module) -> None:
    """Replaces statistics and weights that are constant at their start and would hide errors."""
    for parameter in network.parameters():
        if parameter.dim() > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, 0, 0.05)
    for norm in find_norms(network):
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 1.5)


def calibrate(network: torch.nn.Module, shape: tuple[int, ...]) -> None:
    """Sets the statistics of batch normalisation to those of random frames."""
    for norm in find_norms(network):
        norm.reset_running_stats()
        norm.train()
        norm.momentum = None
    # A clip alone has enough values for its statistics.
    count = 8 if len(shape) == 4 else 1
    try:
        network(draw_frames((count, *shape[1:])))
    finally:
        network.eval()


class ExportTimeoutError(BaseException):
    """The export took more than `TIMEOUT_S`."""


def stop_export(*_: object) -> None:
    raise ExportTimeoutError(f"the export took more than {TIMEOUT_S} s")


class TooLargeError(Exception):
    """The network has more than `MAX_PARAMETERS` weights."""


def count_weights(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def check_size(model: torch.nn.Module) -> None:
    count = count_weights(model)
    if count > MAX_PARAMETERS:
        raise TooLargeError(f"it has {count} weights")


def check_size_without_memory(network: Network) -> None:
    """Counts the weights before memory is allocated, if the network can be built without it."""
    try:
        with torch.device("meta"):
            model = network.create()
    except Exception:
        return
    check_size(model)


def export(
    network: Network, path: str, is_calibrated: bool
) -> tuple[torch.nn.Module, tuple[int, ...]]:
    """Exports the network, and returns it with the shape of its input."""
    check_size_without_memory(network)
    torch.manual_seed(0)
    model = network.create().eval()
    check_size(model)
    randomise(model)
    reason = f"it accepts none of the shapes {network.shapes}"
    for shape in network.shapes:
        frames = draw_frames(shape)
        try:
            with torch.no_grad():
                model(frames)
                if is_calibrated:
                    calibrate(model, shape)
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
        return model, shape
    raise ValueError(reason)


def measure_rounding(model: torch.nn.Module, shape: tuple[int, ...]) -> float:
    """Returns the relative error of PyTorch's own float32 result against float64."""
    largest = 0.0
    for _ in range(3):
        frames = draw_frames(shape)
        with torch.no_grad():
            logits = model.float()(frames).double()
            exact = model.double()(frames.double())
        largest = max(largest, float((logits - exact).abs().max() / exact.abs().max()))
    return largest


def compile_network(path: str, folder: str, args: argparse.Namespace) -> tuple[str, str]:
    """Returns the result of `tteview compile` and its message."""
    labels = os.path.join(folder, "labels.json")
    with open(labels, "w", encoding="utf-8") as file:
        json.dump([{"code": f"V{i}", "name": f"view {i}"} for i in range(LABELS)], file)
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


def read_error(message: str) -> float:
    """Returns the error in the message about a verification that failed."""
    match = re.search(r"got ([0-9.e+-]+)", message)
    return float(match[1].rstrip(".")) if match else float("inf")


def try_network(network: Network, args: argparse.Namespace) -> dict[str, Any]:
    """Compiles a network. Some networks amplify rounding with one kind of statistics only."""
    line = try_statistics(network, args, is_calibrated=False)
    if line["result"] == "rounding":
        line = try_statistics(network, args, is_calibrated=True)
    return line


def try_statistics(
    network: Network, args: argparse.Namespace, is_calibrated: bool
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=args.temporary) as folder:
        path = os.path.join(folder, "network.onnx")
        line: dict[str, Any] = {"network": network.name, "parameters": ""}
        signal.signal(signal.SIGALRM, stop_export)
        signal.alarm(TIMEOUT_S)
        try:
            model, shape = export(network, path, is_calibrated)
            line["parameters"] = count_weights(model)
        except TooLargeError as error:
            return line | {"result": "too large", "message": str(error)}
        except (Exception, ExportTimeoutError) as error:
            reason = " ".join(str(error).split())[:200]
            return line | {"result": "not exported", "message": reason}
        finally:
            signal.alarm(0)
        result, message = compile_network(path, folder, args)
        if result == "wrong":
            rounding = measure_rounding(model, shape)
            message += f"; PyTorch's own rounding error is {rounding:.1e}"
            if read_error(message) <= ROUNDING * rounding:
                result = "rounding"
        return line | {"result": result, "message": message}


def read_table(path: str) -> list[dict[str, str]]:
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def print_summary(path: str) -> None:
    counts: dict[str, Counter[str]] = {}
    largest: dict[str, float] = {}
    for line in read_table(path):
        kind = "CNNs" if is_cnn(line["network"]) else "others"
        row = f"{line['network'].split('/')[0]}, {kind}"
        counts.setdefault(row, Counter())[line["result"]] += 1
        if line["result"] in ("stream", "clip"):
            largest[row] = max(largest.get(row, 0.0), float(line["message"]))
    for row, results in sorted(counts.items()):
        error = f"{largest.get(row, 0.0):.1e}"
        print(row, sum(results.values()), dict(results.most_common()), "largest error", error)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("packages", nargs="*", choices=[[], *PACKAGES], metavar="PACKAGE")
    parser.add_argument("--tteview", default="target/release/tteview")
    parser.add_argument("--onnx-runtime", default=os.environ.get("TTEVIEW_ORT_DYLIB"))
    parser.add_argument("--out", default="exports.csv", help="the table")
    parser.add_argument("--only", default="", help="regular expression for the names of networks")
    parser.add_argument("--temporary", help="folder for the exported networks")
    parser.add_argument("--summary", action="store_true", help="only add up the table")
    args = parser.parse_args()
    if args.summary:
        return print_summary(args.out)
    done = {line["network"] for line in read_table(args.out)}
    for package in args.packages:
        networks = list(PACKAGES[package]())
        random.Random(0).shuffle(networks)
        for network in networks:
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
