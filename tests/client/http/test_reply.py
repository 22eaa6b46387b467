from __future__ import annotations

import pytest

from tfleet.client.http.transport import HttpResponse


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a":', b"[1]", b"\xff", b"[" * 100_000])
def test_a_body_without_a_json_object_has_no_document(body: bytes) -> None:
    assert HttpResponse("http://x", 200, {}, body).document() is None


def test_a_json_object_is_the_document() -> None:
    assert HttpResponse("http://x", 200, {}, b'{"a": 1}').document() == {"a": 1}


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (404, {"Content-Type": "text/html; charset=utf-8"}, "404 Not Found (text/html)"),
        (299, {}, "299 (no content type)"),
    ],
)
def test_an_answer_is_described_by_status_and_kind(status: int, headers: dict[str, str], said: str) -> None:
    assert HttpResponse("http://x", status, headers, b"").describe() == said
