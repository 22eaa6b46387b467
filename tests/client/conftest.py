"""A scripted fleet: real servers on port 0, in a thread of their own, that answer as a test tells them."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

DATA = Path(__file__).parent.parent / "data"
PHOTOS = sorted(DATA.glob("*.jpg"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that has a command as a user has it starts a process."""
    commands = {"classify", "status", "drain"}
    for item in items:
        if "tests/client/" in item.nodeid and commands & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.process)


@dataclass(frozen=True)
class Seen:
    """A request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]  # whatever their case
    body: bytes
    peer: object


@dataclass
class Scripted:
    """A server that answers with the next of `script`, and with `otherwise` when that is used up."""

    address: str
    otherwise: Handler
    script: deque[Handler] = field(default_factory=deque)
    seen: list[Seen] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def wait_for(self, n: int) -> None:
        """Until `n` requests have come in."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.seen) >= n, timeout=20)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        peer = request.transport.get_extra_info("peername") if request.transport else None
        with self._changed:
            self.seen.append(Seen(request.method, request.path_qs, request.headers, body, peer))
            self._changed.notify_all()
        return await (self.script.popleft() if self.script else self.otherwise)(request)


class ScriptedFleet:
    """Starts scripted servers. What they can be told to do are its methods."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.servers: list[Scripted] = []
        self._runners: list[web.AppRunner] = []

    def server(self, *script: Handler, otherwise: Handler | None = None) -> Scripted:
        return asyncio.run_coroutine_threadsafe(self._start(script, otherwise), self.loop).result()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self.loop).result()

    async def _start(self, script: Sequence[Handler], otherwise: Handler | None) -> Scripted:
        scripted = Scripted("", otherwise or self.predictions(), deque(script))
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{tail:.*}", scripted.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        scripted.address = "{}:{}".format(*runner.addresses[0])
        self.servers.append(scripted)
        self._runners.append(runner)
        return scripted

    async def _stop(self) -> None:
        for server in self.servers:
            server.released.set()
        # A server learns of a connection some turns of the loop after it was accepted, and asyncio leaves it
        # open if the server is closed by then. Nothing is accepted between this and the end of all sites.
        while accepting := [task for task in asyncio.all_tasks() if _accepts(task)]:
            await asyncio.gather(*accepting)
        for runner in self._runners:
            for site in list(runner.sites):
                await site.stop()
        for runner in self._runners:
            await runner.cleanup()

    @staticmethod
    def predictions(label: str = "tabby", **headers: str) -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            known = {
                "X-Request-Id": request.headers["X-Request-Id"],
                "X-Worker": "tfleet-w1",
                "X-Model": "lite0/1",
                "Server-Timing": "decode;dur=2.1, queue;dur=0.0, infer;dur=8.3",
            }
            best = {"label": label, "probability": 0.75}
            second = {"label": "tiger cat", "probability": 0.125}
            document = {"success": True, "predictions": [best, second]}
            return web.json_response(document, headers=known | headers)

        return handler

    @staticmethod
    def problem(status: int, detail: str, **headers: str) -> Handler:
        async def handler(_request: web.Request) -> web.StreamResponse:
            document = {"title": "No", "status": status, "detail": detail, "success": False}
            body = json.dumps(document).encode()
            return web.Response(
                status=status,
                body=body,
                headers={"Content-Type": "application/problem+json"}
                | {name.replace("_", "-"): value for name, value in headers.items()},
            )

        return handler

    @staticmethod
    def text(status: int, body: str, content_type: str = "text/html", **headers: str) -> Handler:
        async def handler(_request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, text=body, content_type=content_type, headers=headers)

        return handler

    @staticmethod
    def reset() -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        return handler

    @staticmethod
    def cut_short() -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b'{"success": true, "predictions": [')
            assert request.transport is not None
            request.transport.close()
            return response

        return handler

    def never(self) -> Handler:
        async def handler(_request: web.Request) -> web.StreamResponse:
            await asyncio.gather(*(server.released.wait() for server in self.servers))
            return web.Response()

        return handler

    @staticmethod
    def names(*addresses: str, forwards: bool = False, lasts_s: float = 10) -> Handler:
        """Leases of one of these workers at a time, in turn, and the last one for ever; none that is not
        wanted.
        """
        left = deque(addresses)

        async def handler(request: web.Request) -> web.StreamResponse:
            unwanted = request.query.getall("except", [])
            while f"id-of-{left[0]}" in unwanted:
                if len(left) == 1:
                    return await ScriptedFleet.problem(503, "no worker is ready", Retry_After="1")(request)
                left.popleft()
            address = left.popleft() if len(left) > 1 else left[0]
            return _lease(address, forwards=forwards, lasts_s=lasts_s)

        return handler

    @staticmethod
    def leases(
        *addresses: str, forwards: bool = False, lasts_s: float = 10, stateful: bool = False
    ) -> Handler:
        """Leases of all of these workers but those that are not wanted."""

        async def handler(request: web.Request) -> web.StreamResponse:
            unwanted = request.query.getall("except", [])
            if wanted := [address for address in addresses if f"id-of-{address}" not in unwanted]:
                return _lease(*wanted, forwards=forwards, lasts_s=lasts_s, stateful=stateful)
            return await ScriptedFleet.problem(503, "no worker is ready", Retry_After="1")(request)

        return handler

    @staticmethod
    def workers(*rows: dict[str, Any]) -> Handler:
        return ScriptedFleet.text(200, json.dumps({"workers": rows}), "application/json")


def _lease(*addresses: str, forwards: bool, lasts_s: float, stateful: bool = False) -> web.Response:
    model = {"model": "lite0", "version": "1", "stateful": stateful, "weight": 1.0}
    rows = [{"id": f"id-of-{address}", "address": address, **model} for address in addresses]
    return web.json_response({"expires_in_s": lasts_s, "forwards": forwards, "workers": rows})


def _accepts(task: asyncio.Task[Any]) -> bool:
    """Whether asyncio is making the transport of a new connection in it."""
    return getattr(task.get_coro(), "__name__", "").startswith("_accept_connection")


@pytest.fixture(scope="session")
def server_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="scripted-servers")
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def fleet(server_loop: asyncio.AbstractEventLoop) -> Iterator[ScriptedFleet]:
    fleet = ScriptedFleet(server_loop)
    yield fleet
    fleet.close()


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address that refuses: bound, so that nobody else gets it, and not listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield "{}:{}".format(*bound.getsockname())


@pytest.fixture
def photos() -> list[Path]:
    return PHOTOS


@pytest.fixture
def photo() -> Path:
    return DATA / "cat.jpg"


@dataclass(frozen=True)
class Command:
    """One command of the client, run as a process of its own."""

    name: str

    @property
    def argv(self) -> list[str]:
        return [sys.executable, "-W", "error", "-P", "-m", "tfleet", self.name]

    @staticmethod
    def env() -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TFLEET_")}
        return kept | {"NO_COLOR": "1", "TERM": "xterm", "COLUMNS": "100"}

    def __call__(
        self, *arguments: str | Path, stdin: bytes = b"", **env: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.argv, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            env=self.env() | env,
            timeout=30,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args,
            done.returncode,
            done.stdout.decode(errors="surrogateescape"),
            done.stderr.decode(errors="surrogateescape"),
        )

    def on_a_terminal(
        self, *arguments: str | Path, stdin: bytes = b"", stdout: str | None = None, columns: int = 100
    ) -> str:
        """Run with a terminal of so many columns as standard error and, unless it is sent elsewhere, as
        standard output.

        Gives back what the terminal got.
        """
        ours, theirs = pty.openpty()
        with ExitStack() as stack:
            out = theirs if stdout is None else stack.enter_context(Path(stdout).open("wb"))
            env = self.env() | {"COLUMNS": str(columns)}
            process = self.start(*arguments, stdin=subprocess.PIPE, stdout=out, stderr=theirs, env=env)
            os.close(theirs)
            process.communicate(stdin, timeout=30)
            screen = stack.enter_context(open(ours, "rb", buffering=0))  # noqa: PTH123 - a descriptor
            got = b""
            with suppress(OSError):  # EIO: the other side is closed
                while chunk := screen.read(65536):
                    got += chunk
        return got.decode()

    def start(self, *arguments: str | Path, **popen: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*self.argv, *map(str, arguments)], **{"env": self.env(), **popen})


@pytest.fixture
def classify() -> Command:
    return Command("classify")


@pytest.fixture
def status() -> Command:
    return Command("status")
