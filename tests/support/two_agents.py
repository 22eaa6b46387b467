"""Two Consul agents of one fleet behind one address, as behind a load balancer that deals connections out."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import itertools
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.support.consul_agent import consul_binary, serves
from tests.support.free_ports import free_ports
from tests.support.waiting import eventually_sync
from tfleet.contract.address import Address

_START_S = 60.0
_SERVER, _CLIENT = "127.0.0.2", "127.0.0.3"


@contextlib.contextmanager
def two_agents() -> Iterator[tuple[Address, Address]]:
    """A server and a client agent that has joined it: where their HTTP APIs are."""
    with tempfile.TemporaryDirectory(prefix="tfleet-agents-") as folder, contextlib.ExitStack() as stack:
        ports = {host: free_ports(3, host=host) for host in (_SERVER, _CLIENT)}
        join = f"{_SERVER}:{ports[_SERVER][2]}"
        found = []
        for host, more in ((_SERVER, ("-server", "-bootstrap")), (_CLIENT, (f"-retry-join={join}",))):
            http, rpc, serf = ports[host]
            data = Path(folder, host)
            data.mkdir()
            with data.joinpath("output").open("wb") as output:
                process = subprocess.Popen(
                    [
                        *(
                            consul_binary(),
                            "agent",
                            f"-node=agent-{host[-1]}",
                            f"-bind={host}",
                            f"-client={host}",
                        ),
                        *(f"-data-dir={data}", f"-http-port={http}", f"-server-port={rpc}", "-dns-port=-1"),
                        *(
                            f"-serf-lan-port={serf}",
                            "-serf-wan-port=-1",
                            "-retry-interval=1s",
                            "-log-level=warn",
                        ),
                        *("-hcl", "disable_update_check = true", *more),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            stack.callback(process.wait, 30)
            stack.callback(process.kill)
            found.append(Address(host, http))
        for address in found:
            eventually_sync(lambda address=address: serves(address), timeout_s=_START_S)  # type: ignore[misc] # mypy can't infer a lambda with a default
        server, client = found
        yield server, client


@contextlib.contextmanager
def round_robin(*targets: Address, idle_s: float) -> Iterator[Address]:
    """Each connection goes to the next of them, and ends when it has been idle for so long."""
    started: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, Address]]
    started = concurrent.futures.Future()
    turn = itertools.cycle(targets)

    under_way: set[asyncio.Task[None]] = set()

    async def passed_on(client: asyncio.StreamReader, client_end: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        target = next(turn)
        server, server_end = await asyncio.open_connection(target.host, target.port)
        last_s = asyncio.get_running_loop().time()

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            nonlocal last_s
            while data := await source.read(65536):
                last_s = asyncio.get_running_loop().time()
                sink.write(data)

        pumps = {asyncio.create_task(pump(client, server_end)), asyncio.create_task(pump(server, client_end))}
        try:
            while (left_s := last_s + idle_s - asyncio.get_running_loop().time()) > 0:
                done, _ = await asyncio.wait(pumps, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                if done:
                    break
        finally:
            for each in pumps:
                each.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for end in (client_end, server_end):
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()
            under_way.discard(task)

    async def serve() -> None:
        stop = asyncio.Event()
        async with await asyncio.start_server(passed_on, "127.0.0.1", 0) as listening:
            host, port = listening.sockets[0].getsockname()
            started.set_result((asyncio.get_running_loop(), stop, Address(host, port)))
            await stop.wait()
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="round-robin")
    thread.start()
    loop, stop, address = started.result(timeout=_START_S)
    try:
        yield address
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
