"""Against the script people write today."""

import json
import shutil
import subprocess
import sys
import time

import packages
from machine import ROOT, Gateway, Process, Skipped, free_port, simulated_load, until
from report import Row, at_least, figure

NAME = "Against a script (asyncua + onnxruntime + paho-mqtt)"
NOTE = ("`bench/script.py` and the gateway do the same work one after the other: the same "
        "simulated machine, model (MLP 10-64-64-1, a window of one sample), broker and "
        "subscriber. Rates are per CPU second of the process. `changes` only subscribes; "
        "`inferences` judges 50 assets of 10 points at each change and publishes every result "
        "with QoS 1 (the gateway keeps them in its spool until they are acknowledged, and "
        "publishes the whole result record). The gateway also at ten times the load.")


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
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if mosquitto is None:
        raise Skipped("mosquitto is not installed; apt-get install mosquitto")
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
    with Process(mosquitto, "-c", config):
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
    model = packages.perceptron(folder, [10, 64, 64, 1], samples=1)
    onnx = model / "model.onnx"
    rates = {}
    machine, url = simulated_load(500, 10)
    with machine:
        with Script(url, 50, 10, onnx, port) as script:
            rates["script"] = judged(script, script.counters, seconds, port, "script/#")
    machine, url = simulated_load(500, 10)
    with machine:
        rates["ours"] = ours(folder / "equal", url, 50, model, seconds, port)
    machine, url = simulated_load(5_000, 10)
    with machine:
        rates["ours, 10 × load"] = ours(folder / "ten", url, 500, model, seconds, port)
    most = {name: one for name, one in rates.items() if name != "ours"}
    p99 = {name: one["p99_ms"] for name, one in rates.items()}
    return [
        *both("inferences per CPU second", rates),
        at_least(NAME, "inferences: ours / script, equal load", ratio(rates), 10, "{:.1f}"),
        figure(NAME, "inferences: ours at 10 × the load / script",
               most["ours, 10 × load"]["per_cpu_s"] / most["script"]["per_cpu_s"], "{:.1f}"),
        *[figure(NAME, f"{name}: source to MQTT message, p99", one, "{:.1f}", " ms")
          for name, one in p99.items()],
        Row(NAME, "p99 at equal load", f"{p99['ours']:.1f} ms", f"< {p99['script']:.1f} ms",
            p99["ours"] < p99["script"]),
    ]


def ours(folder, url, assets, model, seconds, port):
    plant = packages.plant(folder, url, assets, 10, model, '{ on = "change" }',
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
