"""Inference over gRPC against MLServer, and many models at once."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import packages
from benchmarks import rest
from machine import BENCH, RESONANCE, Gateway, free_port, output_of, until
from report import Row, at_least, at_most, figure

NAME = "gRPC inference, MLP 32-64-64-4"
NOTE = ("The same ONNX file, one row of 32 numbers as raw contents, the same client "
        "(`resonance-bench calls`: HTTP/2, one call under way on each connection), server and "
        "client on the same cores. Rounds alternate and the median round counts. 32 models and 32 "
        "connections: each asks a model of its own. 64 rows a call, rows/s beside those of "
        "`resonance model bench --batch 64`: throughput with twice as many connections as cores, "
        "which keep them at work, beside a bare session for each core at once (median of the "
        "rounds' shares; client and server share the cores that the bare sessions have for "
        "themselves); and with one connection beside one bare session, where the engine waits while an answer goes "
        "to the client and the next request comes. MLP 256-2048-2048-8, whose inference takes "
        "milliseconds, and the small one, where the way there and back is most of it.")
CALL = "/inference.GRPCInferenceService/ModelInfer"
MANY = 32
ROWS = 64
CORES = os.cpu_count()
BUSY = 2 * CORES
SMALL, LARGE = [32, 64, 64, 4], [256, 2048, 2048, 8]


def measure(folder, options):
    seconds, rounds = (10, 5) if options.full else (3, 3)
    package = packages.perceptron(folder, SMALL)
    large = packages.perceptron(folder, LARGE)
    named = [packages.perceptron(folder, SMALL, name=f"m{n:02}") for n in range(MANY)]
    message = written(folder / "one", [package.name], [1, SMALL[0]])
    messages = written(folder / "many", [one.name for one in named], [1, SMALL[0]])
    batches = {package: written(folder / "small", [package.name], [ROWS, SMALL[0]]),
               large: written(folder / "large", [large.name], [ROWS, LARGE[0]])}
    plant = packages.plant(folder / "plant", served=[package, large, *named], grpc=True)
    with Gateway(plant, grpc=True) as ours:
        servers = {"ours": (ours, ours.urls["grpc"].removeprefix("grpc://"))}
        if rest.MLSERVER.exists():
            port = free_port()
            address = ours.urls["http"].removeprefix("http://")
            path = f"/v2/models/{package.name}/infer"
            peer, theirs = rest.start_mlserver(folder / "mlserver", package, port)
            with peer:
                until(lambda: rest.same_answer(peer, address, theirs, path,
                                               rest.request(folder, rest.JSON)),
                      60, "MLServer's first answer")
                servers["MLServer"] = (peer, f"127.0.0.1:{port}")
                found = alternate(servers, message, seconds, rounds)
        else:
            print(f"SKIPPED MLServer: not installed; {sys.executable} -m venv .cache/bench && "
                  ".cache/bench/bin/pip install -r bench/requirements.txt", file=sys.stderr)
            found = alternate(servers, message, seconds, rounds)
        ours = servers["ours"][1]
        many = [asked(ours, messages, seconds, MANY) for _ in range(rounds)]
        batched = {served.name: beside_bare(ours, served, batch, seconds, rounds)
                   for served, batch in batches.items()}
        busy = at_load(ours, large, batches[large], seconds, rounds)
    many = sorted(many, key=lambda one: one["p99_us"] / one["p50_us"])[len(many) // 2]
    return rows(found, many) + rows_of_batches(batched) + rows_at_load(busy)


def beside_bare(address, package, message, seconds, rounds):
    """Rows/s over gRPC and of the bare session, a round of each in turn: the medians."""
    served, bare = [], []
    for _ in range(rounds):
        served.append(ROWS * asked(address, message, seconds, 1)["requests_per_s"])
        bare.append(bare_rows(package, seconds))
    return float(np.median(served)), float(np.median(bare))


def bare_rows(package, seconds):
    report = output_of(RESONANCE, "model", "bench", package, "--seconds", seconds,
                       "--batch", ROWS, "--format", "json")
    return json.loads(report)["rows_per_second"]


def at_load(address, package, message, seconds, rounds):
    """The same with calls under way that keep every core at work, beside a bare session for each;
    each round's share of them as well, for the machine is not as quick in every round."""
    served, bare = [], []
    for _ in range(2 * rounds):
        served.append(ROWS * asked(address, message, seconds // 2, BUSY)["requests_per_s"])
        with ThreadPoolExecutor(CORES) as each:
            bare.append(sum(each.map(lambda _: bare_rows(package, seconds // 2), range(CORES))))
    shares = 100 * np.divide(served, bare)
    return float(np.median(served)), float(np.median(bare)), shares


def written(folder, models, shape):
    """A request for each model as a file, in the protocol's own encoding."""
    from tritonclient.grpc import service_pb2

    folder.mkdir()
    files = []
    for at, model in enumerate(models):
        request = service_pb2.ModelInferRequest(model_name=model)
        request.inputs.add(name="x", datatype="FP32", shape=shape)
        data = np.random.default_rng(at).normal(size=shape).astype(np.float32)
        request.raw_input_contents.append(data.tobytes())
        files.append(folder / f"{model}.bin")
        files[-1].write_bytes(request.SerializeToString())
    return files


def asked(address, messages, seconds, connections):
    return json.loads(output_of(BENCH, "calls", address, CALL, seconds, connections, *messages))


def alternate(servers, message, seconds, rounds):
    """Median round by calls/s of each server at 1 and at 8 connections."""
    found = {name: {1: [], 8: []} for name in servers}
    for _ in range(rounds):
        for connections in (1, 8):
            for name, (_, address) in servers.items():
                found[name][connections].append(asked(address, message, seconds, connections))
    median = lambda each: sorted(each, key=lambda one: one["requests_per_s"])[len(each) // 2]
    return {name: {at: median(each) for at, each in one.items()} for name, one in found.items()}


def rows_of_batches(batched):
    each = []
    for name, (served, bare) in batched.items():
        what = f"{ROWS} rows a call, 1 connection, {name}"
        each.append(Row(NAME, f"{what}: rows/s over gRPC and bare",
                        f"{served:,.0f} and {bare:,.0f}"))
        each.append(figure(NAME, f"{what}: share of the bare session's", 100 * served / bare,
                           "{:.1f}", " %"))
    return each


def rows_at_load(busy):
    what = f"{ROWS} rows a call, {BUSY} connections, mlp-256-2048-2048-8"
    served, bare, shares = busy
    return [Row(NAME, f"{what}: rows/s over gRPC and of {CORES} bare sessions",
                f"{served:,.0f} and {bare:,.0f}"),
            Row(NAME, f"{what}: share of them, least and most of {len(shares)} rounds",
                f"{min(shares):.1f} and {max(shares):.1f} %"),
            at_least(NAME, f"{what}: share of them, median", float(np.median(shares)), 95,
                     "{:.1f}", " %")]


def rows(found, many):
    each = [Row(NAME, f"{name}: calls/s, 1 and 8 connections",
                f"{one[1]['requests_per_s']:,.0f} and {one[8]['requests_per_s']:,.0f}")
            for name, one in found.items()]
    each += [Row(NAME, f"{name}: p50 and p99, 1 connection",
                 f"{one[1]['p50_us']:,.0f} and {one[1]['p99_us']:,.0f} µs")
             for name, one in found.items()]
    if peer := found.get("MLServer"):
        for connections in (1, 8):
            ratio = found["ours"][connections]["requests_per_s"] / \
                peer[connections]["requests_per_s"]
            what = f"ours / MLServer, calls/s, {connections} connection(s)"
            each.append(at_least(NAME, what, ratio, 8, "{:.1f}"))
    each.append(Row(NAME, f"{MANY} models x {MANY} connections: calls/s, p50 and p99",
                    f"{many['requests_per_s']:,.0f}, {many['p50_us']:,.0f} and "
                    f"{many['p99_us']:,.0f} µs"))
    each.append(at_most(NAME, f"{MANY} models x {MANY} connections: p99 / p50",
                        many["p99_us"] / many["p50_us"], 3, "{:.2f}"))
    return each
