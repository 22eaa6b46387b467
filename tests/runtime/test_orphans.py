"""What a subreaper does with orphans: in a program of its own, as a process stays one."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.process

_ADOPT = """
import asyncio, os, signal
from tfleet.runtime.orphans import ReapedChild, become_subreaper, reap_orphans

assert become_subreaper()

def orphan(code, *, leads_a_session):
    '''The process id of a grandchild that ends with this code as soon as the pipe is closed.'''
    told, tell = os.pipe()
    gate, opener = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if leads_a_session:
                os.setsid()
            os.write(tell, b'%d' % os.getpid())
            os.close(opener)
            os.read(gate, 1)
            os._exit(code)
        os._exit(0)
    pid = int(os.read(told, 32))
    os.wait()
    return pid, opener

def gone(pid):
    try:
        return not os.kill(pid, 0) and False
    except ProcessLookupError:
        return True

async def until(what):
    while not what():
        await asyncio.sleep(0.01)
"""
_KNOWN = """
async def main():
    pid, opener = orphan(7, leads_a_session=True)
    child = ReapedChild(pid)
    os.close(opener)
    print(await child.returncode(), gone(pid), await child.returncode())
    pid, opener = orphan(7, leads_a_session=True)
    child = ReapedChild(pid)
    os.kill(pid, signal.SIGKILL)
    print(await child.returncode())

asyncio.run(main())
"""
_UNKNOWN = """
import sys

async def main():
    started = await asyncio.create_subprocess_exec(
        sys.executable, '-c', 'raise SystemExit(5)', start_new_session=True
    )
    pid, opener = orphan(7, leads_a_session=False)
    reap_orphans()
    print(gone(pid))
    os.close(opener)
    def reaped():
        reap_orphans()
        return gone(pid)
    await until(reaped)
    print(await started.wait())

asyncio.run(main())
"""
_UNWATCHED = """
pid, opener = orphan(7, leads_a_session=True)
os.close(opener)
while True:
    reap_orphans()
    with open(f'/proc/{pid}/stat') as stat:
        if stat.read().rpartition(')')[2].split()[0] == 'Z':
            break
reap_orphans()
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""

_THREADS_THAT_END = """
import threading

def end_threads():
    while True:
        thread = threading.Thread(target=str)
        thread.start()
        thread.join()

for _ in range(4):
    threading.Thread(target=end_threads, daemon=True).start()
for _ in range(2000):
    reap_orphans()
print('looked on')
"""


def _run(program: str) -> str:
    command = [sys.executable, "-c", _ADOPT + program]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


def test_the_exit_code_of_an_adopted_child_is_known() -> None:
    assert _run(_KNOWN) == "7 True 7\n-9\n"


def test_unknown_orphans_are_reaped_and_nobody_else() -> None:
    assert _run(_UNKNOWN) == "False\n5\n"


def test_an_orphan_that_leads_a_session_is_left_alone() -> None:
    assert _run(_UNWATCHED) == "7\n"


def test_threads_that_end_do_not_end_the_look() -> None:
    assert _run(_THREADS_THAT_END) == "looked on\n"
