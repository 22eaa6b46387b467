"""How a command ends when it is told to stop: no traceback, and the exit code that a shell expects."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

FAILED: Final = 1
INTERRUPTED: Final = 130  # 128 + SIGINT
BROKEN_PIPE: Final = 141  # 128 + SIGPIPE
# What only writing meets, and the commands write nothing but their output.
_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def quiet_end() -> Iterator[None]:
    """End the program with 130 on Ctrl-C, with 141 where nobody reads its output any more (`| head`), and
    with 1 and a line where there is no room for it.
    """
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _drop_output()
        sys.exit(BROKEN_PIPE)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        _drop_output()
        with suppress(OSError):  # standard error may be the same full disk
            print(f"can't write to standard output: {os.strerror(error.errno)}", file=sys.stderr)
        sys.exit(FAILED)


def _drop_output() -> None:
    """What is still buffered would fail again when the interpreter exits, and be complained about."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
