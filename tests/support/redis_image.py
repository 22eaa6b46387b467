"""A stand-in for the image of Valkey: this machine's Redis, under the names that the compose file uses.

No test pulls an image. Redis 7 and Valkey have the same commands and options as far as tfleet uses them.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import docker
from docker.errors import ImageNotFound

from tests.support.redis_server import need_redis

NAME = "tfleet-redis:under-test"
_PROGRAMS = {"valkey-server": ("redis-server", "valkey-server"), "valkey-cli": ("redis-cli", "valkey-cli")}
# As in Valkey's own images: the user that the compose file names owns the data.
_DOCKERFILE = b"""\
FROM scratch
COPY files/ /
COPY --chown=999:1000 data /data
WORKDIR /data
"""


@contextmanager
def redis_image(engine: docker.DockerClient) -> Iterator[str]:
    """Its name, while it is there. Skips where there is no Redis, as all tests of jobs do."""
    need_redis()
    engine.images.build(fileobj=_context(), custom_context=True, tag=NAME, rm=True)
    try:
        yield NAME
    finally:
        with suppress(ImageNotFound):
            engine.images.remove(NAME, force=True)


def _context() -> io.BytesIO:
    """Both programs with all libraries that they load, where they look for them."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", dereference=True) as tar:
        libraries: set[str] = set()
        for name, found in _PROGRAMS.items():
            path = next(path for path in map(shutil.which, found) if path is not None)
            tar.add(path, f"files/usr/local/bin/{name}")
            said = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
            libraries |= set(re.findall(r"(?:=> |^\t)(/\S+)", said, re.MULTILINE))
        for library in sorted(libraries):
            tar.add(library, f"files{library}")
        folder = tarfile.TarInfo("data/.keep")
        tar.addfile(folder)
        described = tarfile.TarInfo("Dockerfile")
        described.size = len(_DOCKERFILE)
        tar.addfile(described, io.BytesIO(_DOCKERFILE))
    file.seek(0)
    return file
