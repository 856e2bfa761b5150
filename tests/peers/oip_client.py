"""tritonclient against the server's inference API: oip_client.py HOST:PORT COMMAND..."""

import asyncio
import json
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.http.auth import BasicAuth
from tritonclient.utils import InferenceServerException

NUMPY = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32,
    "UINT64": np.uint64, "INT8": np.int8, "INT16": np.int16, "INT32": np.int32,
    "INT64": np.int64, "FP16": np.float16, "BF16": ml_dtypes.bfloat16, "FP32": np.float32,
    "FP64": np.float64, "BYTES": np.object_,
}


def metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("wear")
    assert client.is_model_ready("wear", "3")
    assert not client.is_model_ready("tear")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    model = client.get_model_metadata("wear")
    assert model["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}], model


ROWS = np.array([[1, 2, 3, 4.5], [0.1, 0.2, 0.3, 0.4]], dtype=np.float32)


def wear_input(rows=ROWS, binary=True):
    x = triton.InferInput("x", list(rows.shape), "FP32")
    x.set_data_from_numpy(rows, binary_data=binary)
    return x


def infer(client, form):
    binary = form == "binary"
    x = wear_input(binary=binary)
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("class", "wear")]
    for _ in range(3):
        result = client.infer("wear", [x], request_id="r-1", outputs=outputs)
        assert result.get_response()["id"] == "r-1"
        wear = result.as_numpy("wear")
        assert wear.dtype == np.float32
        np.testing.assert_allclose(wear, ROWS.sum(axis=1), rtol=1e-6)
        assert result.as_numpy("class").tolist() == [1, 0]
    # Without outputs named, the client asks for all of them in binary.
    np.testing.assert_allclose(client.infer("wear", [x]).as_numpy("wear"), ROWS.sum(axis=1))
    several = [client.async_infer("wear", [x], outputs=outputs) for _ in range(8)]
    for one in several:
        assert one.get_result().as_numpy("class").tolist() == [1, 0]


def samples(name):
    kind = NUMPY[name]
    if name == "BOOL":
        return np.array([[True, False]])
    if name == "BYTES":
        return np.array([["Fräser", ""]], dtype=np.object_)
    if np.issubdtype(kind, np.integer):
        return np.array([[np.iinfo(kind).min, np.iinfo(kind).max]], dtype=kind)
    return np.array([[-1.5, 0.1]], dtype=kind)


def types(client):
    for wanted in ("json", "binary"):
        inputs, outputs = [], []
        for name in NUMPY:
            # Half precision has no form in JSON.
            binary = wanted == "binary" or name in ("FP16", "BF16")
            tensor = triton.InferInput(f"in_{name}", [1, 2], name)
            tensor.set_data_from_numpy(samples(name), binary_data=binary)
            inputs.append(tensor)
            outputs.append(triton.InferRequestedOutput(f"out_{name}", binary_data=binary))
        result = client.infer("types", inputs, outputs=outputs)
        for name in NUMPY:
            got, expected = result.as_numpy(f"out_{name}"), samples(name)
            if name == "BYTES":
                decoded = [t.decode() if isinstance(t, bytes) else t for t in got.flatten()]
                assert decoded == list(expected.flatten()), (wanted, got)
            else:
                assert got.dtype == expected.dtype, (wanted, name, got.dtype)
                assert (got == expected).all(), (wanted, name, got)


def refused(status, text, ask):
    try:
        ask()
    except InferenceServerException as error:
        assert error.status() == str(status), error
        assert text in error.message(), error
    else:
        raise AssertionError(f"not refused: {text}")


def errors(client):
    x = triton.InferInput("x", [1, 5], "FP32")
    x.set_data_from_numpy(np.zeros((1, 5), dtype=np.float32))
    refused(400, "must be FP32[-1, 4], not FP32[1, 5]", lambda: client.infer("wear", [x]))
    refused(404, 'no model "tear"', lambda: client.infer("tear", [x]))
    refused(404, "no version", lambda: client.get_model_metadata("wear", "4"))
    x.set_shared_memory("region", 16)
    refused(400, "shared memory is not supported", lambda: client.infer("wear", [x]))
    y = triton.InferInput("x", [1, 4], "FP32")
    y.set_data_from_numpy(np.full((1, 4), np.nan, dtype=np.float32))
    outputs = [triton.InferRequestedOutput("wear", binary_data=False)]
    refused(400, "JSON cannot carry NaN", lambda: client.infer("wear", [y], outputs=outputs))
    assert np.isnan(client.infer("wear", [y]).as_numpy("wear")).all()


async def gathered(address):
    async with triton_aio.InferenceServerClient(address) as client:
        assert await client.is_server_live()
        several = [client.infer("wear", [wear_input()], request_id=str(n)) for n in range(8)]
        for n, result in enumerate(await asyncio.gather(*several)):
            assert result.get_response()["id"] == str(n)
            np.testing.assert_allclose(result.as_numpy("wear"), ROWS.sum(axis=1), rtol=1e-6)


def asynchronous(_):
    asyncio.run(gathered(sys.argv[1]))


def statistics(client):
    """What was inferred and what was refused is counted."""
    for _ in range(3):
        client.infer("wear", [wear_input()])
    refused(400, "not FP32[1, 5]",
            lambda: client.infer("wear", [wear_input(np.zeros((1, 5), dtype=np.float32))]))
    figures = client.get_inference_statistics("wear")["model_stats"][0]
    assert (figures["name"], figures["version"]) == ("wear", "3"), figures
    assert (figures["execution_count"], figures["inference_count"]) == (3, 6), figures
    parts = figures["inference_stats"]
    assert (parts["success"]["count"], parts["fail"]["count"]) == (3, 1), figures
    assert parts["success"]["ns"] > parts["compute_infer"]["ns"] > 0, figures
    assert len(client.get_inference_statistics()["model_stats"]) == 3


def repository(client, name, password):
    client.register_plugin(BasicAuth(name, password))

    def standing():
        return {m["name"]: (m["state"], m["reason"]) for m in client.get_model_repository_index()}

    assert standing() == {name: ("READY", "") for name in ("held", "types", "wear")}, standing()
    refused(409, 'used by deployment "wear"', lambda: client.unload_model("wear"))
    client.unload_model("types")
    assert standing()["types"] == ("UNAVAILABLE", "unloaded"), standing()
    assert not client.is_model_ready("types") and client.is_server_ready()
    x = triton.InferInput("in_BOOL", [1, 2], "BOOL")
    x.set_data_from_numpy(samples("BOOL"))
    refused(503, "was unloaded", lambda: client.infer("types", [x]))
    refused(400, "leave parameters out", lambda: client.load_model("types", config="{}"))
    client.load_model("types")
    assert client.is_model_ready("types")
    refused(404, "no model", lambda: client.load_model("tear"))


def credentials(client, name, password):
    assert not client.is_server_live()
    client.register_plugin(BasicAuth(name, password))
    assert client.is_server_live()
    infer(client, "binary")


def golden(client, name, password, model, path):
    """A served package answers its own golden vectors."""
    client.register_plugin(BasicAuth(name, password))
    assert client.is_server_ready()
    assert client.is_model_ready(model)
    assert not client.is_model_ready("tear")
    for vector in json.loads(Path(path).read_text())["vectors"]:
        inputs = []
        for tensor in vector["inputs"]:
            rows = np.array(tensor["data"], dtype=NUMPY[tensor["datatype"]])
            sent = triton.InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
            sent.set_data_from_numpy(rows.reshape(tensor["shape"]))
            inputs.append(sent)
        answer = client.infer(model, inputs)
        for tensor in vector["outputs"]:
            told = answer.as_numpy(tensor["name"]).flatten()
            np.testing.assert_allclose(told, tensor["data"], rtol=1e-4, atol=1e-5)


if __name__ == "__main__":
    address, command, *arguments = sys.argv[1:]
    with triton.InferenceServerClient(address, concurrency=4) as connected:
        globals()[command](connected, *arguments)
