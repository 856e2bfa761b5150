"""OPC UA into windows, the machine's server on the same cores."""

import re
import time

import packages
from machine import READ_LOAD, Gateway, Skipped, output_of, simulated_load, until
from report import at_least, at_most, figure

NAME = "OPC UA into windows"
NOTE = ("`resonance simulate load` with 10,000 counters and the gateway share the cores; 100 "
        "deployments take windows of 32 points × 32 samples every second. Whether counters are "
        "contiguous is checked value by value by the same source in `read_load`.")
POINTS, HZ = 10_000, 33


def measure(folder, options):
    seconds = 60 if options.full else 20
    return through_gateway(folder, seconds) + contiguous(seconds)


def through_gateway(folder, seconds):
    model = packages.mean_of_window(folder, 32, 32)
    machine, url = simulated_load(POINTS, HZ)
    with machine:
        plant = packages.plant(
            folder / "plant", url, 100, POINTS // 100, model, "{ every_ms = 1000 }",
            sampling_ms=0, queue_size=64,
        )
        with Gateway(plant) as gateway:
            until(gateway.inferences, 30, "the first prediction")
            time.sleep(2)
            before, cpu, machine_cpu = gateway.status(), gateway.cpu_s(), machine.cpu_s()
            started = time.monotonic()
            time.sleep(seconds)
            after, wall = gateway.status(), time.monotonic() - started
            cpu, machine_cpu = gateway.cpu_s() - cpu, machine.cpu_s() - machine_cpu
    source = after["sources"][0]
    changes = after["hub"]["observations"] - before["hub"]["observations"]
    return [
        at_least(NAME, f"changes per second, {seconds} s", changes / wall, 300_000),
        figure(NAME, "changes per CPU second of the gateway", changes / cpu),
        figure(NAME, "gateway's processor", 100 * cpu / wall, unit=" %"),
        figure(NAME, "machine's processor", 100 * machine_cpu / wall, unit=" %"),
        at_most(NAME, "Overflow bits", source["overflows"], 0),
        at_most(NAME, "sequence gaps", source["sequence_gaps"], 0),
        at_most(NAME, "gaps", source["gaps"], 0),
    ]


def contiguous(seconds):
    if not READ_LOAD.exists():
        raise Skipped(f"{READ_LOAD.name} is not built; cargo build --profile fast "
                      "-p resonance-gateway --example read_load")
    machine, url = simulated_load(POINTS, HZ)
    with machine:
        said = output_of(READ_LOAD, url, POINTS, seconds, seconds=seconds + 60)
    found = {key: float(value) for key, value in re.findall(r"(\w+)=([\d.]+)", said)}
    return [
        at_least(NAME, "changes per second, each checked", found["per_second"], 300_000),
        at_most(NAME, "jumps in the counters", found["jumps"], 0),
        at_most(NAME, "Overflow bits and sequence gaps there",
                found["overflows"] + found["sequence_gaps"], 0),
    ]
