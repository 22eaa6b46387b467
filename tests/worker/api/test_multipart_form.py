import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.worker.api.upload import BrokenFormError, Field, read_form

TYPE = "multipart/form-data; boundary=----edge"


def form(*parts: bytes) -> bytes:
    return b"".join(b"------edge\r\n" + part + b"\r\n" for part in parts) + b"------edge--\r\n"


def file(name: bytes, content: bytes) -> bytes:
    disposition = b'Content-Disposition: form-data; name="%b"; filename="cat.jpg"' % name
    return disposition + b"\r\nContent-Type: image/jpeg\r\n\r\n" + content


def text(name: bytes, content: bytes) -> bytes:
    return b'Content-Disposition: form-data; name="%b"\r\n\r\n%b' % (name, content)


def test_files_and_text_fields_are_distinguished() -> None:
    fields = read_form(form(text(b"top", b"3"), file(b"data", b"\xff\xd8")), TYPE)
    assert fields == (Field("top", False, b"3"), Field("data", True, b"\xff\xd8"))


def test_an_empty_file_is_a_file() -> None:
    assert read_form(form(file(b"data", b"")), TYPE) == (Field("data", True, b""),)


@given(
    contents=st.lists(
        st.binary(max_size=300).filter(lambda content: b"------edge" not in content), max_size=5
    )
)
def test_the_body_is_read_unchanged(contents: list[bytes]) -> None:
    fields = read_form(form(*[file(b"data", content) for content in contents]), TYPE)
    assert [field.content for field in fields] == contents


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (form(file(b"data", b"x")), "multipart/form-data", "no boundary"),
        (form(file(b"data", b"x"))[:-20], TYPE, "."),
        (b"nothing of the kind", TYPE, "."),
        (b"", TYPE, "."),
        (form(b"no header\r\n\r\nx"), TYPE, "."),
        (form(*[text(b"x", b"y")] * 65), TYPE, "."),
        (form(b"X: y\r\n" * 17 + file(b"data", b"x")), TYPE, "."),
    ],
    ids=["no boundary", "cut off", "no form", "empty", "no headers", "65 fields", "18 headers"],
)
def test_an_invalid_form_is_refused(body: bytes, content_type: str, reason: str) -> None:
    with pytest.raises(BrokenFormError, match=reason):
        read_form(body, content_type)


@given(body=st.binary(max_size=200), cut=st.integers(0, 200))
def test_garbage_is_a_broken_form_and_no_other_error(body: bytes, cut: int) -> None:
    whole = form(file(b"data", b"x"))
    for damaged in (body, whole[:cut] + body + whole[cut:], whole[:cut] + body):
        with contextlib.suppress(BrokenFormError):
            assert all(isinstance(field.content, bytes) for field in read_form(damaged, TYPE))


@pytest.mark.parametrize(
    ("header", "name", "is_file"),
    [
        (b'form-data; name="data"', "data", False),
        (b"form-data; name=\"data\"; filename*=utf-8''a", "data", True),
        (b"form-data; filename*=utf-8''a; name=data", "data", True),
        (b'form-data; name="data"\r\nContent-Type: image/png', "data", True),
        (b'form-data; name="data"\r\nContent-Type: text/plain', "data", False),
        ('form-data; name="データ"; filename="ソ"'.encode(), "データ", True),
        (b'form-data; filename="\x83\\"; name="data"', "data", True),
        (b'form-data; filename="x"', "", True),
    ],
)
def test_the_headers_of_a_part_are_read(header: bytes, name: str, is_file: bool) -> None:
    body = form(b"Content-Disposition: " + header + b"\r\n\r\nx")
    assert read_form(body, TYPE) == (Field(name, is_file, b"x"),)


def test_a_boundary_may_have_any_letter() -> None:
    body = form(file(b"data", b"x")).replace(b"----edge", "----é".encode("latin-1"))
    assert read_form(body, TYPE.replace("----edge", '"----é"'))[0].content == b"x"
