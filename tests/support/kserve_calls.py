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
from kserve.errors import UnsupportedProtocol
from kserve.protocol.infer_type import RequestedOutput

MODEL = "arithmetic"
NUMBERS = np.array([1, 2.5], np.float32)
ADDEND = {"shape": [2], "datatype": "FP32", "data": NUMBERS.tolist()}
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


async def outcome(call: Any) -> Any:
    """What a call returns; the status and the text, or the kind, of the error that it raises."""
    try:
        return await call
    except httpx.HTTPStatusError as failure:
        return [failure.response.status_code, str(failure)]
    except (ValueError, UnsupportedProtocol) as failure:
        return type(failure).__name__


def datatypes(url: str) -> dict[str, Any]:
    """What the client makes of other types than floats; its call can't name a signature."""
    inputs = [tensor(name, *each, binary=each[1] == "FP16") for name, each in TENSORS.items()]
    inputs.append(InferInput("brain", [1, 2], "BF16", data=[1.5, 2.0]))
    body, json_bytes = InferRequest(MODEL, inputs).to_rest()
    headers = {"Inference-Header-Content-Length": str(json_bytes)}
    answer = httpx.post(f"{url}/v2/models/{MODEL}/infer?signature=mixed", content=body, headers=headers)
    return {each["name"]: each["data"] for each in answer.raise_for_status().json()["outputs"]}


async def call_v2(client: Any, url: str) -> dict[str, Any]:
    short = InferRequest(MODEL, addends(binary=False)[:1])
    document = {"inputs": [{**ADDEND, "name": name} for name in ("a", "b")], "outputs": [{"name": "sum"}]}
    graph = client.infer(f"{url}/v2/models/{MODEL}/infer", document, is_graph_endpoint=True)
    return {
        "is_server_live": await client.is_server_live(url),
        "is_server_ready": await client.is_server_ready(url),
        "is_model_ready": [await client.is_model_ready(url, name) for name in (MODEL, "beer")],
        "infer": await sums(client, url),
        "infer: a graph": (await graph)["outputs"][0]["data"],
        "infer: a missing input": await outcome(client.infer(url, short, MODEL)),
        "infer: another model": await outcome(client.infer(url, short, "beer")),
        "explain": await outcome(client.explain(url, MODEL, document)),
    }


async def call_v1(client: Any, url: str) -> dict[str, Any]:
    rows = {"instances": [{"a": 1, "b": 1}, {"a": 2.5, "b": 2.5}]}
    return {
        "is_server_live": await outcome(client.is_server_live(url)),
        "is_server_ready": await outcome(client.is_server_ready(url)),
        "is_model_ready": await client.is_model_ready(url, MODEL),
        "is_model_ready: another": await outcome(client.is_model_ready(url, "beer")),
        "infer": await client.infer(url, rows, model_name=MODEL),
        "infer: another model": await outcome(client.infer(url, rows, model_name="beer")),
        "explain": await outcome(client.explain(url, MODEL, rows)),
    }


async def call(url: str) -> dict[str, Any]:
    async with InferenceRESTClient(RESTConfig(protocol="v1", retries=1, timeout=30)) as client:
        first = await call_v1(client, url)
    async with InferenceRESTClient(RESTConfig(protocol="v2", retries=1, timeout=30)) as client:
        second = await call_v2(client, url)
    called = {name.partition(":")[0] for name in first | second} | {"close"}
    uncalled = sorted(name for name in set(dir(client)) - called if not name.startswith("_"))
    return {"v1": first, "v2": second, "datatypes": datatypes(url), "uncalled": uncalled}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(call(f"http://{sys.argv[1]}"))))
