"""Callbacks: which URLs a job may name, what is sent there, and sending it.

- A URL has to begin with one that the operator allows: scheme, host and port are the same, and the path is
  below it. Without any, jobs with a callback are refused.
- Redirects are not followed: they could lead anywhere.
- What is sent is signed: `X-Tfleet-Signature: t=SECONDS,v1=HEX`, the HMAC-SHA256 of `SECONDS.BODY`.
- A callback is sent until it is answered with 2xx, eight times at the most, with pauses that double. A
  receiver may get it twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import aiohttp
import structlog

from tfleet.contract.names import CALLBACK_URL, JOB, JOB_STATE, JOBS_PATH
from tfleet.contract.problem import Problem, ProblemError
from tfleet.contract.ticket import TicketKeys
from tfleet.jobs.document import job_document
from tfleet.jobs.errors import JobsUnavailableError
from tfleet.jobs.job import JobRecord
from tfleet.jobs.shard import Shard

SIGNATURE: Final = "X-Tfleet-Signature"
_MOST_URL_CHARS: Final = 2000
_AT_ONCE: Final = 64
_AT_ONCE_EACH: Final = 16
"""To one receiver."""
_TAKEN_AT_ONCE: Final = 16
_PUT_OFF_S: Final = 2.0
_TIMEOUT_S: Final = 10.0
_LOOK_EVERY_S: Final = 1.0
_PORTS: Final = {"http": 80, "https": 443}
_NONE_ALLOWED: Final = Problem(
    400, f"this fleet sends no callbacks: leave {CALLBACK_URL} out, or see --job-callback-allow"
)


class BadCallbackPrefixError(ValueError):
    """A value of `--job-callback-allow` that can't be used. One line says why."""


@dataclass(frozen=True, slots=True)
class AllowedUrl:
    """What a callback may begin with. The path ends with a slash."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, text: str) -> AllowedUrl:
        """Read a value of the option. Raises BadCallbackPrefixError."""
        parts = _parts(text)
        if parts is None or parts.query:
            raise BadCallbackPrefixError(f"{text[:100]!r} is no URL as http://HOST[:PORT][/PATH]")
        path = parts.path if parts.path.endswith("/") else f"{parts.path}/"
        return cls(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme], path)

    def allows(self, parts: SplitResult) -> bool:
        """Whether a URL begins with this."""
        here = (parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme])
        return here == (self.scheme, self.host, self.port) and f"{parts.path}/".startswith(self.path)


def checked_callback(url: str | None, allowed: Sequence[AllowedUrl]) -> str:
    """The URL of a callback; empty if there is none. Raises ProblemError (400)."""
    if url is None:
        return ""
    if not allowed:
        raise ProblemError(_NONE_ALLOWED)
    if url_receiver(url, allowed) is None:
        raise ProblemError(Problem(400, f"{CALLBACK_URL} is not among the URLs of --job-callback-allow"))
    return url


def url_receiver(url: str, allowed: Sequence[AllowedUrl]) -> str | None:
    """The scheme, host and port of a URL; None if it is not allowed."""
    parts = _parts(url)
    if parts is None or not any(each.allows(parts) for each in allowed):
        return None
    return f"{parts.scheme}://{parts.netloc}"


def callback_request(
    record: JobRecord, status: int | None, key: bytes, now_s: int
) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a callback. `status` is that of the answer, where there is one."""
    answered = {} if status is None else {"status": status}
    document = {**job_document(record), **answered, "location": f"{JOBS_PATH}/{record.id}"}
    body = json.dumps(document).encode()
    mac = hmac.new(key, f"{now_s}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        JOB: record.id,
        JOB_STATE: record.state.value,
        SIGNATURE: f"t={now_s},v1={mac}",
    }
    return body, headers


class CallbackSender:
    """Sends the callbacks of one shard. Any proxy may send any callback. `keys` gives the current keys.

    A receiver that hangs may hold only a part of what is sent at once, so that others go on.
    """

    def __init__(
        self,
        shard: Shard,
        session: aiohttp.ClientSession,
        keys: Callable[[], TicketKeys],
        allowed: Sequence[AllowedUrl],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._shard = shard
        self._session = session
        self._keys = keys
        self._allowed = allowed
        self._clock = clock
        self._sending: set[asyncio.Task[None]] = set()
        self._to: Counter[str] = Counter()
        """How many are being sent to each receiver."""
        self._log: Any = structlog.get_logger()

    def __repr__(self) -> str:
        return f"<CallbackSender {self._shard!r} sending={len(self._sending)}>"

    async def run(self) -> None:
        """Send what is due. Endless."""
        try:
            while True:
                if not await self._begin_some():
                    await asyncio.sleep(_LOOK_EVERY_S)
        finally:
            for task in self._sending:
                task.cancel()

    async def _begin_some(self) -> int:
        """Begin to send what is due, as far as there is room. Returns how many those are."""
        room = min(_AT_ONCE - len(self._sending), _TAKEN_AT_ONCE)
        try:
            taken = await self._shard.take_callbacks(room, int(_TIMEOUT_S * 1000)) if room else []
        except JobsUnavailableError as error:  # the shard's watch says so in the log
            self._log.debug("no callbacks can be sent", error=str(error))
            return 0
        for job_id, url in taken:
            task = asyncio.create_task(self._send_if_possible(job_id, url))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return len(taken)

    async def _send_if_possible(self, job_id: str, url: str) -> None:
        receiver = url_receiver(url, self._allowed)
        try:
            if receiver is None:  # of a proxy that allowed more, or written by a hand
                self._log.warning("a callback is not sent: see --job-callback-allow", job=job_id)
                await self._shard.end_callback(job_id, received=False)
            elif self._to[receiver] >= _AT_ONCE_EACH:
                await self._shard.put_off_callback(job_id, int(_PUT_OFF_S * 1000))
            else:
                self._to[receiver] += 1
                try:
                    await self._send(job_id, url)
                finally:
                    self._to[receiver] -= 1
        except JobsUnavailableError as error:  # it is sent again
            self._log.debug("the end of a callback can't be noted", error=str(error))

    async def _send(self, job_id: str, url: str) -> None:
        record = await self._shard.read(job_id, with_answer=False)  # an answer may be large
        if record is None:
            return
        status = await self._shard.answer_status(job_id)
        body, headers = callback_request(record, status, self._keys().secrets[0], int(self._clock()))
        limit = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        try:
            async with self._session.post(
                url, data=body, headers=headers, allow_redirects=False, timeout=limit
            ) as answer:
                ok, why = answer.ok and answer.status < _REDIRECT, f"status {answer.status}"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            ok, why = False, str(error) or type(error).__name__
        await self._shard.end_callback(job_id, received=ok)
        if not ok:
            self._log.warning("a callback was not received, retrying", job=job_id, error=why)


_REDIRECT: Final = 300


def _parts(text: str) -> SplitResult | None:
    """The parts of a URL; None where it is none, or one that could be read in two ways."""
    if not (text.isascii() and text.isprintable() and len(text) <= _MOST_URL_CHARS):
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    odd = (
        parts.username is not None
        or parts.fragment
        or "\\" in text
        or "/.." in parts.path
        or "%" in parts.path
    )
    return parts if parts.scheme in _PORTS and parts.hostname and not odd else None
