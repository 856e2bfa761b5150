"""Checks the committed packages: their files, their golden vectors, and every figure they state.

    python models/check.py [--quick] [--strict]

Figures are computed anew from the committed ONNX files with ONNX Runtime, from the same data and
the same split, through the features that the manifests describe. Exits 1 where anything is off.
What cannot be checked because data or a program is absent is named as SKIPPED; with --strict that
is an error too.
"""

import argparse
import hashlib
import importlib.util
import json
import math
import sys
import time
import tomllib
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from training import coating, cutting, molding, package, pcb, simulated, tool_wear, turbofan  # noqa: E402

SIZE_MAX = 1_500_000
# All others learned from simulations.
RECORDED = ("cutting", "visual-inspection")
NUMPY = {"FP32": np.float32, "INT64": np.int64}


class Check:
    """Collects what is off and what was skipped."""

    def __init__(self):
        self.wrong = []
        self.skipped = []

    def that(self, condition, said):
        if not condition:
            self.wrong.append(said)

    def skip(self, said):
        self.skipped.append(said)


def files(check, folder, manifest):
    for name, pinned in manifest["files"].items():
        data = (folder / name).read_bytes()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        check.that(digest == pinned, f"{folder.name}/{name}: {digest}, pinned {pinned}")
        check.that(len(data) < SIZE_MAX, f"{folder.name}/{name}: {len(data)} bytes")
    for name in ("model.onnx", "golden.json", "card.md"):
        check.that(name in manifest["files"], f"{folder.name}/{name} is not pinned")
    data = "recorded" if folder.name in RECORDED else "simulated"
    said = manifest["training"]["data"]
    check.that(said == data, f"{folder.name}: training.data must say {data}")


def golden(check, folder, manifest, runner):
    vectors = json.loads((folder / "golden.json").read_text())["vectors"]
    check.that(len(vectors) >= 8, f"{folder.name}: only {len(vectors)} golden vectors")
    names = [output.name for output in runner.get_outputs()]
    check.that(
        names == [output["name"] for output in manifest["output"]],
        f"{folder.name}: the manifest's outputs are not the model's, {names}",
    )
    tolerance = manifest["tolerance"]
    for vector in vectors:
        inputs = {
            tensor["name"]: np.array(tensor["data"], NUMPY[tensor["datatype"]]).reshape(
                tensor["shape"]
            )
            for tensor in vector["inputs"]
        }
        answers = dict(zip(names, runner.run(None, inputs)))
        for tensor in vector["outputs"]:
            expected = np.array(tensor["data"]).reshape(tensor["shape"])
            actual = answers[tensor["name"]]
            exact = tensor["datatype"] != "FP32"
            allowed = 0 if exact else tolerance["absolute"] + tolerance["relative"] * abs(expected)
            check.that(
                actual.shape == expected.shape and np.all(abs(actual - expected) <= allowed),
                f"{folder.name}: vector {vector['name']!r}: {tensor['name']} is {actual}",
            )


def figures(check, folder, manifest, actual):
    stated = manifest["training"]["figures"]
    check.that(
        stated.keys() == actual.keys(),
        f"{folder.name}: figures differ by name: {stated.keys() ^ actual.keys()}",
    )
    for name in stated.keys() & actual.keys():
        # Another processor may round the last digit another way.
        same = math.isclose(stated[name], actual[name], rel_tol=2e-3, abs_tol=2e-5)
        check.that(same, f"{folder.name}: {name} is {actual[name]}, stated as {stated[name]}")
    intervals = [
        value["interval"]
        for output in manifest["output"]
        for value in output["value"]
        if "interval" in value
    ]
    for interval in intervals:
        known = (interval["half_width"] in stated.values(), interval["coverage"] in stated.values())
        check.that(known == (True, True), f"{folder.name}: interval {interval} is no figure")
    card = script(folder).card(stated)
    check.that(
        (folder / "card.md").read_text() == card,
        f"{folder.name}: the card does not state the manifest's figures; run train.py",
    )


def script(folder):
    """The folder's train.py as a module."""
    spec = importlib.util.spec_from_file_location(folder.name, folder / "train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def spec_of(manifest, names):
    """Pairs of a column and its statistics, as the manifest's features say. `names` maps semantic
    id and qualifier to columns."""
    (inputs,) = manifest["input"]
    return [
        (names[(feature["semantic_id"], feature.get("qualifier", ""))], feature["statistics"])
        for feature in inputs["feature"]
    ]


def sidecar(check, folder, manifest):
    """The replay sidecar gives every feature its meaning and its unit."""
    columns = tomllib.loads((folder / "replay.toml").read_text())["column"]
    place = lambda meaning: (meaning.get("semantic_id"), meaning.get("qualifier"))
    meanings = {place(column): column for column in columns}
    for feature in manifest["input"][0]["feature"]:
        column = meanings.get(place(feature), {})
        same = all(column.get(key) == feature.get(key) for key in ("quantity", "unit"))
        check.that(column and same, f"{folder.name}/replay.toml: {feature['semantic_id']}")


def latency_us(runner, shape):
    """Median time of one inference of one row."""
    row = {runner.get_inputs()[0].name: np.zeros([1, *shape], np.float32)}
    times = []
    for _ in range(500):
        begin = time.perf_counter()
        runner.run(None, row)
        times.append(time.perf_counter() - begin)
    return 1e6 * float(np.median(times))


def check_turbofan(check, quick):
    folder = HERE / "turbofan-rul"
    manifest, runner = opened(check, folder)
    sidecar(check, folder, manifest)
    data = turbofan.shared() / "data" / "turbofan"
    if not data.is_dir():
        return check.skip(f"figures of turbofan-rul: {data} is absent; set RESONANCE_SHARED")
    stated, actual = manifest["training"]["held_out"], turbofan.held_out(turbofan.load())
    check.that(stated == actual, f"turbofan-rul: held_out is {stated}, by the split {actual}")
    if quick:
        return check.skip("figures of turbofan-rul: --quick")
    names = {(turbofan.semantic_id(sensor[0]), ""): sensor[0] for sensor in turbofan.SENSORS}
    spec = spec_of(manifest, names)
    predict = lambda rows: runner.run(None, {"features": rows})[0].ravel()
    figures(check, folder, manifest, turbofan.judge(predict, spec))


def check_tool_wear(check, quick):
    folder = HERE / "tool-wear"
    manifest, runner = opened(check, folder)
    if not tool_wear.exporter().is_file():
        return check.skip(
            f"figures of tool-wear: {tool_wear.exporter()} is absent; build it with "
            "`cargo build --profile fast -p resonance-simulate --example export_cnc` or set "
            "RESONANCE_EXPORT_CNC"
        )
    if quick:
        return check.skip("figures of tool-wear: --quick")
    names = {(m[0], m[1]): name for name, m in tool_wear.MEANINGS.items()}
    spec = spec_of(manifest, names)

    def predict(rows):
        wear, classes = runner.run(None, {"features": rows})
        return wear.ravel(), classes.ravel()

    figures(check, folder, manifest, tool_wear.judge(predict, spec))


def check_molding_quality(check, quick):
    folder = HERE / "molding-quality"
    manifest, runner = opened(check, folder)
    if not ready(check, folder, quick):
        return

    def predict(rows):
        grams, classes = runner.run(None, {"features": rows})
        return grams.ravel(), classes.ravel()

    figures(check, folder, manifest, molding.judge(predict))


def check_coating_anomaly(check, quick):
    folder = HERE / "coating-anomaly"
    manifest, runner = opened(check, folder)
    if not ready(check, folder, quick):
        return
    score = lambda rows: runner.run(None, {"features": rows})[0].ravel()
    figures(check, folder, manifest, coating.judge(score))


def check_visual_inspection(check, quick):
    folder = HERE / "visual-inspection"
    manifest, runner = opened(check, folder)
    held_out = manifest["training"]["held_out"]
    check.that(held_out == pcb.HELD_OUT, f"{folder.name}: held_out is {held_out}")
    if not pcb.folder().is_dir():
        return check.skip(f"figures of {folder.name}: {pcb.folder()} is absent; set RESONANCE_SHARED")
    if quick:
        return check.skip(f"figures of {folder.name}: --quick")
    predict = lambda images: runner.run(None, {"image": pcb.as_input(images)})[0].ravel()
    figures(check, folder, manifest, pcb.judge(predict))


def ready(check, folder, quick):
    """Whether the figures of a model of a simulated machine are to be computed, and can be."""
    if not simulated.exporter().is_file():
        check.skip(
            f"figures of {folder.name}: {simulated.exporter()} is absent; build it with "
            "`cargo build --profile fast -p resonance-simulate --example export_machine` or set "
            "RESONANCE_EXPORT_MACHINE"
        )
        return False
    if quick:
        check.skip(f"figures of {folder.name}: --quick")
    return not quick


def check_cutting(check, quick):
    folder = HERE / "cutting"
    manifest, runner = opened(check, folder)
    sidecar(check, HERE / "cnc-mill", manifest)
    held_out = [str(number) for number in cutting.HELD_OUT]
    check.that(manifest["training"]["held_out"] == held_out, f"cutting: held_out is not {held_out}")
    if not cutting.folder().is_dir():
        return check.skip(f"figures of cutting: {cutting.folder()} is absent; set RESONANCE_SHARED")
    if quick:
        return check.skip("figures of cutting: --quick")
    columns = cutting.sidecar().values()
    names = {(c["semantic_id"], c.get("qualifier", "")): c["name"] for c in columns}
    predict = lambda rows: runner.run(None, {"features": rows})[1].ravel() == 1
    fitted = script(folder).fitted
    figures(check, folder, manifest, cutting.judge(predict, fitted, spec_of(manifest, names)))


def opened(check, folder):
    manifest = package.read_manifest(folder)
    files(check, folder, manifest)
    runner = package.session(str(folder / manifest["model"]))
    golden(check, folder, manifest, runner)
    shape = manifest["input"][0]["shape"][1:]
    print(f"{folder.name}: one inference takes {latency_us(runner, shape):.1f} us (median)")
    return manifest, runner


def main():
    arguments = argparse.ArgumentParser(description="Checks the committed model packages.")
    arguments.add_argument("--quick", action="store_true", help="files and golden vectors only")
    arguments.add_argument("--strict", action="store_true", help="what is skipped is an error")
    options = arguments.parse_args()
    check = Check()
    check_turbofan(check, options.quick)
    check_tool_wear(check, options.quick)
    check_cutting(check, options.quick)
    check_molding_quality(check, options.quick)
    check_coating_anomaly(check, options.quick)
    check_visual_inspection(check, options.quick)
    for said in check.skipped:
        print(f"SKIPPED {said}", file=sys.stderr)
    for said in check.wrong:
        print(f"WRONG {said}", file=sys.stderr)
    if check.wrong or (options.strict and check.skipped):
        sys.exit(1)
    print("models: every figure in the manifests was reproduced" if not check.skipped else "models: done")


if __name__ == "__main__":
    main()
