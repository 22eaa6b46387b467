"""Finds the image in a request."""

from __future__ import annotations

from flask import Request

from tfleet.discovery.contract import IMAGE_FIELDS
from tfleet.discovery.problem import Problem
from tfleet.worker.problems import ProblemError

_HOW = "send -F data=@FILE, or the bytes with -H 'Content-Type: image/jpeg' --data-binary @FILE"


def image_bytes(request: Request) -> bytes:
    """The image of a multipart field `data` or `image`, or the raw body of an `image/*` request.

    Raises ProblemError with 400 where there is none and 415 where the body is of another kind.
    """
    encoding = request.content_encoding
    if encoding and encoding != "identity":
        raise ProblemError(Problem(415, f"a body with Content-Encoding: {encoding[:40]} is not read here"))
    if request.mimetype.startswith("image/"):
        return request.get_data(cache=False)
    if request.mimetype == "multipart/form-data":
        return _field(request)
    if not request.content_length:
        raise ProblemError(Problem(400, f"the request has no body: {_HOW}"))
    sent = request.mimetype or "a body without a Content-Type"
    raise ProblemError(Problem(415, f"{sent} is not read here: {_HOW}"))


def _field(request: Request) -> bytes:
    for name in IMAGE_FIELDS:
        if (file := request.files.get(name)) is not None:
            image: bytes = file.read()
            return image
    names = " or ".join(IMAGE_FIELDS)
    for name in IMAGE_FIELDS:
        if name in request.form:
            raise ProblemError(
                Problem(400, f"the field {name} holds text, not a file: curl wants {name}=@FILE")
            )
    others = sorted({*request.files, *request.form})
    if others:
        raise ProblemError(Problem(400, f"no field {names}; the form has {', '.join(others)[:200]}: {_HOW}"))
    # Werkzeug reads what it can't parse as an empty form.
    raise ProblemError(
        Problem(400, f"the multipart body is broken or empty, it has no field {names}: {_HOW}")
    )
