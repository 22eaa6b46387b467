from __future__ import annotations

import asyncio
import shutil
import stat
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.waiting import eventually
from tfleet.proxy.admin.page_server import page_server


async def test_the_socket_is_private_and_goes_with_its_folder() -> None:
    async with page_server(web.Application()) as path:
        assert mode(path.parent) == 0o700
        assert is_socket(path)
    assert not exists(path.parent)


async def test_a_bad_request_is_no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with page_server(web.Application()) as path:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET / HTTP/1.1\r\nno field\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()
    assert caplog.records == []


@pytest.mark.process
async def test_a_removed_socket_is_made_again() -> None:
    async with page_server(web.Application()) as path:
        for gone in (path.unlink, lambda: shutil.rmtree(path.parent)):
            await asyncio.to_thread(gone)
            await eventually(lambda: asyncio.to_thread(is_socket, path))
            assert mode(path.parent) == 0o700
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b" 404 " in await reader.readline()
            writer.close()
    assert not exists(path.parent)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def is_socket(path: Path) -> bool:
    return path.is_socket()


def exists(path: Path) -> bool:
    return path.exists()
