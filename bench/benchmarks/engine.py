"""A model in the engine, without anything around it."""

import json

import packages
from machine import RESONANCE, output_of
from report import figure

NAME = "Model in the engine"
NOTE = ("`resonance model bench` of the MLP 32-64-64-4, one row a call, one thread: what an "
        "inference costs before and after it is part of anything.")


def measure(folder, options):
    package = packages.perceptron(folder, [32, 64, 64, 4])
    found = json.loads(output_of(RESONANCE, "model", "bench", package, "--seconds",
                                 10 if options.full else 3, "--format", "json"))["warm_us"]
    return [figure(NAME, f"inference, {part}", found[part], "{:.1f}", " µs")
            for part in ("p50", "p99")]
