"""Trains the tool wear model on the simulated CNC and writes its package.

    cargo build --profile fast -p resonance-simulate --example export_cnc
    python models/tool-wear/train.py

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
from skl2onnx import to_onnx  # noqa: E402
from skl2onnx.common.data_types import FloatTensorType  # noqa: E402
from sklearn.neural_network import MLPRegressor  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from training import package, tool_wear  # noqa: E402

FOLDER = Path(__file__).resolve().parent
RANGE_MM = [0.0, 0.4]
DESCRIPTION = (
    "Flank wear of the milling tool of the simulated CNC, from 3.1 s of spindle, path and axis "
    "signals while it cuts. Learned from a simulation; it knows nothing of any real machine."
)


def fit(rows, wear_mm, limit_mm):
    network = MLPRegressor(
        hidden_layer_sizes=(48, 24),
        alpha=1e-4,
        batch_size=256,
        learning_rate_init=2e-3,
        max_iter=80,
        n_iter_no_change=80,
        random_state=0,
    )
    # Wear as a share of the limit: the network learns numbers near one.
    return make_pipeline(StandardScaler(), network).fit(rows, wear_mm / limit_mm)


def export(pipeline, columns, limit_mm):
    model = to_onnx(
        pipeline,
        initial_types=[("features", FloatTensorType([None, columns]))],
        target_opset={"": 17, "ai.onnx.ml": 3},
    )
    package.clip_output(model, *RANGE_MM, "flank_wear", scale=limit_mm)
    package.add_classes(model, "flank_wear", tool_wear.bounds_mm(), "condition")
    package.strip_metadata(model, DESCRIPTION)
    return model


def golden_rows(runner):
    """For each class two windows of a judged shift, none near a bound between classes."""
    seed = tool_wear.JUDGE[0]
    rows, truth, ends = tool_wear.table_with_rows([seed])
    answers = runner.run(None, {"features": rows})[0].ravel()
    far = np.min(np.abs(answers[:, None] - np.array(tool_wear.bounds_mm())), axis=1) > 0.005
    agree = tool_wear.class_of(answers) == tool_wear.class_of(truth)
    picked = []
    for number, label in enumerate(tool_wear.LABELS):
        places = np.flatnonzero(far & agree & (tool_wear.class_of(truth) == number))
        for place in (places[0], places[len(places) // 2], places[-1]):
            name = (
                f"{label}; seed {seed}; wear acceleration {tool_wear.ACCELERATION:.0f}; "
                f"row {ends[place]}; truly {truth[place]:.4f} mm"
            )
            picked.append((name, rows[place]))
    return picked


def manifest(figures):
    features = [(tool_wear.meaning(name), statistics) for name, statistics in tool_wear.SPEC]
    columns = sum(len(statistics) for _, statistics in tool_wear.SPEC)
    half_width, coverage = figures["interval_half_width_mm"], figures["interval_coverage"]
    labels = ", ".join(f'"{label}"' for label in tool_wear.LABELS)
    return f'''# Written by train.py; change that instead.
format = 1
name = "tool-wear"
version = "1.0.0"
category = "predictive_maintenance"
description = "{DESCRIPTION}"
licence = "Apache-2.0"
model = "model.onnx"
latency_budget_us = 1000
valid_for_ms = 10000

[training]
data = "simulated"
dataset = "Simulated CNC of resonance-simulate by its stated relations (relations.toml); split by seed: {len(tool_wear.TRAIN)} shifts to train, {len(tool_wear.CALIBRATE)} to calibrate the interval, {len(tool_wear.JUDGE)} + {len(tool_wear.JUDGE_TRUE_RATE)} to judge"

[training.figures]
{package.figures_toml(figures)}

[window]
samples = {tool_wear.SAMPLES}
period_ms = {round(1000 * tool_wear.PERIOD_S)}

[tolerance]
absolute = 1e-5
relative = 1e-4

[[input]]
name = "features"
element = "FP32"
shape = [-1, {columns}]

{package.features_toml(features)}
[[output]]
name = "flank_wear"
element = "FP32"
shape = [-1, 1]

[[output.value]]
name = "flank_wear"
element = 0
semantic_id = "urn:resonance:cnc:tool:flank-wear"
quantity = "length"
unit = "MMT"
range = {RANGE_MM}
interval = {{ half_width = {half_width!r}, coverage = {coverage!r} }}

[[output]]
name = "condition"
element = "INT64"
shape = [-1, 1]

[[output.value]]
name = "tool_condition"
element = 0
semantic_id = "urn:resonance:cnc:tool:condition"
labels = [{labels}]
'''


def card(figures):
    f = figures
    fresh, usable, worn = tool_wear.bounds_mm()
    return f"""# tool-wear 1.0.0

{DESCRIPTION}

**Trained on a simulation, for that simulation.** Every number it learned from was computed by the
simulated CNC of `resonance-simulate` from the relations stated in its `relations.toml`: tool life
(Taylor), flank wear in three phases, cutting force (Kienzle), spindle power, thermal time
constants, vibration. Some of these constants are handbook figures, others were chosen. It shows
that a chain from machine to result works; it says nothing about how well wear can be judged on a
real machine.

## Training
{len(tool_wear.TRAIN)} simulated shifts of {tool_wear.HOURS:.0f} h, {f["windows_trained"]:.0f} windows, in which tools wear
{tool_wear.ACCELERATION:.0f} times as fast as the relations say (forces, power and temperatures as
stated), split by seed: another seed is another run of tools, blanks, overrides and noise. Tools
differ in life (12 %), edge (2 %) and clamping (8 % of vibration), blanks in hardness (3 %); the model
is told none of it. Window: {tool_wear.SAMPLES} samples, {1000 * tool_wear.PERIOD_S:.0f} ms apart, all of them while cutting; features: means, and
ranges that tell whether the cut changed. Model: perceptron 13-48-24-1.

## Figures on shifts never seen
| | wear {tool_wear.ACCELERATION:.0f} times as fast ({f["windows_judged"]:.0f} windows) | wear as the relations say ({f["windows_true_rate_judged"]:.0f} windows) |
| --- | --- | --- |
| RMSE of the flank wear | {f["rmse_mm"]} mm | {f["rmse_true_rate_mm"]} mm |
| the same of a constant (mean of the training targets) | {f["rmse_constant_mm"]} mm | {f["rmse_true_rate_constant_mm"]} mm |
| class right | {f["class_accuracy"]:.2%} | {f["class_true_rate_accuracy"]:.2%} |
| the same of a constant (the commonest class) | {f["class_constant_accuracy"]:.2%} | {f["class_true_rate_constant_accuracy"]:.2%} |
| share within ± {f["interval_half_width_mm"]} mm | {f["interval_coverage"]:.2%} | {f["interval_true_rate_coverage"]:.2%} |

Of windows with a tool to be replaced {f["replace_recall"]:.2%} were called so; of those called so
{f["replace_precision"]:.2%} were. The interval was calibrated for {tool_wear.COVERAGE:.0%} on
{len(tool_wear.CALIBRATE)} shifts of their own.

Classes: fresh below {fresh} mm, usable below {usable} mm, worn below {worn} mm, replace from there on. The simulated
machine changes its tool at {tool_wear.relations()["wear"]["limit_mm"]} mm.

## Do not
- use it on a real machine, with another tool, material or program;
- ask it while the machine does not cut: gate it by the execution state, and let a full window pass.
"""


def main():
    limit_mm = tool_wear.relations()["wear"]["limit_mm"]
    rows, wear_mm = tool_wear.table(tool_wear.TRAIN)
    pipeline = fit(rows, wear_mm, limit_mm)
    model = export(pipeline, rows.shape[1], limit_mm)
    runner = package.session(model.SerializeToString())
    answers = runner.run(None, {"features": rows})[0].ravel()
    expected = np.clip(pipeline.predict(rows) * limit_mm, *RANGE_MM)
    difference = float(np.max(np.abs(answers - expected)))
    if difference > 1e-5:
        raise SystemExit(f"ONNX Runtime answers up to {difference} mm beside scikit-learn")

    def predict(rows):
        wear, classes = runner.run(None, {"features": rows})
        return wear.ravel(), classes.ravel()

    figures = tool_wear.judge(predict)
    vectors = package.golden(model.SerializeToString(), golden_rows(runner))
    package.write(FOLDER, model, manifest(figures), vectors, card(figures))
    print(f"tool-wear: {figures}; ONNX Runtime within {difference:.1e} mm of scikit-learn")


if __name__ == "__main__":
    main()
