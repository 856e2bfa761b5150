"""Reads an MTConnect document again and again with lxml: a peer of `resonance-bench mtconnect`.

    mtconnect_lxml.py FILE SECONDS

Each observation's id, sequence number, time and number are taken, with the fastest means that lxml
and the standard library have.
"""

import json
import sys
import time
from datetime import datetime

from lxml import etree


def read(document):
    total, count = 0.0, 0
    root = etree.fromstring(document)
    for group in root.iter("{*}Samples"):
        for one in group:
            one.get("dataItemId")
            int(one.get("sequence"))
            datetime.fromisoformat(one.get("timestamp"))
            total += float(one.text)
            count += 1
    return total, count


def main():
    with open(sys.argv[1], "rb") as file:
        document = file.read()
    began, cpu, total, count = time.monotonic(), time.process_time(), 0.0, 0
    while time.monotonic() - began < float(sys.argv[2]):
        sum_of, of = read(document)
        total, count = total + sum_of, count + of
    cpu = time.process_time() - cpu
    print(json.dumps({"mean": total / count, "observations_per_cpu_s": count / cpu}))


main()
