from __future__ import annotations

import pytest

from tfleet.client.routes.call import Call


@pytest.mark.parametrize(("top", "path"), [(None, "/predict"), (3, "/predict?top=3")])
def test_top_is_sent_only_if_it_is_given(top: int | None, path: str) -> None:
    assert Call("r", 10.0, top).path == path


@pytest.mark.parametrize(("now", "left_ms"), [(0.0, "10000"), (9.5, "500"), (9.99999, "1"), (11.0, "1")])
def test_each_request_says_how_much_of_the_calls_time_is_left(now: float, left_ms: str) -> None:
    assert Call("r", 10.0).headers(now) == {"X-Request-Id": "r", "X-Request-Timeout-Ms": left_ms}


def test_a_request_carries_its_ticket_and_worker_id() -> None:
    headers = Call("r", 10.0).headers(0.0, "t", "w1")
    assert (headers["X-Ticket"], headers["X-Worker"]) == ("t", "w1")
