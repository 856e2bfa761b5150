"""Processes under measurement, and what the system says they cost."""

import contextlib
import json
import os
import platform
import queue
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "target" / "fast"
RESONANCE = BUILT / "resonance"
BENCH = BUILT / "resonance-bench"
READ_LOAD = BUILT / "examples" / "read_load"
TICKS = os.sysconf("SC_CLK_TCK")


class Skipped(Exception):
    """A benchmark cannot be run here; says what is missing and how to get it."""


class Process:
    """A child process whose lines of output can be awaited; ended at the end of a `with`."""

    def __init__(self, *command, env=None, cwd=None):
        self.command = [str(part) for part in command]
        self.lines = queue.Queue()
        self.said = []
        self.child = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
            env={**os.environ, **(env or {})}, cwd=cwd,
        )
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self):
        for line in self.child.stdout:
            self.said.append(line)
            self.lines.put(line)
        self.lines.put(None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(10)
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()

    def line(self, pattern, seconds=60):
        """The first match of a pattern in what the process says from now on."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self.lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                break
            if match := re.search(pattern, line):
                return match
        raise RuntimeError(
            f"{' '.join(self.command[:3])} never said {pattern!r} but:\n" + "".join(self.said[-20:])
        )

    def cpu_s(self):
        """User and system time of all its threads so far."""
        stat = Path(f"/proc/{self.child.pid}/stat").read_text()
        fields = stat.rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss_mb(self):
        """Resident memory, in 10^6 bytes, and the part of it that files back (libraries)."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        kb = {key: int(value) for key, value in re.findall(r"^(\w+):\s+(\d+) kB$", status, re.M)}
        return kb["VmRSS"] * 1.024e-3, kb["RssFile"] * 1.024e-3

    def library_mb(self, name):
        """Resident memory of mapped files with `name` in their path, in 10^6 bytes."""
        total, inside = 0, False
        for line in Path(f"/proc/{self.child.pid}/smaps").read_text().splitlines():
            if re.match(r"^[0-9a-f]+-[0-9a-f]+ ", line):
                inside = name in line
            elif inside and line.startswith("Rss:"):
                total += int(line.split()[1])
        return total * 1.024e-3


class Gateway(Process):
    """`resonance run`, with the addresses of its servers and its status."""

    def __init__(self, plant, opcua=False, grpc=False):
        self.started = time.monotonic()
        super().__init__(RESONANCE, "run", plant)
        self.urls = {}
        for _ in range(1 + opcua + grpc):
            found = self.line(r"^(opcua|http|grpc) server at (\S+)")
            self.urls[found[1]] = found[2]

    def status(self):
        with urllib.request.urlopen(self.urls["http"] + "/api/v1/status", timeout=10) as answer:
            return json.load(answer)

    def inferences(self):
        return sum(each["inferences"] for each in self.status()["deployments"])


@contextlib.contextmanager
def broker(folder):
    """A mosquitto that drops nothing, and its port."""
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if mosquitto is None:
        raise Skipped("mosquitto is not installed; apt-get install mosquitto")
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
    with Process(mosquitto, "-c", config) as process:
        process.line("running")
        yield process, port


def simulated_load(points, hz):
    """`resonance simulate load` on a free port, and its address."""
    machine = Process(
        RESONANCE, "simulate", "load", "--points", points, "--hz", hz,
        "--listen", "opc.tcp://127.0.0.1:0", "--format", "json",
    )
    return machine, json.loads(machine.line(r"^\{.*\}$")[0])["url"]


def output_of(*command, seconds=120, env=None):
    """What a program prints; an error with its words where it fails."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=seconds,
        env={**os.environ, **(env or {})},
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command[:3]))}: {done.stderr or done.stdout}")
    return done.stdout


def until(condition, seconds, what):
    """Polls until a condition gives something true; returns it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.005)
    raise RuntimeError(f"{what} did not happen within {seconds} s")


def free_port():
    """For programs that cannot take port 0 and tell which they got."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def description():
    """The machine that the figures hold for."""
    processor = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.M)
    return {
        "processor": processor[1] if processor else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory[1]) * 1.024e-6, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
