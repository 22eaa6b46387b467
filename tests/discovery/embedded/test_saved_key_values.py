"""Through the registry's HTTP: nobody sees a change before it is saved, and a refused one changes nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from tests.support.waiting import eventually
from tfleet.discovery.embedded import AGENT, make_registry, save_keys
from tfleet.discovery.embedded.key_value_file import KeysNotSavedError, KeyValueFile
from tfleet.discovery.embedded.key_values import KeyValues
from tfleet.discovery.embedded.state import RegistryState


class GatedFile(KeyValueFile):
    """A disk that takes as long as the test likes, and can be full."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.open = threading.Event()
        self.full = False
        self.saving = 0

    def save(self, key_values: KeyValues) -> None:
        self.saving += 1
        assert self.open.wait(10)
        if self.full:
            raise KeysNotSavedError("the disk is full")
        super().save(key_values)


class Registry:
    """A registry that is served, and a client's requests to it."""

    def __init__(self, state: RegistryState, session: aiohttp.ClientSession) -> None:
        self.state = state
        self._session = session

    async def get(self, path: str) -> tuple[int, str, int]:
        """Status, text and index."""
        async with self._session.get(path) as answer:
            return answer.status, await answer.text(), int(answer.headers["X-Consul-Index"])

    async def put(self, path: str, body: bytes) -> tuple[int, str]:
        async with self._session.put(path, data=body) as answer:
            return answer.status, (await answer.text()).strip()

    async def delete(self, path: str) -> tuple[int, str]:
        async with self._session.delete(path) as answer:
            return answer.status, (await answer.text()).strip()


@asynccontextmanager
async def served(
    folder: Path | None = None, *, file: KeyValueFile | None = None, first_index: int = 1
) -> AsyncIterator[Registry]:
    app = make_registry(first_index=first_index)
    save_keys(app, folder)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    if file is not None:
        await app[AGENT].key_values.load(file)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        try:
            yield Registry(app[AGENT], session)
        finally:
            await runner.cleanup()
            await app[AGENT].key_values.close()


async def saving(file: GatedFile, times: int = 1) -> None:
    async def begun() -> int:
        return file.saving

    await eventually(begun, wanted=lambda number: number == times)


@pytest.fixture
def file(tmp_path: Path) -> GatedFile:
    return GatedFile(tmp_path)


async def test_a_write_is_answered_when_it_is_saved(file: GatedFile) -> None:
    async with served(file=file) as registry, asyncio.TaskGroup() as group:
        watching = group.create_task(registry.get("/v1/kv/k?index=1&wait=1m&raw"))
        writing = group.create_task(registry.put("/v1/kv/k", b"x"))
        await saving(file)
        assert (await registry.get("/v1/kv/k"))[0] == 404, "and others are served meanwhile"
        assert not watching.done()
        assert not writing.done()
        file.open.set()
        assert await writing == (200, "true")
        assert file.path.exists()
        assert (await watching)[:2] == (200, "x")


async def test_of_writers_with_one_index_one_wins_while_saving(file: GatedFile) -> None:
    async with served(file=file) as registry, asyncio.TaskGroup() as group:
        first = group.create_task(registry.put("/v1/kv/k?cas=0", b"first"))
        await saving(file)
        others = [group.create_task(registry.put("/v1/kv/k?cas=0", b"other")) for _ in range(5)]
        deleting = group.create_task(registry.delete("/v1/kv/k?cas=1"))
        file.open.set()
        assert await first == (200, "true")
        assert await asyncio.gather(*others, deleting) == [(200, "false")] * 6
        assert (await registry.get("/v1/kv/k?raw"))[1] == "first"
        assert file.saving == 1


async def test_a_change_that_cannot_be_saved_is_not_made(file: GatedFile) -> None:
    file.open.set()
    async with served(file=file) as registry:
        await registry.put("/v1/kv/k", b"x")
        before = await registry.get("/v1/kv/?recurse")
        file.full = True
        with capture_logs() as logs:
            assert await registry.put("/v1/kv/k", b"y") == (500, "the disk is full")
            assert await registry.delete("/v1/kv/k") == (500, "the disk is full")
            assert await registry.delete("/v1/kv/?recurse") == (500, "the disk is full")
            assert await registry.get("/v1/kv/?recurse") == before
            file.full = False
            assert await registry.put("/v1/kv/k", b"y") == (200, "true")
        assert [line["event"] for line in logs] == [
            "the registry's keys can't be saved",
            "the registry's keys can be saved again",
        ]
        assert (await registry.get("/v1/kv/k?raw"))[1] == "y"


async def test_what_a_client_that_left_has_written_is_seen(file: GatedFile) -> None:
    async with served(file=file) as registry:
        writing = asyncio.ensure_future(registry.put("/v1/kv/k", b"x"))
        watching = asyncio.ensure_future(registry.get("/v1/kv/k?index=1&wait=1m&raw"))
        await saving(file)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        later = asyncio.ensure_future(registry.put("/v1/kv/k?cas=2", b"y"))
        file.open.set()
        assert (await watching)[:2] == (200, "x")
        assert await later == (200, "true")
        assert [entry.value for entry in registry.state.key_values.current.below("")] == [b"y"]


async def test_what_is_being_saved_at_the_end_is_saved(file: GatedFile, tmp_path: Path) -> None:
    async with served(file=file) as registry:
        writing = asyncio.ensure_future(registry.put("/v1/kv/k", b"x"))
        await saving(file)
        threading.Timer(0.2, file.open.set).start()
    await asyncio.wait([writing])
    async with served(tmp_path) as registry:
        assert (await registry.get("/v1/kv/k?raw"))[1] == "x"


@pytest.mark.parametrize("first_index", [1, 1_000])
async def test_a_restart_has_the_keys_and_no_lower_index(tmp_path: Path, first_index: int) -> None:
    async with served(tmp_path) as registry:
        for body in (b"1", b"2", b"3"):
            await registry.put("/v1/kv/a", body)
        await registry.put("/v1/kv/gone", b"")
        await registry.delete("/v1/kv/gone")
        before = await registry.get("/v1/kv/a?recurse")
        absent = await registry.get("/v1/kv/gone")
    async with served(tmp_path, first_index=first_index) as registry:
        assert await registry.get("/v1/kv/a?recurse") == before
        assert (await registry.get("/v1/kv/gone"))[2] == max(absent[2], first_index)
        await registry.put("/v1/kv/b", b"")
        assert (await registry.get("/v1/kv/b"))[2] == max(absent[2], first_index) + 1


async def test_without_a_folder_the_log_says_so_once() -> None:
    with capture_logs() as logs:
        async with served() as registry:
            await registry.get("/v1/kv/k")
            assert logs == []
            for body in (b"x", b"y"):
                await registry.put("/v1/kv/k", body)
            await registry.delete("/v1/kv/k")
            await registry.put("/v1/kv/k", b"")
    assert logs == [
        {
            "event": "the registry's keys are in memory only",
            "why": "a restart of the registry loses them: choose a folder with --registry-data-dir",
            "log_level": "warning",
        }
    ]
