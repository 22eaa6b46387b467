import asyncio
from ipaddress import ip_address, ip_network

import aiohttp
import pytest

from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import fake_worker, settings
from tests.support.registered_workers import ready, workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.instance import Instance
from tfleet.discovery.registry import ConsulRegistry
from tfleet.httpd.http1.request import read_request_head
from tfleet.proxy.p2p.address_selection import AddressKind, ClientLocation, side_of
from tfleet.proxy.p2p.local_networks import Networks
from tfleet.proxy.server import single_process_proxy
from tfleet.proxy.settings import Mode

INSIDE, OUTSIDE = Address("172.18.0.5", 8000), Address("203.0.113.9", 32768)
FLEET, FRONT = ip_network("172.18.0.0/16"), ip_network("10.0.1.0/24")
NETWORKS = Networks((FLEET, FRONT), frozenset([ip_address("172.18.0.1")]))
BOTH = Instance("w1", INSIDE, wan=OUTSIDE)
NAMED = Instance("w1", Address("worker-1", 8000), wan=OUTSIDE)
EVERYWHERE = Instance("w1", INSIDE, wan=Address("0.0.0.0", 32768))
LAN_ONLY = Instance("w1", INSIDE)


@pytest.mark.parametrize(
    ("client", "instance", "address"),
    [
        ("172.18.0.7", BOTH, INSIDE),
        ("172.18.0.5", BOTH, INSIDE),
        ("::ffff:172.18.0.7", BOTH, INSIDE),
        ("127.0.0.1", BOTH, INSIDE),
        ("::1", BOTH, INSIDE),
        ("172.18.0.1", BOTH, OUTSIDE),  # the gateway: from the machine itself, or through its own proxy
        ("192.0.2.7", BOTH, OUTSIDE),
        ("10.0.1.7", BOTH, OUTSIDE),  # near the proxy, but not near the worker
        ("2001:db8::7", BOTH, OUTSIDE),
        ("unknown", BOTH, OUTSIDE),
        (None, BOTH, OUTSIDE),
        ("172.18.0.7", NAMED, NAMED.address),
        ("10.0.1.7", NAMED, NAMED.address),
        ("192.0.2.7", NAMED, OUTSIDE),
        ("172.18.0.7", EVERYWHERE, INSIDE),
        ("192.0.2.7", EVERYWHERE, Address("tfleet.example.com", 32768)),
        ("192.0.2.7", LAN_ONLY, INSIDE),
    ],
)
def test_the_address_fits_where_the_client_asks_from(
    client: str | None, instance: Instance, address: Address
) -> None:
    where = side_of(client, NETWORKS, wanted=None, reached="tfleet.example.com")
    assert where.address(instance) == address


@pytest.mark.parametrize(
    ("client", "wanted", "instance", "address"),
    [
        ("172.18.0.7", "wan", BOTH, OUTSIDE),
        ("127.0.0.1", "wan", BOTH, OUTSIDE),
        ("192.0.2.7", "lan", BOTH, INSIDE),
        ("127.0.0.1", "wan", EVERYWHERE, Address("localhost", 32768)),
        ("172.18.0.7", "wan", LAN_ONLY, INSIDE),
    ],
)
def test_a_client_may_choose_the_address(
    client: str, wanted: AddressKind, instance: Instance, address: Address
) -> None:
    assert side_of(client, NETWORKS, wanted=wanted, reached="localhost").address(instance) == address


def test_without_a_known_name_the_inside_address_is_given() -> None:
    assert side_of("192.0.2.7", NETWORKS, wanted=None, reached="").address(EVERYWHERE) == INSIDE


@pytest.mark.parametrize(
    ("peer", "lines", "address"),
    [
        ("172.18.0.7", ["Host: p:12480", "X-Forwarded-For: 192.0.2.7, 172.18.0.9"], Address("p", 32768)),
        ("192.0.2.7", ["Host: p:12480", "X-Forwarded-For: 172.18.0.7"], INSIDE),
        (
            "192.0.2.7",
            ["Host: p:12480", "X-Forwarded-Host: front.example.com"],
            Address("front.example.com", 32768),
        ),
        ("192.0.2.7", ["Host: [2001:db8::9]:12480"], Address("2001:db8::9", 32768)),
        ("192.0.2.7", ["Host: a(b"], INSIDE),
    ],
)
def test_forwarded_for_tells_the_client_behind_a_proxy(peer: str, lines: list[str], address: Address) -> None:
    block = "".join(f"{line}\r\n" for line in ("GET /worker HTTP/1.1", *lines)).encode()
    client = ClientLocation(read_request_head(block), peer, NETWORKS)
    assert client.address(EVERYWHERE) == client.address(EVERYWHERE) == address
    assert client.address(LAN_ONLY) == INSIDE


FROM_OUTSIDE = {"X-Forwarded-For": "192.0.2.7"}


@pytest.mark.parametrize("mode", ["forward", "p2p"])
async def test_each_lookup_names_the_address_for_its_client(
    mode: Mode,
) -> None:
    """The proxy itself keeps to the internal one."""
    with embedded_registry() as registry:
        async with (
            fake_worker() as worker,
            single_process_proxy(settings(registry=ConsulRegistry(registry), mode=mode)) as proxy,
        ):
            worker.name = "w1"
            agent = ConsulAgent(registry, "tfleet", ttl_s=60)
            both = Instance("w1", worker.address, wan=Address("0.0.0.0", 32768))
            await asyncio.to_thread(agent.register, both)
            (row,) = await eventually(lambda: workers(proxy), wanted=ready)
            assert (row["address"], row["wan"]) == (str(worker.address), "0.0.0.0:32768")
            outside = "127.0.0.1:32768"  # the host by which it reached the proxy
            async with aiohttp.ClientSession() as session:

                async def told(path: str, accept: str = "*/*", **headers: str) -> str:
                    async with session.get(proxy.url + path, headers={"Accept": accept, **headers}) as answer:
                        return await answer.text()

                assert await told("/worker") == f"{worker.address}\n"
                assert await told("/worker?address=wan") == f"{outside}\n"
                assert await told("/worker?address=lan", **FROM_OUTSIDE) == f"{worker.address}\n"
                for path in ("/worker", "/worker?n=2"):
                    for accept in ("text/plain", "application/json"):
                        said = await told(path, accept, **FROM_OUTSIDE)
                        assert outside in said
                        assert str(worker.address) not in said
                        assert str(worker.address) in await told(path, accept)
                assert "address is 'x': it is lan or wan" in await told("/worker?address=x")
                for headers, address in ((FROM_OUTSIDE, outside), ({}, str(worker.address))):
                    async with session.post(
                        f"{proxy.url}/predict", data=b"x", headers=headers, allow_redirects=False
                    ) as answer:
                        if mode == "p2p":
                            assert answer.headers["Location"] == f"http://{address}/predict"
                        else:
                            assert answer.headers["X-Worker"] == "w1"
