"""MTConnect documents into observations."""

import json
import sys

from machine import BENCH, ROOT, output_of
from report import at_least, figure

NAME = "MTConnect documents"
NOTE = ("`resonance-bench mtconnect` and `bench/mtconnect_lxml.py` read the same document of 10,000 "
        "samples, as an agent sends it, again and again: id, sequence number, time and number of "
        "each observation. One thread each, one after the other; rates are per CPU second.")


def measure(folder, options):
    seconds = 10 if options.full else 3
    file = folder / "sample.xml"
    ours = json.loads(output_of(BENCH, "mtconnect", 10_000, seconds, file))
    lxml = json.loads(output_of(sys.executable, ROOT / "bench" / "mtconnect_lxml.py", file, seconds))
    if abs(ours["mean"] - lxml["mean"]) > 1e-6:
        raise RuntimeError(f"{ours['mean']} and {lxml['mean']} are not the same numbers")
    rate, peer = ours["observations_per_cpu_s"], lxml["observations_per_cpu_s"]
    return [
        figure(NAME, "size of the document", ours["bytes"] / 1e6, "{:.2f}", " MB"),
        at_least(NAME, "observations per CPU second", rate, 1_000_000),
        figure(NAME, "lxml: observations per CPU second", peer),
        figure(NAME, "ours / lxml", rate / peer, "{:.1f}"),
    ]
