"""Images as clients send them: forms, JSON and bare bytes."""

import base64
import http.client
import json
from pathlib import Path
from typing import Any

import pytest

from tests.worker.api.test_app import problem
from tfleet.contract.address import Address

pytestmark = pytest.mark.process


CAT = Path("tests/data/cat.jpg").read_bytes()
FORM = "multipart/form-data; boundary=B0"
URL_ENCODED = "application/x-www-form-urlencoded"


class Answer:
    """What a test asks of an answer, as requests has it."""

    def __init__(self, got: http.client.HTTPResponse) -> None:
        self.status_code, self.headers = got.status, got.headers
        self.text = got.read().decode()

    def json(self) -> Any:
        return json.loads(self.text)


def post(worker: Address, body: bytes, kind: str | None, path: str = "/") -> Any:
    """Sends a body with that Content-Type, or with none: other libraries think of one."""
    client = http.client.HTTPConnection(worker.host, worker.port, timeout=30)
    try:
        client.putrequest("POST", path)
        if kind is not None:
            client.putheader("Content-Type", kind)
        client.putheader("Content-Length", str(len(body)))
        client.endheaders(body)
        return Answer(client.getresponse())
    finally:
        client.close()


def part(disposition: bytes, content: bytes = CAT, kind: bytes | None = b"image/jpeg") -> bytes:
    typed = b"" if kind is None else b"Content-Type: " + kind + b"\r\n"
    return (
        b"--B0\r\nContent-Disposition: form-data; "
        + disposition
        + b"\r\n"
        + typed
        + b"\r\n"
        + content
        + b"\r\n"
    )


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--B0--\r\n"


EMPTY_FILE = part(b'name="data"; filename=""', b"", b"application/octet-stream")
IMAGE = part(b'name="image"; filename="a.jpg"')


@pytest.mark.parametrize(
    "body",
    [
        form(part(b'name="image"')),
        form(part(b'name="image"', kind=b"application/octet-stream")),
        form(part(b"name=\"data\"; filename*=utf-8''%E7%8C%AB.jpg", kind=None)),
        form(part(b"name=\"data\"; filename*=utf-8''%E7%8C%AB.jpg")),
        form(part('name="data"; filename="café.jpg"'.encode("latin-1"))),
        form(part('name="data"; filename="猫の写真.jpg"'.encode("shift-jis"))),
        form(part('name="data"; filename="猫ソ"'.encode("shift-jis"))),
        form(part('filename="猫ソ"; name="data"'.encode("shift-jis"))),
        form(part('name="data"; filename="猫.jpg"'.encode())),
        form(part(b'name="data"', kind=None)),
        form(EMPTY_FILE, IMAGE),
        form(part(b'name="data"', b"", None), IMAGE),
        form(IMAGE, EMPTY_FILE),
        form(part(b'name="data"', b"a text", None), IMAGE),
    ],
    ids=[
        "no file name, as Flutter",
        "octets without a name",
        "starred name, no type",
        "starred name",
        "Latin-1",
        "Shift-JIS",
        "Shift-JIS that ends in a backslash",
        "the same before the field's name",
        "UTF-8",
        "curl's data=<FILE",
        "empty data, full image",
        "empty text, full image",
        "full image, empty data",
        "text in data, full image",
    ],
)
def test_a_form_is_read_as_clients_send_it(worker: Address, body: bytes) -> None:
    answer = post(worker, body, FORM)
    assert answer.status_code == 200, answer.text
    assert answer.json()[0][0] == "tiger cat"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (form(part(b'name="data"; filename="a.jpg"'), IMAGE), "2 images, in data and image"),
        (form(IMAGE, IMAGE), "2 images, in image and image"),
        (form(*[IMAGE] * 9), "9 images, in image and image"),
        (form(EMPTY_FILE), "empty"),
        (form(part(b'name="data"', b"cat.jpg", None)), "the field data holds text"),
        (form(part('name="café"; filename="a"'.encode())), "but café:"),
    ],
)
def test_a_form_without_one_image_says_what_it_has(worker: Address, body: bytes, said: str) -> None:
    assert said in problem(post(worker, body, FORM), 400)


@pytest.mark.parametrize(
    "kind",
    ["application/octet-stream", "binary/octet-stream", "Application/Octet-Stream; x=y", None, URL_ENCODED],
)
def test_bytes_that_are_an_image_need_no_type(worker: Address, kind: str | None) -> None:
    assert post(worker, CAT, kind).json()[0][0] == "tiger cat"


@pytest.mark.parametrize(
    ("body", "kind", "status", "said"),
    [
        (b"II*\0" + bytes(99), "application/octet-stream", 415, "TIFF"),
        (b"II*\0" + bytes(99), None, 415, "TIFF"),
        (b"just a text", "application/octet-stream", 400, "not an image"),
        (b"just a text", None, 415, "without a Content-Type is not supported"),
        ("ü".encode() * 1000, None, 415, "without a Content-Type is not supported"),
        (b'{"image": ""}', None, 415, "without a Content-Type is not supported"),
        (b"data=cat.jpg&x=1", URL_ENCODED, 415, "urlencoded is not supported"),
        (bytes(100), None, 400, "not an image"),
        (CAT[:5000].replace(b"\0", b"").replace(b"\n", b""), URL_ENCODED, 400, "curl's -d"),
        (CAT, "text/plain", 415, "text/plain is not supported"),
        (b"a,b", "text/csv", 415, 'kind = "tensors" under [model] in its model.toml takes arrays'),
        (b"", "application/octet-stream", 400, "no body"),
        (b"", "application/json", 400, "no body"),
    ],
)
def test_other_bytes_get_their_reason(
    worker: Address, body: bytes, kind: str | None, status: int, said: str
) -> None:
    assert said in problem(post(worker, body, kind), status)


@pytest.mark.parametrize("form", ['{"image": {"b64": "%s"}}', '{"data": "data:image/jpeg;base64,%s"}'])
def test_json_is_read(worker: Address, form: str) -> None:
    body = (form % base64.b64encode(CAT).decode()).encode()
    for kind in ("application/json", "application/json; charset=utf-8"):
        assert post(worker, body, kind).json()[0][0] == "tiger cat"


def test_invalid_or_nested_json_is_refused(worker: Address) -> None:
    assert "not base64" in problem(post(worker, b'{"image": "cat.jpg"}', "application/json"), 400)
    assert "more in it" in problem(post(worker, b"[" * 900_000, "application/json"), 400)


@pytest.mark.parametrize(
    ("query", "said"),
    [("topn=1", "'topn'"), ("top=1001", "1 to 1000"), ("top=1&top=2", "2 times"), ("top", "1 to 1000")],
)
def test_an_unknown_query_is_refused(worker: Address, query: str, said: str) -> None:
    for path in ("/", "/predict"):
        assert said in problem(post(worker, CAT, "image/jpeg", f"{path}?{query}"), 400)
