"""tritonclient over gRPC against the server's inference API: oip_grpc_client.py HOST:PORT COMMAND"""

import asyncio
import base64
import json
import os
import queue
import sys
import time
import traceback

import ml_dtypes
import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

NUMPY = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32,
    "UINT64": np.uint64, "INT8": np.int8, "INT16": np.int16, "INT32": np.int32,
    "INT64": np.int64, "FP16": np.float16, "BF16": ml_dtypes.bfloat16, "FP32": np.float32,
    "FP64": np.float64, "BYTES": np.object_,
}
ROWS = np.array([[1, 2, 3, 4.5], [0.1, 0.2, 0.3, 0.4]], dtype=np.float32)


def wear_input(rows=ROWS):
    x = triton.InferInput("x", list(rows.shape), "FP32")
    x.set_data_from_numpy(rows)
    return x


def metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("wear")
    assert client.is_model_ready("wear", "3")
    server = client.get_server_metadata()
    assert server.name == "resonance" and "statistics" in server.extensions, server
    model = client.get_model_metadata("wear")
    assert (model.platform, list(model.versions)) == ("onnx_onnxv1", ["3"]), model
    assert [(t.name, t.datatype, list(t.shape)) for t in model.inputs] == [("x", "FP32", [-1, 4])]
    index = client.get_model_repository_index()
    states = {model.name: model.state for model in index.models}
    assert states == {"held": "READY", "types": "READY", "wear": "READY"}, states


def infer(client):
    outputs = [triton.InferRequestedOutput(name) for name in ("class", "wear")]
    for _ in range(3):
        result = client.infer("wear", [wear_input()], request_id="r-1", outputs=outputs)
        assert result.get_response().id == "r-1"
        assert [output.name for output in result.get_response().outputs] == ["class", "wear"]
        np.testing.assert_allclose(result.as_numpy("wear"), ROWS.sum(axis=1), rtol=1e-6)
        assert result.as_numpy("class").tolist() == [1, 0]
    answers = queue.Queue()
    for _ in range(8):
        client.async_infer("wear", [wear_input()], lambda result, error: answers.put(
            (result, error)))
    for _ in range(8):
        result, error = answers.get(timeout=20)
        assert error is None, error
        assert result.as_numpy("class").tolist() == [1, 0]
    typed(client)
    figures = client.get_inference_statistics("wear").model_stats[0]
    assert (figures.name, figures.version) == ("wear", "3")
    assert figures.execution_count >= 12 and figures.inference_count >= 24, figures
    assert figures.inference_stats.compute_infer.count == figures.execution_count
    assert figures.inference_stats.success.ns > 0 and figures.last_inference > 0
    assert len(client.get_inference_statistics().model_stats) == 3


def typed(client):
    """Typed contents, as other clients of the protocol send and expect them."""
    request = service_pb2.ModelInferRequest(model_name="wear", id="t")
    x = request.inputs.add(name="x", datatype="FP32", shape=[2, 4])
    x.contents.fp32_contents.extend(ROWS.flatten().tolist())
    answer = client._client_stub.ModelInfer(request)
    assert not answer.raw_output_contents
    wear, kind = answer.outputs
    np.testing.assert_allclose(wear.contents.fp32_contents, ROWS.sum(axis=1), rtol=1e-6)
    assert list(kind.contents.int64_contents) == [1, 0]


def samples(name):
    kind = NUMPY[name]
    if name == "BOOL":
        return np.array([[True, False]])
    if name == "BYTES":
        return np.array([["Fräser".encode(), b""]], dtype=np.object_)
    if np.issubdtype(kind, np.integer):
        return np.array([[np.iinfo(kind).min, np.iinfo(kind).max]], dtype=kind)
    return np.array([[-1.5, 0.1]], dtype=kind)


def types(client):
    inputs = []
    for name in NUMPY:
        tensor = triton.InferInput(f"in_{name}", [1, 2], name)
        tensor.set_data_from_numpy(samples(name))
        inputs.append(tensor)
    result = client.infer("types", inputs)
    for name in NUMPY:
        got, expected = result.as_numpy(f"out_{name}"), samples(name)
        assert got.dtype == expected.dtype, (name, got.dtype)
        assert (got == expected).all(), (name, got)


async def gathered(address):
    async with triton_aio.InferenceServerClient(address) as client:
        assert await client.is_server_live()
        assert await client.is_model_ready("wear")
        several = [client.infer("wear", [wear_input()], request_id=str(n)) for n in range(8)]
        for n, result in enumerate(await asyncio.gather(*several)):
            assert result.get_response().id == str(n)
            np.testing.assert_allclose(result.as_numpy("wear"), ROWS.sum(axis=1), rtol=1e-6)


def asynchronous(client):
    asyncio.run(gathered(sys.argv[1]))


def refused(status, text, ask):
    try:
        ask()
    except InferenceServerException as error:
        assert error.status() == f"StatusCode.{status}", error
        assert text in error.message(), error
    else:
        raise AssertionError(f"not refused: {text}")


def errors(client):
    wide = wear_input(np.zeros((1, 5), dtype=np.float32))
    refused("INVALID_ARGUMENT", "must be FP32[-1, 4], not FP32[1, 5]",
            lambda: client.infer("wear", [wide]))
    refused("NOT_FOUND", 'no model "tear"', lambda: client.infer("tear", [wide]))
    refused("NOT_FOUND", "no version", lambda: client.get_model_metadata("wear", "4"))
    refused("NOT_FOUND", 'no model "tear"', lambda: client.is_model_ready("tear"))
    shared = wear_input()
    shared.set_shared_memory("region", 16)
    refused("INVALID_ARGUMENT", "shared memory is not supported",
            lambda: client.infer("wear", [shared]))
    refused("INVALID_ARGUMENT", "sequences are not supported",
            lambda: client.infer("wear", [wear_input()], sequence_id=4))
    refused("INVALID_ARGUMENT", "no output",
            lambda: client.infer("wear", [wear_input()],
                                 outputs=[triton.InferRequestedOutput("tear")]))
    large = wear_input(np.zeros((100_000, 4), dtype=np.float32))
    refused("RESOURCE_EXHAUSTED", "larger than", lambda: client.infer("wear", [large]))
    minus = wear_input(np.full((1, 4), -np.inf, dtype=np.float32))
    refused("INTERNAL", "minus infinity", lambda: client.infer("wear", [minus]))
    refused("PERMISSION_DENIED", "needs engineer", lambda: client.unload_model("types"))
    refused("UNIMPLEMENTED", "", lambda: client.get_trace_settings())


def say(what):
    print(json.dumps({"said": what}), flush=True)


def byte():
    x = triton.InferInput("x", [1], "UINT8")
    x.set_data_from_numpy(np.zeros(1, dtype=np.uint8))
    return x


def begin(client, answers, count):
    for _ in range(count):
        client.async_infer("held", [byte()], lambda result, error: answers.put(error))


def bounds(client, count):
    """As many calls as the bound are held: one more is refused, probes answer."""
    answers = queue.Queue()
    begin(client, answers, int(count))
    say("begun")
    sys.stdin.readline()
    refused("RESOURCE_EXHAUSTED", "which is the bound; try again",
            lambda: client.infer("wear", [wear_input()], client_timeout=10))
    assert client.is_server_live() and client.is_model_ready("wear")
    say("refused")
    assert [answers.get(timeout=20) for _ in range(int(count))] == [None] * int(count)
    client.infer("wear", [wear_input()])
    say("done")


def await_place(client):
    """The server knows of an end later than its client does: a place is free again then."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            return client.get_server_metadata()
        except InferenceServerException as error:
            assert "which is the bound" in str(error), error
            time.sleep(0.01)
    raise AssertionError("a call that ended keeps its place")


def cancelled(client, count):
    """While every processor is held, calls that end before their turn come to nothing. The server
    has a place for one of them at a time.
    """
    answers = queue.Queue()
    begin(client, answers, int(count))
    say("begun")
    sys.stdin.readline()
    refused("DEADLINE_EXCEEDED", "", lambda: client.infer("held", [byte()], client_timeout=0.3))
    await_place(client)
    gone = queue.Queue()
    call = client.async_infer("held", [byte()], lambda result, error: gone.put(error))
    call.cancel()
    assert "CANCELLED" in str(gone.get(timeout=20).status())
    await_place(client)
    say("gone")
    assert [answers.get(timeout=20) for _ in range(int(count))] == [None] * int(count)
    client.infer("held", [byte()])
    say("done")


def over_tls(certificate):
    with triton.InferenceServerClient(sys.argv[1], ssl=True, root_certificates=certificate) as one:
        otto = user("otto", "do")
        result = one.infer("wear", [wear_input()], headers=otto)
        np.testing.assert_allclose(result.as_numpy("wear"), ROWS.sum(axis=1), rtol=1e-6)
        refused("UNAUTHENTICATED", "", lambda: one.is_server_live())


def user(name, password):
    pair = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"authorization": f"Basic {pair}"}


def commands(client):
    vera, otto, enno = user("vera", "see"), user("otto", "do"), user("enno", "change")
    refused("UNAUTHENTICATED", "name and password", lambda: client.is_server_live())
    refused("UNAUTHENTICATED", "no such user",
            lambda: client.is_server_live(headers=user("vera", "look")))
    assert client.is_server_live(headers=vera)
    refused("PERMISSION_DENIED", "needs operate",
            lambda: client.infer("wear", [wear_input()], headers=vera))
    client.infer("wear", [wear_input()], headers=otto)
    refused("PERMISSION_DENIED", "needs engineer",
            lambda: client.unload_model("types", headers=otto))
    refused("FAILED_PRECONDITION", 'used by deployment "wear"',
            lambda: client.unload_model("wear", headers=enno))
    client.unload_model("types", headers=enno)
    client.unload_model("types", headers=enno)
    assert not client.is_model_ready("types", headers=enno)
    assert client.is_server_ready(headers=vera)
    states = {m.name: (m.state, m.reason) for m in
              client.get_model_repository_index(headers=vera).models}
    assert states["types"] == ("UNAVAILABLE", "unloaded"), states
    request = triton.InferInput("in_BOOL", [1, 2], "BOOL")
    request.set_data_from_numpy(samples("BOOL"))
    refused("UNAVAILABLE", "was unloaded",
            lambda: client.infer("types", [request], headers=otto))
    refused("INVALID_ARGUMENT", "leave parameters out",
            lambda: client.load_model("types", headers=enno, config="{}"))
    client.load_model("types", headers=enno)
    assert client.is_model_ready("types", headers=vera)
    refused("NOT_FOUND", "no model", lambda: client.load_model("tear", headers=enno))


if __name__ == "__main__":
    address, command, *arguments = sys.argv[1:]
    if command == "over_tls":
        over_tls(*arguments)
    else:
        with triton.InferenceServerClient(address) as connected:
            try:
                globals()[command](connected, *arguments)
            except BaseException:
                # The client would wait for calls under way, which the test holds.
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
