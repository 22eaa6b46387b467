from typing import Any

import pytest

from tfleet.contract.address import Address
from tfleet.httpd.http1.request import read_request_head
from tfleet.worker.wsgi.environ import environ_of, path_info

LINE = b"POST %b HTTP/1.1\r\nHost: a:1\r\n"


def environ(*lines: bytes, target: bytes = b"/predict?top=1", body: bytes = b"image") -> dict[str, Any]:
    head = read_request_head(LINE % target + b"".join(line + b"\r\n" for line in lines))
    local = Address("127.0.0.1", 80)
    return environ_of(head, path=path_info(head), peer="10.0.0.7", local=local, body=body)


def test_the_environ_has_what_pep_3333_requires() -> None:
    found = environ(b"Content-Type: image/jpeg", b"Content-Length: 5", b"X-Request-Id: mine", b"Accept: a/b")
    assert found["wsgi.input"].read() == b"image"
    assert {key: value for key, value in found.items() if not key.startswith("wsgi.")} == {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/predict",
        "QUERY_STRING": "top=1",
        "CONTENT_TYPE": "image/jpeg",
        "CONTENT_LENGTH": "5",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "tfleet",
        "REMOTE_ADDR": "10.0.0.7",
        "REMOTE_HOST": "10.0.0.7",
        "HTTP_HOST": "a:1",
        "HTTP_X_REQUEST_ID": "mine",
        "HTTP_ACCEPT": "a/b",
    }


def test_a_body_in_chunks_has_its_length() -> None:
    found = environ(b"Transfer-Encoding: chunked")
    assert found["CONTENT_LENGTH"] == "5"
    assert "HTTP_TRANSFER_ENCODING" not in found


def test_a_field_with_an_underscore_is_left_out() -> None:
    """It would be taken for the one with a hyphen."""
    assert "HTTP_X_TICKET" not in environ(b"X_Ticket: forged")


def test_a_repeated_field_is_joined() -> None:
    found = environ(b"Accept: a/b", b"accept: c/d", b"Cookie: e=f", b"Cookie: g=h")
    assert (found["HTTP_ACCEPT"], found["HTTP_COOKIE"]) == ("a/b, c/d", "e=f; g=h")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/", "/"),
        (b"//predict", "/%2Fpredict"),
        (b"/%70redict?a=%70", "/%70redict"),
        (b"/%C3%A9", "/%C3%A9"),
        (b"/%2Fdrain", "/%2Fdrain"),
        (b"http://b/x?y", "/x"),
    ],
)
def test_the_path_is_as_it_was_sent_but_for_two_slashes(target: bytes, path: str) -> None:
    assert environ(target=target)["PATH_INFO"] == path
