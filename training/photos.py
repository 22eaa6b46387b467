"""The photographs of a folder: each folder in it is a class, and what lies below that belongs to the class.

Nothing is decoded here, and no file's name says what it is: the bytes do, when they are read. A class is
called what its folder is called, character by character.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tfleet.contract.names import MAX_BODY_BYTES
from tfleet.runtime.printable import printable
from tfleet.training.errors import CannotRetrainError
from tfleet.training.results import PassedOver

MOST_CLASSES: Final = 1000
MOST_PHOTOS: Final = 100_000
"""Training with them takes 1.5 GB of memory."""
FEW_PHOTOS: Final = 20
"""A class with fewer gets a warning."""
_LEAST_CLASSES: Final = 2
_HIDDEN: Final = (".", "__MACOSX")
_BYTE_ORDER_MARK: Final = "\ufeff"
_LINE_ENDS: Final = "\n\r"
"""What ends a line of labels.txt where a worker reads it."""


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A file that may be a photograph. `name` is its path within the folder of classes."""

    name: str
    label: str


@dataclass(frozen=True, slots=True)
class FoundPhotos:
    """What a folder has. `classes` are sorted; each has a file at least. `empty` are folders without one."""

    root: Path
    classes: tuple[str, ...]
    files: tuple[PhotoFile, ...]
    passed_over: tuple[PassedOver, ...]
    empty: tuple[str, ...] = ()

    def read(self, name: str) -> bytes:
        """The bytes of a file by its name. Raises OSError, also for one that is too large, or no file now."""
        # Without waiting: a file may have become a pipe, which would never end.
        descriptor = os.open(self.root / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as opened:
            if reason := _unusable(os.fstat(opened.fileno())):
                raise OSError(reason)
            content = opened.read(MAX_BODY_BYTES + 1)
        if len(content) > MAX_BODY_BYTES:
            raise OSError(_TOO_LARGE)
        return content


def find_photos(root: Path) -> FoundPhotos:
    """Look for the classes and their files. Raises CannotRetrainError where there can't be a model of them.

    Links to folders are followed; a folder that is reached twice within a class is read once. Names that
    begin with a dot are hidden and not looked at.
    """
    passed_over: list[PassedOver] = []
    files: list[PhotoFile] = []
    classes: list[str] = []
    empty: list[str] = []
    for entry in _entries(root):
        if reason := _no_folder(root / entry.name):
            passed_over.append(PassedOver(entry.name, reason))
            continue
        if len(classes) == MOST_CLASSES:
            raise CannotRetrainError(
                f"{root}: has more than {MOST_CLASSES:,} folders, and a model has no more classes"
            )
        _check_label(root, entry.name)
        before = len(files)
        for name in _below(root, entry.name, passed_over):
            if len(files) == MOST_PHOTOS:
                raise CannotRetrainError(
                    f"{root}: has more than {MOST_PHOTOS:,} files: give fewer of each class"
                )
            files.append(PhotoFile(name, entry.name))
        if len(files) > before:
            classes.append(entry.name)
        else:
            empty.append(entry.name)
            passed_over.append(PassedOver(entry.name, "no files were found there, so it is no class"))
    check_classes(root, classes, passed_over)
    return FoundPhotos(root, tuple(classes), tuple(files), tuple(passed_over), tuple(empty))


def check_classes(
    root: Path, classes: Sequence[str], passed_over: Sequence[PassedOver], which: str = ""
) -> None:
    """Raise CannotRetrainError where there are too few classes, of photographs `which`, to tell apart."""
    if len(classes) < _LEAST_CLASSES:
        there = f"only one, {printable(classes[0])}" if classes else "none"
        why = (
            f"; passed over were {len(passed_over):,}, first {_named(passed_over[0])}" if passed_over else ""
        )
        raise CannotRetrainError(
            f"{root}: needs a folder of photographs{which and f' {which}'} for each of two classes at least, "
            f"and has {there}{why}"
        )


def _named(one: PassedOver) -> str:
    return f"{printable(one.path)}: {one.reason}"


_TOO_LARGE: Final = f"the file has more than the {MAX_BODY_BYTES:,} bytes that an image may have"


def _unusable(facts: os.stat_result) -> str:
    if not stat.S_ISREG(facts.st_mode):
        return "it is no regular file"
    return _TOO_LARGE if facts.st_size > MAX_BODY_BYTES else ""


def _no_folder(path: Path) -> str:
    """Why a path is no folder of a class; empty if it is one."""
    try:
        return "" if stat.S_ISDIR(path.stat().st_mode) else "it lies in no folder of a class"
    except OSError as error:  # such as a link to where nobody may look
        return f"cannot be read: {error.strerror}"


def _check_label(root: Path, name: str) -> None:
    """Raise CannotRetrainError for a name that labels.txt, with a label a line, can't have."""
    try:
        name.encode()
    except UnicodeEncodeError:
        problem = "is not UTF-8"
    else:
        one_line = not set(_LINE_ENDS) & set(name)
        if one_line and name == name.strip() and not name.startswith(_BYTE_ORDER_MARK):
            return
        problem = "has a line end in it, or a blank at an end"
    raise CannotRetrainError(
        f"{root}: the folder {name!r} {problem}, and would be no label: give it another name"
    )


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in the folder of classes, sorted by name. Raises CannotRetrainError."""
    try:
        with os.scandir(folder) as found:
            return sorted(
                (entry for entry in found if not entry.name.startswith(_HIDDEN)), key=lambda entry: entry.name
            )
    except OSError as error:
        raise CannotRetrainError(f"{folder}: cannot be read: {error.strerror}") from error


def _below(root: Path, label: str, passed_over: list[PassedOver]) -> Iterator[str]:
    """The files of a class, by their paths within the root, sorted."""

    def note(error: OSError) -> None:
        passed_over.append(
            PassedOver(os.path.relpath(error.filename, root), f"cannot be read: {error.strerror}")
        )

    reached = set()
    for folder, folders, names in os.walk(root / label, onerror=note, followlinks=True):
        facts = Path(folder).stat()
        if (facts.st_dev, facts.st_ino) in reached:  # a link into a folder above it would never end
            folders.clear()
            continue
        reached.add((facts.st_dev, facts.st_ino))
        folders[:] = sorted(each for each in folders if not each.startswith(_HIDDEN))
        for name in sorted(each for each in names if not each.startswith(_HIDDEN)):
            path = Path(folder, name)
            within = str(path.relative_to(root))
            try:
                reason = _unusable(path.stat())
            except OSError as error:
                reason = f"cannot be read: {error.strerror}"
            if reason:
                passed_over.append(PassedOver(within, reason))
            else:
                yield within
