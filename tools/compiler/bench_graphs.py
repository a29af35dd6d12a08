#!/usr/bin/env python3
"""Measures the speed of a source network and its packages in several runtimes.

`cargo xtask bench graphs` runs this script.

Every runtime uses one thread. Each round runs every graph, so that other load on the machine
affects all graphs equally. In each round, a graph's time is divided by the source's time, and the
reported ratio is the median over the rounds. The output is Markdown.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

#: Number of times that a step runs in each round. A step is much faster than a clip.
STEPS_PER_ROUND = 4

#: Largest acceptable ratio of a graph's time to the source's time in ONNX Runtime.
LIMITS = {"clip": 0.65, "step": 0.09, "grey clip": 0.60, "grey step": 0.085}

#: Nodes with fewer multiply-adds are ignored when the fastest rate is determined.
MIN_MULTIPLY_ADDS = 5e7

#: A function that runs a graph once. It returns the time in milliseconds if it measures the time
#: itself.
Run = Callable[[], Any]

Inputs = dict[str, npt.NDArray[np.float32]]


class Measurement(NamedTuple):
    """A graph and the runtime in which it runs."""

    runtime: str
    graph: str
    run: Run


class NodeTime(NamedTuple):
    """A node and the time of its shortest run."""

    ms: float
    operator: str
    multiply_adds: float
    shapes: str


def load_session(path: str, profile: str | None = None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def random_inputs(session: Any) -> Inputs:
    random = np.random.default_rng(0)
    shapes = {i.name: [d if isinstance(d, int) else 1 for d in i.shape] for i in session.get_inputs()}
    return {name: random.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}


def load_onnx_runtime(path: str) -> Run:
    session = load_session(path)
    inputs = random_inputs(session)
    return lambda: session.run(None, inputs)


def load_openvino(path: str) -> Run:
    import openvino

    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    core = openvino.Core()
    model = core.read_model(path)
    inputs = random_inputs(load_session(path))
    model.reshape({name: list(value.shape) for name, value in inputs.items()})
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer(inputs)


def load_torch(network: str) -> tuple[Run, Run]:
    """Returns two functions that run the network, one in eager mode and one after tracing."""
    import torch

    torch.set_num_threads(1)
    import real_sources

    module, inputs = real_sources.build_network(network, causal=True)

    def without_gradients(function: Callable[..., Any]) -> Run:
        def run() -> None:
            with torch.no_grad():
                function(*inputs)

        return run

    with torch.no_grad():
        traced = torch.jit.optimize_for_inference(torch.jit.trace(module, inputs))
    return without_gradients(module), without_gradients(traced)


def load_rust(program: str, runtime: str, path: str) -> Run:
    """Starts a process and returns a function that makes the process run the graph once.

    The process runs the graph once for each line that it reads, and prints the time in
    milliseconds.
    """
    inputs = random_inputs(load_session(path))
    shapes = [",".join(map(str, value.shape)) for value in inputs.values()]
    command = [program, runtime, path, *shapes]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None

    def run() -> float:
        stdin.write("\n")
        stdin.flush()
        reply = stdout.readline()
        if not reply:
            sys.exit(f"{runtime} cannot run {path}; its process ended")
        return float(reply)

    return run


def measure(measurements: list[Measurement], rounds: int) -> npt.NDArray[np.float64]:
    """Returns the mean time of a run in milliseconds for each measurement and each round."""
    times: list[list[float]] = [[] for _ in measurements]
    for number in range(rounds + 1):
        for (_, graph, run), kept in zip(measurements, times, strict=True):
            count = STEPS_PER_ROUND if "step" in graph else 1
            start, own = time.perf_counter(), 0.0
            for _ in range(count):
                reply = run()
                own += reply if isinstance(reply, float) else 0.0
            elapsed = own or (time.perf_counter() - start) * 1e3
            # The first round only warms up the caches.
            if number > 0:
                kept.append(elapsed / count)
    return np.array(times)


def profile_nodes(path: str, runs: int = 5) -> list[NodeTime]:
    """Returns the time of the shortest run of each node in ONNX Runtime, the slowest node first."""
    with tempfile.TemporaryDirectory() as folder:
        session = load_session(path, os.path.join(folder, "profile"))
        inputs = random_inputs(session)
        for _ in range(runs):
            session.run(None, inputs)
        with open(session.end_profiling()) as file:
            events = json.load(file)
    nodes: dict[str, NodeTime] = {}
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        ms, arguments = event["dur"] / 1e3, event["args"]
        known = nodes.get(event["name"])
        if known is None or ms < known.ms:
            nodes[event["name"]] = describe_node(ms, arguments)
    return sorted(nodes.values(), reverse=True)


def describe_node(ms: float, arguments: dict[str, Any]) -> NodeTime:
    inputs, outputs = (
        [next(iter(shape.values())) for shape in arguments[f"{side}_type_shape"]]
        for side in ("input", "output")
    )
    operator, multiply_adds = arguments["op_name"], 0.0
    if operator == "Conv":
        multiply_adds = float(np.prod(outputs[0]) * np.prod(inputs[1][1:]))
    elif operator == "MatMul":
        multiply_adds = float(np.prod(outputs[0]) * inputs[0][-1])
    elif operator == "Gemm":
        multiply_adds = float(np.prod(outputs[0]) * inputs[1][0])
    shapes = [str(shape).replace(" ", "") for shape in inputs[:2]]
    return NodeTime(ms, operator, multiply_adds, f"{' '.join(shapes)} to {str(outputs[0]).replace(' ', '')}")


def format_rate(multiply_adds: float, ms: float) -> str:
    return f"{multiply_adds / ms / 1e6:.1f}" if multiply_adds else ""


def print_profile(title: str, path: str, top: int) -> None:
    nodes = profile_nodes(path)
    total = sum(node.ms for node in nodes)
    operators: dict[str, list[NodeTime]] = collections.defaultdict(list)
    for node in nodes:
        operators[node.operator].append(node)
    print(f"\n{title} by operator, {total:.1f} ms in total\n")
    print("| operator | nodes | ms | share | GMAC/s |\n| --- | --- | --- | --- | --- |")
    for operator, members in sorted(operators.items(), key=lambda item: -sum(n.ms for n in item[1])):
        ms = sum(node.ms for node in members)
        rate = format_rate(sum(node.multiply_adds for node in members), ms)
        if ms >= total / 1000:
            print(f"| {operator} | {len(members)} | {ms:.1f} | {ms / total:.1%} | {rate} |")
    print(f"\n{title} by node: the nodes that lose the most time compared with the fastest rate\n")
    print("| operator | ms | lost ms | GMAC/s | shapes |\n| --- | --- | --- | --- | --- |")
    fastest = max(node.multiply_adds / node.ms for node in nodes if node.multiply_adds > MIN_MULTIPLY_ADDS)

    def lost_ms(node: NodeTime) -> float:
        return node.ms - node.multiply_adds / fastest

    for node in sorted(nodes, key=lost_ms, reverse=True)[:top]:
        rate = format_rate(node.multiply_adds, node.ms)
        print(f"| {node.operator} | {node.ms:.2f} | {lost_ms(node):.2f} | {rate} | {node.shapes} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", help="name of a network in real_sources.py (built with --causal)")
    parser.add_argument("source", help="ONNX file of the exported network")
    parser.add_argument(
        "packages", help="folder with colour.clip.onnx, colour.stream.onnx, grey.clip.onnx, ..."
    )
    parser.add_argument("--rust", required=True, help="program built from tools/compiler/bench")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--top", type=int, default=12, help="number of nodes in the tables by node")
    args = parser.parse_args()

    def package(name: str) -> str:
        return os.path.join(args.packages, name)

    graphs = {
        "clip": package("colour.clip.onnx"),
        "step": package("colour.stream.onnx"),
        "grey clip": package("grey.clip.onnx"),
        "grey step": package("grey.stream.onnx"),
    }
    eager, traced = load_torch(args.network)
    measurements = [
        Measurement("ONNX Runtime", "source", load_onnx_runtime(args.source)),
        *(Measurement("ONNX Runtime", name, load_onnx_runtime(path)) for name, path in graphs.items()),
        Measurement("OpenVINO, f32", "source", load_openvino(args.source)),
        Measurement("PyTorch, eager", "source", eager),
        Measurement("PyTorch, traced and frozen", "source", traced),
        *(Measurement("rten", name, load_rust(args.rust, "rten", graphs[name])) for name in ("clip", "step")),
        Measurement("tract", "source", load_rust(args.rust, "tract", args.source)),
    ]
    times = measure(measurements, args.rounds)
    load = os.getloadavg()[0]
    print(f"{args.network}, causal, one thread, {args.rounds} rounds, load {load:.1f} at the end\n")
    print("| runtime | graph | median ms | least ms | ratio to the source in ONNX Runtime | limit |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (runtime, graph, _), taken in zip(measurements, times, strict=True):
        ratio = np.median(taken / times[0])
        limit = LIMITS.get(graph) if runtime == "ONNX Runtime" else None
        verdict = f"{limit}: {'met' if ratio <= limit else 'missed'}" if limit else ""
        print(
            f"| {runtime} | {graph} | {np.median(taken):.1f} | {taken.min():.1f} | {ratio:.3f} | {verdict} |"
        )
    print_profile("Clip", graphs["clip"], args.top)
    print_profile("Step", graphs["step"], args.top)


if __name__ == "__main__":
    main()
