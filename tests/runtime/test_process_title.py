from __future__ import annotations

import subprocess
import sys

from tfleet.runtime.process_title import ROOM

_PROGRAM = """
import sys
from pathlib import Path
from tfleet.runtime.process_title import show_as

show_as(sys.argv[1].split())
print(Path('/proc/self/cmdline').read_bytes().rstrip(b'\\0').decode().split('\\0'))
"""


def _shown(title: str, *room: str) -> str:
    command = [sys.executable, "-c", _PROGRAM, title, *room]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()


def test_a_process_is_shown_with_another_command_line() -> None:
    assert _shown("tfleet worker --model flowers", ROOM) == "['tfleet', 'worker', '--model', 'flowers']"


def test_what_there_is_no_room_for_is_cut_off() -> None:
    shown = _shown("x" * 2 * len(ROOM), ROOM)
    assert set(shown) == set("['x']")
    assert len(shown) > len(ROOM)
