"""The registries under test, each as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final, NamedTuple

from tests.support.canned_server import nobody
from tests.support.consul_agent import consul_agent
from tests.support.fleet_processes import registry_process
from tests.support.three_consuls import three_consuls
from tfleet.contract.address import Address

EMBEDDED: Final = "embedded"
CONSUL: Final = "consul"
REGISTRIES: Final = (EMBEDDED, CONSUL)


@contextlib.contextmanager
def registry(kind: str) -> Iterator[Address]:
    """Where a registry of this kind answers."""
    if kind == EMBEDDED:
        address = nobody()
        with registry_process(address):
            yield address
    else:
        with consul_agent() as agent:
            yield agent.address


class FragileRegistry(NamedTuple):
    """A registry and its fault: `fault` says what it is, and `strike` brings it about."""

    address: Address
    fault: str
    strike: Callable[[], Awaitable[None]]


@contextlib.asynccontextmanager
async def fragile_registry(kind: str) -> AsyncIterator[FragileRegistry]:
    """The embedded one is killed and comes back empty. Of three Consul servers the leader is killed."""
    with contextlib.ExitStack() as stack:
        if kind == EMBEDDED:
            address = nobody()
            process = stack.enter_context(registry_process(address))

            async def restart() -> None:
                process.kill()
                await asyncio.to_thread(process.wait, 10)
                stack.enter_context(await asyncio.to_thread(_started, address))

            yield FragileRegistry(address, "registry killed, back without data", restart)
        else:
            consuls = await asyncio.to_thread(stack.enter_context, three_consuls())
            leader = consuls.leader(consuls.servers[0])
            assert leader is not None
            own = next(one for one in consuls.servers if one is not leader)

            async def kill() -> None:
                await asyncio.to_thread(leader.kill)

            yield FragileRegistry(own.http, "Consul's leader killed", kill)


def _started(address: Address) -> contextlib.ExitStack:
    stack = contextlib.ExitStack()
    stack.enter_context(registry_process(address))
    return stack
