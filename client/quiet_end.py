"""How a command ends when it is told to stop: no traceback, and the exit code that a shell expects."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

INTERRUPTED: Final = 130  # 128 + SIGINT
BROKEN_PIPE: Final = 141  # 128 + SIGPIPE


@contextmanager
def quiet_end() -> Iterator[None]:
    """End the program with 130 on Ctrl-C, and with 141 where nobody reads its output any more (`| head`)."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # What is still buffered would fail again when the interpreter exits, and be complained about.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE)
