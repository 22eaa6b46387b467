"""One line instead of a silent death where TensorFlow uses an instruction that the CPU lacks.

TensorFlow's packages for x86 are built for AVX. On another CPU the import ends in an illegal instruction: the
kernel kills the process (SIGILL) without a word, and whoever supervises it starts it again for ever. What
matters is what happens and not what the CPU says: a TensorFlow that was built for an old CPU runs there.

Python's own signal handlers are of no use: they run when the instruction is over, which it never is. So the
handler is the C library's, and calls back into Python in the thread that was hit, where it does no more than
write the line and leave. Nothing can be saved there: that thread may hold any lock. Until then it costs
nothing.
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

_UNUSABLE: Final = 2  # the exit code: no other start would end otherwise
_STDERR: Final = 2
_NAME: Final = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)
_FLAGS: Final = re.compile(r"^flags\s*:(.*)$", re.MULTILINE)

_HANDLER: Final = ctypes.CFUNCTYPE(None, ctypes.c_int)


def lacks_avx(cpuinfo: str) -> bool:
    """Whether /proc/cpuinfo tells of an x86 without AVX."""
    flags = _FLAGS.search(cpuinfo)
    return flags is not None and "avx" not in flags[1].split()


def complaint(cpuinfo: str, machine: str) -> str:
    """The line, which names the CPU. `machine` is what the kernel calls its kind."""
    name = _NAME.search(cpuinfo)
    cpu = " ".join(name[1].split()) if name else machine
    lacks = lacks_avx(cpuinfo)
    without, another = (
        (", without AVX", "a CPU, or an emulator, that has AVX") if lacks else ("", "another CPU")
    )
    return (
        f"TensorFlow can't run on this CPU ({cpu}{without}): it came to an instruction that the CPU does not "
        f"know. Use {another}, or a TensorFlow that was built for this one"
    )


@contextmanager
def told(cpuinfo: str) -> Iterator[None]:
    """Inside, an illegal instruction ends the process with the line and exit code 2."""
    line = f"tfleet worker: {complaint(cpuinfo, platform.machine())}\n".encode()
    # What TensorFlow says on standard error passes a thread first (model/quiet.py), which would be too late.
    straight = os.dup(_STDERR)

    def end(_signal: int) -> None:
        os.write(straight, line)
        os._exit(_UNUSABLE)

    handler = _HANDLER(end)
    numbers = [signal.SIGILL]
    if lacks_avx(cpuinfo):
        numbers.append(signal.SIGABRT)  # where TensorFlow sees by itself what is missing, it aborts
    c_signal = ctypes.CDLL(None).signal
    c_signal.restype, c_signal.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
    before = {number: c_signal(number, ctypes.cast(handler, ctypes.c_void_p)) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            c_signal(number, previous)
        os.close(straight)
