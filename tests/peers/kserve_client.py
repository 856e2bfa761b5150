"""kserve's inference clients against the server: kserve_client.py rest|grpc HOST:PORT"""

import asyncio
import logging
import sys

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

ROWS = np.array([[1, 2, 3, 4.5], [0.1, 0.2, 0.3, 0.4]], dtype=np.float32)
# The client logs every refusal that this script asks for.
logging.getLogger("kserve").setLevel(logging.CRITICAL)


def asked(model, binary):
    x = InferInput("x", list(ROWS.shape), "FP32")
    x.set_data_from_numpy(ROWS, binary_data=binary)
    return InferRequest(model_name=model, request_id="r-1", infer_inputs=[x])


def check(answer):
    assert (answer.model_name, answer.id) == ("wear", "r-1"), answer
    outputs = {output.name: output.as_numpy() for output in answer.outputs}
    np.testing.assert_allclose(outputs["wear"], ROWS.sum(axis=1), rtol=1e-6)
    assert outputs["class"].tolist() == [1, 0], outputs


async def rest(address):
    base = f"http://{address}"
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    assert await client.is_server_live(base)
    assert await client.is_server_ready(base)
    assert await client.is_model_ready(base, "wear")
    for binary in (False, True):
        check(await client.infer(base, asked("wear", binary), model_name="wear"))
    try:
        await client.infer(base, asked("tear", False), model_name="tear")
    except httpx.HTTPStatusError as error:
        assert error.response.status_code == 404, error
    else:
        raise AssertionError("tear is not refused")
    await client.close()


async def over_grpc(address):
    client = InferenceGRPCClient(address, retries=2)
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert await client.is_model_ready("wear")
    for binary in (False, True):
        check(await client.infer(asked("wear", binary)))
    try:
        await client.infer(asked("tear", True))
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error
    else:
        raise AssertionError("tear is not refused")
    await client.close()


if __name__ == "__main__":
    surface, target = sys.argv[1:3]
    asyncio.run({"rest": rest, "grpc": over_grpc}[surface](target))
