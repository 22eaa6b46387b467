import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.support.ipv6 import needs_ipv6
from tfleet.contract.address import Address
from tfleet.httpd.listen import BindAddress, bind_all, bound_socket, listening_sockets, resolve


@contextlib.asynccontextmanager
async def listening(address: Address) -> AsyncIterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(one) for one in listening_sockets(await resolve(address))]


def can_connect(listener: socket.socket, host: str, port: int) -> bool:
    """Whether a client that connects to `host` is accepted by `listener`."""
    with socket.create_connection((host, port)) as client:
        accepted, peer = listener.accept()
        with accepted:
            return bool(peer[:2] == client.getsockname()[:2])


@needs_ipv6
async def test_localhost_is_both_loopbacks_at_one_port() -> None:
    async with listening(Address("localhost", 0)) as (first, second):
        host, port = first.getsockname()
        assert host == "127.0.0.1"
        assert can_connect(first, "127.0.0.1", port)
        assert can_connect(second, "::1", port)


def test_an_optional_address_may_be_missing() -> None:
    place = BindAddress(socket.AF_INET, socket.SOCK_STREAM, 0, ("127.0.0.1", 0))
    missing = BindAddress(socket.AF_INET6, socket.SOCK_STREAM, 0, ("2001:db8::1", 0, 0, 0), optional=True)
    (one,) = bind_all([place, missing], lambda each: bound_socket(each, shared=False))
    one.close()
    with pytest.raises(OSError, match="assign requested address"):
        bind_all([place, replace(missing, optional=False)], lambda each: bound_socket(each, shared=False))


@needs_ipv6
async def test_a_port_taken_on_one_loopback_is_an_error() -> None:
    with socket.socket(socket.AF_INET6) as other:
        other.bind(("::1", 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            async with listening(Address("localhost", other.getsockname()[1])):
                pass


@needs_ipv6
async def test_a_free_port_is_free_at_both() -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(20):  # ports that the system would give next, taken at one of the two
            one = stack.enter_context(socket.socket(socket.AF_INET6))
            one.bind(("::1", 0))
        for _ in range(20):
            _, second = await stack.enter_async_context(listening(Address("localhost", 0)))
            assert can_connect(second, "::1", second.getsockname()[1])
