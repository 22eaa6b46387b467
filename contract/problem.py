"""The body of every error response: a problem document (RFC 9457).

Below `/v1` and `/v2`, whose clients were written for TensorFlow Serving, Triton and KServe, the document has
the text in `error` as well, and plain JSON as its type: these clients read the text there, and some read it
in no other type.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

CONTENT_TYPE: Final = "application/problem+json"
_PLAIN_TYPE: Final = "application/json"
_PLAIN_ROOTS: Final = ("/v1", "/v2")


def is_plain(path: str) -> bool:
    """Whether errors at this path are plain JSON with the text in `error`; TensorFlow Serving takes /V1."""
    return path[:3].lower() in _PLAIN_ROOTS and path[3:4] in ("", "/")


@dataclass(frozen=True, slots=True)
class Problem:
    """One error: `status` is the HTTP status, `detail` one line that says what is wrong and what to do.

    `retry_after_s` becomes the Retry-After header, in whole seconds. `allow` lists the methods of a 405.
    `challenge` is the WWW-Authenticate header of a 401.
    """

    status: int
    detail: str
    retry_after_s: int | None = None
    allow: tuple[str, ...] = ()
    challenge: str = ""

    @property
    def title(self) -> str:
        """The reason phrase of the status, which RFC 9457 requires for the type about:blank."""
        return HTTPStatus(self.status).phrase

    def document(self, path: str = "/") -> dict[str, Any]:
        """Return the members of the document for a request at this path, without its query.

        `success` is false, as clients of `POST /predict` check that field.
        """
        return {
            **({"error": self.detail} if is_plain(path) else {"type": "about:blank"}),
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "success": False,
        }

    def body(self, path: str = "/", **members: Any) -> bytes:
        """Return the document in JSON, with these members beside its own."""
        return json.dumps({**self.document(path), **members}).encode() + b"\n"

    def headers(self, path: str = "/") -> dict[str, str]:
        """Return the response headers for a request at this path, Content-Type first."""
        headers = {"Content-Type": _PLAIN_TYPE if is_plain(path) else CONTENT_TYPE}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        if self.allow:
            headers["Allow"] = ", ".join(self.allow)
        if self.challenge:
            headers["WWW-Authenticate"] = self.challenge
        return headers


class ProblemError(Exception):
    """Ends a request: it is answered with this problem document."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem
