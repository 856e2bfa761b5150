"""Trains the molding quality model on the simulated molding machine and writes its package.

    cargo build --profile fast -p resonance-simulate --example export_machine
    python models/molding-quality/train.py

The data comes from the simulator's stated relations (relations.toml in resonance-simulate), by its
own implementation. Everything is seeded: training twice gives the same files.
"""

import sys
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from training import molding, package  # noqa: E402

FOLDER = Path(__file__).resolve().parent
RANGE_G = [31.0, 34.0]
DESCRIPTION = (
    "Weight of the part that the simulated injection molding machine just made, and whether it is "
    "within tolerance, from the barrel's temperature profile and the figures of the cycle. Learned "
    "from a simulation; it knows nothing of any real machine."
)


def fit(rows, weights_g):
    boosting = GradientBoostingRegressor(
        n_estimators=250,
        max_depth=4,
        learning_rate=0.06,
        subsample=0.5,
        min_samples_leaf=20,
        random_state=0,
    )
    return make_pipeline(StandardScaler(), boosting).fit(rows, weights_g - CENTRE_G)


# Trees add up small numbers about zero more exactly in single precision than about 33.
CENTRE_G = 32.75


def export(pipeline, columns):
    model = to_onnx(
        pipeline,
        initial_types=[("features", FloatTensorType([None, columns]))],
        target_opset={"": 17, "ai.onnx.ml": 3},
    )
    package.shift_output(model, CENTRE_G)
    package.clip_output(model, *RANGE_G, "weight")
    package.add_classes(model, "weight", molding.bounds_g(), "verdict")
    package.strip_metadata(model, DESCRIPTION)
    return model


def golden_rows(runner):
    """For each verdict three parts of a judged machine, none near a bound."""
    seed = molding.JUDGE[0]
    picked = []
    rows, truth, parts = molding.table_with_parts([seed])
    answers = runner.run(None, {"features": rows})[0].ravel()
    far = np.min(np.abs(answers[:, None] - np.array(molding.bounds_g())), axis=1) > 0.01
    agree = molding.class_of(answers) == molding.class_of(truth)
    for number, label in enumerate(molding.LABELS):
        places = np.flatnonzero(far & agree & (molding.class_of(truth) == number))
        if not len(places):
            continue
        for place in sorted({places[0], places[len(places) // 3], places[len(places) // 2], places[-1]}):
            row, part = parts[place]
            name = f"{label}; seed {seed}; row {row}; part {part}; truly {truth[place]:.3f} g"
            picked.append((name, rows[place]))
    return picked


def manifest(figures):
    features = [
        (molding.meaning(path), ["raw"], molding.ZONES)
        if path == molding.PROFILE
        else (molding.meaning(path), ["last"])
        for path in molding.USED
    ]
    columns = molding.ZONES + len(molding.USED) - 1
    half_width, coverage = figures["interval_half_width_g"], figures["interval_coverage"]
    labels = ", ".join(f'"{label}"' for label in molding.LABELS)
    return f'''# Written by train.py; change that instead.
format = 1
name = "molding-quality"
version = "1.0.0"
category = "quality_prediction"
description = "{DESCRIPTION}"
licence = "Apache-2.0"
model = "model.onnx"
latency_budget_us = 1000
valid_for_ms = 60000

[training]
data = "simulated"
dataset = "Simulated injection molding machine of resonance-simulate by its stated relations (molding/relations.toml); split by seed: {len(molding.TRAIN)} shifts to train, {len(molding.CALIBRATE)} to calibrate the interval, {len(molding.JUDGE)} to judge"

[training.figures]
{package.figures_toml(figures)}

# As everything stands when the part is out.
[window]
samples = 1

[tolerance]
absolute = 1e-4
relative = 1e-4

[[input]]
name = "features"
element = "FP32"
shape = [-1, {columns}]

{package.features_toml(features)}
[[output]]
name = "weight"
element = "FP32"
shape = [-1, 1]

[[output.value]]
name = "part_weight"
element = 0
semantic_id = "urn:resonance:injection-molding:part-weight"
quantity = "mass"
unit = "GRM"
range = {RANGE_G}
interval = {{ half_width = {half_width!r}, coverage = {coverage!r} }}

[[output]]
name = "verdict"
element = "INT64"
shape = [-1, 1]

[[output.value]]
name = "verdict"
element = 0
semantic_id = "urn:resonance:injection-molding:part-verdict"
labels = [{labels}]
'''


def card(figures):
    f = figures
    light, heavy = molding.bounds_g()
    return f"""# molding-quality 1.0.0

{DESCRIPTION}

**Trained on a simulation, for that simulation.** Every number it learned from was computed by the
simulated injection molding machine of `resonance-simulate` from the relations stated in its
`molding/relations.toml`: melt temperature from five zones and shear, viscosity over temperature and
batch, filling and holding pressure, a leaking valve, specific volume over temperature and pressure.
Forms are those of textbooks, figures were chosen. It shows that a chain from machine to result
works; it says nothing about how well weight can be judged on a real machine.

## Training
{len(molding.TRAIN)} simulated shifts of {molding.HOURS:.0f} h, {f["parts_trained"]:.0f} parts, split by seed: another seed is another machine with
another valve, other batches of material and other heaters that fail; the model is told none of it.
Input: the barrel's temperature profile whole ({molding.ZONES} numbers), mould temperature, and the last cycle's
injection and dosing time, highest pressure, cavity pressure, cushion and plastified volume, as they
stand when the part is out. Model: standard scaling and gradient boosting (scikit-learn), 250 trees of
depth 4.

## Figures on {f["parts_judged"]:.0f} parts of {len(molding.JUDGE)} machines never seen
| | this model | straight line through cavity pressure | constant |
| --- | --- | --- | --- |
| RMSE of the weight | {f["rmse_g"]} g | {f["rmse_cavity_pressure_g"]} g | {f["rmse_constant_g"]} g |
| verdict right | {f["verdict_accuracy"]:.2%} | {f["verdict_cavity_pressure_accuracy"]:.2%} | {f["verdict_constant_accuracy"]:.2%} |
| bad parts found | {f["bad_parts_found"]:.2%} | {f["bad_parts_found_by_cavity_pressure"]:.2%} | 0 % |

{f["bad_parts_share"]:.2%} of these parts were bad; of parts called bad {f["called_bad_that_were"]:.2%} were. Weighing itself scatters by
0.012 g and the density of a batch by 0.02 g, which nothing that the model sees tells: about 0.023 g
cannot be foreseen. The line sees one number, the model twelve. Interval: ± {f["interval_half_width_g"]} g, calibrated for {molding.COVERAGE:.0%} on {len(molding.CALIBRATE)}
machines of their own; it covered {f["interval_coverage"]:.2%}.

Verdict: light below {light} g, heavy from {heavy} g on, good between.

## Do not
- use it on a real machine, with another mould or material;
- ask it between parts: trigger it by the cycle counter.
"""


def main():
    rows, weights_g = molding.table(molding.TRAIN)
    pipeline = fit(rows, weights_g)
    model = export(pipeline, rows.shape[1])
    runner = package.session(model.SerializeToString())
    answers = runner.run(None, {"features": rows})[0].ravel()
    expected = np.clip(pipeline.predict(rows) + CENTRE_G, *RANGE_G)
    difference = float(np.max(np.abs(answers - expected)))
    # A threshold between two floats sends a row down another branch now and then.
    if np.mean(np.abs(answers - expected) > 1e-4) > 1e-3:
        raise SystemExit(f"ONNX Runtime answers up to {difference} g beside scikit-learn")

    def predict(rows):
        grams, classes = runner.run(None, {"features": rows})
        return grams.ravel(), classes.ravel()

    figures = molding.judge(predict)
    vectors = package.golden(model.SerializeToString(), golden_rows(runner))
    package.write(FOLDER, model, manifest(figures), vectors, card(figures))
    print(f"molding-quality: {figures}; ONNX Runtime within {difference:.1e} g of scikit-learn")


if __name__ == "__main__":
    main()
