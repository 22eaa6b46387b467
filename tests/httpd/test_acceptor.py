import asyncio
import errno
import resource
import socket
from collections.abc import Callable
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.httpd.acceptor import Acceptor
from tfleet.httpd.listen import listening_sockets, resolve


class Greeter(asyncio.Protocol):
    """Says hello, and ends the connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        line = cast(asyncio.Transport, transport)
        line.write(b"hello")
        line.close()


async def greeting(address: Address) -> bytes:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    found = await reader.read()
    writer.close()
    await writer.wait_closed()
    return found


async def listen(
    address: Address, connect: Callable[[], asyncio.Protocol] = Greeter, *, shared: bool = False
) -> Acceptor:
    sockets = listening_sockets(await resolve(address), shared=shared)
    return Acceptor(sockets, connect, asyncio.get_running_loop())


async def open_one() -> Acceptor:
    return await listen(Address("127.0.0.1", 0))


async def test_clients_are_accepted_until_it_is_closed() -> None:
    acceptor = await open_one()
    address = acceptor.address
    assert await asyncio.gather(*(greeting(address) for _ in range(100))) == [b"hello"] * 100
    await acceptor.close()
    with pytest.raises(ConnectionRefusedError):
        await greeting(address)


async def test_the_backlog_is_accepted_before_it_closes() -> None:
    acceptor = await open_one()
    with socket.create_connection((acceptor.address.host, acceptor.address.port)) as client:
        await acceptor.close()  # nothing was accepted yet: the loop did not turn in between
        client.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(client, 10) == b"hello"


async def test_without_file_descriptors_clients_wait_in_the_backlog() -> None:
    """They are accepted later."""
    acceptor = await open_one()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with capture_logs() as logs, socket.socket() as client:
        client.setblocking(False)
        resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, hard))
        try:
            await asyncio.get_running_loop().sock_connect(
                client, (acceptor.address.host, acceptor.address.port)
            )
            await eventually(lambda: asyncio.sleep(0, logs))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert await asyncio.get_running_loop().sock_recv(client, 10) == b"hello"
    assert logs[0]["event"] == "new connections wait: see ulimit -n or LimitNOFILE="
    assert logs[0]["error"] == "Too many open files"
    await acceptor.close()


async def test_clients_are_spread_over_acceptors_sharing_an_address() -> None:
    let_in = [0, 0]

    def counter(number: int) -> Callable[[], Greeter]:
        def connect() -> Greeter:
            let_in[number] += 1
            return Greeter()

        return connect

    one = await listen(Address("127.0.0.1", 0), counter(0), shared=True)
    other = await listen(one.address, counter(1), shared=True)
    assert await asyncio.gather(*(greeting(one.address) for _ in range(100))) == [b"hello"] * 100
    assert min(let_in) > 0
    await one.close()
    await asyncio.gather(*(greeting(other.address) for _ in range(20)))
    assert sum(let_in) == 120
    await other.close()


class Failing(socket.socket):
    """Its first connections have failed already when they are accepted."""

    errors: list[int]

    def accept(self) -> tuple[socket.socket, Any]:
        if self.errors:
            raise OSError(self.errors.pop(), "passed on by accept")
        return super().accept()


async def failing(address: Address) -> tuple[Acceptor, Failing]:
    (one,) = listening_sockets(await resolve(address), shared=False)
    broken = Failing(fileno=one.detach())
    broken.setblocking(False)
    broken.errors = [errno.ENETDOWN, errno.EPROTO, errno.ECONNABORTED, errno.EPERM, errno.EHOSTUNREACH]
    return Acceptor([broken], Greeter, asyncio.get_running_loop()), broken


async def test_failed_connections_are_skipped() -> None:
    acceptor, broken = await failing(Address("127.0.0.1", 0))
    assert await greeting(acceptor.address) == b"hello"
    assert broken.errors == []
    await acceptor.close()


async def test_failed_connections_do_not_prevent_its_closing() -> None:
    acceptor, _ = await failing(Address("127.0.0.1", 0))
    with socket.create_connection((acceptor.address.host, acceptor.address.port)) as client:
        await acceptor.close()
        client.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(client, 10) == b"hello"
