"""A body with binary tensors: a JSON document, and the bytes of the tensors behind it.

The header `Inference-Header-Content-Length` says how long the JSON document is, after the body was
decompressed. Without the header all of the body is JSON. With 0 there is no JSON: the body is the one input
of the model (raw.py).
"""

from __future__ import annotations

from tfleet.contract.names import JSON_LENGTH, whole_number
from tfleet.worker.api.protocols.problems import bad_input, quoted


def json_length(header: str | None, body_bytes: int) -> int:
    """How many bytes of the body are JSON. Raises ProblemError (400) for a header that is no such number."""
    if header is None:
        return body_bytes
    length = whole_number(header.strip())
    if length is None:
        raise bad_input(f"{JSON_LENGTH} is {quoted(header)}: send the number of bytes of the JSON part")
    if length > body_bytes:
        raise bad_input(
            f"{JSON_LENGTH} is {length}, and the body has {body_bytes} bytes: send the number of bytes of "
            "the JSON part, before compression"
        )
    return length
