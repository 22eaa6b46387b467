"""A listener's process: child_process.py starts it."""

from __future__ import annotations

import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, from the first moment on

from tfleet.proxy.multiprocess.child_main import main  # noqa: E402 - its imports take a while

if __name__ == "__main__":
    main()
