import pytest

from tfleet.httpd.http1.fields import UnreadableError
from tfleet.httpd.http1.request import RequestHead, read_request_head


def head(*lines: str, first: str = "POST / HTTP/1.1", host: str = "Host: a") -> RequestHead:
    return read_request_head("".join(f"{line}\r\n" for line in (first, host, *lines) if line).encode())


def test_a_requests_properties_are_read_once() -> None:
    found = head(
        "Content-Length: 5",
        "X-Request-Id: mine",
        "X-Request-Timeout-Ms: 70",
        "Expect: 100-continue",
        "accept: text/plain",
        "Accept:application/json",
        "A: b ",
        first="POST /predict?top=%2F HTTP/1.1",
        host="host:\ttfleet:12480",
    )
    assert (found.method, found.target, found.path) == (b"POST", b"/predict?top=%2F", "/predict")
    assert (found.host, found.request_id, found.timeout_ms) == (b"tfleet:12480", "mine", "70")
    assert (found.expect, found.accept) == (b"100-continue", "text/plain, application/json")
    assert (found.chunked, found.length_bytes, found.keep_alive) == (False, 5, True)
    assert found.fields.lines == [b"accept: text/plain", b"Accept:application/json", b"A: b"]


def test_missing_fields_are_none() -> None:
    found = head()
    assert (found.request_id, found.timeout_ms, found.expect, found.accept) == (None, None, None, "")
    assert (found.chunked, found.length_bytes) == (False, 0)


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("http://b/predict?x=1", b"/predict?x=1"),
        ("HTTPS://b:1", b"/"),
        ("http://b?x", b"/?x"),
        ("//drain", b"//drain"),
        ("http://a//b", b"//b"),
        ("/a/../b", b"/a/../b"),
    ],
)
def test_the_target_is_a_path_and_a_query_as_they_came(target: str, wanted: bytes) -> None:
    assert head(first=f"POST {target} HTTP/1.1").target == wanted


@pytest.mark.parametrize("target", ["*", "http://b", "https://b:1"])
def test_options_may_be_for_the_server(target: str) -> None:
    assert head(first=f"OPTIONS {target} HTTP/1.1").target == b"*"


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        ("1.1", "", True),
        ("1.1", "Connection: close", False),
        ("1.1", "Connection: keep-alive, Close", False),
        ("1.0", "", False),
        ("1.0", "Connection: Keep-Alive", True),
    ],
)
def test_keep_alive_follows_version_and_connection(version: str, connection: str, kept: bool) -> None:
    assert head(connection, first=f"GET / HTTP/{version}").keep_alive is kept


def test_http_1_0_expects_nothing_and_needs_no_host() -> None:
    found = head("Expect: 100-continue", first="POST / HTTP/1.0", host="")
    assert (found.expect, found.host) == (None, b"")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["POST / HTTP/1.1"], "exactly one Host"),
        (["POST / HTTP/1.1", "Host: a", "Host: a"], "exactly one Host"),
        (["POST / HTTP/1.1", "Host: a/b"], "invalid Host header"),
        (["POST / HTTP/3.0", "Host: a"], "unsupported version HTTP/3.0: use HTTP/1.1"),
        (["POST /", "Host: a"], "invalid request line"),
        (["POST  / HTTP/1.1", "Host: a"], "invalid request line"),
        (["POST a/b HTTP/1.1", "Host: a"], "invalid request target"),
        (["POST * HTTP/1.1", "Host: a"], "invalid request target"),
        (["OPTIONS *a HTTP/1.1", "Host: a"], "invalid request target"),
        (["POST /a#b HTTP/1.1", "Host: a"], "target has a fragment"),
        (["POST http://a#b HTTP/1.1", "Host: a"], "target has a fragment"),
        (["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: gzip"], "not chunked"),
        (
            ["POST / HTTP/1.0", "Host: a", "Transfer-Encoding: chunked"],
            "Transfer-Encoding is not allowed here",
        ),
        (["POST / HTTP/1.1", "Host: a", *["A: b"] * 128], "more than 128 header lines"),
        (["POST / HTTP/1.1", "Host: a", "A: " + "b" * 8190], "over 8192 bytes"),
    ],
)
def test_ambiguous_heads_are_refused(lines: list[str], reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        read_request_head("".join(f"{line}\r\n" for line in lines).encode())


def test_hop_by_hop_fields_are_left_out() -> None:
    lines = [
        "POST /?top=1 HTTP/1.1",
        "Host: a",
        "Content-Length: 3",
        "Connection: x-a",
        "X-A: 1",
        "Accept:  b ",
    ]
    head = read_request_head(
        "".join(f"{line}\r\n" for line in [*lines, "X-Ticket: t", "X-Worker: w"]).encode()
    )
    assert sorted(head.headers()) == [
        (b"accept", b"b"),
        (b"host", b"a"),
        (b"x-ticket", b"t"),
        (b"x-worker", b"w"),
    ]
    assert (head.path, head.query, head.ticket, head.worker) == ("/", "top=1", "t", "w")
