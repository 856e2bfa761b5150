"""Against the script people write today."""

import json
import subprocess
import sys
import time

import packages
from machine import ROOT, Gateway, Process, broker, simulated_load, until
from report import Row, at_least, figure

NAME = "Against a script (asyncua + onnxruntime + paho-mqtt)"
NOTE = ("`bench/script.py` and the gateway do the same work one after the other: the same "
        "simulated machine, model, broker and subscriber. Rates are per CPU second of the "
        "process. `changes` only subscribes; `inferences` judges 50 assets at each change, with "
        "a window of one sample, and publishes every result with QoS 1. The script judges all "
        "assets that a notification changed in one call of the session, and keeps nothing; the "
        "gateway keeps results in its spool until they are acknowledged, and publishes the whole "
        "result record. Most of the script's time goes into the changes, so the ratio depends on "
        "the inputs of the model: both 32 (MLP 32-64-64-4) and 10 (MLP 10-64-64-4) are measured. "
        "The gateway also at ten times the load of the latter, which the script cannot take: a "
        "burst of results costs less than results one by one. Source times sweep through the "
        "publishing interval of 100 ms (9.7 changes a second), so the age of a message is up to "
        "100 ms on either side.")
HZ = 9.7
ASSETS = 50


class Script(Process):
    """bench/script.py, which tells its counters when asked."""

    def __init__(self, *arguments):
        super().__init__(sys.executable, ROOT / "bench" / "script.py", *arguments)
        self.line("^ready")

    def counters(self):
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        return json.loads(self.line(r"^\{.*\}$")[0])


def gateway_counters(gateway):
    status = gateway.status()
    return {"changes": status["hub"]["observations"],
            "inferences": sum(each["inferences"] for each in status["deployments"])}


def measure(folder, options):
    seconds = 30 if options.full else 8
    with broker(folder) as (_, port):
        return changes(folder, seconds) + inferences(folder, seconds, port)


def changes(folder, seconds):
    rates = {}
    machine, url = simulated_load(10_000, 1.5)
    with machine:
        with Script(url, 100, 100) as script:
            rates["script"] = rate(script, script.counters, "changes", seconds)
    machine, url = simulated_load(10_000, 1.5)
    with machine:
        plant = packages.plant(folder / "changes", url, 100, 100, sampling_ms=0)
        with Gateway(plant) as ours:
            until(lambda: gateway_counters(ours)["changes"], 30, "the first change")
            rates["ours"] = rate(ours, lambda: gateway_counters(ours), "changes", seconds)
    return [
        *both("changes per CPU second", rates),
        at_least(NAME, "changes: ours / script, equal load", ratio(rates), 10, "{:.1f}"),
    ]


def inferences(folder, seconds, port):
    rows = []
    for inputs in (32, 10):
        model = packages.perceptron(folder, [inputs, 64, 64, 4], samples=1)
        rates = {}
        machine, url = simulated_load(ASSETS * inputs, HZ)
        with machine:
            with Script(url, ASSETS, inputs, model / "model.onnx", port) as script:
                rates["script"] = judged(script, script.counters, seconds, port, "script/#")
        machine, url = simulated_load(ASSETS * inputs, HZ)
        with machine:
            plant = folder / f"equal-{inputs}"
            rates["ours"] = ours(plant, url, ASSETS, inputs, model, seconds, port)
        rows += compared(inputs, rates)
    script = rates["script"]["per_cpu_s"]
    machine, url = simulated_load(10 * ASSETS * inputs, HZ)
    with machine:
        most = ours(folder / "ten", url, 10 * ASSETS, inputs, model, seconds, port)
    what = f"{inputs} inputs, inferences"
    return rows + [
        *both(f"{what} per CPU second", {"ours at 10 × the load": most}),
        figure(NAME, f"{what}: ours at 10 × the load / script", most["per_cpu_s"] / script,
               "{:.1f}"),
    ]


def compared(inputs, rates):
    what = f"{inputs} inputs, inferences"
    p99 = {name: one["p99_ms"] for name, one in rates.items()}
    return [
        *both(f"{what} per CPU second", rates),
        at_least(NAME, f"{what}: ours / script, equal load", ratio(rates), 10, "{:.1f}"),
        Row(NAME, f"{inputs} inputs, source to MQTT message, p99: ours, script",
            f"{p99['ours']:.1f} ms", f"< {p99['script']:.1f} ms", p99["ours"] < p99["script"]),
    ]


def ours(folder, url, assets, inputs, model, seconds, port):
    plant = packages.plant(folder, url, assets, inputs, model, '{ on = "change" }',
                           broker=f"mqtt://127.0.0.1:{port}", sampling_ms=0)
    with Gateway(plant) as gateway:
        until(gateway.inferences, 30, "the first prediction")
        found = judged(gateway, lambda: gateway_counters(gateway), seconds, port, "resonance/#")
        sink = gateway.status()["sinks"][0]
        if sink["dropped"]:
            raise RuntimeError(f"{sink['dropped']} results were dropped")
        return found


def judged(process, counters, seconds, port, topic):
    subscriber = subprocess.Popen(
        [sys.executable, str(ROOT / "bench" / "subscriber.py"), str(port), str(seconds + 1), topic],
        stdout=subprocess.PIPE, text=True)
    found = rate(process, counters, "inferences", seconds)
    return {**found, **json.loads(subscriber.communicate(timeout=60)[0])}


def rate(process, counters, what, seconds):
    time.sleep(1)
    before, cpu, started = counters(), process.cpu_s(), time.monotonic()
    time.sleep(seconds)
    done, cpu = counters()[what] - before[what], process.cpu_s() - cpu
    wall = time.monotonic() - started
    return {"per_cpu_s": done / cpu, "per_s": done / wall, "cores": cpu / wall}


def ratio(rates):
    return rates["ours"]["per_cpu_s"] / rates["script"]["per_cpu_s"]


def both(what, rates):
    return [Row(NAME, f"{name}: {what}",
                f"{one['per_cpu_s']:,.0f} ({one['per_s']:,.0f}/s on {one['cores']:.2f} cores)")
            for name, one in rates.items()]
