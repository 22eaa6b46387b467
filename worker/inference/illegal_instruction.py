"""Report in one line that TensorFlow uses an instruction which the CPU lacks, instead of a silent crash.

TensorFlow's packages for x86 are built for AVX. On a CPU without it the import hits an illegal instruction:
the kernel kills the process (SIGILL) without a message, and a supervisor restarts it for ever. The CPU's
flags are not checked beforehand, because a TensorFlow that was built for an old CPU does run there.

Python's own signal handlers don't work here: they run after the instruction, which never completes. So the
handler is installed with the C library. It calls back into Python in the thread that hit the instruction,
writes the line and exits. It can do nothing else: that thread may hold any lock.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_UNUSABLE: Final = 2  # the exit code for what a restart cannot fix
_STDERR: Final = 2
_NAME: Final = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)
_FLAGS: Final = re.compile(r"^flags\s*:(.*)$", re.MULTILINE)

_HANDLER: Final = ctypes.CFUNCTYPE(None, ctypes.c_int)


def lacks_avx(cpuinfo: str) -> bool:
    """Whether /proc/cpuinfo describes an x86 CPU without AVX."""
    flags = _FLAGS.search(cpuinfo)
    return flags is not None and "avx" not in flags[1].split()


def illegal_instruction_message(cpuinfo: str, machine: str) -> str:
    """The line for the operator, which names the CPU; `machine` is its architecture, as uname has it."""
    name = _NAME.search(cpuinfo)
    cpu = " ".join(name[1].split()) if name else machine
    lacks = lacks_avx(cpuinfo)
    without, another = (
        (", without AVX", "a CPU, or an emulator, that has AVX") if lacks else ("", "another CPU")
    )
    return (
        f"TensorFlow can't run on this CPU ({cpu}{without}): it uses an instruction that the CPU lacks. "
        f"Use {another}, or a TensorFlow that was built for this CPU"
    )


@contextmanager
def report_illegal_instruction(cpuinfo: str) -> Iterator[None]:
    """Inside the block an illegal instruction ends the process with that line and exit code 2."""
    line = f"tfleet worker: {illegal_instruction_message(cpuinfo, platform.machine())}\n".encode()
    # While TensorFlow is imported a thread filters standard error (model/tensorflow.py). The process would
    # exit before that thread has passed the line on, so it goes to the original descriptor.
    stderr = os.dup(_STDERR)

    def end(_signal: int) -> None:
        os.write(stderr, line)
        os._exit(_UNUSABLE)

    handler = _HANDLER(end)
    numbers = [signal.SIGILL]
    if lacks_avx(cpuinfo):
        numbers.append(signal.SIGABRT)  # TensorFlow aborts where it notices the missing instructions itself
    c_signal = ctypes.CDLL(None).signal
    c_signal.restype, c_signal.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
    before = {number: c_signal(number, ctypes.cast(handler, ctypes.c_void_p)) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            c_signal(number, previous)
        os.close(stderr)
