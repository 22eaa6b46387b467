import pytest

from tfleet.httpd.http1.request import read_request_head
from tfleet.httpd.http1.response import read_response_head
from tfleet.proxy.forwarding.heads import client_head, worker_head

HOP_BY_HOP = [
    *("Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection"),
    *("TE", "Trailer", "Upgrade"),
]


def lines_of(head: bytes) -> list[str]:
    """All but the first, and there is nothing behind them."""
    assert head.endswith(b"\r\n\r\n")
    return head.decode("latin-1")[:-4].split("\r\n")[1:]


def sent(*lines: str, peer: str | None = "10.0.0.7", ticket: str | None = None) -> bytes:
    block = "".join(f"{line}\r\n" for line in ("POST /predict?top=1 HTTP/1.1", *lines)).encode("latin-1")
    return worker_head(
        read_request_head(block),
        b"/predict?top=1",
        addressee=b"Host: w:1\r\nX-Worker: w1",
        peer=peer,
        request_id="id1",
        left_ms=70,
        ticket=ticket,
    )


def answered(
    *lines: str, status: int = 200, connection: tuple[bytes, ...] = (), chunked: bool = False
) -> bytes:
    block = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status} Said so", *lines)).encode("latin-1")
    return client_head(
        read_response_head(block),
        worker="w1",
        request_id="id1",
        retries=2,
        connection=connection,
        chunked=chunked,
    )


def test_the_worker_gets_the_forwarded_headers() -> None:
    head = sent("Host: tfleet:12480", "Content-Length: 7")
    assert head.startswith(b"POST /predict?top=1 HTTP/1.1\r\n")
    assert lines_of(head) == [
        "Host: w:1",
        "X-Worker: w1",
        "X-Forwarded-For: 10.0.0.7",
        "X-Forwarded-Host: tfleet:12480",
        "X-Forwarded-Proto: http",
        "X-Request-Id: id1",
        "X-Request-Timeout-Ms: 70",
        "Content-Length: 7",
    ]


@pytest.mark.parametrize("name", HOP_BY_HOP)
def test_hop_by_hop_headers_are_dropped_both_ways(name: str) -> None:
    assert not [line for line in lines_of(sent("Host: a", f"{name}: x")) if line.startswith(name)]
    assert not [line for line in lines_of(answered(f"{name.lower()}: x")) if line.startswith(name.lower())]


def test_headers_named_by_connection_are_not_forwarded() -> None:
    lines = ("Connection: close, X-Secret", "connection: x-other", "X-Secret: 1", "X-Other: 2", "X-Third: 3")
    for head in (sent("Host: a", *lines), answered(*lines)):
        assert [line for line in lines_of(head) if line.startswith(("X-Secret", "X-Other", "X-Third"))] == [
            "X-Third: 3"
        ]
        assert "onnection" not in head.decode()


def test_other_headers_keep_order_and_repetitions() -> None:
    lines = ["Content-Type: image/jpeg", "Accept: a", "accept: b", "X-Latin-1: caf\xe9"]
    assert lines_of(sent("Host: a", *lines))[2:6] == lines
    assert lines_of(answered(*lines))[:4] == lines


def test_an_earlier_proxys_headers_are_extended() -> None:
    found = lines_of(
        sent(
            "Host: second",
            "X-Forwarded-For: 1.1.1.1",
            "x-forwarded-for: 2.2.2.2",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: first",
            "X-Request-Id: replaced",
            "X-Request-Timeout-Ms: 99",
        )
    )
    assert found[2:-1] == [
        "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.0.0.7",
        "X-Forwarded-Host: first",
        "X-Forwarded-Proto: https",
        "X-Request-Id: id1",
        "X-Request-Timeout-Ms: 70",
    ]


def test_without_a_peer_there_is_no_forwarded_for() -> None:
    assert b"X-Forwarded-For" not in sent("Host: a", peer=None)


def test_expect_is_not_forwarded() -> None:
    assert b"Expect" not in sent("Host: a", "Expect: 100-continue")


def test_the_proxy_replaces_the_clients_ticket() -> None:
    assert b"icket" not in sent("Host: a", "X-Ticket: theirs")
    found = lines_of(sent("Host: a", "x-ticket: theirs", ticket="ours"))
    assert [line for line in found if "icket" in line] == ["X-Ticket: ours"]


def test_a_body_in_chunks_is_announced_as_such() -> None:
    assert lines_of(sent("Host: a", "transfer-encoding: CHUNKED"))[-1] == "Transfer-Encoding: chunked"
    assert lines_of(sent("Host: a"))[-1] == "Content-Length: 0"


def test_the_client_gets_the_worker_and_the_attempts() -> None:
    head = answered(
        "X-Worker: other", "X-Retries: 9", "X-Request-Id: other", "X-Queue-Length: 4", "Content-Length: 3"
    )
    assert head.startswith(b"HTTP/1.1 200 Said so\r\n")
    assert lines_of(head) == [
        "X-Queue-Length: 4",
        "Content-Length: 3",
        "X-Worker: w1",
        "X-Request-Id: id1",
        "X-Retries: 2",
    ]


def test_the_response_is_framed_for_the_client() -> None:
    head = answered("Transfer-Encoding: chunked", connection=(b"Connection: close",), chunked=True)
    assert lines_of(head)[:2] == ["Connection: close", "Transfer-Encoding: chunked"]


@pytest.mark.parametrize(("status", "told"), [(204, False), (304, True)])
def test_content_length_is_sent_only_where_allowed(status: int, told: bool) -> None:
    assert (b"Content-Length: 3" in answered("Content-Length: 3", status=status)) is told
