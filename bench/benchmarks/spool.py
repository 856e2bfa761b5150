"""Results into the spool, out of it, to an MQTT broker and to a MES over HTTP."""

import json

from machine import BENCH, broker, output_of
from report import at_least, figure

NAME = "Result spool, MQTT and HTTP sinks"
NOTE = ("One process (`resonance-bench spool`) fills a spool file with results of four outputs over "
        "32 points, reads them through a cursor, and then drains the spool through the MQTT sink, "
        "QoS 1, to mosquitto without a subscriber, and through the HTTP sink to a simulated MES that "
        "reads every message and confirms B2MML, all on the same cores; connecting is counted. "
        "Rates are per second of wall time and depend on the disk.")


def measure(folder, options):
    # The larger number fills the default spool of 256 MiB.
    results = 160_000 if options.full else 50_000
    with broker(folder) as (_, port):
        found = json.loads(output_of(BENCH, "spool", results, f"mqtt://127.0.0.1:{port}"))
    return [
        figure(NAME, "results in the spool", found["results"]),
        figure(NAME, "their size", found["bytes"] / 1e6, unit=" MB"),
        figure(NAME, "results written per second", found["written_per_s"]),
        figure(NAME, "results read per second", found["read_per_s"]),
        at_least(NAME, "results delivered to the broker per second", found["mqtt_per_s"], 10_000),
        at_least(NAME, "over HTTP, 50 in a request", found["http_batches_per_s"], 10_000),
        at_least(NAME, "over HTTP, one in a request", found["http_per_s"], 10_000),
        figure(NAME, "over HTTP, one in a request, B2MML as XML, each with a ConfirmBOD",
               found["http_b2mml_per_s"]),
    ]
