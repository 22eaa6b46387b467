"""The proxy's own pages, for clients that are older, or are set up otherwise, than one thinks."""

import pytest

from tests.support.fake_worker import fake_worker, settings
from tests.support.raw_client import raw_client
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.proxy.server import single_process_proxy

GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
VERSION_2 = b"\r\n\r\n\0\r\nQUIT\n"
PROXY_PROTOCOL = {
    "version 1": b"PROXY TCP4 1.2.3.4 1.2.3.5 5 80\r\n",
    "version 1 of IPv6": b"PROXY TCP6 ::1 ::1 5 80\r\n",
    "version 1, unknown": b"PROXY UNKNOWN\r\n",
    "version 2": VERSION_2 + b"\x21\x11\x00\x0c" + bytes(12),
    "version 2, local": VERSION_2 + b"\x20\x00\x00\x00",
}


async def test_http_1_0_without_a_host_gets_each_page() -> None:
    """As HAProxy's plain `option httpchk GET /readyz` asks."""
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        await eventually(lambda: page(proxy, b"/readyz"), wanted=lambda found: found[0] == 200)
        for path in (b"/healthz", b"/metrics", b"/workers", b"/"):
            status, text = await page(proxy, path)
            assert status == 200
        assert f"curl -v -XPOST {proxy}".encode() in text


async def test_an_empty_host_is_no_reason_to_refuse_a_page() -> None:
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker)) as proxy,
        raw_client(proxy) as client,
    ):
        await client.send(b"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n")
        assert (await client.answer()).status == 200


async def page(proxy: Address, path: bytes) -> tuple[int, bytes]:
    async with raw_client(proxy) as client:
        await client.send(b"GET " + path + b" HTTP/1.0\r\n\r\n")
        answer = await client.answer()
        assert await client.ends() == b""
        return answer.status, answer.body


@pytest.mark.parametrize("line", PROXY_PROTOCOL.values(), ids=PROXY_PROTOCOL)
async def test_a_proxy_protocol_header_is_named_in_the_error(line: bytes) -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        for pieces in ([line + GET], [line[:3], line[3:] + GET], [line[:4], line[4:] + GET]):
            async with raw_client(proxy) as client:
                for piece in pieces:
                    await client.send(piece)
                refusal = await client.answer()
                assert refusal.status == 400
                assert "it begins with the PROXY protocol" in refusal.problem()["detail"]
                assert await client.ends() == b""


async def test_other_paths_are_not_mistaken_for_a_page() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        for head in (b"PROXY / HTTP/1.1\r\nHost: a\r\n\r\n", b"PROXYTCP4 1\r\n\r\n", b"\0\r\n\r\n"):
            async with raw_client(proxy) as client:
                await client.send(head)
                assert "PROXY protocol" not in (await client.answer()).problem()["detail"]
