"""Many OPC UA sessions at once, some of them with machines that hang."""

import contextlib
import socketserver
import threading
import time

import packages
from machine import Gateway, simulated_load, until
from report import at_least, at_most, figure

NAME = "500 OPC UA sessions"
NOTE = ("450 sources of 200 points each, every point changing six times a second, and 50 "
        "whose machines accept the connection and hang: half of them at once, half after the "
        "first message. Five simulated machines share the cores with the gateway. No session "
        "with a machine that answers may lose anything or lag behind what its machine says; the "
        "rate in all has an aim.")
SESSIONS, HANGING, POINTS, HZ = 500, 50, 200, 6
MACHINES = 5
# Acknowledge (OPC 10000-6, 7.1.2): version 0, buffers of 64 KiB, no limits.
ACKNOWLEDGE = bytes([*b"ACKF", 28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, *bytes(8)])


def measure(folder, options):
    seconds = 60 if options.full else 20
    with contextlib.ExitStack() as stack:
        machines, urls = [], []
        for _ in range(MACHINES):
            machine, url = simulated_load(POINTS, HZ)
            machines.append(stack.enter_context(machine))
            urls.append(url)
        hanging = [stack.enter_context(hang(answer)) for answer in (b"", ACKNOWLEDGE)]
        good = SESSIONS - HANGING
        each = [urls[at % MACHINES] for at in range(good)]
        each += [hanging[at % len(hanging)] for at in range(HANGING)]
        plant = packages.plant(folder / "plant", each, SESSIONS, POINTS, sampling_ms=0,
                               queue_size=64)
        gateway = stack.enter_context(Gateway(plant))
        until(lambda: connected(gateway.status()) >= good, 120, f"contact with {good} machines")
        contact = time.monotonic() - gateway.started
        time.sleep(3)
        before, started = gateway.status(), time.monotonic()
        cpu, machines_cpu = gateway.cpu_s(), sum(machine.cpu_s() for machine in machines)
        time.sleep(seconds)
        after, wall = gateway.status(), time.monotonic() - started
        cpu = gateway.cpu_s() - cpu
        machines_cpu = sum(machine.cpu_s() for machine in machines) - machines_cpu
        resident, _ = gateway.rss_mb()
    return rows(before, after, wall, good) + [
        figure(NAME, "seconds to contact with all that answer", contact, "{:.1f}", " s"),
        figure(NAME, "gateway's processor", 100 * cpu / wall, unit=" %"),
        figure(NAME, "machines' processors", 100 * machines_cpu / wall, unit=" %"),
        figure(NAME, "gateway's memory", resident, unit=" MB"),
    ]


def connected(status):
    return sum(source["connection"] == "connected" for source in status["sources"])


def rows(before, after, wall, good):
    rates = [(new["observations"] - old["observations"]) / wall
             for old, new in zip(before["sources"][:good], after["sources"][:good])]
    lost = sum(source[key] for source in after["sources"][:good]
               for key in ("gaps", "sequence_gaps", "overflows", "reconnects"))
    said = POINTS * HZ
    return [
        at_least(NAME, f"changes per second in all, {wall:.0f} s", sum(rates), 500_000),
        figure(NAME, "of what the machines say", 100 * sum(rates) / (said * good), "{:.1f}", " %"),
        at_least(NAME, "the slowest session, of what its machine says",
                 100 * min(rates) / said, 95, "{:.1f}", " %"),
        at_most(NAME, "gaps, overflows and reconnects of machines that answer", lost, 0),
        at_most(NAME, "observations of machines that hang",
                sum(source["observations"] for source in after["sources"][good:]), 0),
    ]


class Hanging(socketserver.ThreadingTCPServer):
    """Accepts, perhaps answers once, and then never again."""

    allow_reuse_address, daemon_threads, request_queue_size = True, True, 256


@contextlib.contextmanager
def hang(answer):
    class Connection(socketserver.BaseRequestHandler):
        def handle(self):
            answered = False
            with contextlib.suppress(OSError):
                while self.request.recv(4096):
                    if answer and not answered:
                        self.request.sendall(answer)
                        answered = True

    with Hanging(("127.0.0.1", 0), Connection) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"opc.tcp://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
