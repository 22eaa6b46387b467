"""Runs the HTTP checks: asks each URL again and again, and tells the catalog what was found.

The words of the output are Consul's, and so is what they come from: a GET on a connection of its own, 2xx for
passing, 429 for warning, anything else or nothing for critical. A check is run for the first time at once,
where Consul lets a random part of the interval pass. Unlike Consul's it reaches only the machine that
registered it (see reach.py), and follows no redirect, which would lead to another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager

import aiohttp
from yarl import URL

from tfleet.discovery.embedded.check_targets import LookUp, UnreachableTargetError, addresses_of, reached
from tfleet.discovery.embedded.limits import RegistryLimits
from tfleet.discovery.embedded.model import HttpProbe, Status
from tfleet.runtime.network_errors import plain_reason

_TOO_MANY_REQUESTS = 429


class HttpChecks:
    """Owns one task for each HTTP check, from `open` to `close`; `found` takes id, status and output.

    `look_up` gives the addresses of a name, and may block: it is called in threads of its own. In those that
    the event loop lends to everybody, slow names would hold up all the rest.
    """

    def __init__(
        self,
        found: Callable[[str, Status, str], None],
        limits: RegistryLimits,
        look_up: Callable[[str, int], Iterable[str]] = addresses_of,
    ) -> None:
        self._found = found
        self._limits = limits
        self._look_up = look_up
        self._threads: ThreadPoolExecutor | None = None
        self._slots = asyncio.Semaphore(limits.http_checks_at_once)
        self._session: aiohttp.ClientSession | None = None
        self._followed: dict[str, HttpProbe] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<HttpChecks running={len(self._tasks)} open={self._session is not None}>"

    def open(self) -> None:
        """Run what there is to run from here on, in this event loop."""
        self._threads = ThreadPoolExecutor(self._limits.lookups_at_once, thread_name_prefix="check-names")
        connector = aiohttp.TCPConnector(limit=0, force_close=True)  # the slots are the limit
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    def follow(self, probes: Mapping[str, HttpProbe]) -> None:
        """Run exactly these from now on. One that has changed is begun anew."""
        if self._session is None or probes == self._followed:
            return
        before, self._followed = self._followed, dict(probes)
        for check_id, probe in before.items():
            if probes.get(check_id) != probe:
                self._tasks.pop(check_id).cancel()
        for check_id, probe in probes.items():
            if check_id not in self._tasks:
                task = asyncio.get_running_loop().create_task(self._run(self._session, check_id, probe))
                self._tasks[check_id] = task

    async def close(self) -> None:
        """Run nothing any more."""
        session, self._session = self._session, None
        tasks = list(self._tasks.values())
        self._tasks.clear()
        self._followed.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        threads, self._threads = self._threads, None
        if threads is not None:  # not waited for: nobody can end a look-up
            threads.shutdown(wait=False, cancel_futures=True)
        if session is not None:
            await session.close()

    async def _run(self, session: aiohttp.ClientSession, check_id: str, probe: HttpProbe) -> None:
        while True:
            outcome = await ask(session, probe, self._limits.output_bytes, self._addresses_of, self._slots)
            self._found(check_id, *outcome)
            await asyncio.sleep(probe.interval_s)

    async def _addresses_of(self, host: str, port: int) -> Iterable[str]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._look_up, host, port)


async def ask(
    session: aiohttp.ClientSession,
    probe: HttpProbe,
    most_bytes: int,
    look_up: LookUp,
    slot: AbstractAsyncContextManager[object],
) -> tuple[Status, str]:
    """Status and output of one GET, made while it holds the slot; of the body at most so many bytes."""
    try:
        async with asyncio.timeout(probe.timeout_s), slot:
            return await _asked(session, probe, most_bytes, look_up)
    except TimeoutError:
        return "critical", f'Get "{probe.url}": no answer within {probe.timeout_s:g} s'
    # ValueError: a URL that is none.
    except (aiohttp.ClientError, UnreachableTargetError, OSError, ValueError) as error:
        return "critical", f'Get "{probe.url}": {plain_reason(error)}'


async def _asked(
    session: aiohttp.ClientSession, probe: HttpProbe, most_bytes: int, look_up: LookUp
) -> tuple[Status, str]:
    url = URL(probe.url)
    if url.scheme not in {"http", "https"} or not url.raw_host or url.port is None:
        raise ValueError("it is no URL of http or https")
    addresses = await reached(url.raw_host, url.port, probe.registrant, look_up)
    for last, address in enumerate(addresses, start=1 - len(addresses)):
        try:
            async with session.get(
                url.with_host(address),  # looked up once: a name must not lead elsewhere the second time
                headers={"Host": url.raw_authority.rpartition("@")[2], "Accept-Encoding": "identity"},
                server_hostname=url.raw_host if url.scheme == "https" else None,
                timeout=aiohttp.ClientTimeout(total=None),
                allow_redirects=False,
                auto_decompress=False,  # a few bytes may be very many when they are unpacked
            ) as answer:
                body = bytearray()
                while len(body) < most_bytes and (piece := await answer.content.readany()):
                    body += piece
                text = body[:most_bytes].decode(errors="replace")
                return _status(
                    answer
                ), f"HTTP GET {probe.url}: {answer.status} {answer.reason} Output: {text}"
        except aiohttp.ClientConnectorError:
            if last == 0:
                raise
    raise AssertionError("a lookup that finds nothing raises")


def _status(answer: aiohttp.ClientResponse) -> Status:
    if answer.status == _TOO_MANY_REQUESTS:
        return "warning"
    return "passing" if 200 <= answer.status < 300 else "critical"  # noqa: PLR2004 - HTTP's classes
