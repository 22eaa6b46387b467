"""A client that sends its images straight to the workers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tfleet.client import AsyncFleetClient

if TYPE_CHECKING:
    from tests.client.conftest import Scripted


@asynccontextmanager
async def p2p(proxy: Scripted) -> AsyncIterator[AsyncFleetClient]:
    async with AsyncFleetClient(proxy.url, p2p=True, top=3) as client:
        yield client
