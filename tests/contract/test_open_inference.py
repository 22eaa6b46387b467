"""The body of a request about the repository: what is in it, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tfleet.contract.open_inference import MAX_OPTIONS_BYTES, read_options
from tfleet.contract.problem import ProblemError


@pytest.mark.parametrize(
    ("body", "found"), [(b"", {}), (b" \n", {}), (b"{}", {}), (b'{"ready": true}', {"ready": True})]
)
def test_a_body_may_be_missing(body: bytes, found: dict[str, Any]) -> None:
    assert read_options(body, None) == found
    assert read_options(body, "Identity") == found


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"{", None, 400),
        (b"[1]", None, 400),
        (b"\xff", None, 400),
        (b"[" * 60_000, None, 400),
        (b"{}", "gzip", 415),
        (b" " * (MAX_OPTIONS_BYTES + 1), None, 413),
    ],
)
def test_other_bodies_are_refused(body: bytes, encoding: str | None, status: int) -> None:
    with pytest.raises(ProblemError) as raised:
        read_options(body, encoding)
    assert raised.value.problem.status == status
    assert "send none, or {}" in raised.value.problem.detail
