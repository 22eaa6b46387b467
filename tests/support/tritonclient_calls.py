"""Calls a worker with Triton's own client, and prints what came of each call as JSON.

    python tritonclient_calls.py HOST:PORT arithmetic
    python tritonclient_calls.py HOST:PORT image NAME PHOTO

It runs in an environment of its own (client_environments.py), so it imports nothing of this repository.
"""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import tritonclient.http as sync_http
import tritonclient.http.aio as async_http
from tritonclient.http.auth import BasicAuth
from tritonclient.utils import InferenceServerException

CODINGS = (None, "gzip", "deflate")
TENSORS: dict[str, tuple[Any, str]] = {
    "half": (np.array([[1, -2]], np.float16), "FP16"),
    "brain": (np.array([[1.5, 2]], ml_dtypes.bfloat16), "BF16"),
    "whole": (np.array([2**53]), "INT64"),
    "flag": (np.array([True]), "BOOL"),
    "word": (np.array(["h\u00e9".encode()], object), "BYTES"),
}
NUMBERS = np.array([1, 2.5], np.float32)


def tensor(name: str, array: Any, kind: str, *, binary: bool) -> Any:
    found = sync_http.InferInput(name, list(array.shape), kind)
    return found.set_data_from_numpy(array, binary_data=binary)


def addends(*, binary: bool) -> list[Any]:
    return [tensor(name, NUMBERS, "FP32", binary=binary) for name in ("a", "b")]


def values(result: Any, *names: str) -> dict[str, Any]:
    """The outputs as lists; bytes as text."""
    arrays = {name: result.as_numpy(name) for name in names}
    return {
        name: [text.decode() if isinstance(text, bytes) else text for text in array.reshape(-1).tolist()]
        for name, array in arrays.items()
    }


def infer_in_all_forms(client: Any, model: str) -> list[Any]:
    """Each answer of a sum: binary and JSON, each coding, all outputs and one that is named."""
    found = []
    for binary, sent, wanted in itertools.product((True, False), CODINGS, CODINGS):
        codings = {"request_compression_algorithm": sent, "response_compression_algorithm": wanted}
        every = client.infer(model, addends(binary=binary), request_id="7", **codings)
        asked = [sync_http.InferRequestedOutput("sum", binary_data=not binary)]
        one = client.infer(model, addends(binary=binary), outputs=asked, model_version="1", **codings)
        found.append([every.get_response().get("id"), values(every, "sum", "diff"), values(one, "sum")])
    return found


def large_answers(client: Any, model: str) -> list[Any]:
    """The sum of a thousand rows, for each coding of the answer: small ones are not compressed."""
    rows = np.arange(1000, dtype=np.float32)
    found = []
    for coding in CODINGS:
        sent = [tensor(name, rows, "FP32", binary=True) for name in ("a", "b")]
        result = client.infer(model, sent, response_compression_algorithm=coding)
        found.append(bool((result.as_numpy("sum") == rows * 2).all()))
    return found


def all_datatypes(client: Any, model: str, *, binary: bool) -> dict[str, Any]:
    # The client itself sends BF16 in binary form only.
    sent = [tensor(name, *each, binary=binary or name == "brain") for name, each in TENSORS.items()]
    asked = [sync_http.InferRequestedOutput(name, binary_data=binary) for name in TENSORS]
    return values(client.infer(model, sent, outputs=asked, query_params={"signature": "mixed"}), *TENSORS)


CALLS: dict[str, Callable[[Any, str], Any]] = {
    "is_server_live": lambda client, _: client.is_server_live(),
    "is_server_ready": lambda client, _: client.is_server_ready(),
    "is_model_ready": lambda client, model: client.is_model_ready(model),
    "is_model_ready: version": lambda client, model: client.is_model_ready(model, "1"),
    "is_model_ready: another": lambda client, _: client.is_model_ready("beer"),
    "get_server_metadata": lambda client, _: client.get_server_metadata(),
    "get_model_metadata": lambda client, model: client.get_model_metadata(model, "1"),
    "get_model_metadata: version": lambda client, model: client.get_model_metadata(model, "9"),
    "get_model_config": lambda client, model: client.get_model_config(model),
    "get_model_repository_index": lambda client, _: client.get_model_repository_index(),
    "load_model": lambda client, model: client.load_model(model),
    "load_model: another": lambda client, _: client.load_model("beer"),
    "load_model: configured": lambda client, model: client.load_model(model, config="{}"),
    "unload_model": lambda client, model: client.unload_model(model),
    "get_inference_statistics": lambda client, model: client.get_inference_statistics(model),
    "get_inference_statistics: all": lambda client, _: client.get_inference_statistics(),
    "get_trace_settings": lambda client, model: client.get_trace_settings(model),
    "update_trace_settings": lambda client, _: client.update_trace_settings(settings={"trace_rate": "1"}),
    "get_log_settings": lambda client, _: client.get_log_settings(),
    "update_log_settings": lambda client, _: client.update_log_settings({"log_info": True}),
    "get_system_shared_memory_status": lambda client, _: client.get_system_shared_memory_status(),
    "register_system_shared_memory": lambda client, _: client.register_system_shared_memory("r", "/r", 8),
    "unregister_system_shared_memory": lambda client, _: client.unregister_system_shared_memory("r"),
    "get_cuda_shared_memory_status": lambda client, _: client.get_cuda_shared_memory_status("r"),
    "register_cuda_shared_memory": lambda client, _: client.register_cuda_shared_memory("r", "00", 0, 8),
    "unregister_cuda_shared_memory": lambda client, _: client.unregister_cuda_shared_memory(),
    "infer: another model": lambda client, _: client.infer("beer", addends(binary=True)),
    "infer: a missing input": lambda client, model: client.infer(model, addends(binary=True)[:1]),
    "infer: a sequence": lambda client, model: client.infer(model, addends(binary=True), sequence_id=5),
}
"""Calls by the name of the method, and what is special about them."""
NO_CALLS = {"close", "register_plugin", "unregister_plugin", "plugin"}


def uncalled(client: Any) -> list[str]:
    """The public methods that nothing here calls."""
    called = {name.partition(":")[0] for name in CALLS} | {"async_infer", "infer", *MESSAGES} | NO_CALLS
    return sorted(name for name in set(dir(client)) - called if not name.startswith("_"))


def outcome(call: Callable[[], object]) -> Any:
    """What a call returns; the status and the text of the error that it raises."""
    try:
        return call()
    except InferenceServerException as failure:
        return {"status": failure.status(), "error": failure.message()}


async def awaited(call: Any) -> Any:
    try:
        return await call
    except InferenceServerException as failure:
        return {"status": failure.status(), "error": failure.message()}


MESSAGES = ("generate_request_body", "parse_response_body")


def sum_of_bytes(client: Any, address: str, model: str) -> dict[str, Any]:
    """The client writes a request and reads an answer, and another library sends them."""
    body, json_bytes = client.generate_request_body(addends(binary=True), request_id="8")
    headers = {"Inference-Header-Content-Length": str(json_bytes)}
    connection = http.client.HTTPConnection(address)
    connection.request("POST", f"/v2/models/{model}/infer", body, headers)
    answer = connection.getresponse()
    length = int(answer.headers["Inference-Header-Content-Length"])
    result = client.parse_response_body(answer.read(), header_length=length)
    connection.close()
    return {"id": result.get_response()["id"], **values(result, "sum")}


async def asynchronously(address: str, model: str) -> dict[str, Any]:
    sums = []
    async with async_http.InferenceServerClient(address) as client:
        for binary, coding in itertools.product((True, False), CODINGS):
            codings = {"request_compression_algorithm": coding, "response_compression_algorithm": coding}
            sums.append(values(await client.infer(model, addends(binary=binary), **codings), "sum", "diff"))
        return {
            "sums": sums,
            "calls": {name: await awaited(call(client, model)) for name, call in CALLS.items()},
            "bytes": sum_of_bytes(client, address, model),
            "uncalled": uncalled(client),
        }


def call_arithmetic(address: str) -> dict[str, Any]:
    model = "arithmetic"
    with sync_http.InferenceServerClient(address) as client:
        client.register_plugin(BasicAuth("user", "password"))
        return {
            "forms": infer_in_all_forms(client, model),
            "large": large_answers(client, model),
            "later": values(client.async_infer(model, addends(binary=True)).get_result(), "sum"),
            "datatypes": [all_datatypes(client, model, binary=binary) for binary in (True, False)],
            "calls": {name: outcome(partial(call, client, model)) for name, call in CALLS.items()},
            "bytes": sum_of_bytes(client, address, model),
            "uncalled": uncalled(client),
            "async": asyncio.run(asynchronously(address, model)),
        }


def call_image(address: str, model: str, photo: str) -> dict[str, Any]:
    """The best classes of a photo, sent as it is."""
    image = np.array([Path(photo).read_bytes()], object)
    with sync_http.InferenceServerClient(address) as client:
        metadata = client.get_model_metadata(model)
        name, output = metadata["inputs"][0]["name"], metadata["outputs"][0]["name"]
        asked = [sync_http.InferRequestedOutput(output, class_count=3)]
        result = client.infer(model, [tensor(name, image, "BYTES", binary=True)], outputs=asked)
        return {"classes": values(result, output)[output]}


def main(address: str, what: str, *rest: str) -> None:
    print(json.dumps(call_arithmetic(address) if what == "arithmetic" else call_image(address, *rest)))


if __name__ == "__main__":
    main(*sys.argv[1:])
