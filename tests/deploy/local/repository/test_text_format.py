from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from google.protobuf import text_format  # type: ignore[import-untyped] # it has no types
from google.protobuf.descriptor_pb2 import (  # type: ignore[import-untyped] # as above
    DescriptorProto,
    FieldDescriptorProto,
)
from hypothesis import given
from hypothesis import strategies as st

from tfleet.deploy.local.repository.text_format import (
    MAX_BYTES,
    Text,
    TextField,
    TextFields,
    TextFormatError,
    TextMessage,
    Word,
    read_message,
    read_text,
)


def fields(text: str) -> TextFields:
    return TextFields(read_message(text), "the file")


def error_of(text: str) -> str:
    with pytest.raises(TextFormatError) as caught:
        read_message(text)
    return str(caught.value)


def test_all_forms_of_a_field_are_read() -> None:
    message = read_message(
        """
        # a comment
        name: "a" 'b'   # two texts that are one
        kind: KIND_CPU; share: -1.5e3f,
        nested { inner: <x: 1> } other: { }
        list: [1, 2] texts: ["a", 'b'] messages [{x: 1}, {}] none: []
        """
    )
    one = TextMessage((TextField("x", Word("1"), 5),))
    assert [(field.name, field.value, field.line) for field in message.fields] == [
        ("name", Text("ab"), 3),
        ("kind", Word("KIND_CPU"), 4),
        ("share", Word("-1.5e3f"), 4),
        ("nested", TextMessage((TextField("inner", one, 5),)), 5),
        ("other", TextMessage(()), 5),
        *(("list", Word(number), 6) for number in "12"),
        *(("texts", Text(text), 6) for text in "ab"),
        ("messages", TextMessage((TextField("x", Word("1"), 6),)), 6),
        ("messages", TextMessage(()), 6),
    ]


def test_an_empty_file_is_an_empty_message() -> None:
    assert read_message(" # nothing\n").fields == ()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: 1 }", "line 1: expected the name of a field, found '}'"),
        ("a {\n b: 1", "line 2: expected the name of a field or '}', found the end of the file"),
        ("a < b: 1 }", "line 1: expected the name of a field or '>', found '}'"),
        ("a: [1 2]", "line 1: expected ',' or ']', found '2'"),
        ("a: [1,]", "line 1: expected a value, found ']'"),
        ("a 1", "line 1: expected ':' after a"),
        ("a [1]", "line 1: expected ':' after a"),
        ("a:", "line 1: expected a value, found the end of the file"),
        ('\n"a": 1', "line 2: expected the name of a field, found '\"a\"'"),
        ("[ext.name]: 1", "line 1: expected the name of a field, found '['"),
        ("a: 'b", "line 1: unexpected '''"),
        ("a: 'b\nc'", "line 1: unexpected '''"),
        ("a: é", "line 1: unexpected '\\xe9'"),
        (r"a: '\q'", r"line 1: unknown escape \q"),
        (r"a: '\377'", "line 1: a text is not UTF-8"),
        ("a {" * 40 + "}" * 40, "line 1: more than 32 messages in each other"),
        ("#" * (MAX_BYTES + 1), "is larger than 1,048,576 characters"),
    ],
)
def test_what_can_not_be_read_is_one_line_with_its_place(text: str, error: str) -> None:
    assert error_of(text) == error


def test_values_are_taken_by_name_and_type() -> None:
    taken = fields("t: 'x' w: true n: 010 m { a: 0x1F } m { } i: 1 i: 2 unread: 1")
    assert (taken.text("t"), taken.word("w"), taken.integer("n")) == ("x", "true", 8)
    assert [each.integer("a") for each in taken.messages("m")] == [31, None]
    assert taken.integers("i") == [1, 2]
    assert (taken.text("no"), taken.word("no"), taken.integer("no"), taken.message("no")) == (
        "",
        "",
        None,
        None,
    )
    assert taken.has("unread", "absent") == ["unread"]
    taken.end()


def test_a_field_that_nobody_asked_for_is_refused() -> None:
    taken = fields("a: 1\nbase_pth: 'x'")
    taken.integer("a")
    taken.text("base_path")
    with pytest.raises(TextFormatError) as caught:
        taken.end()
    assert str(caught.value) == "line 2: the file has no field 'base_pth'; known are a, base_path"


@pytest.mark.parametrize(
    ("text", "kind", "error"),
    [
        ("a: 1", "text", "line 1: a is not a text in quotes"),
        ("a: 'x'", "word", "line 1: a is not a name without quotes"),
        ("a: 1", "message", "line 1: a is not a message in braces"),
        ("a: {}", "integer", "line 1: a is not a whole number from 0 on"),
        ("a: -1", "integer", "line 1: a is not a whole number from 0 on"),
        ("a: 1.5", "integer", "line 1: a is not a whole number from 0 on"),
        ("a: 9223372036854775808", "integer", "line 1: a is not a whole number from 0 on"),
        ("a: 08", "integer", "line 1: a is not a whole number from 0 on"),
        ("a: 1\na: 2", "integer", "line 2: a stands twice in the file"),
    ],
)
def test_a_value_of_another_type_is_refused(text: str, kind: str, error: str) -> None:
    with pytest.raises(TextFormatError) as caught:
        getattr(fields(text), kind)("a")
    assert str(caught.value) == error


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config").write_bytes(b"\xff")
    with pytest.raises(TextFormatError, match="is not a text in UTF-8"):
        read_text(tmp_path / "config")


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


_FIELDS = st.lists(st.builds(FieldDescriptorProto, name=_TEXTS, number=st.integers(0, 2**31 - 1)), max_size=2)


def _messages(depth: int) -> st.SearchStrategy[DescriptorProto]:
    nested = st.lists(_messages(depth - 1), max_size=2) if depth else st.just([])
    return st.builds(DescriptorProto, name=_TEXTS, field=_FIELDS, nested_type=nested)


@given(_messages(2), st.booleans(), st.booleans(), st.booleans())
def test_what_protobuf_writes_is_read_as_it_was(
    message: DescriptorProto, utf8: bool, one_line: bool, angles: bool
) -> None:
    forms = {"as_utf8": utf8, "as_one_line": one_line, "pointy_brackets": angles}
    assert _again(fields(text_format.MessageToString(message, **forms))) == message


def _again(taken: TextFields) -> DescriptorProto:
    described = [
        FieldDescriptorProto(name=each.text("name"), number=each.integer("number"))
        for each in taken.messages("field")
    ]
    nested = [_again(each) for each in taken.messages("nested_type")]
    return DescriptorProto(name=taken.text("name"), field=described, nested_type=nested)


@given(st.text("{}<>[]:;,#ab1 '\"\\\n-.", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(TextFormatError):
        read_message(text)
