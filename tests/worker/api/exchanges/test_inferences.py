"""Each inference has one answer: in JSON, binary and raw, compressed or not, at a worker and a proxy."""

from __future__ import annotations

import pytest

from tests.worker.api.exchanges.infer_forms import (
    LENGTH,
    Form,
    Inference,
    answer_to,
    forms_of,
    request_of,
    unpacked,
)
from tests.worker.api.exchanges.infer_table import INFERENCES
from tests.worker.api.exchanges.model import NAME
from tests.worker.api.exchanges.ways import Way

pytestmark = pytest.mark.process


def path_of(inference: Inference) -> str:
    query = f"?signature={inference.signature}" if inference.signature else ""
    return f"/v2/models/{NAME}/infer{query}"


@pytest.mark.parametrize("inference", INFERENCES, ids=lambda each: each.title)
def test_every_form_has_the_same_answer(way: Way, inference: Inference) -> None:
    for form in forms_of(inference):
        sent, expected = request_of(inference, form), answer_to(inference, form)
        answer = way.post(path_of(inference), sent.body, sent.headers)
        assert answer.status == 200, (form, answer.body)
        coding = answer.headers.get("Content-Encoding")
        assert unpacked(coding, answer.body) == expected.body, form
        found = {name: answer.headers.get(name) for name in expected.headers}
        assert found == expected.headers, form
        assert coding == expected.headers.get("Content-Encoding")
        assert answer.headers["X-Model"] == f"{NAME}/1"
        assert "infer;dur=" in answer.headers["Server-Timing"]


def test_only_a_large_answer_is_compressed() -> None:
    asked = Form("json", "", "json", "gzip")
    compressed = {each.title for each in INFERENCES if "Content-Encoding" in answer_to(each, asked).headers}
    assert compressed == {"many rows"}


def test_names_in_a_path_may_be_escaped(way: Way) -> None:
    answer = way.post("/v2/models/typ%65s/versions/%31/infer?signature=scalar", b"\0" * 8, {LENGTH: "0"})
    assert (answer.status, answer.body[-8:]) == (200, b"\0" * 8)
