"""Docstrings and comments name only files and exceptions that exist."""

from __future__ import annotations

import ast
import builtins
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from typing import Final

from tests.docs.markdown import ROOT

_FOLDERS: Final = (
    "benchmarks",
    "bulk",
    "client",
    "contract",
    "deploy",
    "discovery",
    "examples",
    "httpd",
    "proxy",
    "runtime",
    "tests",
    "tools",
    "training",
    "worker",
)
_FILE: Final = re.compile(r"(?<![\w.*/-])((?:[\w-]+/)*\w+\.py)\b")
_EXCEPTION: Final = re.compile(r"(?<![\w.])[A-Z]\w*(?:Error|Exception)\b")
_CLASS: Final = re.compile(r"^ *class (\w+)\s*[(:]", re.MULTILINE)
_FOREIGN_FILES: Final = frozenset(
    {
        "answer.py",
        "flowers.py",
        "label_image.py",
        "retrain.py",
        "tensorflow/examples/label_image/label_image.py",
    }
)
"""Files of other projects, and of a user's model folder."""
_FOREIGN_EXCEPTIONS: Final = frozenset({"SSLError"})
"""Exceptions of libraries that are named without their module."""


@cache
def _files() -> frozenset[str]:
    found = (path for folder in _FOLDERS for path in (ROOT / folder).rglob("*.py"))
    return frozenset(str(path.relative_to(ROOT)) for path in found)


def _exists(name: str) -> bool:
    """Whether a file of ours has this name, or this end of its path."""
    return name in _FOREIGN_FILES or any(path == name or path.endswith("/" + name) for path in _files())


@cache
def _exceptions() -> frozenset[str]:
    ours = {name for path in _files() for name in _CLASS.findall((ROOT / path).read_text())}
    return frozenset(ours | set(dir(builtins)) | _FOREIGN_EXCEPTIONS)


def _remarks(source: str) -> Iterator[str]:
    """The comments of a file, and the strings that stand by themselves."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node.value.value


def test_files_and_exceptions_in_remarks_exist() -> None:
    dead = [f"{path}: {name}" for path in sorted(_files()) for name in _dead_in((ROOT / path).read_text())]
    assert dead == []


def _dead_in(source: str) -> list[str]:
    """The dead names in the remarks of a file. Most files have none at all: those are not parsed."""
    if not _dead_names(source):
        return []
    return [name for remark in _remarks(source) for name in _dead_names(remark)]


def _dead_names(remark: str) -> list[str]:
    files = [name for name in _FILE.findall(remark) if not _exists(name)]
    return files + [name for name in _EXCEPTION.findall(remark) if name not in _exceptions()]
