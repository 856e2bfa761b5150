"""A plant of 100,000 points."""

import time

import packages
from machine import Gateway, simulated_load, until
from report import at_most, figure

NAME = "100,000 points"
NOTE = ("A plant file of 100 assets of 1,000 points, one simulated machine that changes each every "
        "five seconds, and 100 deployments of 32 points. Start: from starting `resonance run` to "
        "the first value of every point. Memory: resident, without the pages of the ONNX Runtime "
        "library, in 10^6 bytes, after thirty seconds.")
POINTS, ASSETS, HZ = 100_000, 100, 0.2


def measure(folder, options):
    model = packages.perceptron(folder, [32, 64, 64, 4], samples=1)
    machine, url = simulated_load(POINTS, HZ)
    with machine:
        plant = packages.plant(folder / "plant", url, ASSETS, POINTS // ASSETS, model,
                               "{ every_ms = 1000 }", sampling_ms=0)
        with Gateway(plant) as gateway:
            listens = time.monotonic() - gateway.started
            until(lambda: gateway.status()["hub"]["observations"] >= POINTS, 120, "every value")
            values = time.monotonic() - gateway.started
            until(gateway.inferences, 30, "the first prediction")
            at_start = gateway.rss_mb()[0] - gateway.library_mb("onnxruntime")
            before, cpu, started = gateway.status(), gateway.cpu_s(), time.monotonic()
            time.sleep(30)
            after, wall = gateway.status(), time.monotonic() - started
            cpu = gateway.cpu_s() - cpu
            resident = gateway.rss_mb()[0] - gateway.library_mb("onnxruntime")
    source = after["sources"][0]
    changes = after["hub"]["observations"] - before["hub"]["observations"]
    return [
        at_most(NAME, "first value of every point", values, 15, "{:.1f}", " s"),
        figure(NAME, "of it, until its servers listen", listens, "{:.1f}", " s"),
        at_most(NAME, "memory", resident, 600, unit=" MB"),
        figure(NAME, "memory once every point had a value", at_start, unit=" MB"),
        figure(NAME, "changes per second", changes / wall),
        figure(NAME, "processor", 100 * cpu / wall, unit=" %"),
        at_most(NAME, "gaps and overflows", source["gaps"] + source["overflows"], 0),
    ]
