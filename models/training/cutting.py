"""The recorded milling runs: reading, what counts as cutting, judging run by run."""

import csv
import tomllib

import numpy as np

from . import turbofan, windows

RUNS = range(1, 15)
# Two short runs and a long one, of both feed rates and of both tool conditions.
HELD_OUT = [3, 8, 13]
LABELS = ["not cutting", "cutting"]
# The publisher's program runs the layers at 29.5, 28.5 and 27.5 mm and travels above them.
LAYER_BELOW_MM = 30.2
# What the controller reports as feed rate while it travels; no run cuts at it.
TRAVEL_FEED = 50
USED = [
    f"{axis}_{channel}"
    for axis in ("X", "Y", "S")
    for channel in ("CurrentFeedback", "OutputPower", "OutputVoltage")
]
SPEC = [(name, ["last"]) for name in USED]


def folder():
    return turbofan.shared() / "data" / "cnc-mill"


def sidecar():
    """The columns of the recording by name, as the replay describes them."""
    text = (turbofan.ROOT / "models/cnc-mill/replay.toml").read_text()
    return {column["name"]: column for column in tomllib.loads(text)["column"]}


def meaning(name):
    column = sidecar()[name]
    return {key: column.get(key) for key in ("semantic_id", "qualifier", "quantity", "unit")}


def load():
    """The runs by number: their columns by name, rows in the order of the file."""
    runs = {}
    for number in RUNS:
        with open(folder() / f"experiment_{number:02}.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        texts = ("Machining_Process", "INSPECT")
        runs[number] = {
            name: np.array([row[name] if name in texts else float(row[name]) for row in rows])
            for name in rows[0]
        }
    return runs


def is_cutting(columns):
    """Whether the tool is down in a layer at the program's cutting feed, row by row. Each run's
    positions are off by a constant, which its commanded acceleration at rest shows, too."""
    height_mm = columns["Z_ActualPosition"] - np.median(columns["Z_SetAcceleration"])
    return (columns["M_CURRENT_FEEDRATE"] != TRAVEL_FEED) & (height_mm < LAYER_BELOW_MM)


def table(runs, numbers, spec=SPEC):
    """Features and truth of every row of these runs."""
    features, truth = [], []
    for number in numbers:
        columns = runs[number]
        ends = np.arange(len(columns["M_CURRENT_FEEDRATE"]))
        features.append(windows.features_of(columns, spec, 1, ends))
        truth.append(is_cutting(columns))
    return np.concatenate(features), np.concatenate(truth)


def balanced(truth, answers):
    """The mean of the shares of both classes that were told right."""
    return float(np.mean([np.mean(answers[truth == kind] == kind) for kind in (False, True)]))


def threshold_kw(power, truth):
    """The bound on spindle power that tells the two classes best."""
    bounds = np.linspace(0.0, 0.25, 101)
    return bounds[int(np.argmax([balanced(truth, power > bound) for bound in bounds]))]


def judge_run(runs, others, number, predict, spec=SPEC):
    """On one run: accuracy and balanced accuracy of the predictor, of the best bound on spindle
    power, of the commonest class (bound and class by the other runs)."""
    rows, truth = table(runs, [number], spec)
    _, other_truth = table(runs, others, spec)
    bound = threshold_kw(np.concatenate([runs[n]["S_OutputPower"] for n in others]), other_truth)
    by_power = runs[number]["S_OutputPower"] > bound
    commonest = np.full(len(truth), other_truth.mean() > 0.5)
    answers = predict(rows)
    return [
        measure(truth, guesses)
        for guesses in (answers, by_power, commonest)
        for measure in (lambda truth, guesses: float(np.mean(truth == guesses)), balanced)
    ]


def figures_of(table, prefix):
    means = np.mean(table, axis=0)
    kinds = ["", "_power_bound", "_constant"]
    names = [f"{prefix}{kind}_{what}" for kind in kinds for what in ("accuracy", "balanced")]
    figures = dict(zip(names, means))
    figures[f"{prefix}_accuracy_worst_run"] = min(row[0] for row in table)
    return figures


def judge(predict, fit, spec=SPEC):
    """The figures: of the committed model on the runs it never saw (`predict`), and of its way of
    learning, leave-one-run-out over all runs (`fit` gives a predictor for rows and truth)."""
    runs = load()
    learned = [number for number in RUNS if number not in HELD_OUT]
    held_out = [judge_run(runs, learned, number, predict, spec) for number in HELD_OUT]
    each = []
    for number in RUNS:
        others = [other for other in RUNS if other != number]
        each.append(judge_run(runs, others, number, fit(*table(runs, others, spec)), spec))
    first = runs[1]
    named = np.char.startswith(first["Machining_Process"], "Layer")
    figures = figures_of(held_out, "held_out") | figures_of(each, "leave_one_run_out")
    figures["run_1_agreement_with_publisher"] = float(np.mean(is_cutting(first) == named))
    figures["rows"] = float(sum(len(run["S_OutputPower"]) for run in runs.values()))
    return {name: round(float(value), 4) for name, value in figures.items()}
