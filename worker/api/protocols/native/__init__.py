"""tfleet's own protocol: rows, columns and tensors as JSON, CSV, Arrow streams and NumPy's files.

Pure functions: no Flask, no TensorFlow. What a body may cost is checked before it is paid (limits.py).
"""

from tfleet.worker.api.protocols.decoded import DecodedInputs
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.native.codec import decode, decode_query, encode
from tfleet.worker.api.protocols.native.media_types import answer_type
from tfleet.worker.api.protocols.native.query_input import check_reserved

__all__ = [
    "DecodedInputs",
    "InputLimits",
    "answer_type",
    "check_reserved",
    "decode",
    "decode_query",
    "encode",
]
