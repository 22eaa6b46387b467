"""Asks a model again and again with Triton's own client until its input ends, and prints what came of it.

    python tritonclient_load.py HOST:PORT MODEL [HEADER=VALUE...]

The model multiplies its input by its version. Each answer is checked. It prints how many requests have ended,
line by line, and at last a line of JSON. It runs in an environment of its own (client_environments.py), so it
imports nothing of this repository.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
from collections import Counter

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

CLIENTS = 4
NUMBERS = 20_000
CODINGS = itertools.cycle((None, "gzip", "deflate"))


class Load:
    """What has come of the requests so far."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.right = 0
        self.errors: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, version: str, error: str = "") -> None:
        with self._lock:
            if error:
                self.errors[error] += 1
            else:
                self.right += 1
                self.versions[version] += 1
            print(self.right + self.errors.total(), flush=True)


def ask(load: Load, address: str, model: str, headers: dict[str, str], seed: int) -> None:
    """Ask with one client, in binary form, until the load ends."""
    numbers = np.random.default_rng(seed).normal(size=NUMBERS).astype(np.float32)
    tensor = triton.InferInput("x", [NUMBERS], "FP32")
    tensor.set_data_from_numpy(numbers)
    with triton.InferenceServerClient(address) as client:
        while not load.ended.is_set():
            # The client adds headers of its own to those that it is given.
            sent, coding = dict(headers), next(CODINGS)
            try:
                result = client.infer(model, [tensor], headers=sent, request_compression_algorithm=coding)
            except InferenceServerException as failure:
                load.count("", f"{failure.status()} {failure.message()}")
                continue
            version = result.get_response()["model_version"]
            right = np.array_equal(result.as_numpy("y"), numbers * np.float32(version))
            load.count(version, "" if right else "a wrong answer")


def main(address: str, model: str, *headers: str) -> None:
    load, named = Load(), dict(header.split("=", 1) for header in headers)
    threads = [
        threading.Thread(target=ask, args=(load, address, model, named, seed)) for seed in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    load.ended.set()
    for thread in threads:
        thread.join()
    print(json.dumps({"right": load.right, "errors": load.errors, "versions": load.versions}))


if __name__ == "__main__":
    main(*sys.argv[1:])
