from ipaddress import ip_address, ip_network

from tests.support.waiting import eventually
from tfleet.proxy.p2p.local_networks import Networks, NetworkView, read_networks

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
ROUTES = (
    HEAD
    + "eth0\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    + "eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    + "eth1\t0001000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    + "eth2\t0002000A\t00000000\t0000\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
)
ZERO = "0" * 32
ROUTES_V6 = (
    f"20010db8{'0' * 24} 40 {ZERO} 00 {ZERO} 00000100 00000001 00000000 00000001     eth0\n"
    f"{ZERO} 00 {ZERO} 00 20010db8{'0' * 23}1 00000400 00000003 00000000 00000003     eth0\n"
    f"ff{'0' * 30} 08 {ZERO} 00 {ZERO} 00000100 00000002 00000000 00000001     eth0\n"
    f"{'0' * 31}1 80 {ZERO} 00 {ZERO} 00000000 00000004 00000000 80200001       lo\n"
    f"{ZERO} 00 {ZERO} 00 {ZERO} ffffffff 00000001 00000000 00200200       lo\n"
)


def test_local_networks_are_up_and_need_no_router() -> None:
    found = read_networks(ROUTES, ROUTES_V6)
    assert found.near == (ip_network("172.18.0.0/16"), ip_network("10.0.1.0/24"), ip_network("2001:db8::/64"))
    assert found.routers == {ip_address("172.18.0.1"), ip_address("2001:db8::1")}


def test_unreadable_files_mean_no_local_networks() -> None:
    assert read_networks("", "") == read_networks(HEAD, "") == Networks()


async def test_this_machines_networks_can_be_read() -> None:
    view = NetworkView()
    await view.look()
    assert repr(view).startswith("<NetworkView")
    assert view.networks == await eventually(lambda: _look(NetworkView()))


async def _look(view: NetworkView) -> Networks:
    await view.look()
    return view.networks
