"""The simulated CNC's shifts as tables: exporting, splitting by seed, judging."""

import io
import os
import subprocess
import tomllib
from pathlib import Path

import numpy as np

from . import windows

ROOT = Path(__file__).resolve().parents[2]
RELATIONS = ROOT / "crates/resonance-simulate/src/cnc/relations.toml"
SAMPLES = 32
PERIOD_S = 0.1
STRIDE = 16
CUTTING = 3
COVERAGE = 0.9
LABELS = ["fresh", "usable", "worn", "replace"]

# Tools wear faster in most shifts, so that one hour shows many tools; forces, power and
# temperatures are those of the true relations. The last shifts wear as the relations say.
ACCELERATION = 12.0
TRAIN = range(1, 25)
CALIBRATE = range(101, 109)
JUDGE = range(201, 211)
JUDGE_TRUE_RATE = range(301, 305)
HOURS = 1.0
HOURS_TRUE_RATE = 2.0

# What the model sees, by channel: only means, and ranges that tell whether the cut changed within
# the window, so that little depends on how noisy or how fast a machine samples.
SPEC = [
    ("SpindleTorque", ["mean"]),
    ("SpindlePower", ["mean"]),
    ("SpindleVibration", ["mean"]),
    ("SpindleSpeed", ["mean", "range"]),
    ("FeedRate", ["mean", "range"]),
    ("DepthOfCut", ["mean"]),
    ("WidthOfCut", ["mean", "range"]),
    ("LoadX", ["mean"]),
    ("LoadY", ["mean"]),
    ("SpindleBearingTemperature", ["mean"]),
]
MEANINGS = {
    "SpindleTorque": ("urn:resonance:cnc:spindle:torque", "", "torque", "NU"),
    "SpindlePower": ("urn:resonance:cnc:spindle:power", "", "power", "KWT"),
    "SpindleVibration": ("urn:resonance:cnc:spindle:vibration-rms", "", "velocity", "C16"),
    "SpindleSpeed": ("urn:resonance:cnc:spindle:speed", "", "rotational_speed", "RPM"),
    "FeedRate": ("urn:resonance:cnc:path:feed-rate", "", "velocity", "H81"),
    "DepthOfCut": ("urn:resonance:cnc:process:axial-depth", "", "length", "MMT"),
    "WidthOfCut": ("urn:resonance:cnc:process:radial-width", "", "length", "MMT"),
    "LoadX": ("urn:resonance:cnc:axis:load", "X", "ratio", "P1"),
    "LoadY": ("urn:resonance:cnc:axis:load", "Y", "ratio", "P1"),
    "SpindleBearingTemperature": (
        "urn:resonance:cnc:spindle:bearing-temperature", "", "temperature", "CEL",
    ),
}


def meaning(name):
    keys = ("semantic_id", "qualifier", "quantity", "unit")
    return dict(zip(keys, MEANINGS[name]))


def relations():
    return tomllib.loads(RELATIONS.read_text())


def bounds_mm():
    wear = relations()["wear"]
    return [wear["fresh_below_mm"], wear["usable_below_mm"], wear["worn_below_mm"]]


def exporter():
    """The program that writes shifts of the simulated machine, built by `make models`."""
    default = ROOT / "target/fast/examples/export_cnc"
    return Path(os.environ.get("RESONANCE_EXPORT_CNC", default))


def shift(seed, hours, acceleration):
    """Columns of one shift, by channel."""
    arguments = [str(exporter()), str(hours), str(PERIOD_S), str(seed), str(acceleration)]
    text = subprocess.run(arguments, check=True, capture_output=True).stdout.decode()
    header = text[: text.index("\n")].strip().split(",")
    names = [name for name, _ in SPEC] + ["Execution", "TrueFlankWear"]
    places = [header.index(name) for name in names]
    table = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, usecols=places)
    return {name: table[:, at] for at, name in enumerate(names)}


def table(seeds, hours=HOURS, acceleration=ACCELERATION, spec=SPEC):
    """Features and true flank wear at the end of every window in which the machine cut."""
    features, wear, _ = table_with_rows(seeds, hours, acceleration, spec)
    return features, wear


def table_with_rows(seeds, hours=HOURS, acceleration=ACCELERATION, spec=SPEC):
    """As `table`, with the number of the row, from 0, at which each window ends."""
    features, wear, rows = [], [], []
    for seed in seeds:
        columns = shift(seed, hours, acceleration)
        cutting = np.cumsum(np.concatenate([[0], columns["Execution"] == CUTTING]))
        ends = np.arange(SAMPLES - 1, len(columns["Execution"]), STRIDE)
        ends = ends[cutting[ends + 1] - cutting[ends + 1 - SAMPLES] == SAMPLES]
        features.append(windows.features_of(columns, spec, SAMPLES, ends))
        wear.append(columns["TrueFlankWear"][ends])
        rows.append(ends)
    return np.concatenate(features), np.concatenate(wear), np.concatenate(rows)


def class_of(wear_mm):
    return np.searchsorted(bounds_mm(), wear_mm, side="right")


def judge(predict, spec=SPEC):
    """The figures of a predictor on shifts it never saw, beside a constant one's. `predict` gives
    the flank wear in mm and the class for rows of features."""
    rows, train_wear = table(TRAIN, spec=spec)
    train_mean_mm = float(train_wear.mean())
    figures = {
        "windows_trained": float(len(rows)),
        "rmse_training_mm": windows.rmse(train_wear, predict(rows)[0]),
    }
    rows, truth = table(CALIBRATE, spec=spec)
    half_width = windows.conformal_half_width(predict(rows)[0] - truth, COVERAGE)
    figures["interval_half_width_mm"] = half_width
    tests = {"": (JUDGE, HOURS, ACCELERATION), "_true_rate": (JUDGE_TRUE_RATE, HOURS_TRUE_RATE, 1.0)}
    for suffix, (seeds, hours, acceleration) in tests.items():
        rows, truth = table(seeds, hours, acceleration, spec)
        wear, classes = predict(rows)
        true_classes = class_of(truth)
        commonest = np.bincount(true_classes).argmax()
        figures |= {
            f"rmse{suffix}_mm": windows.rmse(truth, wear),
            f"rmse{suffix}_constant_mm": windows.rmse(truth, train_mean_mm),
            f"interval{suffix}_coverage": float(np.mean(np.abs(truth - wear) <= half_width)),
            f"class{suffix}_accuracy": float(np.mean(classes == true_classes)),
            f"class{suffix}_constant_accuracy": float(np.mean(true_classes == commonest)),
            f"windows{suffix}_judged": float(len(truth)),
        }
        if not suffix:
            worn_out = true_classes == len(LABELS) - 1
            figures["replace_recall"] = float(np.mean(classes[worn_out] == len(LABELS) - 1))
            alarm = classes == len(LABELS) - 1
            figures["replace_precision"] = float(np.mean(worn_out[alarm])) if alarm.any() else 0.0
    return {name: round(value, 5) for name, value in figures.items()}
