"""`make quick` stays quick: none of its files imports TensorFlow, which takes each process four seconds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
# An import of these says which test file wants it.
_COLLECT = """
import sys, pytest
sys.modules.update(tensorflow=None, keras=None)
sys.exit(pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", "-m", sys.argv[1]]))
"""


@pytest.mark.process
def test_quick_tests_import_no_tensorflow() -> None:
    (marks,) = re.findall(r"^quick:.*\n.* -m '([^']+)'", (_ROOT / "Makefile").read_text(), re.MULTILINE)
    command = [sys.executable, "-c", _COLLECT, marks]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
