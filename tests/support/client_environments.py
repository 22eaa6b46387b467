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
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

_INSTALL_S: Final = 600
_CALLS_S: Final = 120
_PIP: Final = ("-m", "pip", "--disable-pip-version-check", "--retries", "1")
# Not compiled: a test imports a small part of each tree, and Python compiles that.
_QUICK: Final = ("--quiet", "--no-compile", "--only-binary", ":all:")


class CannotInstallError(Exception):
    """The packages cannot be installed. The message is pip's last line."""


def client_python(requirements: Path) -> Path:
    """The Python of an environment with these packages: from the cache, or else installed now.

    Raises `CannotInstallError`.
    """
    folder = _cached("client", requirements)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".installing-", dir=folder.parent) as work:
            made = Path(work, "environment")
            _run(sys.executable, "-m", "venv", str(made))
            _run(str(made / "bin" / "python"), *_PIP, "install", *_QUICK, "--requirement", str(requirements))
            with contextlib.suppress(OSError):  # another process was faster
                made.rename(folder)
    return folder / "bin" / "python"


def package_folder(requirements: Path) -> Path:
    """A folder for PYTHONPATH with these packages alone: what they need is in the tests' own environment.

    Raises `CannotInstallError`.
    """
    folder = _cached("packages", requirements)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".installing-", dir=folder.parent) as work:
            made = Path(work, "packages")
            options = ("--no-deps", "--target", str(made), "--requirement", str(requirements))
            _run(sys.executable, *_PIP, "install", *_QUICK, *options)
            with contextlib.suppress(OSError):  # another process was faster
                made.rename(folder)
    return folder


def required_folder(requirements: Path) -> Path:
    """`package_folder` for a test, as `required_client`."""
    return _required(requirements, package_folder)


def required_client(requirements: Path) -> Path:
    """The same for a test. Where it cannot be installed the test is skipped, or fails if it is required."""
    return _required(requirements, client_python)


def _required(requirements: Path, install: Callable[[Path], Path]) -> Path:
    try:
        return install(requirements)
    except CannotInstallError as error:
        said = f"the packages of {requirements.name} cannot be installed: {error}"
        if os.environ.get("CLIENT_PACKAGES_REQUIRED") == "true":
            pytest.fail(said)
        pytest.skip(said)


def _cached(kind: str, requirements: Path) -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    return home / "tfleet-tests" / f"{kind}-{requirements.stem}-{digest[:16]}"


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
