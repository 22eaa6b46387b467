"""A steady load sent by the client that programs use, straight to the workers unless told otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.support.steady_load import Answer, NoAnswerError, SteadyLoad
from tfleet.client import FleetClient, FleetError

_CALLERS = 64


class P2pLoad(SteadyLoad):
    """Many threads share one FleetClient; each image is one call of one of them."""

    def __init__(
        self, proxy: str | Sequence[str], *, rate: float, p2p: bool = True, try_timeout_s: float = 10.0
    ) -> None:
        super().__init__("", rate=rate)
        self._client = FleetClient(proxy, p2p=p2p, try_timeout_s=try_timeout_s)
        self._callers = ThreadPoolExecutor(_CALLERS)

    async def __aexit__(self, *exception: object) -> None:
        await super().__aexit__(*exception)
        await asyncio.to_thread(self._client.close)
        await asyncio.to_thread(self._callers.shutdown)

    async def classify(self, image: bytes, held: asyncio.Event | None) -> Answer:
        assert held is None, "a FleetClient sends its images whole"
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._callers, self._client.classify, image)
        except FleetError as error:
            raise NoAnswerError(f"{type(error).__name__}: {error}") from error
        return Answer({p.label: p.value for p in found.predictions}, found.worker, found.retries)
