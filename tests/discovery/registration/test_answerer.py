import socket

import pytest

from tests.support.canned import canned, http, nobody
from tfleet.contract.address import Address
from tfleet.discovery.registration.conflicts import AddressOwner, who_answers


@pytest.mark.parametrize("status", ["200 OK", "503 Service Unavailable", "421 Misdirected Request"])
def test_an_answer_names_its_worker_in_any_state(status: str) -> None:
    with canned(http(status, b"", "X-Worker: w1")) as address:
        assert who_answers(address) == AddressOwner("w1")


def test_a_proxy_says_its_name_too() -> None:
    with canned(http("503 Service Unavailable", b"", "X-Proxy: p1")) as address:
        assert who_answers(address) == AddressOwner("p1")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (http("200 OK", b"hello"), "what answers there is no worker"),
        (b"220 mail.example ESMTP\r\n", "220 mail"),
    ],
)
def test_a_server_that_is_no_worker_is_recognised(answer: bytes, error: str) -> None:
    with canned(answer) as address:
        found = who_answers(address)
    assert not found.worker
    assert error in found.error


def test_without_an_answer_the_reason_is_the_systems() -> None:
    assert who_answers(nobody()) == AddressOwner(error="Connection refused")


def test_a_late_answer_counts_as_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = who_answers(Address(*silent.getsockname()), timeout_s=0.05)
    assert found == AddressOwner(error="no answer within 0.05 s")


def test_an_http_proxy_does_not_answer_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        canned(http("200 OK", b"", "X-Worker: proxy")) as proxy,
        canned(http("200 OK", b"", "X-Worker: w1")) as w,
    ):
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert who_answers(w) == AddressOwner("w1")
