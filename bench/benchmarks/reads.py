"""Source timestamp to the value that a Read of our OPC UA server returns."""

import json

import packages
from machine import BENCH, Gateway, output_of, simulated_load, until
from report import at_most, figure

NAME = "Source timestamp to Read"
NOTE = ("The machine changes 1,100 counters at 9.7 Hz, 10,670 changes/s, all watched; "
        "100 deployments, each of a pass-through model over one of them, "
        "are triggered on change. One client reads the 100 results every "
        "millisecond in one request; a value's age is the time at which a Read first returned it, "
        "or a newer one, minus its source time. So a value counts too that no Read could "
        "return, because a newer one came with the same notification or within a millisecond. "
        "Publishing interval 100 ms; 103 ms between changes, so that they meet every part of it: "
        "an age of up to the publishing interval is the machine's server waiting to publish. "
        "The client is written in Rust (`resonance-bench reads`), on the same cores.")
PUBLISHING_MS = 100
POINTS, HZ = 1_100, 9.7


def measure(folder, options):
    model = packages.pass_through(folder)
    machine, url = simulated_load(POINTS, HZ)
    seconds = 60 if options.full else 20
    with machine:
        plant = packages.plant(
            folder / "plant", url, 100, 11, model, '{ on = "change" }', opcua=True,
            sampling_ms=0, queue_size=16, publishing_ms=PUBLISHING_MS,
        )
        with Gateway(plant, opcua=True) as gateway:
            until(gateway.inferences, 30, "the first prediction")
            nodes = [f"m{asset}.d{asset}.y0" for asset in range(100)]
            cpu = gateway.cpu_s()
            found = json.loads(output_of(BENCH, "reads", gateway.urls["opcua"], seconds, *nodes))
            cpu = gateway.cpu_s() - cpu
    return [
        figure(NAME, "age, p50", found["age_p50_ms"], "{:.1f}", " ms"),
        at_most(NAME, "age, p99", found["age_p99_ms"], PUBLISHING_MS + 10, "{:.1f}", " ms"),
        figure(NAME, "age, greatest", found["age_max_ms"], "{:.1f}", " ms"),
        figure(NAME, "values", found["values"]),
        figure(NAME, "of them never returned by a Read", found["values"] - found["returned"]),
        figure(NAME, "Reads of 100 values per second", found["reads"] / seconds),
        figure(NAME, "a Read's time, p50", found["read_p50_ms"], "{:.2f}", " ms"),
        figure(NAME, "gateway's processor", 100 * cpu / (seconds + 2), unit=" %"),
    ]
