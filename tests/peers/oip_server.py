"""KServe's model server with the model of a package, which lies when told to.

    oip_server.py PACKAGE HTTP_PORT GRPC_PORT

Prints one line when both ports answer. Obeys {"lie": KIND} a line on standard input; KIND is one of
LIES. {"count": true} answers with the number of inferences so far.
"""

import asyncio
import json
import os
import socket
import sys
import threading
import time
import urllib.request
from pathlib import Path

# What the server writes to standard output is not for the test.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import numpy as np
import onnxruntime
from kserve import InferOutput, InferResponse, Model, ModelServer

LIES = ["honest", "declares_type", "declares_shape", "declares_name", "answers_shape",
        "answers_rows", "answers_type", "answers_short", "answers_wrong", "answers_nothing",
        "not_ready", "slow", "fails"]
TYPES = {"tensor(float)": "FP32", "tensor(int64)": "INT64"}


class Packaged(Model):
    def __init__(self, package, name):
        super().__init__(name)
        self.session = onnxruntime.InferenceSession(package / "model.onnx")
        self.lie = "honest"
        self.count = 0
        self.ready = True

    def load(self):
        return True

    async def healthy(self):
        return self.lie != "not_ready"

    def types(self, specs):
        return [{"name": spec.name, "datatype": TYPES[spec.type],
                 "shape": [size if isinstance(size, int) else -1 for size in spec.shape]}
                for spec in specs]

    def get_input_types(self):
        return self.types(self.session.get_inputs())

    def get_output_types(self):
        types = self.types(self.session.get_outputs())
        if self.lie == "declares_type":
            types[0]["datatype"] = "FP64"
        elif self.lie == "declares_shape":
            types[0]["shape"] = [-1, 2]
        elif self.lie == "declares_name":
            types[0]["name"] = "something_else"
        return types

    async def predict(self, payload, headers=None, response_headers=None):
        self.count += 1
        if self.lie == "slow":
            await asyncio.sleep(3)
        elif self.lie == "fails":
            raise RuntimeError("the model fell over")
        inputs = {each.name: each.as_numpy() for each in payload.inputs}
        names = [spec.name for spec in self.session.get_outputs()]
        outputs = dict(zip(names, self.session.run(names, inputs)))
        first = outputs[names[0]]
        if self.lie == "answers_shape":
            outputs[names[0]] = np.concatenate([first, first], axis=1)
        elif self.lie == "answers_rows":
            outputs = {name: np.concatenate([array, array]) for name, array in outputs.items()}
        elif self.lie == "answers_type":
            outputs[names[0]] = first.astype(np.float64)
        elif self.lie == "answers_wrong":
            outputs[names[0]] = first + np.float32(0.1)
        elif self.lie == "answers_nothing":
            outputs.pop(names[0])
        found = []
        for name, array in outputs.items():
            kind = {"float32": "FP32", "float64": "FP64", "int64": "INT64"}[array.dtype.name]
            output = InferOutput(name, list(array.shape), kind)
            output.set_data_from_numpy(array, binary_data=False)
            if self.lie == "answers_short" and name == names[0]:
                output = InferOutput(name, [array.shape[0] + 3, 1], kind, array.ravel().tolist())
            found.append(output)
        return InferResponse("", self.name, found)


def answer(what):
    answers.write(json.dumps(what) + "\n")
    answers.flush()


def obey(model, http_port, grpc_port):
    while True:
        try:
            url = f"http://127.0.0.1:{http_port}/v2/models/{model.name}/ready"
            urllib.request.urlopen(url, timeout=1).read()
            socket.create_connection(("127.0.0.1", grpc_port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.05)
    answer({"ok": True})
    for line in sys.stdin:
        command = json.loads(line)
        if "lie" in command:
            assert command["lie"] in LIES, command
            model.lie = command["lie"]
            answer({"ok": True})
        else:
            answer({"count": model.count})
    os._exit(0)


def main():
    package, http_port, grpc_port = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    manifest = (package / "model.toml").read_text()
    name = next(line.split('"')[1] for line in manifest.splitlines() if line.startswith("name"))
    model = Packaged(package, name)
    threading.Thread(target=obey, args=(model, http_port, grpc_port), daemon=True).start()
    ModelServer(http_port=http_port, grpc_port=grpc_port, workers=1).start([model])


if __name__ == "__main__":
    main()
