import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.support.canned_server import nobody
from tests.support.fake_worker import CLIENT_LIMITS, settings
from tests.support.ipv6 import needs_ipv6
from tfleet.contract.address import Address
from tfleet.httpd.listen import bound_socket, resolve
from tfleet.proxy.multiprocess.shared_port import reserved_port
from tfleet.proxy.settings import settings_of_listener

ANY = Address("127.0.0.1", 0)


@contextlib.asynccontextmanager
async def listening(address: Address, *, shared: bool) -> AsyncIterator[socket.socket]:
    (place,) = await resolve(address)
    with bound_socket(place, shared=shared) as one:
        one.listen()
        yield one


async def test_a_free_port_is_reserved_for_all_listeners() -> None:
    async with reserved_port(ANY) as address:
        assert address.port
        async with listening(address, shared=True), listening(address, shared=True):
            pass


async def test_the_port_stays_reserved_without_a_listener() -> None:
    async with reserved_port(ANY) as address:
        with pytest.raises(OSError, match="Address already in use"):
            async with listening(address, shared=False):
                pytest.fail("it listens")
        with pytest.raises(OSError, match="Address already in use"):
            async with reserved_port(address):
                pytest.fail("two hold it")
    async with reserved_port(address), listening(address, shared=True):
        pass


@pytest.mark.parametrize("shared", [False, True])
async def test_a_port_in_use_cannot_be_reserved(shared: bool) -> None:
    async with listening(nobody(), shared=shared) as one:
        with pytest.raises(OSError, match="Address already in use"):
            async with reserved_port(Address(*one.getsockname())):
                pytest.fail("it is held")


async def test_connections_in_time_wait_do_not_block_the_port() -> None:
    async with listening(nobody(), shared=False) as one:
        address = Address(*one.getsockname())
        with socket.create_connection((address.host, address.port)) as client:
            one.accept()[0].close()  # it closes first, and so keeps the connection in TIME_WAIT
            assert client.recv(1) == b""
    async with reserved_port(address), listening(address, shared=True):
        pass


@needs_ipv6
async def test_a_name_has_the_same_port_at_each_address() -> None:
    async with reserved_port(Address("localhost", 0)) as address:
        assert address.host == "localhost"
        for place in await resolve(address):
            with pytest.raises(OSError, match="Address already in use"):
                with bound_socket(place, shared=False) as one:
                    one.listen()


HERE = Address("127.0.0.1", 1234)


def test_the_shares_add_up_to_the_proxys_limits() -> None:
    clients = replace(CLIENT_LIMITS, max_connections=1000)
    whole = settings(client_limits=clients, replay_total_bytes=1_000_001, retry_floor_per_s=10.0)
    parts = [settings_of_listener(whole, number, 3, HERE) for number in (1, 2, 3)]
    assert [part.listen.limits.max_connections for part in parts] == [334, 333, 333]
    assert sum(part.limits.replay_total_bytes for part in parts) == 1_000_001
    assert sum(part.limits.retry_floor_per_s for part in parts) == 10.0
    assert parts[0].limits.retry_share == whole.limits.retry_share, "of its own requests"
    assert parts[0].limits.replay_bytes == whole.limits.replay_bytes
    assert parts[0].listen.limits.idle_timeout_s == clients.idle_timeout_s
    assert {part.listen.address for part in parts} == {HERE}
