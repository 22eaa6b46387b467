"""Fake workers for the proxy's tests: real sockets, scripted answers."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web
from multidict import CIMultiDict

from tfleet.contract.address import Address
from tfleet.contract.cors import CORS_OFF, Cors
from tfleet.contract.ticket_keys import KeyFile
from tfleet.discovery.registry import Registry, StaticRegistry
from tfleet.httpd.admission import ConnectionLimits
from tfleet.httpd.drain import DrainTimes
from tfleet.proxy.settings import (
    SLOW_START_S,
    Balance,
    BalancingSettings,
    DiscoverySettings,
    ListenSettings,
    Mode,
    ModeSettings,
    ProxySettings,
    RequestLimits,
)


@dataclass
class Seen:
    """One request as the worker got it."""

    method: str
    path: str
    headers: CIMultiDict[str]
    body: bytes


@dataclass
class FakeWorker:
    """A worker that answers with the hash of what it got, unless told otherwise."""

    address: Address
    seen: list[Seen] = field(default_factory=list)
    ready: bool = True
    hung: bool = False
    """It takes requests and answers none, as a process that was stopped."""
    name: str = ""
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    ids: list[str] = field(default_factory=list)
    """The request ids that an `answer` has noted."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.hung:
            await asyncio.Event().wait()
        if request.path == "/readyz":
            name = {"X-Worker": self.name} if self.name else {}
            return web.Response(status=200 if self.ready else 503, headers=name)
        if self.answer is not None:
            return await self.answer(request)
        body = await request.read()
        self.seen.append(Seen(request.method, request.raw_path, CIMultiDict(request.headers), body))
        name = {"X-Worker": self.name} if self.name else {}
        found = {"sha": hashlib.sha256(body).hexdigest()}
        return web.json_response(found, headers={"X-Model": "lite0/1", **name})


@contextlib.asynccontextmanager
async def fake_worker(port: int = 0) -> AsyncIterator[FakeWorker]:
    """A worker that listens inside the block."""
    worker = FakeWorker(Address("127.0.0.1", 1))
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", worker.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        worker.address = Address(*runner.addresses[0])
        yield worker
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def raw_server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Address]:
    """A socket server that says it is ready when it is probed, and else byte for byte what `talk` writes.

    `talk` reads from the second line of the head on.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if (await reader.readline()).startswith(b"GET /readyz"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Address(*server.sockets[0].getsockname())


CLIENT_LIMITS = ConnectionLimits(max_connections=1000, header_timeout_s=10.0, idle_timeout_s=30.0)


def settings(
    *workers: Address | FakeWorker,
    mode: Mode = "forward",
    redirect_all: bool = False,
    balance: Balance = "round-robin",
    slow_start_s: float = SLOW_START_S,
    registry: Registry | None = None,
    advertise: Address | None = None,
    max_body_bytes: int = 10_000_000,
    timeout_s: float = 30.0,
    try_timeout_s: float = 10.0,
    client_timeout_s: float = 10.0,
    replay_bytes: int = 100_000,
    replay_total_bytes: int = 1_000_000,
    retry_floor_per_s: float = 10.0,
    client_limits: ConnectionLimits = CLIENT_LIMITS,
    cors: Cors = CORS_OFF,
    ticket_keys: KeyFile | None = None,
    port: int = 0,
    admin: Address | None = None,
    drain_grace_s: float = 0.0,
) -> ProxySettings:
    """A proxy's settings: a static list of workers, any free port."""
    addresses = tuple(w.address if isinstance(w, FakeWorker) else w for w in workers)
    return ProxySettings(
        serving=ModeSettings(mode, redirect_all),
        listen=ListenSettings(Address("127.0.0.1", port), admin, client_limits, cors),
        discovery=DiscoverySettings(registry or StaticRegistry(addresses), "tfleet", advertise),
        balancing=BalancingSettings(balance, slow_start_s),
        limits=RequestLimits(
            max_body_bytes=max_body_bytes,
            timeout_s=timeout_s,
            try_timeout_s=try_timeout_s,
            client_timeout_s=client_timeout_s,
            replay_bytes=replay_bytes,
            replay_total_bytes=replay_total_bytes,
            retry_share=0.2,
            retry_floor_per_s=retry_floor_per_s,
        ),
        ticket_keys=ticket_keys,
        drain=DrainTimes(drain_grace_s, 5.0),
    )
