"""Workers as processes of their own, with a TensorFlow that does what one for another CPU does."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.worker_process import COMMAND
from tfleet.worker.inference.illegal_instruction import illegal_instruction_message, lacks_avx

pytestmark = pytest.mark.process


ATOM = "processor\t: 0\nmodel name\t: Intel(R)  Atom(TM) CPU D525\nflags\t\t: fpu sse2 ssse3\n"
XEON = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R)\nflags\t\t: fpu sse2 avx avx2\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd\n"

SENT = "import os, signal; os.kill(os.getpid(), signal.SIGILL)"
# Code that no CPU knows, in memory that may be run: in the importing thread, and in one that Python never
# saw.
_CODE = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write({code!r})
where = ctypes.addressof(ctypes.c_char.from_buffer(page))
"""
_CODES = {"x86_64": b"\x0f\x0b", "aarch64": b"\x00\x00\x00\x00"}
REAL = _CODE + "ctypes.CFUNCTYPE(None)(where)()"
REAL_ELSEWHERE = (
    _CODE
    + """
thread = ctypes.c_ulong()
libc = ctypes.CDLL(None)
libc.pthread_create(ctypes.byref(thread), None, ctypes.c_void_p(where), None)
libc.pthread_join(thread, None)
"""
)


def test_an_x86_without_avx_is_known_by_its_flags() -> None:
    assert [lacks_avx(cpuinfo) for cpuinfo in (ATOM, XEON, ARM, "")] == [True, False, False, False]


def test_the_line_names_the_cpu() -> None:
    assert "CPU (Intel(R) Atom(TM) CPU D525, without AVX): " in illegal_instruction_message(ATOM, "x86_64")
    assert "CPU (Intel(R) Xeon(R)): " in illegal_instruction_message(XEON, "x86_64")
    assert "CPU (aarch64): " in illegal_instruction_message(ARM, "aarch64")
    assert [" AVX" in illegal_instruction_message(cpuinfo, "x") for cpuinfo in (ATOM, XEON, ARM)] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("tensorflow", [SENT, REAL, REAL_ELSEWHERE], ids=["sent", "real", "real-elsewhere"])
def test_an_illegal_instruction_is_a_line_that_names_the_cpu(tmp_path: Path, tensorflow: str) -> None:
    if "{code" in tensorflow:
        if (code := _CODES.get(platform.machine())) is None:
            pytest.skip("no code is known here that the CPU does not know")
        tensorflow = tensorflow.format(code=code)
    run = start(tmp_path, tensorflow)
    assert run.returncode == 2
    line = illegal_instruction_message(Path("/proc/cpuinfo").read_text(), platform.machine())
    assert run.stderr.splitlines()[-1] == f"tfleet worker: {line}"


def test_a_signal_of_another_kind_is_not_taken_for_one(tmp_path: Path) -> None:
    run = start(tmp_path, "import os; os.abort()")
    assert run.returncode == -signal.SIGABRT


def start(folder: Path, tensorflow: str) -> subprocess.CompletedProcess[str]:
    """A worker that imports this as its TensorFlow."""
    (folder / "tensorflow").mkdir()
    (folder / "tensorflow" / "__init__.py").write_text(tensorflow)
    paths = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [*COMMAND, "--registry", "static:"],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
