"""Calls a worker with KServe's own client, and prints what came of each call as JSON.

    python kserve_calls.py HOST:PORT

It runs in an environment of its own (client_environments.py), so it imports nothing of this repository.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from typing import Any

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

MODEL = "arithmetic"
NUMBERS = np.array([1, 2.5], np.float32)
TENSORS = {
    "half": (np.array([[1, -2]], np.float16), "FP16"),
    "whole": (np.array([2**53 + 1]), "INT64"),
    "flag": (np.array([True]), "BOOL"),
    "word": (np.array([b"Ada"], object), "BYTES"),
}


def tensor(name: str, array: Any, kind: str, *, binary: bool) -> Any:
    found = InferInput(name, list(array.shape), kind)
    found.set_data_from_numpy(array, binary_data=binary)
    return found


def addends(*, binary: bool) -> list[Any]:
    return [tensor(name, NUMBERS, "FP32", binary=binary) for name in ("a", "b")]


async def sums(client: Any, url: str) -> list[Any]:
    """The sum, in each form of the request and of the answer."""
    found = []
    asked = (None, [RequestedOutput("sum", {"binary_data": True})], [RequestedOutput("sum")])
    wanted = (None, {"binary_data_output": True})
    for binary, outputs, parameters in itertools.product((True, False), asked, wanted):
        request = InferRequest(
            MODEL, addends(binary=binary), request_id="42", parameters=parameters, request_outputs=outputs
        )
        answer = await client.infer(url, request, model_name=MODEL)
        (output,) = (each for each in answer.outputs if each.name == "sum")
        found.append([answer.id, output.as_numpy().tolist()])
    return found


async def error(client: Any, url: str, request: Any, model: str) -> list[Any]:
    """The status and the text with which a request fails."""
    try:
        return [200, repr(await client.infer(url, request, model_name=model))]
    except httpx.HTTPStatusError as failure:
        return [failure.response.status_code, str(failure)]


def datatypes(url: str) -> dict[str, Any]:
    """What the client makes of other types than floats; its call can't name a signature."""
    inputs = [tensor(name, *each, binary=each[1] == "FP16") for name, each in TENSORS.items()]
    inputs.append(InferInput("brain", [1, 2], "BF16", data=[1.5, 2.0]))
    body, json_bytes = InferRequest(MODEL, inputs).to_rest()
    headers = {"Inference-Header-Content-Length": str(json_bytes)}
    answer = httpx.post(f"{url}/v2/models/{MODEL}/infer?signature=mixed", content=body, headers=headers)
    return {each["name"]: each["data"] for each in answer.raise_for_status().json()["outputs"]}


async def call(url: str) -> dict[str, Any]:
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=1, timeout=30))
    short = InferRequest(MODEL, addends(binary=False)[:1])
    return {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model ready": [await client.is_model_ready(url, name) for name in (MODEL, "beer")],
        "sums": await sums(client, url),
        "a missing input": await error(client, url, short, MODEL),
        "another model": await error(client, url, short, "beer"),
        "datatypes": datatypes(url),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(call(f"http://{sys.argv[1]}"))))
