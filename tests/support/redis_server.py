"""A real Redis: a process of its own, with its own folder, on a free port."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.free_ports import free_port
from tests.support.waiting import eventually_sync
from tfleet.jobs.connect import require_redis_library, shards_of
from tfleet.jobs.redis_url import RedisUrl, read_redis_urls
from tfleet.jobs.shard import Shard

PROGRAM = shutil.which("redis-server") or shutil.which("valkey-server")
DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")


def need_redis() -> None:
    """Skip where there is no Redis; fail instead where there has to be one."""
    if PROGRAM is None:
        if os.environ.get("REDIS_REQUIRED") == "true":
            pytest.fail("redis-server is not on the PATH")
        pytest.skip("redis-server is not on the PATH: apt-get install redis-server")


@dataclass
class RedisServer:
    """It may be killed, and started again with what is in its folder."""

    folder: Path
    options: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> RedisUrl:
        return read_redis_urls(f"redis://127.0.0.1:{self.port}")[0]

    def start(self) -> None:
        assert PROGRAM is not None
        fixed = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder))
        command = (PROGRAM, *fixed, "--save", "", "--logfile", "redis.log", *self.options)
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=self.folder)
        eventually_sync(self._answers)

    def kill(self) -> None:
        """As a crash ends it."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Inside the block it keeps its connections, and answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def _end(self, signum: int) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(signum)
            process.wait(20)

    def _answers(self) -> bool:
        """Whether it has read its files and takes commands."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 1) as connection,
        ):
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        return False


@contextlib.contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A Redis inside the block. By default it keeps nothing on disk."""
    need_redis()
    require_redis_library()  # here, where it may block
    server = RedisServer(folder, options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.asynccontextmanager
async def shard_of(server: RedisServer, service: str = "tfleet") -> AsyncIterator[Shard]:
    """The jobs of a service in it."""
    [shard] = shards_of([server.url], service)
    try:
        yield shard
    finally:
        await shard.connection.close()
