#!/usr/bin/env python3
"""Times a source network and what it compiles to, in several runtimes; `cargo xtask bench graphs` runs it.

One thread everywhere. Every round runs each graph once, so that whatever else the machine does meets all of them; a
ratio is the median over the rounds of the time against the source's time in the same round. Prints Markdown.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

STEPS_PER_ROUND = 4


def onnx_runtime(path, profile=None):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def inputs_of(session):
    random = np.random.default_rng(0)
    shapes = {i.name: [d if isinstance(d, int) else 1 for d in i.shape] for i in session.get_inputs()}
    return {name: random.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}


def ort_run(path):
    session = onnx_runtime(path)
    feeds = inputs_of(session)
    return lambda: session.run(None, feeds)


def openvino_run(path):
    import openvino

    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    core = openvino.Core()
    model = core.read_model(path)
    feeds = inputs_of(onnx_runtime(path))
    model.reshape({name: list(value.shape) for name, value in feeds.items()})
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer(feeds)


def torch_runs(network):
    import torch
    import real_sources

    torch.set_num_threads(1)
    module, inputs = real_sources.build_network(network, causal=True)

    def quietly(function):
        def run():
            with torch.no_grad():
                function(*inputs)

        return run

    with torch.no_grad():
        traced = torch.jit.optimize_for_inference(torch.jit.trace(module, inputs))
    return quietly(module), quietly(traced)


def rust_run(program, runtime, path):
    """Runs in a process of its own, which answers each line with the milliseconds of one run."""
    feeds = inputs_of(onnx_runtime(path))
    shapes = [",".join(map(str, value.shape)) for value in feeds.values()]
    command = [program, runtime, path, *shapes]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run():
        process.stdin.write("\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            sys.exit(f"{runtime} gave up on {path}")
        return float(answer)

    return run


def race(runs, rounds):
    """Milliseconds of each run in each round, as [run][round]. A run that returns a number timed itself."""
    times = [[] for _ in runs]
    for number in range(rounds + 1):
        for (name, run), kept in zip(runs, times):
            count = STEPS_PER_ROUND if "step" in name else 1
            started, own = time.perf_counter(), 0.0
            for _ in range(count):
                answer = run()
                own += answer if isinstance(answer, float) else 0.0
            taken = own or (time.perf_counter() - started) * 1e3
            # The first round warms up.
            if number > 0:
                kept.append(taken / count)
    return np.array(times)


def profile(path, runs=5):
    """Least milliseconds of every node, as (milliseconds, operator, multiply-adds, shapes)."""
    with tempfile.TemporaryDirectory() as folder:
        session = onnx_runtime(path, os.path.join(folder, "profile"))
        feeds = inputs_of(session)
        for _ in range(runs):
            session.run(None, feeds)
        with open(session.end_profiling()) as file:
            events = json.load(file)
    nodes = {}
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        taken, arguments = event["dur"] / 1e3, event["args"]
        known = nodes.get(event["name"])
        if known is None or taken < known[0]:
            inputs, outputs = (
                [next(iter(shape.values())) for shape in arguments[f"{side}_type_shape"]] for side in ("input", "output")
            )
            operator, products = arguments["op_name"], 0
            if operator == "Conv":
                products = np.prod(outputs[0]) * np.prod(inputs[1][1:])
            elif operator == "MatMul":
                products = np.prod(outputs[0]) * inputs[0][-1]
            elif operator == "Gemm":
                products = np.prod(outputs[0]) * inputs[1][0]
            shown = " ".join(str(shape).replace(" ", "") for shape in inputs[:2])
            nodes[event["name"]] = (taken, operator, float(products), f"{shown} to {str(outputs[0]).replace(' ', '')}")
    return sorted(nodes.values(), reverse=True)


def print_profile(title, path, top):
    nodes = profile(path)
    total = sum(node[0] for node in nodes)
    operators = collections.defaultdict(lambda: [0.0, 0, 0.0])
    for taken, operator, products, _ in nodes:
        entry = operators[operator]
        entry[0], entry[1], entry[2] = entry[0] + taken, entry[1] + 1, entry[2] + products
    rate = lambda products, taken: f"{products / taken / 1e6:.1f}" if products else ""
    print(f"\n{title} by operator, {total:.1f} ms in all\n")
    print("| operator | nodes | ms | share | GMAC/s |\n| --- | --- | --- | --- | --- |")
    for operator, (taken, count, products) in sorted(operators.items(), key=lambda item: -item[1][0]):
        if taken >= total / 1000:
            print(f"| {operator} | {count} | {taken:.1f} | {taken / total:.1%} | {rate(products, taken)} |")
    print(f"\n{title} by node, those that lose most against the fastest rate\n")
    print("| operator | ms | lost ms | GMAC/s | shapes |\n| --- | --- | --- | --- | --- |")
    best = max(products / taken for taken, _, products, _ in nodes if products > 5e7)
    lost = lambda node: node[0] - node[2] / best
    for node in sorted(nodes, key=lost, reverse=True)[:top]:
        print(f"| {node[1]} | {node[0]:.2f} | {lost(node):.2f} | {rate(node[2], node[0])} | {node[3]} |")


# The bars on ONNX Runtime's ratios.
BARS = {"clip": 0.65, "step": 0.09, "grey clip": 0.60, "grey step": 0.085}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="its name in real_sources.py, with --causal")
    parser.add_argument("source", help="the exported network")
    parser.add_argument("packages", help="folder with colour.clip.onnx, colour.stream.onnx, grey.clip.onnx, ...")
    parser.add_argument("--rust", required=True, help="the program of tools/compiler/bench")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--top", type=int, default=12)
    args = parser.parse_args()
    package = lambda name: os.path.join(args.packages, name)
    graphs = {
        "clip": package("colour.clip.onnx"),
        "step": package("colour.stream.onnx"),
        "grey clip": package("grey.clip.onnx"),
        "grey step": package("grey.stream.onnx"),
    }
    runs = [("source", ort_run(args.source))]
    runs += [(name, ort_run(path)) for name, path in graphs.items()]
    rows = [("ONNX Runtime", name) for name, _ in runs]
    runs.append(("source", openvino_run(args.source)))
    rows.append(("OpenVINO, f32", "source"))
    eager, traced = torch_runs(args.network)
    runs += [("source", eager), ("source", traced)]
    rows += [("PyTorch, eager", "source"), ("PyTorch, traced and frozen", "source")]
    for name in ("clip", "step"):
        runs.append((name, rust_run(args.rust, "rten", graphs[name])))
        rows.append(("rten", name))
    runs.append(("source", rust_run(args.rust, "tract", args.source)))
    rows.append(("tract", "source"))
    times = race(runs, args.rounds)
    print(f"{args.network}, causal, one thread, {args.rounds} rounds, load {os.getloadavg()[0]:.1f} at the end\n")
    print("| runtime | graph | median ms | least ms | to the source in ONNX Runtime | bar |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (runtime, graph), taken in zip(rows, times):
        ratio = np.median(taken / times[0])
        bar = BARS.get(graph) if runtime == "ONNX Runtime" else None
        verdict = f"{bar}: {'met' if ratio <= bar else 'missed'}" if bar else ""
        print(f"| {runtime} | {graph} | {np.median(taken):.1f} | {taken.min():.1f} | {ratio:.3f} | {verdict} |")
    print_profile("Clip", graphs["clip"], args.top)
    print_profile("Step", graphs["step"], args.top)


if __name__ == "__main__":
    main()
