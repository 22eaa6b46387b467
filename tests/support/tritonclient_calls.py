"""Calls a worker with Triton's own client, and prints what came of each call as JSON.

    python tritonclient_calls.py HOST:PORT arithmetic
    python tritonclient_calls.py HOST:PORT image NAME PHOTO

It runs in an environment of its own (client_environments.py), so it imports nothing of this repository.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import tritonclient.http as sync_http
import tritonclient.http.aio as async_http
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


def error(call: Callable[[], object]) -> list[str | None]:
    """The status and the text with which a call fails."""
    try:
        return ["no error", repr(call())]
    except InferenceServerException as failure:
        return [failure.status(), failure.message()]


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


def pages(client: Any, model: str) -> dict[str, Any]:
    """Everything that needs no tensors."""
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": [client.is_model_ready(name) for name in (model, "beer")],
        "server": client.get_server_metadata(),
        "model": client.get_model_metadata(model, "1"),
        "config": client.get_model_config(model),
        "statistics": client.get_inference_statistics(model),
        "all statistics": all_statistics(client),
        "index": client.get_model_repository_index(),
        "load": client.load_model(model),
        "shared memory": client.get_system_shared_memory_status(),
        "unshared memory": client.unregister_system_shared_memory(),
    }


def all_statistics(client: Any) -> Any:
    """What a server says of all models; the text of its error, if it has none."""
    try:
        return client.get_inference_statistics()
    except InferenceServerException as failure:
        return failure.message()


def errors(client: Any, model: str) -> dict[str, Any]:
    short = [tensor("a", NUMBERS, "FP32", binary=True)]
    return {
        "another model": error(lambda: client.infer("beer", addends(binary=True))),
        "another version": error(lambda: client.get_model_metadata(model, "9")),
        "a missing input": error(lambda: client.infer(model, short)),
        "unload": error(lambda: client.unload_model(model)),
        "load another": error(lambda: client.load_model("beer")),
        "register memory": error(lambda: client.register_system_shared_memory("r", "/r", 8)),
        "log settings": error(client.get_log_settings),
        "trace settings": error(client.get_trace_settings),
    }


async def asynchronously(address: str, model: str) -> list[Any]:
    found = []
    async with async_http.InferenceServerClient(address) as client:
        assert await client.is_model_ready(model)
        for binary, coding in itertools.product((True, False), CODINGS):
            codings = {"request_compression_algorithm": coding, "response_compression_algorithm": coding}
            found.append(values(await client.infer(model, addends(binary=binary), **codings), "sum", "diff"))
    return found


def call_arithmetic(address: str) -> dict[str, Any]:
    model = "arithmetic"
    with sync_http.InferenceServerClient(address) as client:
        return {
            "forms": infer_in_all_forms(client, model),
            "large": large_answers(client, model),
            "later": values(client.async_infer(model, addends(binary=True)).get_result(), "sum"),
            "datatypes": [all_datatypes(client, model, binary=binary) for binary in (True, False)],
            "pages": pages(client, model),
            "errors": errors(client, model),
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
