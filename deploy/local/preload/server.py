"""The fork server: a process that has imported what a worker imports, and forks workers on orders.

It never makes a session. TensorFlow starts its threads with the first session, and threads do not survive a
fork: so a trial fork after the imports finds out whether any thread is left, and then nothing is forked.

How a worker is forked:

- The server forks a process that forks the worker and exits. The worker becomes a child of `tfleet up`, a
  subreaper: that one learns its exit code, and the worker outlives this server.
- The worker waits until it is a child of `tfleet up`. Then it asks the kernel for SIGTERM at the death of
  that one, as parent_death.py does for processes that are started.
- It returns from `serve`, and runs and ends as any program does.

Standard input is the socket of the orders; its end is the end of the server.
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

from tfleet.deploy.local.preload.fork_server import REFUSED
from tfleet.deploy.local.preload.messages import MAX_BYTES, ForkAnswer, ForkOrder
from tfleet.runtime.parent_death import die_with
from tfleet.runtime.process_title import show_as

TITLE: Final = ("tfleet", "preload")
_PROGRAM: Final = "tfleet.deploy.cli"
"""The program of the command line. It imports `tfleet up`, which is not to import it."""

_MODULES: Final = (
    _PROGRAM,
    "tfleet.worker.cli",
    "tfleet.worker.model.tensorflow",
    "tfleet.worker.api.protocols.example_body",
    "tfleet.worker.inference.choose_precision",
    "tfleet.worker.inference.open_model",
)
"""What a worker imports until it is ready."""

_LOST: Final = 1
_GO: Final = b"."
_PID_BYTES: Final = 32


def main() -> None:
    """Serve orders until there are no more; in a process that was forked, run its command."""
    show_as(TITLE)
    with socket.socket(fileno=os.dup(0)) as orders:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        why_not = _prepare()
        orders.send(ForkAnswer(why_not=why_not).encode())
        if why_not:
            sys.exit(REFUSED)
        order = serve(orders)
    if order is None:
        sys.exit(_LOST)
    sys.argv = ["tfleet", *order.arguments]
    importlib.import_module(_PROGRAM).main()


def _prepare() -> str:
    """Import the modules; why nothing may be forked after that, in one line."""
    for name in _MODULES:
        importlib.import_module(name)
    from tfleet.worker.model.tensorflow import tf  # noqa: PLC0415 - after the imports that are the work

    if tf.test.is_built_with_gpu_support():
        return "this TensorFlow is built for GPUs, whose drivers do not allow a fork"
    # Libraries may stop their threads at a fork, as OpenBLAS does, so it is judged by those after one.
    trial = os.fork()
    if trial == 0:
        os._exit(0)
    os.waitpid(trial, 0)
    if others := len(list(Path("/proc/self/task").iterdir())) - 1:
        started = "a thread" if others == 1 else f"{others} threads"
        return f"what workers import has started {started}"
    # Collections of garbage in the workers pass over what is there now: to look at it is to write to it, and
    # pages that are written to are no longer shared.
    gc.collect()
    gc.freeze()
    return ""


def serve(orders: socket.socket) -> ForkOrder | None:
    """Carry out orders. Returns None at their end, and in each process that was forked its order."""
    while True:
        message, files, _, _ = socket.recv_fds(orders, MAX_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
        if not message:
            return None
        order, (output,) = ForkOrder.decode(message), files
        try:
            if _is_forked(order, output, orders):
                return order
        except OSError as error:
            with suppress(OSError):  # nobody listens any more, as the next turn sees
                orders.send(ForkAnswer(why_not=error.strerror or str(error)).encode())
        finally:
            os.close(output)


def _is_forked(order: ForkOrder, output: int, orders: socket.socket) -> bool:
    """Fork a worker, and answer with its process id; True in the worker itself. Raises OSError."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        between = os.fork()
        if between == 0:
            _fork_and_exit(theirs)
            ours.close()
            _become(order, output, theirs)
            return True
        theirs.close()
        pid = ours.recv(_PID_BYTES)
        os.waitpid(between, 0)  # from here on the worker is a child of the subreaper
        if not pid:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        # In this order: a worker that nobody hears of does not go on.
        orders.send(ForkAnswer(int(pid)).encode())
        with suppress(OSError):  # it has been killed already, as the subreaper will see
            ours.send(_GO)
    return False


def _fork_and_exit(theirs: socket.socket) -> None:
    """Fork once more, say the process id, and exit; this returns in the worker alone."""
    code = 1
    try:
        worker = os.fork()
        if worker == 0:
            return
        theirs.send(str(worker).encode())
        code = 0
    except OSError:  # nothing was sent, and that says it
        pass
    os._exit(code)


def _become(order: ForkOrder, output: int, theirs: socket.socket) -> None:
    """Make this process what it would be if it had been started."""
    os.setsid()
    if theirs.recv(len(_GO)) != _GO or not die_with(order.parent_pid):
        os._exit(0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for name, value in order.variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    np.random.seed()  # each has its own; `random` and TensorFlow see to that themselves
    show_as((*order.program, *order.arguments))


if __name__ == "__main__":
    main()
