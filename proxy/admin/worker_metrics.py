"""Passes on a worker's /metrics, for monitoring that reaches only the proxy."""

from __future__ import annotations

import aiohttp

from tfleet.contract.problem import Problem, ProblemError
from tfleet.proxy.admin.worker_page import worker_page
from tfleet.proxy.admin.workers import ProxyStatus


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
        return await worker_page(self._session, row, "/metrics", "metrics")
