"""The two directions: from a request to the inputs of a signature, and from outputs to an answer's body."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from tfleet.worker.api.protocols.decoded import Array, DecodedInputs
from tfleet.worker.api.protocols.json_output import encode_json
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.native import media_types
from tfleet.worker.api.protocols.native.csv_input import decode_csv
from tfleet.worker.api.protocols.native.csv_output import encode_csv
from tfleet.worker.api.protocols.native.json_input import decode_json
from tfleet.worker.api.protocols.native.layout import row_layout
from tfleet.worker.api.protocols.native.media_types import body_type
from tfleet.worker.api.protocols.native.npy import decode_npy, decode_npz, encode_npy, encode_npz
from tfleet.worker.api.protocols.native.query_input import decode_row
from tfleet.worker.api.protocols.problems import bad_input
from tfleet.worker.model.signature import Signature

DEFAULT_LIMITS: Final = InputLimits()


def decode(
    body: bytes,
    content_type: str | None,
    signature: Signature,
    columns: tuple[str, ...] = (),
    limits: InputLimits = DEFAULT_LIMITS,
) -> DecodedInputs:
    """The inputs in a request's body. `columns` names the places in the vector of a table with one input.

    Raises ProblemError: 400 for what is wrong in the body, 413 for a body over a limit, 415 for one of
    another type; ValueError for columns that do not fit the signature; and what `limits.reserve` raises.
    """
    limits.check_body(len(body))
    limits.reserve(len(body))
    layout = row_layout(signature, columns)
    if not body:
        raise bad_input(
            "the request has no body: send one row, many rows or columns as JSON, CSV, Arrow or .npy"
        )
    kind = body_type(content_type, body)
    if kind == media_types.JSON:
        return decode_json(body, layout, limits)
    if kind == media_types.CSV:
        return decode_csv(body, layout, limits)
    if kind == media_types.ARROW:
        # pyarrow takes 0.15 s and 40 MB, which a worker that sees no Arrow stream should not pay.
        from tfleet.worker.api.protocols.native.arrow_input import decode_arrow  # noqa: PLC0415 - see above

        return decode_arrow(body, layout, limits)
    return decode_npy(body, layout, limits) if kind == media_types.NPY else decode_npz(body, layout, limits)


def decode_query(
    pairs: Sequence[tuple[str, str]],
    signature: Signature,
    columns: tuple[str, ...] = (),
    limits: InputLimits = DEFAULT_LIMITS,
    reserved: Collection[str] = (),
) -> DecodedInputs:
    """The one row in the names and values of a query, which are decoded and in the order that they were sent.

    `reserved` are parameters that mean something else; they are not among the pairs. Raises as decode() does.
    """
    return decode_row(pairs, row_layout(signature, columns), limits, reserved)


def encode(
    outputs: Mapping[str, Array],
    decoded: DecodedInputs,
    media_type: str,
    signature: Signature,
    limits: InputLimits = DEFAULT_LIMITS,
) -> bytes:
    """An answer's body in one of the types of media_types.WRITTEN.

    For one row the outputs lose their dimension of rows, except in CSV and Arrow. Raises ProblemError: 406
    for outputs that the type cannot hold, 413 for more than may be written in it.
    """
    if media_type == media_types.ARROW:
        from tfleet.worker.api.protocols.native.arrow_output import encode_arrow  # noqa: PLC0415 - see decode

        return encode_arrow(outputs, decoded.rows)
    if media_type == media_types.CSV:
        return encode_csv(outputs, decoded.rows, limits)
    shaped = _without_rows(outputs, signature) if decoded.one_row else outputs
    if media_type == media_types.NPY:
        return encode_npy(shaped)
    return encode_npz(shaped) if media_type == media_types.NPZ else encode_json(shaped, limits)


def _without_rows(outputs: Mapping[str, Array], signature: Signature) -> dict[str, Array]:
    """The outputs of one row. An output that has no dimension of rows stays as it is."""
    found = {}
    for name, array in outputs.items():
        info = signature.output(name)
        per_row = info is None or info.shape is None or (info.shape != () and info.shape[0] is None)
        # Not array[0], which would make a scalar of the last dimension.
        found[name] = array.reshape(array.shape[1:]) if per_row and array.shape[:1] == (1,) else array
    return found
