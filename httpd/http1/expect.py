"""The field Expect (RFC 9110 section 10.1.1)."""

from __future__ import annotations

from typing import Final

from tfleet.contract.problem import Problem
from tfleet.httpd.http1.request import RequestHead

_CONTINUE: Final = b"100-continue"
_MAX_CHARS: Final = 20


def unmet_expectation(head: RequestHead) -> Problem | None:
    """The 417 for a client that expects anything but `100-continue`, or None."""
    expected = head.expect
    if expected is None or expected.lower() == _CONTINUE:
        return None
    text = expected[:_MAX_CHARS].decode("latin-1")
    return Problem(417, f"Expect: {text!r} is not supported, only {_CONTINUE.decode()}")
