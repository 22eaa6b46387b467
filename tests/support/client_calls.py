"""What clients that others wrote are told, by a worker and by a proxy alike, in tritonclient_calls.py."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

REFUSED: Final = {
    "get_model_metadata: version": ("404", "9"),
    "load_model: another": ("404", "beer"),
    "load_model: configured": ("400", "put the version into the folder of `tfleet up --models`"),
    "unload_model": ("400", "tfleet drain ID"),
    "get_trace_settings": ("404", "GET /v2 lists the extensions"),
    "update_trace_settings": ("404", "GET /v2 lists the extensions"),
    "get_log_settings": ("404", "GET /v2 lists the extensions"),
    "update_log_settings": ("404", "GET /v2 lists the extensions"),
    "register_system_shared_memory": ("400", "send tensors in the body"),
    "register_cuda_shared_memory": ("400", "send tensors in the body"),
    "infer: another model": ("404", "beer"),
    "infer: a missing input": ("400", "lacks 'b'"),
    "infer: a sequence": ("400", "keeps no sequences"),
}
"""The calls that fail, with the status and what the error says."""
ANSWERED: Final[dict[str, Any]] = {
    "is_server_live": True,
    "is_server_ready": True,
    "is_model_ready": True,
    "is_model_ready: version": True,
    "is_model_ready: another": False,
    "load_model": None,
    "get_system_shared_memory_status": [],
    "unregister_system_shared_memory": None,
    "get_cuda_shared_memory_status": [],
    "unregister_cuda_shared_memory": None,
}


def check_calls_of_triton(
    calls: dict[str, Any], also_refused: Mapping[str, tuple[str, str]] = MappingProxyType({})
) -> None:
    """Check what came of a client's calls, but for the pages that only one of the two has."""
    expected = {**REFUSED, **also_refused}
    refused = {name: said for name, said in calls.items() if isinstance(said, dict) and "error" in said}
    assert {name: said["status"] for name, said in refused.items()} == {
        name: status for name, (status, _) in expected.items()
    }
    for name, (_, words) in expected.items():
        assert words in refused[name]["error"], name
    assert {name: calls[name] for name in ANSWERED} == ANSWERED
    assert calls["get_server_metadata"]["name"] == "tfleet"
    assert [each["name"] for each in calls["get_model_metadata"]["inputs"]] == ["a", "b"]
    assert calls["get_model_config"]["name"] == "arithmetic"
    (statistics,) = calls["get_inference_statistics"]["model_stats"]
    assert (statistics["name"], statistics["version"]) == ("arithmetic", "1")


def check_calls_of_kserve(said: dict[str, Any]) -> None:
    """Check what came of the calls of KServe's client, by both of its protocols."""
    first, second = said["v1"], said["v2"]
    assert (second["is_server_live"], second["is_server_ready"]) == (True, True)
    assert (first["is_model_ready"], second["is_model_ready"]) == (True, [True, False])
    assert first["infer"] == {"predictions": [{"diff": 0.0, "sum": 2.0}, {"diff": 0.0, "sum": 5.0}]}
    assert second["infer"] == [["42", [2.0, 5.0]]] * 12
    assert second["infer: a graph"] == [2.0, 5.0]
    for (status, text), expected, words in (
        (first["is_model_ready: another"], 404, "beer"),
        (first["infer: another model"], 404, "beer"),
        (first["explain"], 400, "Malformed request: POST /v1/models/arithmetic:explain"),
        (second["infer: another model"], 404, "beer"),
        (second["infer: a missing input"], 400, "lacks 'b'"),
    ):
        assert (status, words in text) == (expected, True), text
    # The client itself refuses these; and it asks for JSON at `/`, where a person reads the help.
    assert second["explain"] == first["is_server_ready"] == "UnsupportedProtocol"
    assert first["is_server_live"] == "JSONDecodeError"
    assert said["uncalled"] == []
