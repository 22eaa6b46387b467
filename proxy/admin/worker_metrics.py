"""A worker's page of metrics, for those who reach the proxy and not the worker: it asks when it is asked."""

from __future__ import annotations

from typing import Final

import aiohttp

from tfleet.contract.names import WORKER
from tfleet.contract.problem import Problem
from tfleet.proxy.balancing.pool import PoolMember
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.problems import ProblemError
from tfleet.runtime.network_errors import plain_reason

_TIMEOUT: Final = aiohttp.ClientTimeout(total=2.0)
_MOST_BYTES: Final = 1024 * 1024
_OK: Final = 200


class WorkerMetricsPages:
    """Fetches the page from a worker of the fleet, and from nobody else."""

    def __init__(self, fleet: WorkerTable, session: aiohttp.ClientSession) -> None:
        self._fleet = fleet
        self._session = session

    async def __call__(self, worker_id: str) -> bytes:
        """The page. Raises ProblemError: 404 for a worker that is not known, 502 without a page of its."""
        member = self._fleet.pool.members.get(worker_id)
        if member is None:
            raise ProblemError(Problem(404, f"no worker {worker_id[:200]!r} is known: see GET /workers"))
        url = f"{member.instance.address.url}/metrics"
        try:
            async with self._session.get(url, timeout=_TIMEOUT, allow_redirects=False) as answer:
                return await _page(member, answer)
        except TimeoutError:
            raise _failed(member, f"gave no metrics within {_TIMEOUT.total:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a name that is none
            raise _failed(member, f"gave no metrics: {plain_reason(error)}") from error


async def _page(member: PoolMember, answer: aiohttp.ClientResponse) -> bytes:
    if not member.answers_as(answer.headers.get(WORKER)):
        raise _failed(member, f"is not at its address any more, but {answer.headers[WORKER]}")
    if answer.status != _OK:
        raise _failed(member, f"answered {answer.status} when it was asked for its metrics")
    page = await answer.content.read(_MOST_BYTES + 1)
    while len(page) <= _MOST_BYTES and (more := await answer.content.read(_MOST_BYTES + 1 - len(page))):
        page += more
    if len(page) > _MOST_BYTES:
        raise _failed(member, f"has metrics of over {_MOST_BYTES} bytes")
    return page


def _failed(member: PoolMember, how: str) -> ProblemError:
    return ProblemError(Problem(502, f"worker {member.id} {how}"))
