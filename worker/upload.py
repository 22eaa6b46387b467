"""Finds the image in a request."""

from __future__ import annotations

from flask import Request

from tfleet.discovery.contract import IMAGE_FIELDS
from tfleet.discovery.problem import Problem
from tfleet.worker.form import BrokenFormError, read_form
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
    try:
        fields = read_form(request.get_data(cache=False), request.content_type or "")
    except BrokenFormError as error:
        raise ProblemError(Problem(400, f"the multipart body is broken: {error}; {_HOW}")) from error
    for name in IMAGE_FIELDS:
        for field in fields:
            if field.name == name and field.is_file:
                return field.content
    names = " or ".join(IMAGE_FIELDS)
    present = sorted({field.name for field in fields})
    for name in IMAGE_FIELDS:
        if name in present:
            raise ProblemError(
                Problem(400, f"the field {name} holds text, not a file: curl wants {name}=@FILE")
            )
    others = ", ".join(present)[:200] or "nothing"
    raise ProblemError(Problem(400, f"no field {names}; the form has {others}: {_HOW}"))
