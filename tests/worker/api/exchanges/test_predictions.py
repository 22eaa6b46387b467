"""Each prediction below /v1 has one answer: compressed or not, at a worker and through a proxy."""

from __future__ import annotations

import pytest

from tests.worker.api.exchanges.infer_forms import CODINGS, packed_as
from tests.worker.api.exchanges.model import NAME
from tests.worker.api.exchanges.tfs_table import PREDICTIONS, Prediction
from tests.worker.api.exchanges.ways import Way

CONTENT_TYPES = (
    *("", "application/json", "application/x-www-form-urlencoded", "text/plain", "image/jpeg"),
    *("multipart/form-data", "nonsense"),
)

pytestmark = pytest.mark.process


@pytest.mark.parametrize("prediction", PREDICTIONS, ids=lambda each: each.title)
def test_every_form_has_the_same_answer(way: Way, prediction: Prediction) -> None:
    for path in (f"/v1/models/{NAME}", f"/V1/Models/{NAME}/versions/01", "/v1/models/%74ypes"):
        for coding in (*CODINGS, "x-gzip", "identity"):
            body = packed_as(coding.removeprefix("x-"), prediction.body.encode())
            headers = {"Content-Encoding": coding} if coding else {}
            answer = way.post(f"{path}:{prediction.verb}", body, headers)
            assert (answer.status, answer.body.decode().strip()) == (200, prediction.answer), (path, coding)
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.headers["X-Model"] == f"{NAME}/1"
            assert "infer;dur=" in answer.headers["Server-Timing"]
            assert answer.headers["X-Batch-Size"] == "2", "as the predictor of the fake model says"


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_the_stated_type_of_a_body_does_not_matter(way: Way, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    for path, body, answered in (
        (f"/v1/models/{NAME}:predict", b'{"inputs": [[1, 2, 3]]}', b'"outputs":[[2.0,4.0,6.0]]'),
        (
            f"/v2/models/{NAME}/versions/1/infer?signature=scalar",
            b'{"inputs": [{"name": "x", "datatype": "FP64", "shape": [], "data": [4]}]}',
            b'"data":[8.0]',
        ),
    ):
        answer = way.post(path, body, headers)
        assert answer.status == 200, answer.body
        assert answered in answer.body
