"""One model behind a proxy in each mode: all ways on which a client reaches it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec

import requests

from tests.support.canned_server import nobody
from tests.support.fleet_processes import fleet, registry_process
from tests.support.waiting import eventually
from tfleet.client import FleetClient

_START_S = 90.0
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class WaysToModel:
    """The addresses of a worker, of a proxy in forward mode and of one in p2p mode."""

    worker: str
    forward: str
    p2p: str

    async def by_http(
        self, ask: Callable[Concatenate[str, P], object], *args: P.args, **named: P.kwargs
    ) -> None:
        """Ask each address."""
        for url in (self.worker, self.forward, self.p2p):
            await asyncio.to_thread(ask, url, *args, **named)

    async def by_client(
        self, ask: Callable[Concatenate[FleetClient, P], object], *args: P.args, **named: P.kwargs
    ) -> None:
        """Ask with the Python client, through the proxy and straight to the worker."""

        def call(url: str, p2p: bool) -> None:
            with FleetClient(url, p2p=p2p) as client:
                ask(client, *args, **named)

        for url, p2p in ((self.forward, False), (self.p2p, True)):
            await asyncio.to_thread(call, url, p2p)


@contextlib.asynccontextmanager
async def served_model(
    model: Path, *options: str, cache: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[WaysToModel]:
    """A worker with these options serves the model; `cache` has the conversions of Keras files.

    With variables for TensorFlow in `environment` it is no forked one: TensorFlow reads them at its import.
    """
    registry = nobody()
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(registry_process(registry))
        running = await stack.enter_async_context(fleet(f"consul://{registry}", model, workers=0))
        direct = nobody()
        running.add_proxy(direct, "--mode", "p2p")
        variables = {"XDG_CACHE_HOME": str(cache), **(environment or {})}
        worker = running.add_worker(*options, environment=variables, forked=not environment)
        await running.ready(1)
        await eventually(lambda: asyncio.to_thread(_is_ready, direct.url), timeout_s=_START_S)
        assert not worker.events("converting keras model")
        yield WaysToModel(worker.address().url, running.proxy.url, direct.url)


def _is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/readyz", timeout=30).ok
    except requests.ConnectionError:
        return False


def model_folder(model: Path, parent: Path, line: str) -> Path:
    """A folder with this model and with a model.toml that says this of it."""
    folder = parent / "folder" / "7"
    folder.mkdir(parents=True)
    (folder / ("saved_model" if model.is_dir() else model.name)).symlink_to(model)
    (folder / "model.toml").write_text(f"[model]\n{line}\n")
    return folder
