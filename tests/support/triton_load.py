"""A load of Triton's own client (tritonclient_load.py) beside a test."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tfleet.contract.address import Address

_AT_MOST_S = 60.0


@dataclass(frozen=True, slots=True)
class Tally:
    """How many answers were right, the errors with their numbers, and the versions that answered."""

    right: int
    errors: dict[str, int]
    versions: dict[str, int]


class TritonLoad:
    """A running load."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ended(self, requests: int) -> None:
        """Wait until so many more requests have ended."""
        async with asyncio.timeout(_AT_MOST_S):
            for _ in range(requests):
                assert (await self._line()).strip().isdigit()

    async def stop(self) -> Tally:
        """No more requests; what came of them."""
        assert self._process.stdin
        self._process.stdin.close()
        async with asyncio.timeout(_AT_MOST_S):
            while (line := await self._line()).strip().isdigit():
                pass
        return Tally(**json.loads(line))

    async def _line(self) -> bytes:
        assert self._process.stdout
        line = await self._process.stdout.readline()
        assert line, "it has ended; what it said is on standard error"
        return line


@contextlib.asynccontextmanager
async def triton_load(python: Path, address: Address, model: str, *headers: str) -> AsyncIterator[TritonLoad]:
    """Ask this model there, with these headers (`NAME=VALUE`)."""
    program = str(Path(__file__).with_name("tritonclient_load.py"))
    process = await asyncio.create_subprocess_exec(
        *(str(python), "-I", program, str(address), model, *headers),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield TritonLoad(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def tally_of(python: Path, address: Address, model: str, *headers: str) -> Tally:
    """What comes of a few requests."""
    async with triton_load(python, address, model, *headers) as load:
        await load.ended(3)
        return await load.stop()
