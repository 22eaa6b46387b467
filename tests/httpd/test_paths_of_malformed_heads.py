"""What can be read of the path of a head that is malformed or incomplete."""

from __future__ import annotations

import pytest

from tfleet.httpd.http1.request import path_of


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (b"GET /v1/models HTTP/1.1\r\nHost x\r\n\r\n", "/v1/models"),
        (b"POST /v2/models/m/infer?x=1 HTTP/1.1\r\n\r\n", "/v2/models/m/infer"),
        (b"POST /v2/mod", "/v2/mod"),
        (b"GET http://host:80/v2?x HTTP/1.1\r\n", "/v2"),
        (b"GET HTTPS://host", "/"),
        (b"GET /v2/a b HTTP/1.1\r\n", "/v2/a"),
        (b"GET /v2\xff HTTP/1.1\r\n", "/v2"),
        (b"get /v2 HTTP/9.9\r\n", "/v2"),
        (b"GET  /v2 HTTP/1.1\r\n", "/"),
        (b"/v2 HTTP/1.1\r\n", "/"),
        (b"\x16\x03\x01\x02\x00", "/"),
        (b"", "/"),
        (b"GET /" + b"x" * 5000, "/" + "x" * 1023),
    ],
)
def test_the_path_is_read_as_far_as_it_is_there(received: bytes, expected: str) -> None:
    assert path_of(received) == expected
