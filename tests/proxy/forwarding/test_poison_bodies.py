from functools import partial

import pytest

from tests.support.cpu_time import cpu_seconds
from tfleet.proxy.forwarding.poison_bodies import PoisonBodies, body_digest, short_digest

FORM = b"multipart/form-data; boundary="


def form(boundary: bytes, image: bytes = b"an image") -> list[bytes]:
    """A form as curl sends it, in two pieces."""
    head = b"--" + boundary + b'\r\nContent-Disposition: form-data; name="image"; filename="a.gif"\r\n\r\n'
    return [head, image + b"\r\n--" + boundary + b"--\r\n"]


SAME = {
    "whatever its pieces": (([b"abc"], b"image/gif"), ([b"a", b"bc"], b"image/gif")),
    "whatever its type": (([b"abc"], b"image/gif"), ([b"abc"], b"")),
    "with another boundary": ((form(b"xx17"), FORM + b"xx17"), (form(b"yy2345"), FORM + b"yy2345")),
    "with a quoted boundary": ((form(b"x 17"), FORM + b'"x 17"'), (form(b"y"), FORM + b"y")),
    "with a parameter before it": (
        (form(b"xx"), b"Multipart/Form-Data; charset=utf-8; Boundary=xx; a=b"),
        (form(b"yy"), FORM + b"yy"),
    ),
}
OTHER = {
    "another image": (([b"abc"], b""), ([b"abd"], b"")),
    "another image in a form": ((form(b"xx"), FORM + b"xx"), (form(b"yy", b"another"), FORM + b"yy")),
    "no form, though it says a boundary": ((form(b"xx"), b"boundary=xx"), (form(b"yy"), b"boundary=yy")),
}

Body = tuple[list[bytes], bytes]


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME.keys())
def test_equal_bodies_have_equal_digests(one: Body, other: Body) -> None:
    assert body_digest(*one) == body_digest(*other)


@pytest.mark.parametrize(("one", "other"), OTHER.values(), ids=OTHER.keys())
def test_different_bodies_have_different_digests(one: Body, other: Body) -> None:
    assert body_digest(*one) != body_digest(*other)


@pytest.mark.parametrize("boundary", [b"", b" ", b'"', b"a;" * 2000, b'"a' * 2000, b"a" * 2000, b" " * 4000])
def test_a_hostile_boundary_costs_no_more_time(boundary: bytes) -> None:
    """A head's line may be 8 KiB long, and a stranger writes it."""
    for kind in (FORM, b"multipart/" + b"; boundary" * 700 + b"="):
        assert cpu_seconds(partial(body_digest, [b"a" * 100_000], kind + boundary)) < 0.25


def test_a_body_is_remembered_for_a_minute_and_no_longer() -> None:
    now_s = 100.0
    poison = PoisonBodies(lambda: now_s)
    poison.add(b"a")
    now_s = 130.0
    poison.add(b"b")
    assert (b"a" in poison, b"b" in poison, b"" in poison) == (True, True, False)
    now_s = 160.0
    assert (b"a" in poison, b"b" in poison) == (False, True)
    now_s = 189.0
    poison.add(b"b")
    now_s = 190.0
    assert b"b" in poison, "its minute began anew"
    now_s = 249.0
    assert b"b" not in poison
    assert len(poison) == 0


def test_no_more_than_a_thousand_bodies_are_remembered() -> None:
    poison = PoisonBodies(lambda: 0.0)
    for number in range(3000):
        poison.add(b"%d" % number)
    assert len(poison) == 1024
    assert b"1975" not in poison
    assert b"1976" in poison


def test_a_log_line_has_the_digests_first_digits() -> None:
    assert short_digest(bytes(range(16))) == "000102030405"
