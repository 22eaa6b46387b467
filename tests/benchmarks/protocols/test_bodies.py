"""What the benchmark sends by each protocol is the same tensor."""

from benchmarks.protocols.bodies import (
    JSON,
    NPY,
    V1_JSON,
    V2_BINARY,
    V2_JSON,
    Request,
    Requests,
    of_pixels,
    of_row,
)
from benchmarks.protocols.model import INPUT, SHAPE, pixels
from benchmarks.tables.model import COLUMNS, rows
from tfleet.contract.names import JSON_LENGTH
from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.native import decode
from tfleet.worker.api.protocols.oip.codec import decode_infer
from tfleet.worker.api.protocols.tfs.predict_input import decode_predict, read_predict
from tfleet.worker.model.signature import Signature, TensorInfo

LIMITS = InputLimits()
OUTPUT = TensorInfo("y", "y:0", "float32", (None, 10))
PIXELS = Signature("pixels", (TensorInfo(INPUT, "x:0", "float32", (None, *SHAPE[1:])),), (OUTPUT,))
TABLE = Signature(
    "table", tuple(TensorInfo(name, f"{name}:0", "float32", (None, 1)) for name in COLUMNS), (OUTPUT,)
)


def read(requests: Requests, protocol: str, signature: Signature) -> dict[str, Array]:
    """The inputs, as the worker reads them."""
    request: Request = requests[protocol]
    headers, body = request.form.headers, request.form.body
    if protocol in {NPY, JSON}:
        return dict(decode(body, headers["Content-Type"], signature).inputs)
    if protocol == V1_JSON:
        return dict(decode_predict(read_predict(body, LIMITS), signature, LIMITS).inputs)
    return dict(decode_infer(body, headers.get(JSON_LENGTH), signature, LIMITS).inputs)


def test_each_protocol_sends_the_same_pixels() -> None:
    requests = of_pixels()
    assert set(requests) == {NPY, V2_BINARY, V2_JSON, V1_JSON}
    for protocol in requests:
        assert (read(requests, protocol, PIXELS)[INPUT] == pixels()).all()


def test_each_protocol_sends_the_same_row() -> None:
    requests, row = of_row(), rows(1)
    assert set(requests) == {JSON, V2_BINARY, V2_JSON, V1_JSON}
    for protocol in requests:
        found = read(requests, protocol, TABLE)
        assert {name: array.tolist() for name, array in found.items()} == {
            name: array.tolist() for name, array in row.items()
        }
