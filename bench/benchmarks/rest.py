"""Inference over REST against MLServer, an empty echo and the bare session."""

import contextlib
import json
import os
import sys
import urllib.request

import numpy as np
import packages
from machine import BENCH, RESONANCE, ROOT, Gateway, Process, free_port, output_of, until
from report import Row, at_least, at_most, figure

NAME = "REST inference, MLP 32-64-64-4"
NOTE = ("The same ONNX file, one row of 32 numbers, the same client (`resonance-bench requests`: "
        "keep-alive, a thread a connection), server and client on the same cores. Rounds "
        "alternate and the median round counts. JSON and binary tensors are measured apart; "
        "MLServer 1.7.1 takes JSON only over REST and runs a small runtime that calls ONNX "
        "Runtime (`bench/mlserver_runtime.py`) without worker processes. The echo is an empty "
        "server on the same HTTP library and the same arrangement of threads that reads the "
        "same body and answers with one as long as ours.")
MLSERVER = ROOT / ".cache" / "bench" / "bin" / "mlserver"


JSON, BINARY = "JSON", "binary"


def measure(folder, options):
    seconds, rounds = (10, 5) if options.full else (3, 3)
    package = packages.perceptron(folder, [32, 64, 64, 4])
    path = f"/v2/models/{package.name}/infer"
    requests = {form: request(folder, form) for form in (JSON, BINARY)}
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(Gateway(packages.plant(folder / "plant", served=[package])))
        address = ours.urls["http"].removeprefix("http://")
        servers = {(JSON, "ours"): (ours, address), (BINARY, "ours"): (ours, address)}
        for form in requests:
            answer = asked(address, path, requests[form])
            echo = stack.enter_context(Process(BENCH, "echo", len(answer)))
            servers[form, "echo"] = echo, json.loads(echo.line(r"^\{.*")[0])["address"]
        if MLSERVER.exists():
            process, theirs = start_mlserver(folder / "mlserver", package)
            stack.enter_context(process)
            until(lambda: same_answer(process, address, theirs, path, requests[JSON]), 60,
                  "MLServer's first answer")
            servers[JSON, "MLServer"] = process, theirs
        else:
            print(f"SKIPPED MLServer: not installed; {sys.executable} -m venv .cache/bench && "
                  ".cache/bench/bin/pip install -r bench/requirements.txt", file=sys.stderr)
        found = alternate(servers, path, requests, seconds, rounds)
    bare = json.loads(output_of(RESONANCE, "model", "bench", package, "--seconds", 5,
                                "--format", "json"))["warm_us"]["p50"]
    return rows(found, bare)


def request(folder, form):
    """The file with a request's body, and its headers."""
    row = np.random.default_rng(3).normal(size=(1, 32)).astype(np.float32).round(4)
    tensor = packages.tensor("x", row)
    body = folder / f"{form}.body"
    if form == JSON:
        body.write_text(json.dumps({"inputs": [tensor]}))
        return body, {"Content-Type": "application/json"}
    del tensor["data"]
    tensor["parameters"] = {"binary_data_size": row.nbytes}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    body.write_bytes(head + row.tobytes())
    return body, {"Content-Type": "application/octet-stream",
                  "Inference-Header-Content-Length": str(len(head))}


def asked(address, path, request):
    """One answer's body."""
    body, headers = request
    call = urllib.request.Request(f"http://{address}{path}", body.read_bytes(), headers)
    with urllib.request.urlopen(call, timeout=10) as answer:
        return answer.read()


def same_answer(process, ours, theirs, path, request):
    """Whether the peer answers yet; an error where it answers something else."""
    try:
        answer = asked(theirs, path, request)
    except OSError:
        if process.child.poll() is not None:
            raise RuntimeError("MLServer ended:\n" + "".join(process.said[-20:])) from None
        return False
    y, z = (json.loads(one)["outputs"][0]["data"] for one in (answer, asked(ours, path, request)))
    if not np.allclose(y, z, rtol=1e-4, atol=1e-5):
        raise RuntimeError(f"MLServer answers {y}, the gateway {z}")
    return True


def rows(found, bare):
    each = []
    for (form, name), one in found.items():
        who = f"{name}, {form}"
        each += [Row(NAME, f"{who}: requests/s, 1 and 8 connections",
                     f"{one[1]['requests_per_s']:,.0f} and {one[8]['requests_per_s']:,.0f}"),
                 Row(NAME, f"{who}: p50 and p99, 1 connection",
                     f"{one[1]['p50_us']:,.0f} and {one[1]['p99_us']:,.0f} µs"),
                 figure(NAME, f"{who}: CPU time of the server per request, 8 connections",
                        one[8]["cpu_us"], "{:,.0f}", " µs")]
    each.append(figure(NAME, "bare session: p50", bare, "{:.1f}", " µs"))
    if peer := found.get((JSON, "MLServer")):
        for connections in (1, 8):
            ours = found[JSON, "ours"][connections]["requests_per_s"]
            what = f"ours / MLServer, JSON: requests/s, {connections} connection(s)"
            each.append(at_least(NAME, what, ours / peer[connections]["requests_per_s"], 8,
                                 "{:.1f}"))
    for form in (JSON, BINARY):
        ours, echo = (found[form, name][1]["p50_us"] for name in ("ours", "echo"))
        each.append(at_most(NAME, f"{form}: p50 above the bare session", ours - bare, 60,
                            "{:.1f}", " µs"))
        each.append(at_most(NAME, f"{form}: p50 above the echo", ours - echo, 25, "{:.1f}",
                            " µs"))
    return each


def alternate(servers, path, requests, seconds, rounds):
    """Median round by requests/s of each server at 1 and at 8 connections."""
    found = {name: {1: [], 8: []} for name in servers}
    for _ in range(rounds):
        for connections in (1, 8):
            for name, (process, address) in servers.items():
                body, headers = requests[name[0]]
                lines = [f"{key}: {value}" for key, value in headers.items()]
                cpu = process.cpu_s()
                one = json.loads(output_of(BENCH, "requests", address, path, body, seconds,
                                           connections, *lines))
                # The client does not count its warm-up, a tenth; the server's time holds it.
                one["cpu_us"] = 0.9e6 * (process.cpu_s() - cpu) / max(one["requests"], 1)
                found[name][connections].append(one)
    median = lambda each: sorted(each, key=lambda one: one["requests_per_s"])[len(each) // 2]
    return {name: {at: median(each) for at, each in one.items()} for name, one in found.items()}


def start_mlserver(folder, package, grpc_port=None):
    model = folder / package.name
    model.mkdir(parents=True)
    port = free_port()
    (folder / "settings.json").write_text(json.dumps({
        "host": "127.0.0.1", "http_port": port, "grpc_port": grpc_port or free_port(),
        "metrics_port": free_port(), "parallel_workers": 0, "debug": False,
        "logging_settings": None,
    }))
    (model / "model-settings.json").write_text(json.dumps({
        "name": package.name, "implementation": "mlserver_runtime.OnnxRuntime",
        "parameters": {"uri": str(package / "model.onnx")},
    }))
    places = os.pathsep.join([str(ROOT / "bench"), os.environ.get("PYTHONPATH", "")])
    process = Process(MLSERVER, "start", folder, env={"PYTHONPATH": places}, cwd=folder)
    return process, f"127.0.0.1:{port}"
