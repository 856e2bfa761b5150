"""The simulated coating line as tables: exporting, splitting by seed, judging."""

import tomllib

import numpy as np

from . import simulated, windows

SAMPLES = 30
PERIOD_S = 1.0
STRIDE = 15
HOURS = 24.0
LABELS = ["normal", "anomalous"]
# Another seed is another line. The first learn what is normal, the next set the threshold.
TRAIN = range(1, 9)
CALIBRATE = range(101, 109)
JUDGE = range(201, 209)
# False alarms that the calibration allows.
FALSE_ALARMS_PER_HOUR = 0.1
RELATIONS = tomllib.loads(
    (simulated.ROOT / "crates/resonance-simulate/src/coating/relations.toml").read_text()
)
# The one fault that outlasts itself: the material comes back with its time constant. After five
# of them less than a hundredth is left of what it was off. All others end when they are mended.
HEATER = 4
TIME_CONSTANTS = 5
SETTLES_S = TIME_CONSTANTS * RELATIONS["material"]["time_constant_s"]
# An alarm begins when this many windows in a row are anomalous, for judging only.
ALARM_WINDOWS = 2

MEANINGS = {
    "Material.Viscosity": ("material:viscosity", "dynamic_viscosity", "C24"),
    "Material.Temperature": ("material:temperature", "temperature", "CEL"),
    "Spray.Pressure": ("spray:pressure", "gauge_pressure", "BAR"),
    "Spray.Flow": ("spray:flow", "volume_flow", "L2"),
    "Booth.Temperature": ("booth:temperature", "temperature", "CEL"),
    "Line.Speed": ("line:speed", "velocity", "2X"),
    "Film.Thickness": ("film:thickness", "length", "4H"),
}
SPEC = [
    ("Material.Viscosity", ["mean"]),
    ("Material.Temperature", ["mean"]),
    ("Spray.Pressure", ["mean", "std_dev"]),
    ("Spray.Flow", ["mean"]),
    ("Booth.Temperature", ["mean"]),
    ("Line.Speed", ["mean"]),
    ("Film.Thickness", ["mean"]),
]


def meaning(path):
    name, quantity, unit = MEANINGS[path]
    return {"semantic_id": f"urn:resonance:coating:{name}", "quantity": quantity, "unit": unit}


def settling(faults):
    """The samples at which the material still comes back after its heater failed."""
    found = np.zeros(len(faults), bool)
    for mended in np.flatnonzero((faults[:-1] == HEATER) & (faults[1:] != HEATER)) + 1:
        found[mended : mended + round(SETTLES_S / PERIOD_S)] = True
    return found


def labels_of(faults, ends):
    """The true fault of every window, 0 without one, and -1 where it is neither: it begins in a
    fault or while the material settles, and ends in no fault. A fault that comes while the
    material settles is left out whole: nobody could tell what an alarm in it is about."""
    begins = ends - SAMPLES + 1
    settles = settling(faults)
    fault = faults[ends].astype(int)
    after = (fault == 0) & ((faults[begins] != 0) | settles[begins])
    fault = np.where(after, -1, fault)
    for begin, end in episodes(fault):
        if settles[ends[begin]]:
            fault[begin:end] = -1
    return fault


def line(seed):
    """Features and the label of every window of one line, and the row at which it ends."""
    columns = simulated.columns("coating-line", HOURS, PERIOD_S, seed)
    ends = np.arange(SAMPLES - 1, len(columns["time_s"]), STRIDE)
    features = windows.features_of(columns, SPEC, SAMPLES, ends)
    return features, labels_of(columns["Simulation.TrueFault"], ends), ends


def lines(seeds):
    return [line(seed) for seed in seeds]


def normal_rows(parts):
    return np.concatenate([features[fault == 0] for features, fault, _ in parts])


def alarms(anomalous):
    """Where an alarm begins: the window that makes enough anomalous ones in a row."""
    lasting = np.convolve(anomalous, np.ones(ALARM_WINDOWS), "full")[: len(anomalous)]
    on = lasting >= ALARM_WINDOWS
    return np.flatnonzero(on & ~np.concatenate([[False], on[:-1]]))


def false_alarms_per_hour(parts, scores, threshold):
    """Alarms while nothing is wrong, per hour in which nothing is wrong. Windows that are left out
    end an alarm: what goes on after them counts anew."""
    count, hours = 0, 0.0
    for (_, fault, _), score in zip(parts, scores):
        begins = alarms((score >= threshold) & (fault == 0))
        count += len(begins)
        hours += np.sum(fault == 0) * STRIDE * PERIOD_S / 3600
    return count / hours


def threshold(parts, scores):
    """The least bound that keeps false alarms of these lines to what is allowed."""
    normal = np.concatenate([score[fault == 0] for (_, fault, _), score in zip(parts, scores)])
    for bound in np.quantile(normal, np.linspace(0.99, 1.0, 2001)):
        if false_alarms_per_hour(parts, scores, bound) <= FALSE_ALARMS_PER_HOUR:
            return float(bound)
    return float(normal.max())


def roc_auc(normal, anomalous):
    """The probability that an anomalous window scores higher than a normal one."""
    both = np.concatenate([normal, anomalous])
    order = np.argsort(both, kind="stable")
    ranks = np.empty(len(both))
    ranks[order] = np.arange(1, len(both) + 1)
    # Equal scores share their ranks.
    _, inverse, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.bincount(inverse, ranks) / counts)[inverse]
    above = ranks[len(normal) :].sum() - len(anomalous) * (len(anomalous) + 1) / 2
    return float(above / (len(normal) * len(anomalous)))


def episodes(fault):
    """Where each fault begins and ends, in windows."""
    wrong = fault > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wrong, [False]]).astype(int)))
    return list(zip(edges[::2], edges[1::2]))


def figures_of(parts, scores, bound, prefix=""):
    normal = np.concatenate([s[f == 0] for (_, f, _), s in zip(parts, scores)])
    wrong = np.concatenate([s[f > 0] for (_, f, _), s in zip(parts, scores)])
    found, delays = [], []
    for (_, fault, _), score in zip(parts, scores):
        for begin, end in episodes(fault):
            hits = alarms(score[begin:end] >= bound)
            found.append(len(hits) > 0)
            if len(hits):
                delays.append(hits[0] * STRIDE * PERIOD_S / 60)
    return {
        f"{prefix}roc_auc": roc_auc(normal, wrong),
        f"{prefix}false_alarms_per_hour": false_alarms_per_hour(parts, scores, bound),
        f"{prefix}faults_found": np.mean(found),
        f"{prefix}minutes_to_alarm": np.median(delays) if delays else 0.0,
        f"{prefix}windows_found": np.mean(wrong >= bound),
    }


def single_scores(parts, centre, scale, at):
    return [np.abs((features[:, at] - centre[at]) / scale[at]) for features, _, _ in parts]


def judge(score):
    """The figures of a scorer (1 is its threshold) on lines it never saw, beside the best single
    feature with a bound set in the same way, and a constant."""
    learned = lines(TRAIN)
    normal = normal_rows(learned).astype(float)
    centre, scale = normal.mean(axis=0), normal.std(axis=0)
    calibrate, parts = lines(CALIBRATE), lines(JUDGE)
    scores = [score(features) for features, _, _ in parts]
    figures = figures_of(parts, scores, 1.0)
    names = [f"{path} {what}" for path, statistics in SPEC for what in statistics]
    singles = []
    for at, name in enumerate(names):
        bound = threshold(calibrate, single_scores(calibrate, centre, scale, at))
        singles.append(
            figures_of(parts, single_scores(parts, centre, scale, at), bound, "single_")
        )
        singles[-1]["single_feature"] = at
    # The best by its own result on the judged lines: it is given that advantage.
    figures |= max(singles, key=lambda single: single["single_roc_auc"])
    faults = np.concatenate([fault for _, fault, _ in parts])
    judged = faults[faults >= 0]
    trained = np.concatenate([fault for _, fault, _ in learned])
    figures |= {
        "constant_roc_auc": 0.5,
        "faults_judged": sum(len(episodes(fault)) for _, fault, _ in parts),
        "hours_judged": len(judged) * STRIDE * PERIOD_S / 3600,
        "windows_judged": len(judged),
        "share_of_windows_with_a_fault": np.mean(judged > 0),
        "share_of_windows_left_out": np.mean(faults < 0),
        "share_left_out_of_training": np.mean(trained < 0),
        "left_out_called_anomalous": np.mean(np.concatenate(scores)[faults < 0] >= 1.0),
    }
    return {name: round(float(value), 5) for name, value in figures.items()}


def name_of(at):
    """`Spray.Flow, mean`, for the number of a feature."""
    names = [f"{path}, {what}" for path, statistics in SPEC for what in statistics]
    return names[int(at)]
