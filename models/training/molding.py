"""The simulated molding machine's parts as tables: exporting, splitting by seed, judging."""

import tomllib

import numpy as np

from . import simulated, windows

RELATIONS = simulated.ROOT / "crates/resonance-simulate/src/molding/relations.toml"
COVERAGE = 0.9
LABELS = ["light", "good", "heavy"]
# Another seed is another machine: another valve, other batches, other heaters that fail.
TRAIN = range(1, 25)
CALIBRATE = range(101, 105)
JUDGE = range(201, 207)
HOURS = 8.0
PERIOD_S = 2.0

# What the model sees of a part, by channel, with what it means. The profile is taken whole.
PROFILE = "Barrel.TemperatureProfile"
ZONES = 5
USED = {
    PROFILE: ("barrel-temperature-profile", "temperature", "CEL"),
    "Mould.TemperatureZone_1.ActualTemperature": ("mold-temperature", "temperature", "CEL"),
    "InjectionUnit_1.InjectionTime": ("injection-time", "time", "SEC"),
    "InjectionUnit_1.DosingTime": ("dosing-time", "time", "SEC"),
    "InjectionUnit_1.SpecificPressureMaximum": (
        "specific-pressure-maximum", "gauge_pressure", "BAR",
    ),
    "InjectionUnit_1.CavityPressureMaximum": ("cavity-pressure-maximum", "gauge_pressure", "BAR"),
    "InjectionUnit_1.CushionVolume": ("cushion-volume", "volume", "CMQ"),
    "InjectionUnit_1.PlastificationVolume": ("plastification-volume", "volume", "CMQ"),
}
CAVITY = ZONES + 4


def meaning(path):
    name, quantity, unit = USED[path]
    semantic_id = f"urn:resonance:injection-molding:{name}"
    return {"semantic_id": semantic_id, "quantity": quantity, "unit": unit}


def bounds_g():
    part = tomllib.loads(RELATIONS.read_text())["part"]
    return [part["good_from_g"], part["good_to_g"]]


def table(seeds):
    """Features and true weight of every part of these machines, as they stand when it is out."""
    rows, weights, _ = table_with_parts(seeds)
    return rows, weights


def table_with_parts(seeds):
    """As `table`, with the number of the row of the export, from 0, and the part's number."""
    rows, weights, parts = [], [], []
    for seed in seeds:
        columns = simulated.columns("injection-molding", HOURS, PERIOD_S, seed)
        counted = columns["Job.JobCycleCounter"]
        ends = np.flatnonzero(np.diff(counted, prepend=0) > 0)
        features = [columns[path][ends].reshape(len(ends), -1) for path in USED]
        rows.append(np.concatenate(features, axis=1).astype(np.float32))
        weights.append(columns["Simulation.TruePartWeight"][ends])
        parts.append(np.stack([ends, counted[ends]], axis=1).astype(int))
    return np.concatenate(rows), np.concatenate(weights), np.concatenate(parts)


def class_of(weight_g):
    return np.searchsorted(bounds_g(), weight_g, side="right")


def line_through(x, y):
    slope, offset = np.polyfit(x, y, 1)
    return lambda x: slope * x + offset


def judge(predict):
    """The figures of a predictor on machines it never saw. `predict` gives grams and the class for
    rows of features. Beside it: a constant, and a straight line through cavity pressure."""
    rows, truth = table(TRAIN)
    mean_g = float(truth.mean())
    by_pressure = line_through(rows[:, CAVITY].astype(float), truth)
    figures = {"parts_trained": len(truth), "rmse_training_g": windows.rmse(truth, predict(rows)[0])}
    rows, truth = table(CALIBRATE)
    half_width = windows.conformal_half_width(predict(rows)[0] - truth, COVERAGE)
    rows, truth = table(JUDGE)
    grams, classes = predict(rows)
    true_classes = class_of(truth)
    commonest = np.bincount(true_classes).argmax()
    lined = by_pressure(rows[:, CAVITY].astype(float))
    bad, alarm = true_classes != 1, classes != 1
    lined_alarm = class_of(lined) != 1
    figures |= {
        "parts_judged": len(truth),
        "rmse_g": windows.rmse(truth, grams),
        "rmse_cavity_pressure_g": windows.rmse(truth, lined),
        "rmse_constant_g": windows.rmse(truth, mean_g),
        "interval_half_width_g": half_width,
        "interval_coverage": np.mean(np.abs(truth - grams) <= half_width),
        "verdict_accuracy": np.mean(classes == true_classes),
        "verdict_cavity_pressure_accuracy": np.mean(class_of(lined) == true_classes),
        "verdict_constant_accuracy": np.mean(true_classes == commonest),
        "bad_parts_share": np.mean(bad),
        "bad_parts_found": np.mean(alarm[bad]),
        "bad_parts_found_by_cavity_pressure": np.mean(lined_alarm[bad]),
        "called_bad_that_were": np.mean(bad[alarm]) if alarm.any() else 0.0,
    }
    return {name: round(float(value), 5) for name, value in figures.items()}
