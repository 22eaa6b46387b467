"""Reads a worker's pages as Triton's own messages, which refuse what they do not know; prints JSON.

    python triton_messages.py HOST:PORT MODEL

These are the messages of Triton's gRPC API, which its REST API writes as JSON: the configuration of a
model, and the statistics. It runs in MLServer's environment (client_environments.py), so it imports nothing
of this repository; and in a process of its own, because MLServer has messages of the same names.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

from google.protobuf import json_format  # type: ignore[import-untyped] # it ships no types
from tritonclient.grpc import model_config_pb2, service_pb2


def read(url: str, message: Any) -> Any:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json_format.ParseDict(json.load(answer), message)


def main(address: str, model: str) -> None:
    root = f"http://{address}/v2/models"
    config = read(f"{root}/{model}/config", model_config_pb2.ModelConfig())
    statistics = read(f"{root}/{model}/stats", service_pb2.ModelStatisticsResponse())
    found = {
        "name": config.name,
        "inputs": {
            each.name: [model_config_pb2.DataType.Name(each.data_type), *each.dims] for each in config.input
        },
        "runs": [config.instance_group[0].count],
        "parameters": {name: each.string_value for name, each in config.parameters.items()},
        "versions": [*config.version_policy.specific.versions],
        "latest": config.version_policy.latest.num_versions,
        "statistics": [each.name for each in statistics.model_stats],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
