"""Memory with 10,000 points, and the time to the first prediction."""

import time

import packages
from machine import Gateway, simulated_load, until
from report import at_most, figure

NAME = "Memory and start"
NOTE = ("10,000 points at 1 Hz and 100 deployments of 32 points × 1 sample, after ten seconds; "
        "memory is resident memory without the pages of the ONNX Runtime library, in 10^6 bytes. "
        "Start: from starting `resonance run` before a machine of 10,000 points that answers to "
        "the first prediction, start of the process and check of the model included.")


def measure(folder, options):
    model = packages.perceptron(folder, [32, 64, 64, 4], samples=1)
    rows = []
    for opcua, most in ((True, 150), (False, 60)):
        rows += one(folder / f"plant-{opcua}", model, opcua, most)
    return rows


def one(folder, model, opcua, most):
    machine, url = simulated_load(10_000, 1)
    with machine:
        plant = packages.plant(folder, url, 100, 100, model, '{ on = "change" }', opcua=opcua,
                               sampling_ms=0)
        with Gateway(plant, opcua=opcua) as gateway:
            until(gateway.inferences, 30, "the first prediction")
            first = time.monotonic() - gateway.started
            time.sleep(10)
            resident, files = gateway.rss_mb()
            library = gateway.library_mb("onnxruntime")
    what = "served over OPC UA" if opcua else "OPC UA server off"
    return [
        at_most(NAME, f"memory, {what}", resident - library, most, "{:.0f}", " MB"),
        figure(NAME, f"the library beside it, {what}", library, "{:.0f}", " MB"),
        figure(NAME, f"of the memory, pages of our own program, {what}", files - library,
               "{:.0f}", " MB"),
        at_most(NAME, f"first prediction, {what}", first, 2, "{:.2f}", " s"),
    ]
