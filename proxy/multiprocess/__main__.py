"""A listener's process: child_process.py starts it."""

from __future__ import annotations

import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the parent acts on Ctrl-C

from tfleet.proxy.multiprocess.child_main import main  # noqa: E402 - its imports take a while

if __name__ == "__main__":
    main()
