"""End a command without a traceback on Ctrl-C, and where its output can't be written."""

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
# Only writing raises these, and commands write nothing but their output.
_DISK_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def clean_exit() -> Iterator[None]:
    """Exit with 130 on Ctrl-C, with 141 if the output's reader has ended (`| head`), and with 1 and a line on
    standard error if the output's disk is full.
    """
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _discard_output()
        sys.exit(BROKEN_PIPE)
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        _discard_output()
        with suppress(OSError):  # standard error may be on the same full disk
            print(f"can't write to standard output: {os.strerror(error.errno)}", file=sys.stderr)
        sys.exit(FAILED)


def _discard_output() -> None:
    # Otherwise the interpreter writes what is still buffered as it ends, and prints a second error.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
