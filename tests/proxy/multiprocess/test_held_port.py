import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from tests.support.canned import nobody
from tests.support.ipv6 import needs_ipv6
from tfleet.contract.address import Address
from tfleet.httpd.acceptor import bound, places
from tfleet.proxy.multiprocess.shared_port import held

ANY = Address("127.0.0.1", 0)


@contextlib.asynccontextmanager
async def listening(address: Address, *, shared: bool) -> AsyncIterator[socket.socket]:
    (place,) = await places(address)
    with bound(place, shared=shared) as one:
        one.listen()
        yield one


async def test_any_free_port_is_held_for_those_who_share_it() -> None:
    async with held(ANY) as address:
        assert address.port
        async with listening(address, shared=True), listening(address, shared=True):
            pass


async def test_nobody_else_gets_it_be_it_that_no_listener_is_alive() -> None:
    async with held(ANY) as address:
        with pytest.raises(OSError, match="Address already in use"):
            async with listening(address, shared=False):
                pytest.fail("it listens")
        with pytest.raises(OSError, match="Address already in use"):
            async with held(address):
                pytest.fail("two hold it")
    async with held(address), listening(address, shared=True):
        pass


@pytest.mark.parametrize("shared", [False, True])
async def test_a_port_on_which_somebody_listens_can_t_be_held(shared: bool) -> None:
    async with listening(nobody(), shared=shared) as one:
        with pytest.raises(OSError, match="Address already in use"):
            async with held(Address(*one.getsockname())):
                pytest.fail("it is held")


async def test_connections_that_are_still_closing_are_in_nobody_s_way() -> None:
    async with listening(nobody(), shared=False) as one:
        address = Address(*one.getsockname())
        with socket.create_connection((address.host, address.port)) as client:
            one.accept()[0].close()  # it closes first, and so keeps the connection in TIME_WAIT
            assert client.recv(1) == b""
    async with held(address), listening(address, shared=True):
        pass


@needs_ipv6
async def test_a_name_with_several_addresses_has_the_same_port_at_each() -> None:
    async with held(Address("localhost", 0)) as address:
        assert address.host == "localhost"
        for place in await places(address):
            with pytest.raises(OSError, match="Address already in use"):
                with bound(place, shared=False) as one:
                    one.listen()
