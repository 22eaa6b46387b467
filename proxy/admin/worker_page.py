"""Fetches a page of a worker in the proxy's table, and of no other address."""

from __future__ import annotations

from typing import Final

import aiohttp
from yarl import URL

from tfleet.contract.names import WORKER
from tfleet.contract.problem import Problem, ProblemError
from tfleet.proxy.admin.workers import WorkerRow
from tfleet.runtime.network_errors import plain_reason

MOST_BYTES: Final = 1024 * 1024
_TIMEOUT: Final = aiohttp.ClientTimeout(total=2.0)
_OK: Final = 200


async def worker_page(session: aiohttp.ClientSession, row: WorkerRow, path: str, what: str) -> bytes:
    """The page at `path`, which is percent-encoded. `what` says in messages what is on it.

    Raises ProblemError (502) if the worker gives none, or one of over a megabyte.
    """
    try:
        url = URL(f"{row.instance.address.url}{path}", encoded=True)
        async with session.get(url, timeout=_TIMEOUT, allow_redirects=False) as answer:
            return await _page(row, answer, what)
    except TimeoutError:
        raise page_failure(row, f"gave no {what} within {_TIMEOUT.total:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: an invalid host name
        raise page_failure(row, f"gave no {what}: {plain_reason(error)}") from error


async def _page(row: WorkerRow, answer: aiohttp.ClientResponse, what: str) -> bytes:
    if not row.answers_as(answer.headers.get(WORKER)):
        raise page_failure(row, f"is not at its address any more, but {answer.headers[WORKER]}")
    if answer.status != _OK:
        raise page_failure(row, f"answered {answer.status} when it was asked for its {what}")
    page = await answer.content.read(MOST_BYTES + 1)
    while len(page) <= MOST_BYTES and (more := await answer.content.read(MOST_BYTES + 1 - len(page))):
        page += more
    if len(page) > MOST_BYTES:
        raise page_failure(row, f"has {what} of over {MOST_BYTES} bytes")
    return page


def page_failure(row: WorkerRow, how: str) -> ProblemError:
    """The problem of a worker's page."""
    return ProblemError(Problem(502, f"worker {row.instance.id} {how}"))
