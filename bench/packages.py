"""Model packages and plant files made for the benchmarks."""

import json

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from machine import RESONANCE, output_of

FLOAT = TensorProto.FLOAT


def pass_through(folder):
    """y = x: what is measured is the way to the model and from it."""
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    return write(folder, "pass-through", nodes, [], ["N", 1], ["N", 1], samples=1)


def mean_of_window(folder, features, samples):
    """The mean of all samples of all features."""
    axes = numpy_helper.from_array(np.array([1, 2], np.int64), "axes")
    flat = numpy_helper.from_array(np.array([-1, 1], np.int64), "flat")
    nodes = [helper.make_node("ReduceMean", ["x", "axes"], ["m"], keepdims=0),
             helper.make_node("Reshape", ["m", "flat"], ["y"])]
    shape = ["N", samples, features]
    return write(folder, "mean-of-window", nodes, [axes, flat], shape, ["N", 1], samples=samples)


def perceptron(folder, widths, samples=None, name=None):
    """A multi-layer perceptron with random weights, relu between the layers."""
    random = np.random.default_rng(7)
    nodes, weights, last = [], [], "x"
    for at, (fan_in, fan_out) in enumerate(zip(widths, widths[1:])):
        scale = np.sqrt(2 / fan_in)
        matrix = random.normal(0, scale, (fan_in, fan_out)).astype(np.float32)
        weights += [numpy_helper.from_array(matrix, f"w{at}"),
                    numpy_helper.from_array(np.zeros(fan_out, np.float32), f"b{at}")]
        final = at == len(widths) - 2
        gemm = "y" if final else f"h{at}"
        nodes.append(helper.make_node("Gemm", [last, f"w{at}", f"b{at}"], [gemm]))
        if not final:
            nodes.append(helper.make_node("Relu", [gemm], [f"r{at}"]))
        last = f"r{at}"
    name = name or "mlp-" + "-".join(map(str, widths))
    shapes = ["N", widths[0]], ["N", widths[-1]]
    return write(folder, name, nodes, weights, *shapes, samples=samples)


def write(folder, name, nodes, weights, shape_in, shape_out, samples):
    """Writes and packs a package; with `samples` it can be deployed. Returns its folder."""
    package = folder / name
    package.mkdir(parents=True)
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info("x", FLOAT, shape_in)],
        [helper.make_tensor_value_info("y", FLOAT, shape_out)], weights,
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, package / "model.onnx")
    row = [1, *shape_in[1:]]
    x = np.random.default_rng(1).normal(size=row).astype(np.float32)
    session = onnxruntime.InferenceSession(package / "model.onnx")
    (y,) = session.run(None, {"x": x})
    (package / "golden.json").write_text(json.dumps({"vectors": [{
        "inputs": [tensor("x", x)], "outputs": [tensor("y", y)]}]}))
    (package / "model.toml").write_text(manifest(name, shape_in, shape_out, samples))
    output_of(RESONANCE, "model", "pack", package)
    return package


def tensor(name, array):
    return {"name": name, "datatype": "FP32", "shape": list(array.shape),
            "data": [float(value) for value in array.ravel()]}


def manifest(name, shape_in, shape_out, samples):
    free = lambda shape: json.dumps([-1, *shape[1:]])
    lines = ["format = 1", f'name = "{name}"', 'version = "1.0.0"', 'category = "soft_sensor"',
             'model = "model.onnx"', "[training]", 'data = "none"']
    if samples:
        lines += ["[window]", f"samples = {samples}"]
    lines += ["[tolerance]", "absolute = 1e-5", "relative = 1e-4",
              "[[input]]", 'name = "x"', 'element = "FP32"', f"shape = {free(shape_in)}"]
    if samples:
        for feature in range(shape_in[-1]):
            lines += ["[[input.feature]]", f'semantic_id = "urn:bench:{feature}"']
    lines += ["[[output]]", 'name = "y"', 'element = "FP32"', f"shape = {free(shape_out)}"]
    for element in range(shape_out[-1]):
        lines += ["[[output.value]]", f'name = "y{element}"', f"element = {element}",
                  f'semantic_id = "urn:bench:y:{element}"']
    return "\n".join(lines) + "\n"


def plant(folder, url=None, assets=0, points_each=0, model=None, trigger=None, opcua=False,
          broker=None, served=(), grpc=False, **source):
    """Writes plant.toml: assets of points of the simulated load, each judged by one model. With
    several addresses each asset has a source of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["[server.http]", 'listen = "127.0.0.1:0"', 'anonymous = "operate"']
    if opcua:
        lines += ["[server.opcua]", 'listen = "127.0.0.1:0"', "allow_anonymous = true",
                  "allow_none = true"]
    if grpc:
        lines += ["[server.grpc]", 'listen = "127.0.0.1:0"', 'anonymous = "operate"']
    for package in served:
        lines += ["[[model]]", f'folder = "{package}"']
    if broker:
        lines += ["[[sink]]", 'id = "mes"', 'type = "mqtt"', f'url = "{broker}"']
    urls = [url] if isinstance(url, str) else url or []
    for number, url in enumerate(urls):
        lines += ["[[source]]", f'id = "load{number}"', 'type = "opcua"', f'url = "{url}"',
                  'security_policy = "none"', 'security_mode = "none"',
                  "allow_weak_security = true"]
        lines += [f"{key} = {value}" for key, value in source.items()]
    for asset in range(assets):
        own = len(urls) > 1
        lines += ["[[asset]]", f'id = "m{asset}"', f'source = "load{asset if own else 0}"']
        first = 0 if own else asset * points_each
        for point in range(points_each):
            node = f"ns=2;s=Load.Counters.P{first + point:05}"
            lines += ["[[asset.point]]", f'name = "p{point}"', 'type = "float64"',
                      f'semantic_id = "urn:bench:{point}"', f'address = "{node}"']
    if model:
        for asset in range(assets):
            lines += ["[[deployment]]", f'id = "d{asset}"', f'asset = "m{asset}"',
                      f'model = "{model}"']
            lines += [f"trigger = {trigger}"] if trigger else []
    path = folder / "plant.toml"
    path.write_text("\n".join(lines) + "\n")
    return path
