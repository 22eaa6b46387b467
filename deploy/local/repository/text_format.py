"""A reader of protocol buffers' text format, as TensorFlow Serving and Triton have it in their files.

It reads fields in any order, comments, nested messages in `{}` or `<>`, lists in `[]`, and texts in both
kinds of quotes. It knows no schema: `TextFields` gives the values of a message by their types, and refuses a
field that nobody has asked for, so that no setting is overlooked.
https://protobuf.dev/reference/protobuf/textformat-spec
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from tfleet.contract.identifiers import escaped

MAX_BYTES: Final = 1024 * 1024
_MAX_DEPTH: Final = 32
_TOKEN: Final = re.compile(
    r"""
    (?P<space>[ \t\r\n\f\v]+|\#[^\n]*)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<number>-?(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fF]?))
    |(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<sign>[{}<>\[\]:;,])
    """,
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|(.))")
_PLAIN_ESCAPES: Final = dict(zip(b"abfnrtv\\'\"?", b"\a\b\f\n\r\t\v\\'\"?", strict=True))
_BYTE: Final = 0xFF
_CLOSING: Final = {"{": "}", "<": ">"}
# As in C, a number that begins with 0 is octal.
_INTEGER: Final = re.compile(
    r"0[xX](?P<hex>[0-9a-fA-F]{1,16})|0(?P<octal>[0-7]{1,22})|(?P<decimal>0|[1-9][0-9]{0,18})"
)
_BASES: Final = {"hex": 16, "octal": 8, "decimal": 10}
_MAX_INT64: Final = 2**63 - 1


class TextFormatError(ValueError):
    """The text is not readable, or says what is not expected. The message is one line."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text in quotes."""

    value: str


@dataclass(frozen=True, slots=True)
class Word:
    """A number, or a name that stands for a value: `true`, `KIND_CPU`."""

    value: str


@dataclass(frozen=True, slots=True)
class TextMessage:
    """A message: its fields in their order."""

    fields: tuple[TextField, ...]


Value: TypeAlias = Text | Word | TextMessage


@dataclass(frozen=True, slots=True)
class TextField:
    """A field of a message, and the line where it begins. A list is one field for each of its values."""

    name: str
    value: Value
    line: int


def read_text(path: Path) -> str:
    """The text of a file of bounded size. Raises OSError, and TextFormatError for what is no text."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise TextFormatError("is not a text in UTF-8") from error


def read_message(text: str) -> TextMessage:
    """Read a whole file. Raises TextFormatError."""
    if len(text) > MAX_BYTES:
        raise TextFormatError(f"is larger than {MAX_BYTES:,} characters")
    return _TextFormatReader(text).file()


@dataclass(frozen=True, slots=True)
class _TextToken:
    kind: str
    text: str
    line: int


_END: Final = "end of the file"


def _tokens(text: str) -> Iterator[_TextToken]:
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise TextFormatError(f"line {line}: unexpected '{escaped(text[at : at + 1])}'")
        if match.lastgroup != "space":
            yield _TextToken(match.lastgroup, match[0], line)
        line += match[0].count("\n")
        at = match.end()
    yield _TextToken(_END, "", line)


class _TextFormatReader:
    """Reads the tokens of a text, one ahead."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = next(self._tokens)

    def file(self) -> TextMessage:
        message = self._message(0)
        if self._next.kind != _END:
            raise self._unexpected("the name of a field")
        return message

    def _take(self) -> _TextToken:
        token = self._next
        if token.kind != _END:
            self._next = next(self._tokens)
        return token

    def _skip(self, *signs: str) -> bool:
        if self._next.kind == "sign" and self._next.text in signs:
            self._take()
            return True
        return False

    def _message(self, depth: int) -> TextMessage:
        if depth > _MAX_DEPTH:
            raise TextFormatError(f"line {self._next.line}: more than {_MAX_DEPTH} messages in each other")
        fields: list[TextField] = []
        while self._next.kind == "name":
            fields += self._field(depth)
            self._skip(";", ",")
        return TextMessage(tuple(fields))

    def _field(self, depth: int) -> Iterator[TextField]:
        name = self._take()
        has_colon = self._skip(":")
        values = self._list(depth) if self._skip("[") else [self._value(depth)]
        if not has_colon and not all(isinstance(each, TextMessage) for each in values):
            raise TextFormatError(f"line {name.line}: expected ':' after {name.text}")
        return (TextField(name.text, each, name.line) for each in values)

    def _list(self, depth: int) -> list[Value]:
        values: list[Value] = []
        if self._skip("]"):
            return values
        while True:
            values.append(self._value(depth))
            if self._skip("]"):
                return values
            if not self._skip(","):
                raise self._unexpected("',' or ']'")

    def _value(self, depth: int) -> Value:
        token = self._next
        if token.text in _CLOSING and token.kind == "sign":
            self._take()
            message = self._message(depth + 1)
            if not self._skip(_CLOSING[token.text]):
                raise self._unexpected(f"the name of a field or '{_CLOSING[token.text]}'")
            return message
        if token.kind == "text":
            # Texts that stand beside each other are one, as in C.
            parts = []
            while self._next.kind == "text":
                parts.append(_unquoted(self._take()))
            try:
                return Text(b"".join(parts).decode())
            except UnicodeDecodeError as error:
                raise TextFormatError(f"line {token.line}: a text is not UTF-8") from error
        if token.kind in {"name", "number"}:
            return Word(self._take().text)
        raise self._unexpected("a value")

    def _unexpected(self, expected: str) -> TextFormatError:
        found = f"'{escaped(self._next.text)}'" if self._next.text else f"the {_END}"
        return TextFormatError(f"line {self._next.line}: expected {expected}, found {found}")


def _unquoted(token: _TextToken) -> bytes:
    """The bytes of a text: an escape such as `\\303` is one byte of its UTF-8."""

    def unescaped(match: re.Match[bytes]) -> bytes:
        octal, hexadecimal, sign = match.groups()
        if sign is None:
            return bytes([int(octal, 8) & _BYTE if octal else int(hexadecimal, 16)])
        if (plain := _PLAIN_ESCAPES.get(ord(sign))) is None:
            raise TextFormatError(f"line {token.line}: unknown escape \\{escaped(sign.decode('latin-1'))}")
        return bytes([plain])

    return _ESCAPE.sub(unescaped, token.text[1:-1].encode())


class TextFields:
    """The fields of a message, to be taken by name and type. `where` names the message in errors.

    Each method raises TextFormatError for a value of another type, and for a second one where one is allowed.
    """

    def __init__(self, message: TextMessage, where: str) -> None:
        self._left = list(message.fields)
        self._where = where
        self._known: list[str] = []

    def text(self, name: str) -> str:
        """A text; empty if there is none."""
        field = self._one(name)
        if field is None:
            return ""
        if not isinstance(field.value, Text):
            raise TextFormatError(f"line {field.line}: {name} is not a text in quotes")
        return field.value.value

    def word(self, name: str) -> str:
        """A name without quotes; empty if there is none."""
        field = self._one(name)
        if field is None:
            return ""
        if not isinstance(field.value, Word):
            raise TextFormatError(f"line {field.line}: {name} is not a name without quotes")
        return field.value.value

    def integer(self, name: str) -> int | None:
        """A whole number from 0 on."""
        field = self._one(name)
        return None if field is None else _whole(field)

    def integers(self, name: str) -> list[int]:
        """Whole numbers from 0 on."""
        return [_whole(field) for field in self._take(name)]

    def message(self, name: str) -> TextFields | None:
        """A message."""
        field = self._one(name)
        return None if field is None else self._nested(field)

    def messages(self, name: str) -> list[TextFields]:
        """Messages."""
        return [self._nested(field) for field in self._take(name)]

    def has(self, *names: str) -> list[str]:
        """Those of the names that there are; their values are not looked at."""
        return [name for name in names if self._take(name)]

    def end(self) -> None:
        """Raise TextFormatError for a field that was not asked for."""
        if self._left:
            field = self._left[0]
            known = ", ".join(self._known)
            raise TextFormatError(
                f"line {field.line}: {self._where} has no field '{escaped(field.name)}'; known are {known}"
            )

    def _take(self, name: str) -> list[TextField]:
        self._known.append(name)
        taken = [field for field in self._left if field.name == name]
        self._left = [field for field in self._left if field.name != name]
        return taken

    def _one(self, name: str) -> TextField | None:
        taken = self._take(name)
        if len(taken) > 1:
            raise TextFormatError(f"line {taken[1].line}: {name} stands twice in {self._where}")
        return taken[0] if taken else None

    def _nested(self, field: TextField) -> TextFields:
        if not isinstance(field.value, TextMessage):
            raise TextFormatError(f"line {field.line}: {field.name} is not a message in braces")
        return TextFields(field.value, field.name)


def _whole(field: TextField) -> int:
    match = _INTEGER.fullmatch(field.value.value) if isinstance(field.value, Word) else None
    if match is not None and match.lastgroup is not None:
        number = int(match[match.lastgroup], _BASES[match.lastgroup])
        if number <= _MAX_INT64:
            return number
    raise TextFormatError(f"line {field.line}: {field.name} is not a whole number from 0 on")
