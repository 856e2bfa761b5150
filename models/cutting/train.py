"""Trains the model that tells cutting from not cutting on recorded milling runs.

    python models/cutting/train.py

Reads the data from ../shared (or RESONANCE_SHARED). Everything is seeded: training twice gives
the same files.
"""

import os
import sys
import warnings
from pathlib import Path

# Sums in several threads are added in another order each time.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402
from skl2onnx import to_onnx  # noqa: E402
from skl2onnx.common.data_types import FloatTensorType  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from training import cutting, package  # noqa: E402

FOLDER = Path(__file__).resolve().parent
DESCRIPTION = (
    "Whether a milling machine cuts, from the currents, powers and voltages of its X, Y and "
    "spindle drives at one moment. Learned from recorded runs of one machine."
)


def fit(rows, truth):
    network = MLPClassifier(
        hidden_layer_sizes=(16, 8),
        alpha=1e-2,
        batch_size=256,
        learning_rate_init=3e-3,
        max_iter=20,
        n_iter_no_change=20,
        random_state=0,
    )
    with warnings.catch_warnings():
        # The iterations are few on purpose; nothing waits for the loss to settle.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_pipeline(StandardScaler(), network).fit(rows, truth)


def fitted(rows, truth):
    """A predictor that learned from these rows."""
    pipeline = fit(rows, truth)
    return lambda rows: pipeline.predict_proba(rows)[:, 1] >= 0.5


def export(pipeline, columns):
    model = to_onnx(
        pipeline,
        initial_types=[("features", FloatTensorType([None, columns]))],
        target_opset={"": 17, "ai.onnx.ml": 3},
        options={"zipmap": False},
    )
    package.positive_probability(model, "probability")
    package.add_classes(model, "probability", [0.5], "state")
    package.strip_metadata(model, DESCRIPTION)
    return model


def golden_rows(runner):
    """Of each held-out run two moments of each state that the model is sure of."""
    runs = cutting.load()
    picked = []
    for number in cutting.HELD_OUT:
        rows, truth = cutting.table(runs, [number])
        probability = runner.run(None, {"features": rows})[0].ravel()
        for state, label in enumerate(cutting.LABELS):
            sure = np.abs(probability - state) < 0.2
            places = np.flatnonzero(sure & (truth == state))
            for place in (places[0], places[len(places) // 2]):
                picked.append((f"{label}; run {number}; row {place}", rows[place]))
    return picked


def manifest(figures):
    features = [(cutting.meaning(name), statistics) for name, statistics in cutting.SPEC]
    held_out = ", ".join(f'"{number}"' for number in cutting.HELD_OUT)
    labels = ", ".join(f'"{label}"' for label in cutting.LABELS)
    return f'''# Written by train.py; change that instead.
format = 1
name = "cutting"
version = "1.0.0"
category = "soft_sensor"
description = "{DESCRIPTION}"
licence = "Apache-2.0"
model = "model.onnx"
latency_budget_us = 1000
valid_for_ms = 2000

[training]
data = "recorded"
dataset = "CNC milling runs 1 to 14 of the University of Michigan's SMART lab (CC0), as a mirror gives them; split by run: 11 to train, 3 to judge, and leave-one-run-out over all"
held_out = [{held_out}]

[training.figures]
{package.figures_toml(figures)}

[window]
samples = 1
period_ms = 100

[tolerance]
absolute = 1e-5
relative = 1e-4

[[input]]
name = "features"
element = "FP32"
shape = [-1, {len(features)}]

{package.features_toml(features)}
[[output]]
name = "probability"
element = "FP32"
shape = [-1, 1]

[[output.value]]
name = "cutting_probability"
element = 0
semantic_id = "urn:resonance:mill:cutting-probability"
quantity = "dimensionless"
unit = "C62"
range = [0.0, 1.0]

[[output]]
name = "state"
element = "INT64"
shape = [-1, 1]

[[output.value]]
name = "cutting"
element = 0
semantic_id = "urn:resonance:mill:cutting"
labels = [{labels}]
'''


def card(figures):
    f = figures
    line = lambda what, key: (
        f'| {what} | {f[f"leave_one_run_out{key}_accuracy"]:.1%} | '
        f'{f[f"leave_one_run_out{key}_balanced"]:.1%} | {f[f"held_out{key}_accuracy"]:.1%} | '
        f'{f[f"held_out{key}_balanced"]:.1%} |'
    )
    return f"""# cutting 1.0.0

{DESCRIPTION}

**Learned from recordings of one machine, one material, one program.** 14 runs of milling a
block ({f["rows"]:.0f} rows, 100 ms apart), University of Michigan SMART lab, CC0, as a mirror gives
them. No statement on tool wear is made or could be: see docs/models.md.

## What counts as cutting
The tool is down in one of the program's three layers (at most {cutting.LAYER_BELOW_MM} mm) and the controller's
feed rate is the cutting one, not {cutting.TRAVEL_FEED}, which it reports while travelling. The model sees neither
height nor feed rate; it sees only currents, powers and voltages of the drives.

The column `Machining_Process` was not used: in this copy the rows of runs 2 to 14 stand in blocks of
about ten out of their order (positions jump and line numbers go back at every tenth row) while that
column stayed where it was, so it says nothing about the row it stands in. Only run 1 is in order;
there our definition agrees with "Layer ..." on {f["run_1_agreement_with_publisher"]:.1%} of rows. For the same reason the
model looks at one moment: a longer window would mix moments that do not belong together.

## Figures, means over runs it never saw
| | leave-one-run-out, 14 runs | balanced | this file, runs {", ".join(map(str, cutting.HELD_OUT))} | balanced |
| --- | --- | --- | --- | --- |
{line("this model", "")}
{line("a bound on spindle power alone, chosen on the other runs", "_power_bound")}
{line("a constant (the commonest class of the other runs)", "_constant")}

Worst single run: {f["leave_one_run_out_accuracy_worst_run"]:.1%} (leave-one-run-out), {f["held_out_accuracy_worst_run"]:.1%} (this file). Balanced: the mean of the shares of
both classes told right. The left columns judge the way of learning with 14 fits; the committed file
learned from 11 runs and is judged on the other 3. Lengths of window (1, 3, 5 and 10 samples) and
three sets of channels were compared leave-one-run-out over all runs, those judged here among them, which
flatters every figure somewhat; one sample of nine channels was best. No script repeats that comparison.

Model: standard scaling, perceptron {len(cutting.SPEC)}-16-8-1.

## Do not
- use it on another machine, material or program without judging it there;
- take it for proof of contact: within a layer the tool also moves through air for moments.
"""


def main():
    runs = cutting.load()
    learned = [number for number in cutting.RUNS if number not in cutting.HELD_OUT]
    rows, truth = cutting.table(runs, learned)
    pipeline = fit(rows, truth)
    model = export(pipeline, rows.shape[1])
    runner = package.session(model.SerializeToString())
    answers = runner.run(None, {"features": rows})[0].ravel()
    difference = float(np.max(np.abs(answers - pipeline.predict_proba(rows)[:, 1])))
    if difference > 1e-4:
        raise SystemExit(f"ONNX Runtime answers up to {difference} beside scikit-learn")
    predict = lambda rows: runner.run(None, {"features": rows})[1].ravel() == 1
    figures = cutting.judge(predict, fitted)
    vectors = package.golden(model.SerializeToString(), golden_rows(runner))
    package.write(FOLDER, model, manifest(figures), vectors, card(figures))
    print(f"cutting: {figures}; ONNX Runtime within {difference:.1e} of scikit-learn")


if __name__ == "__main__":
    main()
