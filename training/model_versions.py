"""The folders of a model's versions: `models/NAME/1`, `.../2`. A version appears whole, by a rename."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from tfleet.contract.identifiers import version_of_folder

_TAKEN: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR})
_TRIES: Final = 100
UNFINISHED: Final = (".tmp", ".partial")
"""What ends the names of folders that `tfleet up --models` leaves out."""
_MAKING: Final = ".making-"


def next_version(model: Path) -> int:
    """The number after the highest of the model's versions; 1 for the first."""
    try:
        names = [version_of_folder(entry.name) for entry in model.iterdir()]
    except FileNotFoundError:
        return 1
    return max((int(name) for name in names if name.isascii() and name.isdigit()), default=0) + 1


def unwritable(model: Path) -> Path | None:
    """What is in the way of a new version, which nobody may write to; None if nothing is.

    To be asked before the work, not after an hour of it.
    """
    there = next(each for each in (model, *model.parents) if os.path.exists(each))  # noqa: PTH110
    return None if os.access(there, os.W_OK | os.X_OK) else there


@contextmanager
def new_version(model: Path) -> Iterator[Path]:
    """A folder beside the model's versions to make a new one in, which `publish` then renames. What is left
    of it goes at the end, and what a killed process has left there goes now. Raises OSError.
    """
    model.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with _locked(model):  # nobody may take a new folder for an abandoned one before it is locked
            _remove_abandoned(model)
            making = tempfile.TemporaryDirectory(prefix=_MAKING, dir=model, ignore_cleanup_errors=True)
            work = Path(stack.enter_context(making))
            stack.enter_context(_locked(work))
        yield work


def _remove_abandoned(model: Path) -> None:
    """Remove the folders in which nobody makes a version any more: a dead process holds no lock."""
    for folder in model.glob(f"{_MAKING}*"):
        with suppress(OSError), _locked(folder, fcntl.LOCK_NB):  # another one's, or gone meanwhile
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path, how: int = 0) -> Iterator[None]:
    """Hold a folder alone. Raises OSError."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | how)
        yield
    finally:
        os.close(opened)


def publish(made: Path, model: Path) -> Path:
    """Rename a folder that was made on the same file system to the model's next version, and return that.

    Of several that are published at once each gets a number of its own. Raises OSError.
    """
    for _ in range(_TRIES):
        target = model / str(next_version(model))
        try:
            made.chmod(0o755)  # that of a temporary folder is for its owner alone
            os.rename(made, target)  # noqa: PTH104 - the other way replaces nothing either; this one says why
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
        else:
            return target
    raise OSError(errno.EBUSY, "others publish versions all the time", str(model))
