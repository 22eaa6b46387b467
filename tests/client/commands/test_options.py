from __future__ import annotations

from tfleet.client.commands.options import HINT, with_hint
from tfleet.client.errors import FleetUnavailableError, UnexpectedAnswerError


def test_a_proxy_that_can_t_be_reached_comes_with_what_to_do() -> None:
    assert with_hint(FleetUnavailableError("cannot reach x: refused")) == f"cannot reach x: refused. {HINT}"


def test_any_other_error_is_unchanged() -> None:
    assert with_hint(UnexpectedAnswerError("x is no proxy")) == "x is no proxy"
