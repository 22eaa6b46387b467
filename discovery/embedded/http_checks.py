"""Runs HTTP checks: requests each URL periodically, and reports the results to the catalog.

Outputs and statuses are Consul's: a GET on a new connection, 2xx for passing, 429 for warning, anything
else or no response for critical. The first run is at once; Consul waits a random part of the interval.
Unlike Consul's, it reaches only the machine that registered the check (check_targets.py), and follows no
redirects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager

import aiohttp
from yarl import URL

from tfleet.discovery.embedded.check_targets import (
    LookUp,
    UnreachableTargetError,
    addresses_of,
    allowed_addresses,
)
from tfleet.discovery.embedded.limits import RegistryLimits
from tfleet.discovery.embedded.model import HttpProbe, Status
from tfleet.runtime.network_errors import plain_reason

_TOO_MANY_REQUESTS = 429


class HttpChecks:
    """Owns one task for each HTTP check, from `open` to `close`; `found` takes id, status and output.

    `look_up` resolves names and may block. It runs in threads of its own: in the event loop's default
    threads, slow names would hold up everything else.
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
        self._slots = asyncio.Semaphore(limits.http_checks.at_once)
        self._session: aiohttp.ClientSession | None = None
        self._followed: dict[str, HttpProbe] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<HttpChecks running={len(self._tasks)} open={self._session is not None}>"

    def open(self) -> None:
        """Start running checks in this event loop."""
        lookups_at_once = self._limits.http_checks.lookups_at_once
        self._threads = ThreadPoolExecutor(lookups_at_once, thread_name_prefix="check-names")
        connector = aiohttp.TCPConnector(limit=0, force_close=True)  # the slots are the limit
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    def run_exactly(self, probes: Mapping[str, HttpProbe]) -> None:
        """Run exactly these checks from now on. A changed one is started again."""
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
        """Stop all checks."""
        session, self._session = self._session, None
        tasks = list(self._tasks.values())
        self._tasks.clear()
        self._followed.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        threads, self._threads = self._threads, None
        if threads is not None:  # not waited for: a running lookup cannot be cancelled
            threads.shutdown(wait=False, cancel_futures=True)
        if session is not None:
            await session.close()

    async def _run(self, session: aiohttp.ClientSession, check_id: str, probe: HttpProbe) -> None:
        while True:
            outcome = await run_check(
                session, probe, self._limits.catalog.output_bytes, self._addresses_of, self._slots
            )
            self._found(check_id, *outcome)
            await asyncio.sleep(probe.interval_s)

    async def _addresses_of(self, host: str, port: int) -> Iterable[str]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._look_up, host, port)


async def run_check(
    session: aiohttp.ClientSession,
    probe: HttpProbe,
    max_bytes: int,
    look_up: LookUp,
    slot: AbstractAsyncContextManager[object],
) -> tuple[Status, str]:
    """Return status and output of one GET, made while holding the slot; at most `max_bytes` of the body."""
    try:
        async with asyncio.timeout(probe.timeout_s), slot:
            return await _asked(session, probe, max_bytes, look_up)
    except TimeoutError:
        return "critical", f'Get "{probe.url}": no answer within {probe.timeout_s:g} s'
    # ValueError: not a URL.
    except (aiohttp.ClientError, UnreachableTargetError, OSError, ValueError) as error:
        return "critical", f'Get "{probe.url}": {plain_reason(error)}'


async def _asked(
    session: aiohttp.ClientSession, probe: HttpProbe, max_bytes: int, look_up: LookUp
) -> tuple[Status, str]:
    url = URL(probe.url)
    if url.scheme not in {"http", "https"} or not url.raw_host or url.port is None:
        raise ValueError("it is not an http or https URL")
    addresses = await allowed_addresses(url.raw_host, url.port, probe.registrant, look_up)
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
                while len(body) < max_bytes and (piece := await answer.content.readany()):
                    body += piece
                text = body[:max_bytes].decode(errors="replace")
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
