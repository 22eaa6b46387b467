"""Find the image in a request: in a multipart form, in a JSON document, or as the body itself.

The media type that a client states is used only to find the image; where it is missing or generic, the bytes
decide.

A part of a form is a file if it has a file name, a file name as of RFC 5987 (`filename*=`), or a media type
for binary data, which is all that some clients send. The file name's character set does not matter: the name
is not used.

Forms are parsed from memory and not as a stream: Werkzeug's parser took 0.55 ms for a form with a 35 kB JPEG,
this one takes 0.025 ms (AMD EPYC, Python 3.11).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flask import Request
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from tfleet.contract.names import IMAGE_FIELDS
from tfleet.contract.problem import Problem, ProblemError
from tfleet.worker.api.json_body import BadJsonError, read_json_image
from tfleet.worker.api.protocols.native import media_types
from tfleet.worker.image.formats import SUPPORTED, sniff

_MAX_FIELDS: Final = 64
_MAX_HEADERS: Final = 16
# Decodes any byte, so that a file name in Latin-1 or Shift-JIS does not fail a form.
_ANY_BYTES: Final = "latin-1"
_DISPOSITION: Final = "Content-Disposition"
_STARRED_FILE_NAME: Final = re.compile(r";\s*filename\*\s*=", re.IGNORECASE)
# For a header in which the parser finds no name: in Shift-JIS the last byte of a file name can be a
# backslash, which seems to escape the quotation mark after it.
_FIELD_NAME: Final = re.compile(r';\s*name="([^"]*)"', re.IGNORECASE)


class BrokenFormError(Exception):
    """The body is not a valid form. The message says why, in a few words."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form: its name, whether it was sent as a file, and its bytes."""

    name: str
    is_file: bool
    content: bytes


def read_form(body: bytes, content_type: str) -> tuple[Field, ...]:
    """The fields of a form (RFC 7578) in their order, at most 64. Raises BrokenFormError."""
    boundary = parse_options_header(content_type)[1].get("boundary")
    if not boundary:
        raise BrokenFormError("its Content-Type names no boundary")
    fields: list[Field] = []
    content = b""
    try:
        with PushMultipartParser(
            boundary.encode(_ANY_BYTES, "replace"),
            content_length=len(body),
            max_header_count=_MAX_HEADERS,
            max_segment_count=_MAX_FIELDS,
            header_charset=_ANY_BYTES,
        ) as parser:
            segment: MultipartSegment | None = None
            for part in (*parser.parse(body), *parser.parse(b"")):
                if isinstance(part, MultipartSegment):
                    segment, content = part, b""
                elif part:
                    # A field comes in one piece, as the whole body is parsed at once: no copy of a large
                    # image.
                    content = content + part if content else bytes(part)
                elif segment is not None:
                    fields.append(Field(_name(segment), _is_file(segment), content))
    except MultipartError as error:
        raise BrokenFormError(str(error)) from error
    return tuple(fields)


def _name(segment: MultipartSegment) -> str:
    name: str = segment.name or ""
    if not name and (found := _FIELD_NAME.search(_disposition(segment))):
        name = found[1]
    return name.encode(_ANY_BYTES, "replace").decode("utf-8", "replace")


def _is_file(segment: MultipartSegment) -> bool:
    if segment.filename is not None:
        return True
    kind = segment.content_type or ""
    return kind.startswith("image/") or kind == "application/octet-stream" or _has_starred_name(segment)


def _has_starred_name(segment: MultipartSegment) -> bool:
    return _STARRED_FILE_NAME.search(_disposition(segment)) is not None


def _disposition(segment: MultipartSegment) -> str:
    return next((value for name, value in segment.headerlist if name == _DISPOSITION), "")


_HOW: Final = "send -F data=@FILE, or the bytes with -H 'Content-Type: image/jpeg' --data-binary @FILE"
# The media types of clients that do not know the type of their bytes.
_OCTETS: Final = ("application/octet-stream", "binary/octet-stream")
# The media type that curl's --data-binary sends with any bytes.
_URL_ENCODED: Final = "application/x-www-form-urlencoded"
# An image model reads no rows and tensors, except for its other signatures.
_TENSORS: Final = frozenset(media_types.READ) - {media_types.JSON}
_AS_TENSORS: Final = 'a model with kind = "tensors" under [model] in its model.toml takes arrays'
_TEXT_BYTES: Final = 1024
_MAX_CHARS: Final = 200


def image_bytes(request: Request) -> bytes:
    """The image in the multipart field `data` or `image`, in a JSON document, or the body itself.

    Raises ProblemError: 400 for no image or several, 415 for a body of another kind.
    """
    check_encoding(request.content_encoding)
    kind = request.mimetype
    if kind.startswith("image/"):
        return request.get_data(cache=False)
    if kind == "multipart/form-data":
        return _field(request)
    if not request.content_length:
        raise ProblemError(Problem(400, f"the request has no body: {_HOW}"))
    if kind == "application/json":
        return _json(request)
    if kind in _OCTETS:
        return request.get_data(cache=False)
    if kind in ("", _URL_ENCODED):
        return _untyped_body(request)
    raise _unsupported(kind)


def check_encoding(encoding: str | None) -> None:
    """Raise ProblemError (415) for a body that is compressed, by its Content-Encoding."""
    if encoding and encoding != "identity":
        raise ProblemError(Problem(415, f"Content-Encoding: {encoding[:40]} is not supported"))


def _field(request: Request) -> bytes:
    try:
        fields = read_form(request.get_data(cache=False), request.content_type or "")
    except BrokenFormError as error:
        raise ProblemError(Problem(400, f"the multipart body is broken: {error}; {_HOW}")) from error
    images = [field for field in fields if field.name in IMAGE_FIELDS and _is_image(field)]
    filled = [field for field in images if field.content]
    if len(filled) > 1:
        names = " and ".join(field.name for field in filled[:4])
        raise ProblemError(
            Problem(400, f"the form has {len(filled)} images, in {names}: send one image in a request")
        )
    if filled:
        return filled[0].content
    if images:
        return b""
    raise _no_field(fields)


def _is_image(field: Field) -> bool:
    """Whether a field is meant as an image: a file, or an image sent as text, as by curl's `-F
    data=<FILE`.
    """
    return field.is_file or sniff(field.content) in SUPPORTED


def _no_field(fields: Sequence[Field]) -> ProblemError:
    present = sorted({field.name for field in fields})
    for name in IMAGE_FIELDS:
        if name in present:
            return ProblemError(
                Problem(400, f"the field {name} holds text, not a file: with curl send {name}=@FILE")
            )
    names = " or ".join(IMAGE_FIELDS)
    others = ", ".join(name or "a part without a name" for name in present)[:_MAX_CHARS] or "no fields"
    return ProblemError(Problem(400, f"the form has no field {names}, but {others}: {_HOW}"))


def _json(request: Request) -> bytes:
    try:
        return read_json_image(request.get_data(cache=False))
    except BadJsonError as error:
        raise ProblemError(Problem(400, str(error))) from error


def _untyped_body(request: Request) -> bytes:
    """A body without a media type, or with curl's default one: an image, unless it is text."""
    body, kind = request.get_data(cache=False), request.mimetype
    found = sniff(body)
    if found is None and _is_text(body):
        raise _unsupported(kind)
    # curl's -d strips line ends and zeros: the image would only be reported as damaged.
    if kind and found is not None and b"\0" not in body:
        raise ProblemError(
            Problem(400, f"the {found} image lacks its line ends and zeros, as with curl's -d @FILE: {_HOW}")
        )
    return body


def _is_text(body: bytes) -> bool:
    try:  # incremental, because the cut may be in the middle of a character
        text = codecs.getincrementaldecoder("utf-8")().decode(body[:_TEXT_BYTES])
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char.isspace() for char in text)


def _unsupported(kind: str) -> ProblemError:
    what = kind or "a body of text without a Content-Type"
    if kind in _TENSORS:
        return ProblemError(Problem(415, f"{what} is not supported by an image model: {_HOW}; {_AS_TENSORS}"))
    return ProblemError(Problem(415, f"{what} is not supported: {_HOW}"))
