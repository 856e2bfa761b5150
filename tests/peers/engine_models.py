"""Writes the models on which an engine is known to answer wrongly, or to lack operators.

    engine_models.py FOLDER

Each is made by the tools that people make such models with. Those that an engine answers wrongly
come as packages besides, FOLDER/NAME/, with golden vectors that ONNX Runtime answered under Python;
`resonance model pack` pins their files. Prints one line of JSON when done.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

random = np.random.default_rng(7)


def saved(folder, name, graph, opset=17, ml=None):
    opsets = [helper.make_opsetid("", opset)]
    if ml:
        opsets.append(helper.make_opsetid("ai.onnx.ml", ml))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, folder / f"{name}.onnx")


def value(name, element, shape):
    return helper.make_tensor_value_info(name, element, shape)


def binary_forest(folder):
    """A forest of two classes: labels and probabilities."""
    x = random.normal(size=(200, 4)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] > 0).astype(np.int64)
    forest = RandomForestClassifier(n_estimators=10, max_depth=4, random_state=0).fit(x, y)
    model = to_onnx(forest, x[:1], options={"zipmap": False}, target_opset={"": 17, "ai.onnx.ml": 3})
    onnx.save(model, folder / "binary_forest.onnx")
    np.savetxt(folder / "binary_forest.csv", x[:50], delimiter=",", header="a,b,c,d", comments="")


def scaled(folder):
    """A scaler before a logistic regression: the operator Scaler."""
    x = random.normal(size=(100, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    model = to_onnx(pipeline, x[:1], options={"zipmap": False}, target_opset={"": 17, "ai.onnx.ml": 3})
    onnx.save(model, folder / "scaled.onnx")


def reverse_lstm(folder):
    """An LSTM that reads its sequence from the end."""
    inputs, hidden = 3, 4
    weights = {
        "W": random.normal(size=(1, 4 * hidden, inputs)),
        "R": random.normal(size=(1, 4 * hidden, hidden)),
        "B": random.normal(size=(1, 8 * hidden)),
    }
    lstm = helper.make_node("LSTM", ["x", "W", "R", "B"], ["y"], hidden_size=hidden,
                            direction="reverse")
    graph = helper.make_graph(
        [lstm], "reverse_lstm", [value("x", TensorProto.FLOAT, [5, 1, inputs])],
        [value("y", TensorProto.FLOAT, [5, 1, 1, hidden])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()])
    saved(folder, "reverse_lstm", graph)


def branch_gte(folder):
    """A tree whose nodes go left at a threshold and above."""
    tree = helper.make_node(
        "TreeEnsembleClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml",
        nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0],
        nodes_values=[0.25, 0.0, 0.0], nodes_modes=["BRANCH_GTE", "LEAF", "LEAF"],
        nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0],
        nodes_missing_value_tracks_true=[0, 0, 0],
        class_treeids=[0, 0, 0, 0, 0, 0], class_nodeids=[1, 1, 1, 2, 2, 2],
        class_ids=[0, 1, 2, 0, 1, 2], class_weights=[0.1, 0.2, 0.7, 0.8, 0.1, 0.1],
        classlabels_int64s=[0, 1, 2], post_transform="NONE")
    graph = helper.make_graph(
        [tree], "branch_gte", [value("x", TensorProto.FLOAT, [None, 1])],
        [value("label", TensorProto.INT64, [None]), value("scores", TensorProto.FLOAT, [None, 3])])
    saved(folder, "branch_gte", graph, ml=3)


def qdq_softmax(folder):
    """A softmax between int8 quantised tensors."""
    def constant(name, number, kind):
        return numpy_helper.from_array(np.array(number, dtype=kind), name)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
        helper.make_node("Softmax", ["xd"], ["s"], axis=-1),
        helper.make_node("QuantizeLinear", ["s", "ys", "yz"], ["sq"]),
        helper.make_node("DequantizeLinear", ["sq", "ys", "yz"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "qdq_softmax", [value("x", TensorProto.FLOAT, [None, 4])],
        [value("y", TensorProto.FLOAT, [None, 4])],
        [constant("xs", 0.02, np.float32), constant("xz", 0, np.int8),
         constant("ys", 1 / 256, np.float32), constant("yz", -128, np.int8)])
    saved(folder, "qdq_softmax", graph)


def mlp(folder):
    """What both engines know well."""
    weights = {"w": random.normal(size=(4, 8)), "v": random.normal(size=(8, 2))}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Tanh", ["h"], ["t"]),
             helper.make_node("MatMul", ["t", "v"], ["y"])]
    graph = helper.make_graph(
        nodes, "mlp", [value("x", TensorProto.FLOAT, [None, 4])],
        [value("y", TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()])
    saved(folder, "mlp", graph)


def endless(folder):
    """A loop of nine billion billion rounds."""
    rounds = numpy_helper.from_array(np.array(2**63 - 1, dtype=np.int64), "rounds")
    go = numpy_helper.from_array(np.array(True), "go")
    body = helper.make_graph(
        [helper.make_node("Identity", ["go_in"], ["go_out"]),
         helper.make_node("Tanh", ["y_in"], ["y_out"])],
        "round", [value("round", TensorProto.INT64, []), value("go_in", TensorProto.BOOL, []),
                  value("y_in", TensorProto.FLOAT, [1, 2])],
        [value("go_out", TensorProto.BOOL, []), value("y_out", TensorProto.FLOAT, [1, 2])])
    graph = helper.make_graph(
        [helper.make_node("Loop", ["rounds", "go", "x"], ["y"], body=body)], "endless",
        [value("x", TensorProto.FLOAT, [1, 2])], [value("y", TensorProto.FLOAT, [1, 2])],
        [rounds, go])
    saved(folder, "endless", graph)


def greedy(folder):
    """Asks for sixteen gigabytes."""
    nodes = [helper.make_node("Cast", ["x"], ["n"], to=TensorProto.INT64),
             helper.make_node("Mul", ["n", "zero"], ["none"]),
             helper.make_node("Add", ["none", "many"], ["size"]),
             helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
             helper.make_node("ReduceSum", ["zeros"], ["y"], keepdims=1)]
    graph = helper.make_graph(
        nodes, "greedy", [value("x", TensorProto.FLOAT, [1])], [value("y", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(np.array([0], dtype=np.int64), "zero"),
         numpy_helper.from_array(np.array([2**32], dtype=np.int64), "many")])
    saved(folder, "greedy", graph)


def package(folder, name):
    """The model as a package, answered by ONNX Runtime under Python."""
    types = {"tensor(float)": "FP32", "tensor(int64)": "INT64"}
    session = onnxruntime.InferenceSession(folder / f"{name}.onnx")
    into = folder / name
    into.mkdir()
    (into / "model.onnx").write_bytes((folder / f"{name}.onnx").read_bytes())

    def tensor(spec, array):
        return {"name": spec.name, "datatype": types[spec.type], "shape": list(array.shape),
                "data": array.ravel().tolist()}

    def declared(kind, spec):
        shape = [-1 if not isinstance(size, int) else size for size in spec.shape]
        return (f'[[{kind}]]\nname = "{spec.name}"\nelement = "{types[spec.type]}"\n'
                f"shape = {shape}\n")

    vectors = []
    for _ in range(8):
        inputs = []
        for spec in session.get_inputs():
            shape = [1 if not isinstance(size, int) else size for size in spec.shape]
            inputs.append((spec, random.normal(size=shape).astype(np.float32)))
        outputs = session.run(None, {spec.name: array for spec, array in inputs})
        vectors.append({"inputs": [tensor(*one) for one in inputs],
                        "outputs": [tensor(*one) for one in zip(session.get_outputs(), outputs)]})
    (into / "golden.json").write_text(json.dumps({"vectors": vectors}))
    manifest = [f'format = 1\nname = "{name.replace("_", "-")}"\nversion = "1"\n'
                'category = "soft_sensor"\nmodel = "model.onnx"\n[training]\ndata = "none"\n']
    manifest += [declared("input", spec) for spec in session.get_inputs()]
    manifest += [declared("output", spec) for spec in session.get_outputs()]
    (into / "model.toml").write_text("".join(manifest))


def main():
    folder = Path(sys.argv[1])
    for make in (binary_forest, scaled, reverse_lstm, branch_gte, qdq_softmax, mlp, endless, greedy):
        make(folder)
    for name in ("reverse_lstm", "branch_gte", "qdq_softmax", "mlp"):
        package(folder, name)
    print(json.dumps({"ok": True}), flush=True)


if __name__ == "__main__":
    main()
