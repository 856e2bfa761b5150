"""Inference over REST against MLServer, an empty echo and the bare session."""

import json
import os
import sys

import numpy as np
import packages
from machine import BENCH, RESONANCE, ROOT, Gateway, Process, free_port, output_of, until
from report import Row, at_least, at_most, figure

NAME = "REST inference, MLP 32-64-64-4"
NOTE = ("The same ONNX file, one row of 32 numbers as JSON, the same client "
        "(`resonance-bench requests`: keep-alive, a thread a connection), server and client on "
        "the same cores. Rounds alternate and the median round counts. MLServer 1.7.1 runs a "
        "small runtime that calls ONNX Runtime (`bench/mlserver_runtime.py`) without worker "
        "processes. The echo is an empty server on the same HTTP "
        "library that answers the request's body.")
MLSERVER = ROOT / ".cache" / "bench" / "bin" / "mlserver"


def measure(folder, options):
    seconds, rounds = (10, 5) if options.full else (3, 3)
    package = packages.perceptron(folder, [32, 64, 64, 4])
    row = np.random.default_rng(3).normal(size=(1, 32)).astype(np.float32).round(4)
    body = folder / "body.json"
    body.write_text(json.dumps({"inputs": [packages.tensor("x", row)]}))
    path = f"/v2/models/{package.name}/infer"
    with Gateway(packages.plant(folder / "plant", served=package)) as ours, \
            Process(BENCH, "echo") as echo:
        servers = {
            "ours": (ours, ours.urls["http"].removeprefix("http://")),
            "echo": (echo, json.loads(echo.line(r"^\{.*")[0])["address"]),
        }
        if MLSERVER.exists():
            address = start_mlserver(folder / "mlserver", package, path, body)
            with address[0]:
                servers["MLServer"] = address
                found = alternate(servers, path, body, seconds, rounds)
        else:
            print(f"SKIPPED MLServer: not installed; {sys.executable} -m venv .cache/bench && "
                  ".cache/bench/bin/pip install -r bench/requirements.txt", file=sys.stderr)
            found = alternate(servers, path, body, seconds, rounds)
    bare = json.loads(output_of(RESONANCE, "model", "bench", package, "--seconds", 5,
                                "--format", "json"))["warm_us"]["p50"]
    return rows(found, bare)


def rows(found, bare):
    ours, echo = found["ours"], found["echo"]
    each = [Row(NAME, f"{name}: requests/s, 1 and 8 connections",
                f"{one[1]['requests_per_s']:,.0f} and {one[8]['requests_per_s']:,.0f}")
            for name, one in found.items()]
    each += [Row(NAME, f"{name}: p50 and p99, 1 connection",
                 f"{one[1]['p50_us']:,.0f} and {one[1]['p99_us']:,.0f} µs")
             for name, one in found.items()]
    each += [figure(NAME, f"{name}: CPU time of the server per request",
                    one[8]["cpu_us"], "{:,.0f}", " µs") for name, one in found.items()]
    each.append(figure(NAME, "bare session: p50", bare, "{:.1f}", " µs"))
    if peer := found.get("MLServer"):
        for connections in (1, 8):
            ratio = ours[connections]["requests_per_s"] / peer[connections]["requests_per_s"]
            what = f"ours / MLServer, requests/s, {connections} connection(s)"
            each.append(at_least(NAME, what, ratio, 8, "{:.1f}"))
    each.append(at_most(NAME, "p50 above the bare session", ours[1]["p50_us"] - bare, 60,
                        "{:.1f}", " µs"))
    each.append(at_most(NAME, "p50 above the echo", ours[1]["p50_us"] - echo[1]["p50_us"], 25,
                        "{:.1f}", " µs"))
    return each


def alternate(servers, path, body, seconds, rounds):
    """Median round by requests/s of each server at 1 and at 8 connections."""
    found = {name: {1: [], 8: []} for name in servers}
    for _ in range(rounds):
        for connections in (1, 8):
            for name, (process, address) in servers.items():
                cpu = process.cpu_s()
                one = json.loads(
                    output_of(BENCH, "requests", address, path, body, seconds, connections))
                # The client does not count its warm-up, a tenth; the server's time holds it.
                one["cpu_us"] = 0.9e6 * (process.cpu_s() - cpu) / max(one["requests"], 1)
                found[name][connections].append(one)
    median = lambda each: sorted(each, key=lambda one: one["requests_per_s"])[len(each) // 2]
    return {name: {at: median(each) for at, each in one.items()} for name, one in found.items()}


def start_mlserver(folder, package, path, body):
    model = folder / package.name
    model.mkdir(parents=True)
    port = free_port()
    (folder / "settings.json").write_text(json.dumps({
        "host": "127.0.0.1", "http_port": port, "grpc_port": free_port(),
        "metrics_port": free_port(), "parallel_workers": 0, "debug": False,
        "logging_settings": None,
    }))
    (model / "model-settings.json").write_text(json.dumps({
        "name": package.name, "implementation": "mlserver_runtime.OnnxRuntime",
        "parameters": {"uri": str(package / "model.onnx")},
    }))
    places = os.pathsep.join([str(ROOT / "bench"), os.environ.get("PYTHONPATH", "")])
    process = Process(MLSERVER, "start", folder, env={"PYTHONPATH": places}, cwd=folder)
    address = f"127.0.0.1:{port}"

    def answers():
        try:
            return output_of(BENCH, "requests", address, path, body, 0.1, 1)
        except RuntimeError:
            if process.child.poll() is not None:
                raise RuntimeError("MLServer ended:\n" + "".join(process.said[-20:])) from None
            return None

    until(answers, 60, "MLServer's first answer")
    return process, address
