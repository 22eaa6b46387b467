"""Clients that others wrote, each installed by pip into an environment of its own, in a cache.

They would pull large trees of packages into the tests' own environment, in versions that do not fit it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import pytest

_INSTALL_S: Final = 600
_CALLS_S: Final = 120


class CannotInstallError(Exception):
    """The packages cannot be installed. The message is pip's last line."""


def client_python(requirements: Path) -> Path:
    """The Python of an environment with these packages: from the cache, or else installed now.

    Raises `CannotInstallError`.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    folder = home / "tfleet-tests" / f"client-{requirements.stem}-{digest[:16]}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".installing-", dir=folder.parent) as work:
            made = Path(work, "environment")
            _run(sys.executable, "-m", "venv", str(made))
            pip = (str(made / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--retries", "1")
            # Not compiled: a test imports a small part of each tree, and Python compiles that.
            options = ("--quiet", "--no-compile", "--only-binary", ":all:")
            _run(*pip, "install", *options, "--requirement", str(requirements))
            with contextlib.suppress(OSError):  # another process was faster
                made.rename(folder)
    return folder / "bin" / "python"


def required_client(requirements: Path) -> Path:
    """The same for a test. Where it cannot be installed the test is skipped, or fails if it is required."""
    try:
        return client_python(requirements)
    except CannotInstallError as error:
        said = f"the packages of {requirements.name} cannot be installed: {error}"
        if os.environ.get("CLIENT_PACKAGES_REQUIRED") == "true":
            pytest.fail(said)
        pytest.skip(said)


def called(python: Path, program: str, *arguments: str) -> Any:
    """What a program of this folder prints as JSON. It runs in a client's environment, and in no other."""
    done = subprocess.run(
        [python, "-I", Path(__file__).with_name(program), *arguments],
        capture_output=True,
        text=True,
        timeout=_CALLS_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def _run(*command: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=_INSTALL_S, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise CannotInstallError(f"it took more than {_INSTALL_S} s") from error
    if done.returncode:
        raise CannotInstallError((done.stderr.strip() or "pip failed").splitlines()[-1])
