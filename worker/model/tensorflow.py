"""The one place that imports TensorFlow: without its start-up messages, and without Keras."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_LEVEL: Final = "TF_CPP_MIN_LOG_LEVEL"
_ERRORS: Final = "2"
# Printed at the import at any log level, on CPUs with certain instructions (tsl/platform/port.cc).
_START_MESSAGES: Final = re.compile(
    rb"WARNING: All log messages before absl|I0000 \S+ +\d+ port\.cc:\d+\] oneDNN"
)


@contextmanager
def _without_start_messages() -> Iterator[None]:
    """Filter the lines that are written to standard error inside the block."""
    read_end, write_end = os.pipe()
    stderr = os.dup(2)
    # The descriptor is replaced, because TensorFlow's C++ part does not write through sys.stderr.
    os.dup2(write_end, 2)
    os.close(write_end)
    filtering = threading.Thread(target=_filter, args=(read_end, stderr), name="stderr-filter")
    filtering.start()
    try:
        yield
    finally:
        os.dup2(stderr, 2)  # closes the pipe's write end, and so ends the thread
        filtering.join()
        os.close(stderr)


def _filter(read_end: int, stderr: int) -> None:
    with open(read_end, "rb") as lines:
        for line in lines:
            if not _START_MESSAGES.match(line):
                os.write(stderr, line)


# The C++ part reads this once, at the import; 2 means errors only. An operator's own value is kept.
os.environ.setdefault(_LEVEL, _ERRORS)
# TensorFlow imports Keras at once, which takes 18 MB, and 47 MB and a second more where matplotlib is
# installed. With this variable it looks for the older tf_keras instead, and goes on without it where that is
# not installed.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

if os.environ[_LEVEL] >= _ERRORS:
    with _without_start_messages():
        import tensorflow as tf
else:
    import tensorflow as tf

# What Session._make_callable_from_options and tf.make_ndarray take; TensorFlow has no shorter names for them.
from tensorflow.core.framework.tensor_pb2 import TensorProto  # noqa: E402 - only after TensorFlow itself
from tensorflow.core.protobuf.config_pb2 import CallableOptions  # noqa: E402 - only after TensorFlow itself

# Otherwise it warns that tf.compat.v1.saved_model.load is deprecated, the documented way to load into a
# Session.
tf.get_logger().setLevel("ERROR")

__all__ = ["CallableOptions", "TensorProto", "tf"]
