"""Passes on a worker's /metrics, for monitoring that reaches only the proxy."""

from __future__ import annotations

from typing import Final

import aiohttp

from tfleet.contract.names import WORKER
from tfleet.contract.problem import Problem, ProblemError
from tfleet.proxy.admin.workers import ProxyStatus, WorkerRow
from tfleet.runtime.network_errors import plain_reason

_TIMEOUT: Final = aiohttp.ClientTimeout(total=2.0)
_MAX_BYTES: Final = 1024 * 1024
_OK: Final = 200


class WorkerMetricsPages:
    """Fetches the metrics of workers in the proxy's table, and of no other address."""

    def __init__(self, status: ProxyStatus, session: aiohttp.ClientSession) -> None:
        self._status = status
        self._session = session

    async def __call__(self, worker_id: str) -> bytes:
        """Fetch the metrics. Raises ProblemError: 404 for an unknown worker, 502 if it fails."""
        rows = await self._status.workers()
        row = next((row for row in rows if row.instance.id == worker_id), None)
        if row is None:
            raise ProblemError(Problem(404, f"no worker {worker_id[:200]!r} is known: see GET /workers"))
        url = f"{row.instance.address.url}/metrics"
        try:
            async with self._session.get(url, timeout=_TIMEOUT, allow_redirects=False) as answer:
                return await _page(row, answer)
        except TimeoutError:
            raise _failed(row, f"gave no metrics within {_TIMEOUT.total:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: an invalid host name
            raise _failed(row, f"gave no metrics: {plain_reason(error)}") from error


async def _page(row: WorkerRow, answer: aiohttp.ClientResponse) -> bytes:
    if not row.answers_as(answer.headers.get(WORKER)):
        raise _failed(row, f"is not at its address any more, but {answer.headers[WORKER]}")
    if answer.status != _OK:
        raise _failed(row, f"answered {answer.status} when it was asked for its metrics")
    page = await answer.content.read(_MAX_BYTES + 1)
    while len(page) <= _MAX_BYTES and (more := await answer.content.read(_MAX_BYTES + 1 - len(page))):
        page += more
    if len(page) > _MAX_BYTES:
        raise _failed(row, f"has metrics of over {_MAX_BYTES} bytes")
    return page


def _failed(row: WorkerRow, how: str) -> ProblemError:
    return ProblemError(Problem(502, f"worker {row.instance.id} {how}"))
