"""Blocks into windows."""

import json

from machine import BENCH, output_of
from report import at_least, figure

NAME = "Blocks into windows"
NOTE = ("10,000 points every 100 ms, 100 deployments of 32 points × 32 samples, a model that does "
        "nothing; one process, filling the blocks included. Rates are per CPU second.")


def measure(folder, options):
    found = json.loads(output_of(BENCH, "windows", 20 if options.full else 5))
    rate = found["observations_per_cpu_s"]
    return [
        at_least(NAME, "observations per CPU second", rate, 5_000_000),
        figure(NAME, "windows per CPU second", found["windows"] / found["cpu_s"]),
    ]
