from __future__ import annotations

import asyncio
import gzip
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext

import aiohttp
import pytest
from aiohttp import web

from tests.support.canned_server import canned, http, nobody
from tests.support.waiting import eventually
from tfleet.discovery.embedded.check_targets import addresses_of
from tfleet.discovery.embedded.http_checks import HttpChecks, run_check
from tfleet.discovery.embedded.limits import HttpCheckLimits, RegistryLimits
from tfleet.discovery.embedded.model import HttpProbe, Status


@asynccontextmanager
async def _target(status: int = 200, body: bytes = b"well\n") -> AsyncIterator[tuple[str, list[str]]]:
    """The URL of something to be checked, and the paths that were asked of it."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.path_qs)
        return web.Response(status=status, body=body)

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}", seen
    finally:
        await runner.cleanup()


@contextmanager
def _silent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield "http://{}:{}/".format(*listener.getsockname())


async def _ask(
    url: str, *, timeout_s: float = 5.0, most_bytes: int = 4096, registrant: str = "127.0.0.1"
) -> tuple[Status, str]:
    async def look_up(host: str, port: int) -> list[str]:
        return addresses_of(host, port)

    async with aiohttp.ClientSession() as session:
        probe = HttpProbe(url, 1.0, timeout_s, registrant)
        return await run_check(session, probe, most_bytes, look_up, nullcontext())


@pytest.mark.parametrize(
    ("status", "means"),
    [(200, "passing"), (299, "passing"), (429, "warning"), (421, "critical"), (503, "critical")],
)
async def test_the_status_of_the_answer_is_that_of_the_check(status: int, means: Status) -> None:
    async with _target(status) as (url, _):
        found, output = await _ask(f"{url}/a?b=c")
    assert found == means
    assert output.startswith(f"HTTP GET {url}/a?b=c: {status} ")
    assert output.endswith(" Output: well\n")


async def test_only_the_beginning_of_a_large_body_is_read() -> None:
    async with _target(body=b"x" * 1_000_000) as (url, _):
        _, output = await _ask(url, most_bytes=100)
    assert output.endswith(" Output: " + "x" * 100)


async def test_a_refused_connection_is_critical_with_its_error() -> None:
    url = nobody().url
    assert await _ask(url) == ("critical", f'Get "{url}": connection refused')


async def test_no_answer_in_time_is_critical() -> None:
    with _silent() as url:
        assert await _ask(url, timeout_s=0.05) == ("critical", f'Get "{url}": no answer within 0.05 s')


@pytest.mark.parametrize("url", ["nonsense", "http://", "http://[x/", "ftp://127.0.0.1/", "http://a\x00b/"])
async def test_an_invalid_url_is_critical_and_ends_nothing(url: str) -> None:
    status, output = await _ask(url)
    assert status == "critical"
    assert output.startswith(f'Get "{url}": ')


async def test_checks_only_ask_the_callers_own_machine() -> None:
    async with _target() as (url, seen):
        status, output = await _ask(f"{url}/secret", registrant="203.0.113.7")
    assert (status, seen) == ("critical", [])
    assert output == (
        f'Get "{url}/secret": the registry checks only the address that registered it, 203.0.113.7, and not '
        "127.0.0.1 (behind a NAT: --no-self-test)"
    )


async def test_this_machine_may_be_asked_at_any_of_its_addresses() -> None:
    async with _target() as (url, seen):
        status, _ = await _ask(f"{url}/a".replace("127.0.0.1", "localhost"), registrant="127.0.0.2")
    assert (status, seen) == ("passing", ["/a"])


async def test_a_redirect_is_not_followed() -> None:
    async with _target() as (other, seen):
        with canned(http("302 Found", b"there", f"Location: {other}/secret")) as target:
            status, output = await _ask(target.url)
    assert (status, seen) == ("critical", [])
    assert output == f"HTTP GET {target.url}: 302 Found Output: there"


async def test_compressed_answers_are_not_unpacked() -> None:
    with canned(http("200 OK", gzip.compress(b"x" * 10_000_000), "Content-Encoding: gzip")) as target:
        _, output = await _ask(target.url, most_bytes=100)
    assert "xxx" not in output
    assert len(output) < 200


@asynccontextmanager
async def _running(
    limits: RegistryLimits | None = None, look_up: Callable[[str, int], Iterable[str]] = addresses_of
) -> AsyncIterator[tuple[HttpChecks, list[str]]]:
    found: list[str] = []
    checks = HttpChecks(
        lambda check_id, status, _: found.append(f"{check_id} {status}"), limits or RegistryLimits(), look_up
    )
    checks.open()
    yield checks, found
    await checks.close()


async def test_each_check_is_run_at_once_and_again_after_its_interval() -> None:
    async with _target() as (url, _), _running() as (checks, found):
        checks.run_exactly(
            {"a": HttpProbe(url, 0.01, 5.0, "127.0.0.1"), "b": HttpProbe(url, 60.0, 5.0, "127.0.0.1")}
        )

        async def runs() -> tuple[int, int]:
            return found.count("a passing"), found.count("b passing")

        await eventually(runs, wanted=lambda times: times[0] >= 3)
        assert await runs() >= (3, 1)
        assert found.count("b passing") == 1


async def test_only_registered_checks_are_run() -> None:
    async with _target() as (url, seen), _running() as (checks, found):
        probe = HttpProbe(f"{url}/old", 0.01, 5.0, "127.0.0.1")
        checks.run_exactly({"a": probe, "b": HttpProbe(f"{url}/other", 0.01, 5.0, "127.0.0.1")})
        await eventually(lambda: asyncio.sleep(0, len(found) > 4))
        checks.run_exactly({"a": HttpProbe(f"{url}/new", 0.01, 5.0, "127.0.0.1")})
        assert repr(checks) == "<HttpChecks running=1 open=True>"
        await eventually(lambda: asyncio.sleep(0, "/new" in seen))
        before = len(seen)
        await eventually(lambda: asyncio.sleep(0, len(seen) > before + 3))
        assert set(seen[before:]) == {"/new"}


async def test_closing_waits_for_running_checks_and_runs_no_more() -> None:
    with _silent() as url:
        async with _running() as (checks, found):
            checks.run_exactly({"a": HttpProbe(url, 1.0, 60.0, "127.0.0.1")})
            await asyncio.sleep(0)
        assert repr(checks) == "<HttpChecks running=0 open=False>"
        checks.run_exactly({"a": HttpProbe(url, 2.0, 60.0, "127.0.0.1")})
        assert repr(checks) == "<HttpChecks running=0 open=False>"
        assert found == []


async def test_no_more_requests_are_under_way_than_allowed() -> None:
    under_way, most = 0, 0
    release = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await release.wait()
        under_way -= 1
        return web.Response()

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = "http://{}:{}/".format(*runner.addresses[0][:2])
    async with _running(RegistryLimits(http_checks=HttpCheckLimits(at_once=2))) as (checks, found):
        checks.run_exactly({str(number): HttpProbe(url, 60.0, 60.0, "127.0.0.1") for number in range(6)})
        await eventually(lambda: asyncio.sleep(0, under_way == 2))
        release.set()
        await eventually(lambda: asyncio.sleep(0, len(found) == 6))
    await runner.cleanup()
    assert most == 2


@contextmanager
def _hanging() -> Iterator[tuple[Callable[[str, int], list[str]], list[str]]]:
    """A look-up that does not end before the test does, and the names that it was asked for."""
    release = threading.Event()
    asked: list[str] = []

    def look_up(host: str, _: int) -> list[str]:
        asked.append(host)
        release.wait()
        return ["127.0.0.1"]

    try:
        yield look_up, asked
    finally:
        release.set()


async def test_an_address_is_reached_while_look_ups_hang() -> None:
    with _hanging() as (look_up, asked):
        async with (
            _target() as (url, _),
            _running(RegistryLimits(http_checks=HttpCheckLimits(lookups_at_once=2)), look_up) as (
                checks,
                found,
            ),
        ):
            names = {f"n{i}": HttpProbe(f"http://n{i}.test/", 60.0, 60.0, "127.0.0.1") for i in range(10)}
            checks.run_exactly(names)
            await eventually(lambda: asyncio.sleep(0, len(asked) == 2))
            checks.run_exactly({**names, "a": HttpProbe(url, 60.0, 60.0, "127.0.0.1")})
            await eventually(lambda: asyncio.sleep(0, found == ["a passing"]))
        assert len(asked) == 2


async def test_a_look_up_holds_one_of_the_slots() -> None:
    with _hanging() as (look_up, asked):
        async with (
            _target() as (url, seen),
            _running(RegistryLimits(http_checks=HttpCheckLimits(at_once=1)), look_up) as (checks, found),
        ):
            name = {"n": HttpProbe("http://n.test/", 60.0, 0.5, "127.0.0.1")}
            checks.run_exactly(name)
            await eventually(lambda: asyncio.sleep(0, asked == ["n.test"]))
            checks.run_exactly({**name, "a": HttpProbe(url, 60.0, 60.0, "127.0.0.1")})
            await eventually(lambda: asyncio.sleep(0, len(found) == 2))
            assert found == ["n critical", "a passing"]
            assert seen == ["/"]
