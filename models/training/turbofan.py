"""Run-to-failure data of turbofan engines (C-MAPSS FD001): reading, splitting, judging."""

import os
from pathlib import Path

import numpy as np

from . import windows

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = 30
CLIP = 125.0
COVERAGE = 0.9
SPLIT_SEED = 20261121
TRUNCATION_SEED = 7
TRUNCATIONS = 200

# Names, meanings and units by Saxena et al. 2008, table 2. `None`: no UNECE unit is known to us.
SENSORS = [
    ("T2", "total temperature at the fan inlet", "temperature", "A48"),
    ("T24", "total temperature at the low pressure compressor outlet", "temperature", "A48"),
    ("T30", "total temperature at the high pressure compressor outlet", "temperature", "A48"),
    ("T50", "total temperature at the low pressure turbine outlet", "temperature", "A48"),
    ("P2", "pressure at the fan inlet", "absolute_pressure", "PS"),
    ("P15", "total pressure in the bypass duct", "absolute_pressure", "PS"),
    ("P30", "total pressure at the high pressure compressor outlet", "absolute_pressure", "PS"),
    ("Nf", "physical fan speed", "rotational_speed", "RPM"),
    ("Nc", "physical core speed", "rotational_speed", "RPM"),
    ("epr", "engine pressure ratio P50 / P2", "dimensionless", "C62"),
    ("Ps30", "static pressure at the high pressure compressor outlet", "absolute_pressure", "PS"),
    ("phi", "ratio of fuel flow to Ps30, lb/s per lbf/in2", None, None),
    ("NRf", "corrected fan speed", "rotational_speed", "RPM"),
    ("NRc", "corrected core speed", "rotational_speed", "RPM"),
    ("BPR", "bypass ratio", "dimensionless", "C62"),
    ("farB", "burner fuel-air ratio", "dimensionless", "C62"),
    ("htBleed", "bleed enthalpy", None, None),
    ("Nf_dmd", "demanded fan speed", "rotational_speed", "RPM"),
    ("PCNfR_dmd", "demanded corrected fan speed", "rotational_speed", "RPM"),
    ("W31", "high pressure turbine coolant bleed", "mass_flow", "K81"),
    ("W32", "low pressure turbine coolant bleed", "mass_flow", "K81"),
]
# The sensors that vary in this data set; the other seven are constant, but for rounding.
USED = [
    "T24", "T30", "T50", "P30", "Nf", "Nc", "Ps30", "phi", "NRf", "NRc", "BPR", "htBleed", "W31",
    "W32",
]


def semantic_id(name):
    return f"urn:resonance:turbofan:{name.lower().replace('_', '-')}"


def meaning(name):
    _, _, quantity, unit = next(sensor for sensor in SENSORS if sensor[0] == name)
    return {"semantic_id": semantic_id(name), "quantity": quantity, "unit": unit}


def shared():
    return Path(os.environ.get("RESONANCE_SHARED", ROOT.parent / "shared"))


def load():
    """The units: a list of (unit number, columns by name), each from its first cycle to failure."""
    table = np.loadtxt(shared() / "data" / "turbofan" / "train_FD001.txt")
    names = ["unit", "cycle", "setting1", "setting2", "setting3"] + [s[0] for s in SENSORS]
    units = []
    for unit in np.unique(table[:, 0]):
        rows = table[table[:, 0] == unit]
        units.append((int(unit), {name: rows[:, at] for at, name in enumerate(names)}))
    return units


def split(units):
    """70 units to train, 10 to calibrate the interval, 20 to judge; whole units only."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(units))
    pick = lambda numbers: [units[at] for at in sorted(numbers)]
    return pick(order[:70]), pick(order[70:80]), pick(order[80:])


def held_out(units):
    """The numbers of the units to judge by, as the manifest names them."""
    _, _, judged = split(units)
    return [str(number) for number, _ in judged]


def table(units, spec):
    """Features, remaining cycles (clipped) and the place of the unit, for every full window."""
    features, remaining, owner = [], [], []
    for place, (_, columns) in enumerate(units):
        count = len(columns["cycle"])
        ends = np.arange(SAMPLES - 1, count)
        features.append(windows.features_of(columns, spec, SAMPLES, ends))
        remaining.append(np.minimum(count - 1 - ends, CLIP))
        owner.append(np.full(len(ends), place))
    return np.concatenate(features), np.concatenate(remaining), np.concatenate(owner)


def truncated_rmse(truth, answers, owner):
    """Root mean square error where each unit is seen once, cut off at a random cycle, as in the
    literature's test: mean and deviation over many random cuts of all units."""
    chance = np.random.default_rng(TRUNCATION_SEED)
    places = [np.flatnonzero(owner == unit) for unit in np.unique(owner)]
    errors = []
    for _ in range(TRUNCATIONS):
        rows = np.array([chance.choice(place) for place in places])
        errors.append(windows.rmse(truth[rows], answers[rows]))
    return float(np.mean(errors)), float(np.std(errors))


def judge(predict, spec):
    """The figures of a predictor on units it never saw, beside a constant one's."""
    units = load()
    train, calibrate, test = split(units)
    _, train_truth, _ = table(train, spec)
    rows, truth, _ = table(calibrate, spec)
    half_width = windows.conformal_half_width(predict(rows) - truth, COVERAGE)
    rows, truth, owner = table(test, spec)
    answers = predict(rows)
    constant = np.full(len(truth), train_truth.mean())
    cut, cut_deviation = truncated_rmse(truth, answers, owner)
    constant_cut, _ = truncated_rmse(truth, constant, owner)
    late = truth <= 50
    figures = {
        "rmse_cycles": windows.rmse(truth, answers),
        "rmse_constant_cycles": windows.rmse(truth, constant),
        "rmse_truncated_cycles": cut,
        "rmse_truncated_deviation_cycles": cut_deviation,
        "rmse_truncated_constant_cycles": constant_cut,
        "rmse_last_50_cycles": windows.rmse(truth[late], answers[late]),
        "mean_absolute_error_cycles": float(np.mean(np.abs(truth - answers))),
        "interval_half_width_cycles": half_width,
        "interval_coverage": float(np.mean(np.abs(truth - answers) <= half_width)),
        "windows_judged": float(len(truth)),
    }
    return {name: round(value, 4) for name, value in figures.items()}
