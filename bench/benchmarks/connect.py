"""From a machine's own description to a plant file."""

import csv
import json
import time

from machine import RESONANCE, output_of, simulated_load
from report import at_most, figure

NAME = "`resonance connect`"
NOTE = ("`resonance connect` against `resonance simulate load` with 10,000 variables at 1 Hz on the "
        "same cores: browse, read, propose, check the plant file. The list of tags has 10,000 rows "
        "of 10,000 assets and is read without a machine.")
POINTS = 10_000


def measure(folder, options):
    machine, url = simulated_load(POINTS, 1)
    with machine:
        plant, proposed, cpu = connected(folder, machine, url)
    return [
        at_most(NAME, f"OPC UA, {POINTS:,} variables", proposed, 10, "{:.1f}", " s"),
        figure(NAME, "of that, the machine's processor", cpu, "{:.1f}", " s"),
        figure(NAME, "size of the plant file", plant / 1e6, "{:.1f}", " MB"),
        *listed(folder),
    ]


def connected(folder, machine, url):
    plant = folder / "plant.toml"
    cpu, started = machine.cpu_s(), time.monotonic()
    said = json.loads(output_of(RESONANCE, "connect", url, "--security-policy", "none",
                                "--format", "json", "--out", plant))
    seconds, cpu = time.monotonic() - started, machine.cpu_s() - cpu
    found = sum(len(asset["points"]) for asset in said["proposal"]["assets"])
    if found < POINTS or not said["check"]["valid"]:
        raise RuntimeError(f"{found} of {POINTS} points; {said['check']}")
    return plant.stat().st_size, seconds, cpu


def listed(folder):
    tags = folder / "tags.csv"
    with tags.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["asset", "point", "address", "type", "unit"])
        rows.writerows([f"m{n}", "load", f"ns=2;s=M{n}.Load", "real", "%"] for n in range(POINTS))
    book = folder / "tags.xlsx"
    given = (RESONANCE, "connect", "opc.tcp://nobody:4840", "--offline", "--tags")
    figures = []
    for what, *more in [("CSV into XLSX", tags, "--export-tags", book),
                        ("XLSX into a plant file", book, "--out", folder / "listed.toml")]:
        started = time.monotonic()
        output_of(*given, *more)
        figures.append(figure(NAME, f"{POINTS:,} tags, {what}", time.monotonic() - started,
                              "{:.2f}", " s"))
    return figures
