from __future__ import annotations

import pytest

from tfleet.httpd.http1.request import read_request_head
from tfleet.httpd.http1.response import read_response_head
from tfleet.proxy.admin.page_heads import page_request_head, page_response_head


def test_a_page_request_has_no_hop_by_hop_headers() -> None:
    lines = ["GET /workers HTTP/1.0", "Host: a", "Content-Length: 3", "Connection: close, x-a", "X-A: 1"]
    lines += ["X-Request-Id: theirs", "Expect: 100-continue", "Upgrade: websocket", "Accept: b"]
    asked = read_request_head("".join(f"{line}\r\n" for line in lines).encode())
    found = page_request_head(asked, "1.2.3.4:80", "192.0.2.1", "ours")
    assert found == (
        b"GET /workers HTTP/1.1\r\nHost: a\r\nX-Request-Id: ours\r\nX-Forwarded-For: 192.0.2.1\r\n"
        b"Content-Length: 3\r\nAccept: b\r\n\r\n"
    )


def test_a_page_request_without_host_gets_one() -> None:
    found = page_request_head(read_request_head(b"GET /readyz HTTP/1.0\r\n"), "1.2.3.4:80", None, "ours")
    assert found == (
        b"GET /readyz HTTP/1.1\r\nHost: 1.2.3.4:80\r\nX-Request-Id: ours\r\nContent-Length: 0\r\n\r\n"
    )


@pytest.mark.parametrize(("status", "told"), [(200, True), (204, False), (304, False)])
def test_a_page_has_a_content_length_only_where_allowed(status: int, told: bool) -> None:
    page = read_response_head(b"HTTP/1.1 %d OK\r\nContent-Length: 3\r\nA: b\r\n" % status)
    found = page_response_head(page, request_id="ours", connection=(b"Connection: close",), chunked=False)
    assert (b"Content-Length: 3\r\n" in found) is told
    assert b"A: b\r\nX-Request-Id: ours\r\nConnection: close\r\n" in found


def test_a_streamed_page_is_chunked() -> None:
    page = read_response_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n")
    found = page_response_head(page, request_id="ours", connection=(), chunked=True)
    assert found == b"HTTP/1.1 200 OK\r\nX-Request-Id: ours\r\nTransfer-Encoding: chunked\r\n\r\n"
