"""The request: a body with its headers, such as a photograph in a multipart form, as `curl -F` sends it."""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit

_BOUNDARY = "----------------tfleet-bench"


@dataclass(frozen=True, slots=True)
class Form:
    """A body, its content type, and further headers as pairs of name and value."""

    body: bytes
    content_type: str = f"multipart/form-data; boundary={_BOUNDARY}"
    more_headers: tuple[tuple[str, str], ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        """All headers but the length."""
        return {"Content-Type": self.content_type, **dict(self.more_headers)}

    @classmethod
    def of(cls, image: bytes) -> Form:
        """The form with a JPEG in the field `data`."""
        head = (
            f"--{_BOUNDARY}\r\n"
            'Content-Disposition: form-data; name="data"; filename="photo.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n"
        )
        return cls(b"".join([head.encode(), image, f"\r\n--{_BOUNDARY}--\r\n".encode()]))

    def request(self, url: str) -> bytes:
        """The bytes of the whole request, for a keep-alive connection."""
        parts = urlsplit(url)
        said = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"{said}Content-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


def post(url: str, form: Form) -> tuple[int, bytes]:
    """Send the form once; return status and body, or status 0 if nothing answers."""
    return _answer(urllib.request.Request(url, data=form.body, headers=form.headers))


def get(url: str) -> tuple[int, bytes]:
    """Send a GET; return status and body, or status 0 if nothing answers."""
    return _answer(urllib.request.Request(url))


def _answer(request: urllib.request.Request) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 0, b""
