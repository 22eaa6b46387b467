import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.contract.address import Address
from tfleet.contract.identifiers import (
    MAX_ID_CHARS,
    MAX_LABEL_CHARS,
    MAX_SERVICE_CHARS,
    as_label,
    escaped,
    is_label,
    is_token,
)
from tfleet.discovery.instance import new_id


@pytest.mark.parametrize("text", ["tfleet-10.0.0.1-8000-0a1b2c3d", "a/b", "a_b~c:d@e+f=g", "w" * 512, "..."])
def test_plain_ids_are_tokens(text: str) -> None:
    assert is_token(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "a b", "a\r\nb", "a\tb", "a\0", "é", "a,b", 'a"', "a%41", "a?b", "a#b", "<b>", "a\\b"),
        *(".", "..", "../../leave", "a/../b", "a/./b", "a//b", "/a", "a/", "w" * 513, "a\n"),
    ],
)
def test_a_token_is_a_plain_name(text: str) -> None:
    assert not is_token(text)


def test_the_longest_service_and_host_make_a_token() -> None:
    host = ".".join(["h" * 62] * 4)
    made = new_id("s" * MAX_SERVICE_CHARS, Address(host, 65535))
    assert len(made) <= MAX_ID_CHARS
    assert is_token(made)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("lite0", "lite0"),
        ("my model (v2)", "my model (v2)"),
        ("modèle", "mod%C3%A8le"),
        ("模型", "%E6%A8%A1%E5%9E%8B"),
        ("a\nb", "a%0Ab"),
        ("", ""),
    ],
)
def test_a_folder_of_any_name_makes_a_label(text: str, label: str) -> None:
    assert as_label(text) == label


@given(st.text())
def test_any_text_becomes_a_valid_label(text: str) -> None:
    assert is_label(as_label(text))
    assert len(as_label(text * 100)) <= MAX_LABEL_CHARS


@given(st.text())
def test_shown_text_is_one_short_plain_line(text: str) -> None:
    line = escaped(text)
    assert line.isascii()
    assert line == "" or line.isprintable()
    assert len(line) <= 80 * 10 + 3
