"""Trains the anomaly detector on the simulated coating line and writes its package.

    cargo build --profile fast -p resonance-simulate --example export_machine
    python models/coating-anomaly/train.py

The data comes from the simulator's stated relations (relations.toml in resonance-simulate), by its
own implementation. Everything is seeded: training twice gives the same files.
"""

import os
import sys
from pathlib import Path

# Sums in several threads are added in another order each time.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from training import coating, package  # noqa: E402

FOLDER = Path(__file__).resolve().parent
SCORE_MAX = 100.0
DESCRIPTION = (
    "How unusual the last 30 seconds of the simulated coating line are, from viscosity, "
    "temperatures, spray pressure, flow, speed and film thickness together: 1 is the threshold of "
    "an alarm. Learned from a simulation; it knows nothing of any real line."
)


def fit(rows):
    """Scaling and whitening of normal operation: the squared length of what they make of a row is
    how unusual it is (Hotelling's T squared over all principal components)."""
    scaler = StandardScaler().fit(rows)
    pca = PCA(whiten=True, svd_solver="full").fit(scaler.transform(rows))
    whitening = (pca.components_ / np.sqrt(pca.explained_variance_)[:, None]).T
    return scaler.mean_, scaler.scale_, whitening


def squared_length(fitted, rows):
    centre, scale, whitening = fitted
    return np.sum((((rows.astype(float) - centre) / scale) @ whitening) ** 2, axis=1)


def export(fitted, bound):
    """score = |whitened row|^2 / bound, at most SCORE_MAX; anomalous from 1 on."""
    centre, scale, whitening = (np.asarray(part, np.float32) for part in fitted)
    columns = len(centre)
    constants = {
        "centre": centre.reshape(1, -1),
        "scale": scale.reshape(1, -1),
        "whitening": whitening,
        "bound": np.float32(bound).reshape(1, 1),
        "least": np.float32(0.0),
        "most": np.float32(SCORE_MAX),
    }
    axes = helper.make_tensor("along", TensorProto.INT64, [1], [1])
    nodes = [
        ("Sub", ["features", "centre"], "centred"),
        ("Div", ["centred", "scale"], "scaled"),
        ("MatMul", ["scaled", "whitening"], "white"),
        ("Mul", ["white", "white"], "squares"),
        ("ReduceSum", ["squares", "along"], "length"),
        ("Div", ["length", "bound"], "ratio"),
        ("Clip", ["ratio", "least", "most"], "score"),
    ]
    tensors = [
        helper.make_tensor(name, TensorProto.FLOAT, value.shape, value.ravel().tolist())
        for name, value in constants.items()
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output]) for kind, inputs, output in nodes],
        "model",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, columns])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [*tensors, axes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    package.add_classes(model, "score", [1.0], "anomalous")
    package.strip_metadata(model, DESCRIPTION)
    return model


def golden_rows(runner):
    """Of a judged line windows without a fault and, of each kind of fault, one late in it."""
    seed = coating.JUDGE[0]
    rows, faults, ends = coating.line(seed)
    score = runner.run(None, {"features": rows})[0].ravel()
    picked = []
    for fault in range(faults.max() + 1):
        sure = score < 0.7 if fault == 0 else (score > 1.5) & (score < 50)
        places = np.flatnonzero((faults == fault) & sure)
        for place in [places[at] for at in (0, len(places) // 2, -1) if len(places)]:
            label = coating.LABELS[int(fault > 0)]
            name = f"{label}; seed {seed}; row {ends[place]}; fault {fault}"
            picked.append((name, rows[place]))
    return picked


def manifest(figures):
    features = [(coating.meaning(path), statistics) for path, statistics in coating.SPEC]
    columns = sum(len(statistics) for _, statistics in coating.SPEC)
    labels = ", ".join(f'"{label}"' for label in coating.LABELS)
    return f'''# Written by train.py; change that instead.
format = 1
name = "coating-anomaly"
version = "1.1.0"
category = "anomaly_detection"
description = "{DESCRIPTION}"
licence = "Apache-2.0"
model = "model.onnx"
latency_budget_us = 1000
valid_for_ms = 30000

[training]
data = "simulated"
dataset = "Simulated coating line of resonance-simulate by its stated relations (coating/relations.toml); split by seed: {len(coating.TRAIN)} days without their faults to train, {len(coating.CALIBRATE)} to set the threshold, {len(coating.JUDGE)} to judge"

[training.figures]
{package.figures_toml(figures)}

[window]
samples = {coating.SAMPLES}
period_ms = {round(1000 * coating.PERIOD_S)}

[tolerance]
absolute = 1e-4
relative = 1e-3

[[input]]
name = "features"
element = "FP32"
shape = [-1, {columns}]

{package.features_toml(features)}
[[output]]
name = "score"
element = "FP32"
shape = [-1, 1]

[[output.value]]
name = "anomaly_score"
element = 0
semantic_id = "urn:resonance:coating:anomaly-score"
quantity = "dimensionless"
unit = "C62"
range = [0.0, {SCORE_MAX}]

[[output]]
name = "anomalous"
element = "INT64"
shape = [-1, 1]

[[output.value]]
name = "anomalous"
element = 0
semantic_id = "urn:resonance:coating:anomalous"
labels = [{labels}]
'''


def card(figures):
    f = figures
    return f"""# coating-anomaly 1.1.0

{DESCRIPTION}

**Trained on a simulation, for that simulation.** Normal operation and faults are those of the
simulated coating line of `resonance-simulate`, by the relations stated in its
`coating/relations.toml`: viscosity over temperature and solids, flow over pressure and viscosity,
transfer over pressure and booth, film thickness from all of them. Forms are those of textbooks,
figures were chosen, faults too. It shows that a chain from machine to result works; it says nothing
about how well faults of a real line would be found.

## Training
{len(coating.TRAIN)} simulated days of other seeds, windows in a fault left out. Window: {coating.SAMPLES} samples,
{coating.PERIOD_S:.0f} s apart; means of seven channels and the deviation of the spray pressure. Model: standard scaling,
principal components whitened (scikit-learn); the score is the squared length of what remains, as a
share of the threshold. The threshold was set on {len(coating.CALIBRATE)} further days, for {coating.FALSE_ALARMS_PER_HOUR} false alarms an hour where
an alarm is {coating.ALARM_WINDOWS} windows in a row, {coating.STRIDE * coating.PERIOD_S:.0f} s apart.

Neither normal nor faulty, so left out of training, threshold and figures, are windows that begin in a
fault and end after it, and, after the heater failed, the {coating.SETTLES_S / 60:.0f} minutes in which the material comes back:
{coating.TIME_CONSTANTS} of its time constants of {coating.RELATIONS["material"]["time_constant_s"]:.0f} s, by the relations. No other fault outlasts its mending there. A fault
that comes within those minutes is left out whole, for an alarm might be about what came before. Left
out were {f["share_left_out_of_training"]:.1%} of the windows to train and {f["share_of_windows_left_out"]:.1%} of those to judge; of the latter the model calls
{f["left_out_called_anomalous"]:.1%} anomalous, so expect alarms after a heater was mended, too.

## Figures on {len(coating.JUDGE)} days of lines never seen ({f["faults_judged"]:.0f} faults, {f["windows_judged"]:.0f} windows judged)
| | this model | best single feature ({coating.name_of(f["single_feature"])}) | constant |
| --- | --- | --- | --- |
| ROC AUC, windows in a fault against windows without | {f["roc_auc"]} | {f["single_roc_auc"]} | 0.5 |
| false alarms an hour | {f["false_alarms_per_hour"]} | {f["single_false_alarms_per_hour"]} | 0 |
| faults found | {f["faults_found"]:.1%} | {f["single_faults_found"]:.1%} | 0 % |
| median minutes from a fault's beginning to its alarm | {f["minutes_to_alarm"]} | {f["single_minutes_to_alarm"]} | |
| windows in a fault called so | {f["windows_found"]:.1%} | {f["single_windows_found"]:.1%} | 0 % |

False alarms are counted anew on the judged days: the {coating.FALSE_ALARMS_PER_HOUR} an hour that the threshold was set for hold on
its own days only. Faults grow over eight minutes, so their first windows look normal and count against every row.
{f["share_of_windows_with_a_fault"]:.1%} of these windows were in a fault. The single feature's bound was set like the model's; which
one is best was chosen on the judged days, which flatters it.

## Do not
- use it on a real line, or with another material or nozzle;
- read the score as a probability, or as the kind of fault: it only says how unusual the line is.
"""


def main():
    fitted = fit(coating.normal_rows(coating.lines(coating.TRAIN)).astype(float))
    calibrate = coating.lines(coating.CALIBRATE)
    lengths = [squared_length(fitted, features) for features, _, _ in calibrate]
    bound = coating.threshold(calibrate, lengths)
    model = export(fitted, bound)
    runner = package.session(model.SerializeToString())
    score = lambda rows: runner.run(None, {"features": rows})[0].ravel()
    rows = calibrate[0][0]
    expected = np.minimum(squared_length(fitted, rows) / bound, SCORE_MAX)
    difference = float(np.max(np.abs(score(rows) - expected) / (1 + expected)))
    if difference > 1e-3:
        raise SystemExit(f"ONNX Runtime answers up to {difference:.1%} beside scikit-learn")
    figures = coating.judge(score)
    vectors = package.golden(model.SerializeToString(), golden_rows(runner))
    package.write(FOLDER, model, manifest(figures), vectors, card(figures))
    print(f"coating-anomaly: {figures}; ONNX Runtime within {difference:.1e} of scikit-learn")


if __name__ == "__main__":
    main()
