"""What the model of the exchanges is asked by TensorFlow Serving's REST API, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.worker.api.exchanges.datatypes import REVERSALS


@dataclass(frozen=True, slots=True)
class Prediction:
    """A body, and the answer to it. Both are the documents without their ends of line."""

    title: str
    body: str
    answer: str
    verb: str = "predict"


PREDICTIONS: Final = (
    *(
        Prediction(
            f"rows of {each.datatype}",
            f'{{"signature_name": "{each.signature}", "instances": {each.sent.json}}}',
            f'{{"predictions":{each.answered.json}}}',
        )
        for each in REVERSALS
    ),
    *(
        Prediction(
            f"columns of {each.datatype}",
            f'{{"inputs": {each.sent.json}, "signature_name": "{each.signature}"}}',
            f'{{"outputs":{each.answered.json}}}',
        )
        for each in REVERSALS
    ),
    Prediction(
        "rows of several inputs and outputs",
        '{"signature_name": "pair", "instances": [{"a": 1.5, "b": 0.5}, {"b": 2, "a": 1}]}',
        '{"predictions":[{"difference":1.0,"sum":2.0},{"difference":-1.0,"sum":3.0}]}',
    ),
    Prediction(
        "columns of several inputs and outputs",
        '{"signature_name": "pair", "inputs": {"b": [0.5, 2], "a": [1.5, 1], "c": "is ignored"}}',
        '{"outputs":{"difference":[1.0,-1.0],"sum":[2.0,3.0]}}',
    ),
    Prediction(
        "rows of the default signature",
        '{"instances": [[1, 3, 2], [0.1, -1, -0.5]]}',
        '{"predictions":[[2.0,6.0,4.0],[0.2,-2.0,-1.0]]}',
    ),
    Prediction(
        "columns of the default signature by name",
        '{"signature_name": "", "inputs": {"x": [[1, 3, 2]]}} and what follows is ignored',
        '{"outputs":[[2.0,6.0,4.0]]}',
    ),
    Prediction(
        "bytes in rows, and an output of bytes",
        '{"signature_name": "mixed", "instances": '
        '[{"age": 36, "name": ["Ada: x"]}, {"name": [{"b64": "/w=="}], "age": -1}]}',
        '{"predictions":[{"age":37,"name_bytes":[{"b64":"/w=="}]},{"age":0,"name_bytes":[{"b64":"QWRhOiB4"}]}]}',
    ),
    Prediction(
        "bytes in columns, which are no text",
        '{"signature_name": "bytes", "inputs": [{"b64": "/w=="}, "a"]}',
        '{"outputs":["a",{"b64":"/w=="}]}',
    ),
    Prediction("a scalar", '{"signature_name": "scalar", "inputs": 4}', '{"outputs":8.0}'),
    Prediction(
        "rows for a scalar, which run as a vector",
        '{"signature_name": "scalar", "instances": [4, -0.5]}',
        '{"predictions":[8.0,-1.0]}',
    ),
    Prediction(
        "a float beyond the range of its type",
        '{"signature_name": "fp32", "instances": [1e308, -1e308, 1e-320]}',
        '{"predictions":[0.0,-Infinity,Infinity]}',
    ),
    Prediction(
        "examples to classify",
        '{"signature_name": "examples", "examples": [{"raw": {"b64": "/w=="}}]}',
        # The model answers the tf.Example itself, in bytes: a map with one entry, and its 16 bytes.
        '{"results":[[[{"b64":"Cg4KDAoDcmF3EgUKAwoB/w=="},16.0]]]}',
        "classify",
    ),
    Prediction(
        "examples with a context to regress",
        '{"signature_name": "lengths", "context": {"age": 7}, "examples": [{"site": "x"}, {"age": [7]}]}',
        '{"results":[31.0,16.0]}',
        "regress",
    ),
)
