"""TensorFlow without its start-up chatter, and without Keras. The one place that imports it."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_LEVEL: Final = "TF_CPP_MIN_LOG_LEVEL"
_ERRORS: Final = "2"
# What is said at the import whatever the level, on CPUs with certain instructions (tsl/platform/port.cc).
_CHATTER: Final = re.compile(rb"WARNING: All log messages before absl|I0000 \S+ +\d+ port\.cc:\d+\] oneDNN")


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Pass on what comes to standard error, line by line, but for the chatter."""
    taken, given = os.pipe()
    stderr = os.dup(2)
    os.dup2(given, 2)
    os.close(given)
    passing = threading.Thread(target=_pass_on, args=(taken, stderr), name="stderr-filter")
    passing.start()
    try:
        yield
    finally:
        os.dup2(stderr, 2)  # which closes the pipe, and so ends the thread
        passing.join()
        os.close(stderr)


def _pass_on(taken: int, stderr: int) -> None:
    with open(taken, "rb") as lines:
        for line in lines:
            if not _CHATTER.match(line):
                os.write(stderr, line)


# The C++ part reads this once, while it is imported: 2 leaves errors. An operator's own value stays.
os.environ.setdefault(_LEVEL, _ERRORS)
# TensorFlow imports Keras at once, for whoever loads models by it: 18 MB, and 47 MB and a second more where
# matplotlib is installed, which Keras then imports. Told to use the older tf_keras it does without, if that
# is not there.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

if os.environ[_LEVEL] >= _ERRORS:
    with _without_chatter():
        import tensorflow as tf
else:
    import tensorflow as tf

# Says "load is deprecated" of tf.compat.v1.saved_model.load, the documented way into a Session.
tf.get_logger().setLevel("ERROR")

__all__ = ["tf"]
