"""Writes a model package: manifest, ONNX file, golden vectors, card."""

import hashlib
import json
import tomllib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

DATATYPES = {"tensor(float)": "FP32", "tensor(int64)": "INT64"}


def session(model):
    """An ONNX Runtime session with one thread, which keeps results repeatable."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    source = model if isinstance(model, (str, bytes)) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def clip_output(model, low, high, name, scale=1.0):
    """Scales the model's only output, bounds it to a range and gives it a name."""
    graph = model.graph
    (output,) = graph.output
    for constant, value in [("scale", scale), ("low", low), ("high", high)]:
        graph.initializer.append(helper.make_tensor(constant, TensorProto.FLOAT, [], [value]))
    graph.node.append(helper.make_node("Mul", [output.name, "scale"], ["scaled"]))
    graph.node.append(helper.make_node("Clip", ["scaled", "low", "high"], [name]))
    graph.output.remove(output)
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]))


def shift_output(model, by):
    """Adds a number to the model's only output."""
    graph = model.graph
    (output,) = graph.output
    graph.initializer.append(helper.make_tensor("shift", TensorProto.FLOAT, [], [by]))
    graph.node.append(helper.make_node("Add", [output.name, "shift"], ["shifted"]))
    graph.output.remove(output)
    graph.output.append(helper.make_tensor_value_info("shifted", TensorProto.FLOAT, [None, 1]))


def add_classes(model, source, bounds, name):
    """Adds an output that counts how many of the bounds the output `source` reaches."""
    graph = model.graph
    bounds_tensor = helper.make_tensor("bounds", TensorProto.FLOAT, [1, len(bounds)], bounds)
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    graph.initializer.extend([bounds_tensor, axes])
    graph.node.append(helper.make_node("GreaterOrEqual", [source, "bounds"], ["reached"]))
    graph.node.append(helper.make_node("Cast", ["reached"], ["ones"], to=TensorProto.INT64))
    graph.node.append(helper.make_node("ReduceSum", ["ones", "axes"], [name], keepdims=1))
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.INT64, [None, 1]))


def positive_probability(model, name):
    """Replaces a two-class classifier's outputs by the probability of its second class."""
    graph = model.graph
    probabilities = graph.output[1].name
    graph.initializer.append(helper.make_tensor("positive", TensorProto.INT64, [1], [1]))
    graph.node.append(helper.make_node("Gather", [probabilities, "positive"], [name], axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]))
    drop_unused(graph)


def drop_unused(graph):
    """Leaves out what no output depends on."""
    needed = {output.name for output in graph.output}
    for node in reversed(list(graph.node)):
        if needed.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            needed.update(node.input)
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in needed]:
        graph.initializer.remove(tensor)


def golden(model, rows):
    """Golden vectors: what ONNX Runtime answers to each row, in the form of the Open Inference
    Protocol."""
    runner = session(model)
    (declared,) = runner.get_inputs()
    outputs = runner.get_outputs()
    vectors = []
    for name, row in rows:
        data = np.asarray(row, dtype=np.float32)
        data = data.reshape(1, -1) if data.ndim == 1 else data
        answers = runner.run(None, {declared.name: data})
        vectors.append(
            {
                "name": name,
                "inputs": [_tensor(declared.name, declared.type, data)],
                "outputs": [
                    _tensor(output.name, output.type, answer)
                    for output, answer in zip(outputs, answers)
                ],
            }
        )
    return {"vectors": vectors}


def _tensor(name, kind, array):
    return {
        "name": name,
        "datatype": DATATYPES[kind],
        "shape": list(array.shape),
        # The shortest decimal text that reads back as the same number.
        "data": [float(str(x)) if kind == "tensor(float)" else int(x) for x in array.ravel()],
    }


def write(folder, model, manifest_text, golden_vectors, card):
    """Writes the package and pins its files by digest at the manifest's end."""
    folder = Path(folder)
    onnx.checker.check_model(model, full_check=True)
    contents = {
        "card.md": card.encode(),
        "golden.json": (json.dumps(golden_vectors, indent=1) + "\n").encode(),
        "model.onnx": model.SerializeToString(deterministic=True),
    }
    lines = ["", "[files]"]
    for name, data in contents.items():
        (folder / name).write_bytes(data)
        lines.append(f'"{name}" = "sha256:{hashlib.sha256(data).hexdigest()}"')
    (folder / "model.toml").write_text(manifest_text.rstrip() + "\n" + "\n".join(lines) + "\n")


def read_manifest(folder):
    return tomllib.loads((Path(folder) / "model.toml").read_text())


def figures_toml(figures):
    return "\n".join(f"{name} = {value!r}" for name, value in figures.items())


def meaning_toml(meaning):
    return "\n".join(f'{key} = "{value}"' for key, value in meaning.items() if value)


def features_toml(features):
    """`features`: a meaning (dict), its statistics, and the number of elements of a profile."""
    tables = []
    for meaning, statistics, *elements in features:
        names = ", ".join(f'"{name}"' for name in statistics)
        whole = "".join(f"elements = {count}\n" for count in elements)
        tables.append(
            f"[[input.feature]]\n{meaning_toml(meaning)}\nstatistics = [{names}]\n{whole}"
        )
    return "\n".join(tables)


def strip_metadata(model, description):
    """Names the producer and the purpose, so that the file says itself what it is."""
    model.producer_name = "resonance models"
    model.producer_version = ""
    model.doc_string = description
    model.graph.name = "model"
