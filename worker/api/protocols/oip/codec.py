"""From the body of an inference request to the inputs of a signature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.oip.framing import json_length
from tfleet.worker.api.protocols.oip.raw import RAW, decode_raw
from tfleet.worker.api.protocols.oip.request import WantedAnswer, read_request
from tfleet.worker.api.protocols.oip.tensors import decode_inputs
from tfleet.worker.api.protocols.problems import bad_input
from tfleet.worker.model.signature import Signature


@dataclass(frozen=True, slots=True)
class DecodedInfer:
    """The answer that a request wants, and its inputs by name. An array may be a read-only view of the
    body.
    """

    wanted: WantedAnswer
    inputs: Mapping[str, Array]


def decode_infer(
    body: bytes,
    header_length: str | None,
    signature: Signature,
    limits: InputLimits,
    image_input: str | None = None,
) -> DecodedInfer:
    """The request in a body that is not compressed any more; `header_length` is the header that says how
    much of it is JSON.

    An `image_input` may have images: then its array has strings, whatever its dtype. Raises ProblemError: 400
    for what is wrong in the body, 413 for a body over a limit; and what `limits.reserve` raises.
    """
    if not body:
        raise bad_input('the request has no body: send {"inputs": [...]}, see GET /v2/models/NAME')
    length = json_length(header_length, len(body))
    if length == 0:
        return DecodedInfer(RAW, decode_raw(memoryview(body), signature, limits, image_input))
    request = read_request(body if length == len(body) else body[:length], limits)
    tail = memoryview(body)[length:]
    inputs = decode_inputs(request.inputs, tail, signature, limits, image_input)
    return DecodedInfer(request.wanted, inputs)
