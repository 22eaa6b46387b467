"""Which form a body has, and which form an answer should have."""

from __future__ import annotations

import re
from typing import Final

from tfleet.worker.api.protocols.native import npy, npz_archive
from tfleet.worker.api.protocols.problems import not_acceptable, quoted, wrong_media_type

JSON: Final = "application/json"
CSV: Final = "text/csv"
ARROW: Final = "application/vnd.apache.arrow.stream"
NPY: Final = "application/x-npy"
NPZ: Final = "application/x-npz"

READ: Final = (JSON, CSV, ARROW, NPY, NPZ)
"""What bodies may be."""
WRITTEN: Final = (JSON, CSV, ARROW, NPY, NPZ)
"""What answers may be; the first is the default."""

# What curl and other programs send where nobody has named a type: the bytes say what it is.
_UNSAID: Final = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})
_BEGINNINGS: Final = (
    (npy.MAGIC, NPY),
    (npz_archive.MAGIC, NPZ),
    (b"\xff\xff\xff\xff", ARROW),
)
_JSON_BEGINS: Final = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]{0,64}[\[{]")
_CHARSET: Final = re.compile(r";\s*charset\s*=\s*\"?([^\s;\"]+)", re.IGNORECASE)
_UTF8: Final = frozenset({"utf-8", "utf8", "us-ascii"})
_QUALITY: Final = re.compile(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", re.IGNORECASE)


def body_type(content_type: str | None, body: bytes) -> str:
    """One of READ, from the Content-Type header, or from the bytes where it says nothing.

    Raises ProblemError (415) for another type, or a character set other than UTF-8.
    """
    said = _said(content_type)
    found = _sniffed(body) if said in _UNSAID else said
    if found not in READ:
        kind = f"is {quoted(said)}" if said and said not in _UNSAID else "has no type, and does not show one"
        raise wrong_media_type(f"the body {kind}: send Content-Type: {', '.join(READ[:-1])} or {READ[-1]}")
    charset = _CHARSET.search(content_type or "")
    if found in {JSON, CSV} and charset is not None and charset[1].lower() not in _UTF8:
        raise wrong_media_type(f"the body is in the character set {quoted(charset[1])}: send it in UTF-8")
    return found


def is_text(content_type: str | None, body: bytes) -> bool:
    """Whether the body is read as JSON or CSV, if it is read at all."""
    said = _said(content_type)
    return (_sniffed(body) if said in _UNSAID else said) in {JSON, CSV}


def answer_type(accept: str | None) -> str:
    """One of WRITTEN: what an Accept header likes best, and JSON where it does not care.

    Raises ProblemError (406) where it allows none of them.
    """
    if not (accept or "").strip():
        return JSON
    best, best_quality = "", 0.0
    for item in (accept or "").split(","):
        said, *parameters = item.split(";")
        name = said.strip().lower()
        name = JSON if name in {"*/*", "application/*"} else name
        quality = next((float(found[1]) for part in parameters if (found := _QUALITY.fullmatch(part))), 1.0)
        if name in WRITTEN and quality > best_quality:
            best, best_quality = name, quality
    if not best:
        raise not_acceptable(
            f"the answer cannot be {quoted(accept or '')}: ask for {', '.join(WRITTEN[:-1])} or "
            f"{WRITTEN[-1]} in Accept"
        )
    return best


def _said(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def _sniffed(body: bytes) -> str:
    for beginning, found in _BEGINNINGS:
        if body.startswith(beginning):
            return found
    return JSON if _JSON_BEGINS.match(body) else ""
