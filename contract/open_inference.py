"""What a worker and a proxy do alike in the Open Inference Protocol: `GET /v2`, and the bodies of
`POST /v2/repository/...`, and what is none of it.
"""

from __future__ import annotations

import json
from typing import Any, Final

from tfleet.contract.identifiers import escaped
from tfleet.contract.problem import Problem, ProblemError

MAX_OPTIONS_BYTES: Final = 64 * 1024
"""The largest body of `POST /v2/repository/...`."""
_NO_BODY: Final = "send none, or {}"
TOO_LARGE: Final = Problem(413, f"the body is over {MAX_OPTIONS_BYTES} bytes: {_NO_BODY}")
EXTENSIONS: Final = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "statistics",
)
"""Those of Triton's extensions that clients may use here."""


def server_metadata(version: str) -> dict[str, Any]:
    """The answer to `GET /v2`, for this version of tfleet."""
    return {"name": "tfleet", "version": version, "extensions": list(EXTENSIONS)}


def read_options(body: bytes, content_encoding: str | None) -> dict[str, Any]:
    """The JSON object in a body of `POST /v2/repository/...`; empty without a body.

    Raises ProblemError: 400, 413 or 415.
    """
    if (content_encoding or "identity").lower() != "identity":
        raise ProblemError(Problem(415, f"a compressed body is not read here: {_NO_BODY}"))
    if len(body) > MAX_OPTIONS_BYTES:
        raise ProblemError(TOO_LARGE)
    if not body.strip():
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ProblemError(Problem(400, f"the body is no JSON object: {_NO_BODY}"))
    return found


def nothing_at(path: str) -> Problem:
    """The answer to a path below `/v2` that is nothing of this API."""
    return Problem(
        404,
        f"there is nothing at {escaped(path)}: there is /v2/models/NAME[/versions/V] with /infer, /ready, "
        "/config or /stats behind it, and GET /v2 says what else this server has",
    )
