"""Machines of the simulator as tables."""

import io
import os
import subprocess
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]


def exporter():
    """The program that writes tables of simulated machines, built by `make models`."""
    default = ROOT / "target/fast/examples/export_machine"
    return Path(os.environ.get("RESONANCE_EXPORT_MACHINE", default))


def columns(machine, hours, period_s, seed):
    """The channels of one machine by path, one row each `period_s`. Profiles have two dimensions,
    texts and what is absent are NaN."""
    arguments = [str(exporter()), machine, str(hours), str(period_s), str(seed)]
    text = subprocess.run(arguments, check=True, capture_output=True).stdout.decode()
    header, *rows = (line.split(",") for line in io.StringIO(text).read().splitlines())
    table = {}
    for at, name in enumerate(header):
        fields = [row[at] for row in rows]
        if " " in fields[0]:
            table[name] = np.array([[float(x) for x in field.split()] for field in fields])
        else:
            table[name] = np.array([number(field) for field in fields])
    return table


def number(field):
    try:
        return float(field)
    except ValueError:
        return np.nan
