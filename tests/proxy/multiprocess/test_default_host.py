"""Where a proxy listens unless told otherwise, in real processes."""

import socket

import aiohttp
import pytest

from tests.support.fake_worker import fake_worker
from tests.support.ipv6 import needs_ipv6
from tests.support.proxy_process import address_of, static, together
from tfleet.contract.address import Address

pytestmark = pytest.mark.process


@needs_ipv6
@pytest.mark.parametrize("listeners", [1, 2])
@pytest.mark.parametrize("host", [(), ("--host", "localhost")], ids=["by default", "localhost"])
async def test_the_default_host_is_both_loopbacks(listeners: int, host: tuple[str, ...]) -> None:
    async with fake_worker() as worker:
        with together(*static(worker), *host, listeners=listeners) as running:
            proxy = await address_of(running)
            assert proxy.host == "127.0.0.1"
            async with aiohttp.ClientSession() as session:
                for address in (proxy, Address("::1", proxy.port)):
                    async with session.post(address.url, data=b"image") as answer:
                        assert answer.status == 200


@needs_ipv6
@pytest.mark.parametrize("listeners", [1, 2])
async def test_a_given_address_is_the_only_one(listeners: int) -> None:
    async with fake_worker() as worker:
        with together(*static(worker), "--host", "127.0.0.1", listeners=listeners) as running:
            proxy = await address_of(running)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("::1", proxy.port))


@needs_ipv6
@pytest.mark.parametrize("listeners", [1, 2])
async def test_a_port_taken_on_one_loopback_is_refused(listeners: int) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        with together("--registry", "static:127.0.0.1:1", listeners=listeners, port=port) as running:
            assert running.process.wait(20) == 2
            assert f"can't listen on localhost:{port}: Address already in use; see --port" in running.text()
