import io

import numpy as np
import pytest

from tests.worker.api.protocols.signatures import ARROW, CSV, JSON, NPY, NPZ, column, refused
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.native import answer_type
from tfleet.worker.api.protocols.native.media_types import body_type


def npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(2))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("said", "body", "kind"),
    [
        ("application/json", b"", JSON),
        ("Application/JSON; charset=UTF-8", b"", JSON),
        ("text/csv; header=present", b"", CSV),
        (ARROW, b"", ARROW),
        (NPY, b"", NPY),
        (NPZ, b"", NPZ),
        (None, b"\xef\xbb\xbf [1]", JSON),
        ("application/x-www-form-urlencoded", b'{"a": 1}', JSON),
        ("application/octet-stream", npy(), NPY),
        ("", b"PK\x03\x04", NPZ),
        (None, b"\xff\xff\xff\xff\x10", ARROW),
    ],
)
def test_a_body_has_the_type_that_is_said_or_seen(said: str | None, body: bytes, kind: str) -> None:
    assert body_type(said, body) == kind


@pytest.mark.parametrize(
    ("said", "body", "reason"),
    [
        ("text/plain", b"[1]", "the body is 'text/plain': send Content-Type: application/json"),
        ("text/csv; charset=latin-1", b"x\n1", "the character set 'latin-1': send it in UTF-8"),
        ("application/octet-stream", b"x\n1", "has no type, and does not show one"),
    ],
)
def test_another_type_is_refused(said: str, body: bytes, reason: str) -> None:
    assert reason in refused(body, said, column("int32"), status=415)


def test_an_empty_body_is_refused() -> None:
    assert "the request has no body" in refused(b"", JSON, column("int32"))


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("text/html,application/xhtml+xml,*/*;q=0.8", JSON),
        (ARROW, ARROW),
        (f"application/json;q=0.5, {ARROW}", ARROW),
        (f"{ARROW};q=0.2, {NPY};q=0.3", NPY),
        (f"{NPZ}, {NPY}", NPZ),
        (f"text/csv, {ARROW};q=0.1", CSV),
        (f"text/html, {ARROW};q=0.1", ARROW),
        (f"{ARROW};q=0, application/*;q=0.1", JSON),
    ],
)
def test_the_answer_is_what_accept_likes_best(accept: str | None, kind: str) -> None:
    assert answer_type(accept) == kind


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "image/*", ",,;"])
def test_an_answer_that_cannot_be_given_is_a_406(accept: str) -> None:
    with pytest.raises(ProblemError) as error:
        answer_type(accept)
    assert error.value.problem.status == 406
    assert "ask for application/json, " in error.value.problem.detail
